//! `touchmark attack`: edits texts as somebody would who wants to be rid of a mark.

use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use touchmark::attack::{Attack, Attacked, Budget, Materials, Thesaurus, chrf};
use touchmark::corpus::{Content, Document};

use super::detect::{Out, documents, in_order, threads};
use crate::args::{self, AttackFormat, Global, Way};
use crate::output::{self, Exit};
#[cfg(feature = "engine")]
use writer::Writer;

#[cfg(feature = "engine")]
mod writer;

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
    let budget = Budget { strength: args.strength, similarity: args.similarity };
    let editor = Editor::new(global, args, budget)?;
    let mut out = BufWriter::new(Out::new(args.output.as_deref())?);
    let bar = output::progress(global.no_progress || global.quiet, None, "documents")?;
    let (mut written, mut failed) = (0_u64, 0_u64);
    let edit = |document: Result<(u64, Document), _>| -> anyhow::Result<(Document, Attacked)> {
        let (number, document) = document?;
        let Content::Text(text) = &document.content else {
            anyhow::bail!("{}: attacks edit texts, not token ids", document.id)
        };
        let attacked = editor.edit(text, budget, seed_of(args.seed, number));
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

/// What edits texts.
enum Editor {
    Edits {
        attack: Attack,
        other: String,
        thesaurus: Thesaurus,
        segments: usize,
    },
    #[cfg(feature = "engine")]
    Paraphrases(Writer),
}

impl Editor {
    /// What is wrong with the settings is wrong for every text, and refused here.
    fn new(global: &Global, args: &args::Attack, budget: Budget) -> anyhow::Result<Self> {
        budget.check()?;
        match args.way {
            Way::Edit(attack) => Self::edits(global, args, budget, attack),
            #[cfg(feature = "engine")]
            Way::Paraphrase => Ok(Self::Paraphrases(Writer::open(global, args)?)),
        }
    }

    fn edits(
        global: &Global,
        args: &args::Attack,
        budget: Budget,
        attack: Attack,
    ) -> anyhow::Result<Self> {
        #[cfg(feature = "engine")]
        anyhow::ensure!(
            args.with.is_none(),
            "--with names what writes paraphrases; {} asks nobody: leave it out",
            attack.name()
        );
        let other = args.other.as_deref().map(read).transpose()?.unwrap_or_default();
        let (thesaurus, segments) = (words(global, args)?, args.segments);
        let materials = Materials { other: &other, thesaurus: &thesaurus, segments };
        attack.check(budget, &materials)?;
        Ok(Self::Edits { attack, other, thesaurus, segments })
    }

    fn edit(&self, text: &str, budget: Budget, seed: u64) -> anyhow::Result<Attacked> {
        match self {
            Self::Edits { attack, other, thesaurus, segments } => {
                let materials = Materials { other, thesaurus, segments: *segments };
                Ok(attack.within(text, budget, &materials, seed, chrf)?)
            }
            #[cfg(feature = "engine")]
            Self::Paraphrases(writer) => writer.paraphrase(text, budget, seed),
        }
    }
}

/// Words of like meaning, of a file.
pub fn thesaurus(path: &Path) -> anyhow::Result<Thesaurus> {
    Thesaurus::parse(&read(path)?).with_context(|| path.display().to_string())
}

fn words(global: &Global, args: &args::Attack) -> anyhow::Result<Thesaurus> {
    #[cfg(feature = "engine")]
    if let Some(model) = &args.neighbours {
        return crate::models::neighbours(global, model);
    }
    #[cfg(not(feature = "engine"))]
    let _ = global;
    match &args.thesaurus {
        Some(path) => thesaurus(path),
        None => Ok(Thesaurus::bundled().clone()),
    }
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
