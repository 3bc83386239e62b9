//! `touchmark attack`: edits texts as somebody would who wants to be rid of a mark.

use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use touchmark::attack::{Attacked, Budget, Materials, Thesaurus, chrf};
use touchmark::corpus::{Content, Document};

use super::detect::{Out, documents, in_order, threads};
use crate::args::{self, AttackFormat, Global};
use crate::output::{self, Exit};

/// A text that was edited.
#[derive(Serialize)]
struct Edited<'a> {
    id: &'a str,
    source: &'a str,
    attack: &'static str,
    /// As used, which a budget of similarity makes smaller than what was asked for.
    strength: f64,
    /// chrF with the text as it was.
    similarity: f64,
    /// As given; each text draws its own numbers, of this and its place among the texts.
    seed: u64,
    text: &'a str,
}

pub fn run(global: &Global, args: &args::Attack) -> anyhow::Result<Exit> {
    let other = args.other.as_deref().map(read).transpose()?.unwrap_or_default();
    let own = match &args.thesaurus {
        Some(path) => Thesaurus::parse(&read(path)?).with_context(|| path.display().to_string())?,
        None => Thesaurus::bundled().clone(),
    };
    let materials = Materials { other: &other, thesaurus: &own, segments: args.segments };
    let budget = Budget { strength: args.strength, similarity: args.similarity };
    // What is wrong with the settings is wrong for every text.
    args.way.check(budget, &materials)?;
    let mut out = BufWriter::new(Out::new(args.output.as_deref())?);
    let bar = output::progress(global.no_progress || global.quiet, None, "documents")?;
    let (mut written, mut failed) = (0_u64, 0_u64);
    let edit = |document: Result<(u64, Document), _>| -> anyhow::Result<(Document, Attacked)> {
        let (number, document) = document?;
        let Content::Text(text) = &document.content else {
            anyhow::bail!("{}: attacks edit texts, not token ids", document.id)
        };
        let seed = seed_of(args.seed, number);
        let attacked = args.way.within(text, budget, &materials, seed, chrf);
        let attacked = attacked.with_context(|| document.id.clone())?;
        Ok((document, attacked))
    };
    let numbered = (0..).zip(documents(&args.inputs)?).map(|(number, document)| {
        document.map(|document| (number, document)).map_err(anyhow::Error::from)
    });
    in_order(numbered, threads(global), edit, |outcome| {
        bar.inc(1);
        match outcome {
            Ok((document, attacked)) => {
                written += 1;
                let line = line(args, &document, attacked)?;
                out.write_all(line.as_bytes()).map_err(anyhow::Error::from)
            }
            Err(error) => {
                failed += 1;
                output::warn(&output::causes(&error));
                Ok(())
            }
        }
    })?;
    bar.finish_and_clear();
    anyhow::ensure!(written > 0, "no text could be edited ({failed} failed)");
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()?;
    Ok(if failed > 0 { Exit::Partial } else { Exit::Done })
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Of the seed and the place of the document, so that no two draw alike.
fn seed_of(seed: u64, number: u64) -> u64 {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number)
}

fn line(args: &args::Attack, document: &Document, attacked: Attacked) -> anyhow::Result<String> {
    if args.format == AttackFormat::Text {
        let ended = attacked.text.ends_with('\n');
        return Ok(attacked.text + if ended { "" } else { "\n" });
    }
    let row = Edited {
        id: &document.id,
        source: &document.source,
        attack: args.way.name(),
        strength: attacked.strength,
        similarity: attacked.similarity,
        seed: args.seed,
        text: &attacked.text,
    };
    Ok(serde_json::to_string(&row)? + "\n")
}
