//! `touchmark identify`: which of all known marks does this text carry?

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::corpus::{Content, Document};
use touchmark::detect::{Row, Verdict};

use super::detect::{Reader, Wanted, table_row};
use crate::args::{self, Global, Switch};
use crate::output::{self, Exit};

/// What is said of the text.
#[derive(Serialize)]
struct Answer<'a> {
    verdict: Verdict,
    /// The profile that the text speaks most for, where its p-value meets the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<&'a Row>,
    /// Others that meet the threshold too.
    also_plausible: Vec<&'a Row>,
    /// Profiles and keys that were tried.
    tried: usize,
    rows: &'a [Row],
}

pub fn run(global: &Global, args: &args::Identify) -> anyhow::Result<Exit> {
    let wanted = Wanted {
        profiles: &args.profile,
        keys: &args.looks.keys,
        normalise: args.looks.normalise == Switch::On,
        windows: args.looks.segments,
        fpr: args.fpr,
        tokenizer: None,
        model: None,
        bayesian: None,
        explain: None,
    };
    let document = document(args)?;
    let reader = Reader::new(global, &wanted)?;
    let mut rows = reader.examine(&document)?.rows;
    let p = |row: &Row| (row.log10_p_corrected, row.log10_p);
    rows.sort_by(|a, b| {
        let ((a, a_own), (b, b_own)) = (p(a), p(b));
        a.total_cmp(&b).then(a_own.total_cmp(&b_own))
    });
    let found: Vec<&Row> = rows.iter().filter(|row| row.verdict == Verdict::Detected).collect();
    let verdict = if !found.is_empty() {
        Verdict::Detected
    } else if rows.iter().all(|row| row.verdict == Verdict::NotDetected) {
        Verdict::NotDetected
    } else {
        Verdict::InsufficientEvidence
    };
    let answer = Answer {
        verdict,
        best: found.first().copied(),
        also_plausible: found.iter().skip(1).copied().collect(),
        tried: reader.targets(),
        rows: &rows,
    };
    if global.json {
        output::json(&answer)?;
    } else {
        show(global, &answer)?;
    }
    Ok(Exit::Done)
}

/// The text: a file's if there is one of that name.
fn document(args: &args::Identify) -> anyhow::Result<Document> {
    let path = Path::new(&args.text);
    let (source, text) = if args.text == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        ("-", text)
    } else if path.is_file() {
        let text = std::fs::read_to_string(path);
        (args.text.as_str(), text.with_context(|| format!("cannot read {}", path.display()))?)
    } else if path.is_dir() {
        bail!("{} is a folder; `touchmark detect --profile all` reads many texts", path.display());
    } else if is_path(&args.text) {
        bail!(
            "there is no file {}; a text of one word is read with `-`, from standard input",
            path.display()
        );
    } else {
        ("the command line", args.text.clone())
    };
    Ok(Document {
        id: source.to_owned(),
        source: source.to_owned(),
        offset: 0,
        content: Content::Text(text),
        prompt: args.prompt.clone(),
    })
}

/// Whether a text looks like the name of a file: one word with a slash or an ending.
fn is_path(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    let short = |ending: &str| {
        (1..=5).contains(&ending.len()) && ending.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    !text.contains(char::is_whitespace) && (text.contains('/') || ending.is_some_and(short))
}

fn show(global: &Global, answer: &Answer<'_>) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    for (at, row) in answer.rows.iter().take(MOST_ROWS).enumerate() {
        writeln!(out, "{}", table_row(row, at == 0))?;
    }
    if answer.rows.len() > MOST_ROWS {
        output::note(
            global.quiet,
            &format!("{} more, less likely still; --json has all", answer.rows.len() - MOST_ROWS),
        );
    }
    let said = match (answer.best, answer.also_plausible.first()) {
        (Some(best), None) => format!("Marked with {} (key {}).", best.profile, best.key_id),
        (Some(best), Some(next)) => format!(
            "Marked with {} (key {}); {} is below the threshold too: the two read each other's marks, or the text has both.",
            best.profile, best.key_id, next.profile
        ),
        (None, _) => "None of the marks tried was found.".to_owned(),
    };
    let family = answer.rows.first().map_or("", |row| &row.family);
    answer.best.iter().flat_map(|best| &best.warnings).for_each(|warning| output::warn(warning));
    output::note(global.quiet, &format!("{said} p-values are corrected: {family}."));
    Ok(())
}

/// Rows of the table.
const MOST_ROWS: usize = 12;
