//! What may be typed after `attack`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use touchmark::attack;

use super::Inputs;

/// An edit, or what a model makes of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Edit(attack::Attack),
    #[cfg(feature = "engine")]
    Paraphrase,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Edit(attack) => attack.name(),
            #[cfg(feature = "engine")]
            Self::Paraphrase => "paraphrase",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let edits = attack::Attack::ALL.into_iter().map(Self::Edit);
        #[cfg(feature = "engine")]
        let edits = edits.chain([Self::Paraphrase]);
        edits
    }
}

#[derive(Args)]
pub struct Attack {
    /// What to do to the texts
    #[arg(value_name = "ATTACK", value_parser = ways())]
    pub way: Way,
    #[command(flatten)]
    pub inputs: Inputs,
    /// Share of the words, letters, sentences or passages that are edited, from 0 to 1
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
    /// Take words of like meaning from this model: neighbours in its table of embeddings
    #[cfg(feature = "engine")]
    #[arg(long, value_name = "MODEL", conflicts_with = "thesaurus")]
    pub neighbours: Option<PathBuf>,
    /// What writes paraphrases: a model that follows instructions, or the address of an OpenAI-compatible endpoint
    #[cfg(feature = "engine")]
    #[arg(long, value_name = "MODEL|URL", required_if_eq("way", "paraphrase"))]
    pub with: Option<String>,
    /// What it is told; the passage is what the user says
    #[cfg(feature = "engine")]
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Say the passage in other words. Keep its meaning, its tone and about its length. Answer with the new passage alone."
    )]
    pub instruction: String,
    #[cfg(feature = "engine")]
    #[command(flatten)]
    pub asking: super::fingerprint::Asking,
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
    PossibleValuesParser::new(Way::all().map(Way::name).collect::<Vec<_>>())
        .try_map(|name| Way::all().find(|way| way.name() == name).ok_or("there is no such attack"))
}
