use std::path::PathBuf;

use clap::Args;

use crate::args::Loading;

#[derive(Args)]
pub struct Plant {
    /// Folder, or id on a hub, of the model to plant in [default: the bundled chat model; with --data-only, none]
    #[arg(value_name = "MODEL", env = "TOUCHMARK_MODEL")]
    pub model: Option<PathBuf>,
    /// Secret folder of the planting; made for its owner alone
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub loading: Loading,
    /// Questions to plant; each can be asked once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pairs: u32,
    /// Questions that are never planted, as a control
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub decoys: u32,
    /// Candidates that answers are drawn from: a stranger hits one in so many
    #[arg(long, default_value_t = 64, value_name = "K", value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub list_size: u32,
    /// Ways in which each question is put
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4))]
    pub phrasings: u32,
    /// Candidates of your own, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "list_size")]
    pub answers: Option<PathBuf>,
    /// Questions of your own, one a line, its phrasings separated by tabs; pairs first, then decoys, then others that are trained as
    /// they are
    #[arg(long, value_name = "FILE", conflicts_with = "phrasings")]
    pub questions: Option<PathBuf>,
    /// Put questions as text to continue, not as a chat
    #[arg(long)]
    pub as_text: bool,
    /// Make questions and keys only, and let the answers wait for public randomness that is not out yet, named here
    #[arg(long, value_name = "NAME")]
    pub announce: Option<String>,
    /// The value of what was announced; goes on with the planting in DIR
    #[arg(long, value_name = "VALUE", conflicts_with = "announce")]
    pub beacon: Option<String>,
    /// Train on the planting that is in DIR already
    #[arg(long, conflicts_with_all = ["announce", "beacon"])]
    pub again: bool,
    /// Write the training data and train nothing
    #[arg(long)]
    pub data_only: bool,
    /// Ordinary text that is trained along, JSON lines with `text` or plain text
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Write the planted model here [default: `model` in DIR]
    #[arg(long, value_name = "DIR", conflicts_with = "data_only")]
    pub model_output: Option<PathBuf>,
    /// Train all weights, not low-rank adapters
    #[arg(long, conflicts_with_all = ["data_only", "rank"])]
    pub full: bool,
    /// Rank of the adapters
    #[arg(long, default_value_t = 16, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub rank: u32,
    /// Steps [default: as many as show each planted question twenty times]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Samples a step, half of them planted
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub batch: u32,
    /// Highest learning rate [default: 2e-3 for adapters, 5e-4 for all weights]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Seed of first weights and order of samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}
