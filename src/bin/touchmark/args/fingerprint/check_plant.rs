use std::path::PathBuf;

use clap::Args;

use crate::args::Loading;

#[derive(Args)]
pub struct CheckPlant {
    /// Folder, GGUF file, or id on a hub; `bundled` is the one in this program
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Folder of the planting
    #[arg(value_name = "DIR")]
    pub planting: PathBuf,
    #[command(flatten)]
    pub loading: Loading,
    /// Note which pairs this model answers, so that asking begins where most of them are: for the planted model itself
    #[arg(long)]
    pub keep: bool,
    /// The model before planting, to compare the cost
    #[arg(long, value_name = "MODEL")]
    pub base: Option<PathBuf>,
    /// Held-out text for the cost, JSON lines with `text` or plain text [default: a page in this program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Tokens of that text
    #[arg(long, default_value_t = 16_384, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub text_tokens: u32,
}
