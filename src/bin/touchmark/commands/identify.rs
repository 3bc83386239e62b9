//! `touchmark identify`: which of all known marks does this text carry?

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::corpus::{Content, Document};
use touchmark::detect::{Row, Verdict};

use super::detect::{Reader, Wanted, table_row};
use crate::args::{self, Global};
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
    let wanted = Wanted::looks(&args.profile, &args.looks, args.fpr);
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

fn document(args: &args::Identify) -> anyhow::Result<Document> {
    let (source, text) =
        read_text(&args.text, "`touchmark detect --profile all` reads many texts")?;
    Ok(Document {
        id: source.to_owned(),
        source: source.to_owned(),
        offset: 0,
        content: Content::Text(text),
        prompt: args.prompt.clone(),
        line: None,
    })
}

/// A text and where it is from: a file if there is one of that name. Of a folder, `folders` says what to do.
pub fn read_text<'a>(argument: &'a str, folders: &str) -> anyhow::Result<(&'a str, String)> {
    let path = Path::new(argument);
    if argument == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        Ok(("-", text))
    } else if path.is_file() {
        let text = std::fs::read_to_string(path);
        Ok((argument, text.with_context(|| format!("cannot read {}", path.display()))?))
    } else if path.is_dir() {
        bail!("{} is a folder; {folders}", path.display());
    } else if is_path(argument) {
        bail!(
            "there is no file {}; a text of one word is read with `-`, from standard input",
            path.display()
        );
    } else {
        Ok(("the command line", argument.to_owned()))
    }
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
