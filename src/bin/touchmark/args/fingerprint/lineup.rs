//! Arguments of `fingerprint lineup`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct Lineup {
    /// TOML that names the reference, the suspects and what is true of each
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// False alarms that are allowed, for the verdicts
    #[arg(long, default_value_t = 0.001, value_name = "ALPHA")]
    pub fpr: f64,
    /// Write the rows here as JSON lines; what is there already is not computed again
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
