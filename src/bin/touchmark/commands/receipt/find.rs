//! `touchmark receipt find`: which recorded answer did this text come from?

use std::io::Write;

use serde::Serialize;
use touchmark::provenance::{Found, Match, MatchKind, Similarity};
use touchmark::store::ledger::LedgerReader;

use super::super::identify::read_text;
use super::{marked, name};
use crate::args::Global;
use crate::output::{self, Exit};

/// What is said of the text.
#[derive(Serialize)]
struct Answer<'a> {
    /// The closest kind of agreement.
    verdict: Option<MatchKind>,
    #[serde(flatten)]
    found: &'a Found,
    /// What it means.
    meaning: String,
}

pub fn run(
    global: &Global,
    ledger: &LedgerReader,
    text: &str,
    limit: usize,
) -> anyhow::Result<Exit> {
    let (_, text) = read_text(text, "name one file")?;
    let found = ledger.find(&text, limit)?;
    let meaning = meaning(&found);
    if global.json {
        let verdict = found.matches.first().map(|best| best.kind);
        output::json(&Answer { verdict, found: &found, meaning })?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    for found in &found.matches {
        writeln!(out, "{}", line(found))?;
    }
    output::note(global.quiet, &meaning);
    Ok(Exit::Done)
}

fn line(Match { kind, similarity, receipt }: &Match) -> String {
    let kind = match kind {
        MatchKind::Exact => "exact",
        MatchKind::Trimmed => "exact but for blanks at the ends",
        MatchKind::SameWords => "the same words",
        MatchKind::Near => &format!("{} of it", percent(similarity.containment)),
    };
    let account = receipt.account.as_deref().unwrap_or("-");
    format!("{:<40}  {kind}  {}  {account}  {}", name(receipt), receipt.time, marked(receipt))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The result in words.
fn meaning(found: &Found) -> String {
    let mut words = match found.matches.first() {
        None => none(found),
        Some(best) => agreement(best, found),
    };
    if found.redacted > 0 {
        words.push_str(&format!(
            " {} of all answers are redacted and could not be compared.",
            found.redacted
        ));
    }
    words
}

fn none(found: &Found) -> String {
    let mut words = format!("None of {} recorded answers agrees with the text.", found.searched);
    if found.words < Similarity::FEWEST_WORDS {
        words.push_str(&format!(
            " It has {} words; a passage or a changed text can be recognised from {} on.",
            found.words,
            Similarity::FEWEST_WORDS
        ));
    }
    words
}

fn agreement(best: &Match, found: &Found) -> String {
    let answer = name(&best.receipt);
    match best.kind {
        MatchKind::Exact => {
            format!(
                "The text is answer {answer}, byte for byte: it opens the receipt's commitment."
            )
        }
        MatchKind::Trimmed => format!(
            "The text is answer {answer} but for blanks at the ends: it opens the receipt's commitment."
        ),
        MatchKind::SameWords => format!(
            "The text has the words of answer {answer} in their order; letter case, punctuation or blanks differ."
        ),
        MatchKind::Near => near(&answer, &best.similarity, found.searched),
    }
}

fn near(answer: &str, similarity: &Similarity, searched: u64) -> String {
    let interval = &similarity.containment_interval;
    let sampled = if interval.low < interval.high {
        format!(
            ", of a sample; 95 % interval for all of them: {} to {}",
            percent(interval.low),
            percent(interval.high)
        )
    } else {
        String::new()
    };
    format!(
        "{} of {} runs of five words stand in answer {answer}{sampled}. That so many fit one of {searched} answers by a fault of \
         hashing has a probability below 10^{:.0}. Passages that both took from elsewhere, such as a quotation or the \
         prompt, agree too: the number says that words are shared, not who wrote them first.",
        similarity.shared,
        similarity.compared,
        similarity.log10_hash_chance.ceil()
    )
}
