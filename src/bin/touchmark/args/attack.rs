//! What may be typed after `attack`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use touchmark::attack::Attack as Way;

use super::Inputs;

#[derive(Args)]
pub struct Attack {
    /// What to do to the texts
    #[arg(value_name = "ATTACK", value_parser = ways())]
    pub way: Way,
    #[command(flatten)]
    pub inputs: Inputs,
    /// Share of the words, letters or sentences that are edited, from 0 to 1
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub strength: f64,
    /// Edit less where a text would be less like what it was: chrF, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "CHRF")]
    pub similarity: f64,
    /// Another text: words to put in, or what texts are pasted into
    #[arg(long, value_name = "FILE")]
    pub other: Option<PathBuf>,
    /// Pieces in which a text is pasted into the other
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub segments: usize,
    /// Words of like meaning, lines 'word: other, other' or 'word, other' [default: a short list of English ones]
    #[arg(long, value_name = "FILE")]
    pub thesaurus: Option<PathBuf>,
    /// Seed of what is drawn; each text draws its own
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How texts are written: rows, or as they are
    #[arg(long, value_enum, default_value_t)]
    pub format: AttackFormat,
    /// Write to this file instead of standard output, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AttackFormat {
    /// A row of JSON for each text
    #[default]
    Jsonl,
    /// The texts
    Text,
}

fn ways() -> impl TypedValueParser<Value = Way> {
    PossibleValuesParser::new(Way::ALL.map(Way::name)).try_map(|name| {
        Way::ALL.into_iter().find(|way| way.name() == name).ok_or("there is no such attack")
    })
}
