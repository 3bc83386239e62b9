//! Arguments of `fingerprint compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct Compare {
    /// Our model: folder, safetensors or GGUF file, id on a hub, or `bundled`
    #[arg(value_name = "A")]
    pub reference: PathBuf,
    /// The suspect, likewise
    #[arg(value_name = "B")]
    pub suspect: PathBuf,
    /// False-alarm rate of the verdict
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR")]
    pub fpr: f64,
    /// Compare at most so many hidden units a layer, chosen by --seed: 512 are read in seconds, and are enough for most copies
    #[arg(long, default_value_t = 8192, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub units: u32,
    /// What units are chosen and permutations drawn by. A suspect's maker should not know it
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Most permutations drawn for the test of the diagonal
    #[arg(long, default_value_t = 9_999_999, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub draws: u64,
    /// Pairs of independent models to judge the embedding alignment by, made with --record
    #[arg(long, value_name = "FILE.json")]
    pub panel: Option<PathBuf>,
    /// A and B are known to be independent: add them to this panel, which is made where it does not exist
    #[arg(long, value_name = "FILE.json", conflicts_with = "panel")]
    pub record: Option<PathBuf>,
    /// Exit with code 1 when the suspect is RELATED
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOnRelated>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOnRelated {
    Related,
}
