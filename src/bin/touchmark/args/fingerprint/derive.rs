//! Arguments of `fingerprint derive`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use touchmark::fingerprint::derive::How;

#[derive(Args)]
pub struct Derive {
    /// Folder of a model in safetensors format, or id on a hub; `bundled` for the bundled model
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Folder to make, which must not be there or be empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// A way to make the copy; several are gone one after the other: int8, int4[=GROUP], prune=SHARE, prune=KEEP:OF,
    /// noise=SD, merge=WEIGHT:MODEL, slerp=WEIGHT:MODEL, permute, permute-heads, rescale, signs, rotate, drop=LAYER,…,
    /// extend=TOKENS, bf16, f16
    #[arg(long, value_name = "WAY", required = true, value_parser = how)]
    pub how: Vec<How>,
    /// Seed of all that is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Number format of the copy's file. Quantised weights are written as what they stand for; bf16 rounds them once more
    #[arg(long, value_enum, default_value_t, value_name = "f32|bf16")]
    pub dtype: CopyDtype,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CopyDtype {
    /// 32-bit floats
    #[default]
    F32,
    /// bfloat16
    Bf16,
}

fn how(given: &str) -> Result<How, touchmark::fingerprint::derive::DeriveError> {
    given.parse()
}
