//! Arguments of `fingerprint probe`.

use std::path::PathBuf;

use clap::Args;

use super::Asking;

#[derive(Args)]
pub struct Probe {
    /// Folder of `bundle commit`; the transcript is written there, and a run that was broken off goes on
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Model to ask: folder, GGUF file, id on a hub, or address of an OpenAI-compatible endpoint
    #[arg(long, value_name = "MODEL|URL")]
    pub suspect: String,
    /// Most requests of this run; the next goes on
    #[arg(long, value_name = "N")]
    pub max_requests: Option<u64>,
    /// End after about so many tokens, prompts and answers together; the next run goes on
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// Sign what there is when the budget ends the run, instead of waiting for the next
    #[arg(long)]
    pub finish: bool,
    /// Exit with 1 when the verdict is this one
    #[arg(long, value_name = "VERDICT", value_parser = ["related", "changed"])]
    pub fail_on: Option<String>,
    #[command(flatten)]
    pub asking: Asking,
}
