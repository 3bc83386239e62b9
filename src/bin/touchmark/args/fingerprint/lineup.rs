//! Arguments of `fingerprint lineup`.

use std::path::PathBuf;

use clap::Args;

use super::Asking;

#[derive(Args)]
pub struct Lineup {
    /// TOML that names the reference, plans to ask, and the suspects with what is true of each; or a folder with folders
    /// `related` and `independent` of models
    #[arg(value_name = "MANIFEST|DIR")]
    pub suspects: PathBuf,
    /// The model that the suspects' weights are compared with, instead of the manifest's
    #[arg(long, value_name = "MODEL")]
    pub reference: Option<PathBuf>,
    /// A plan that each suspect is asked, besides the manifest's: its file, or the folder that `bundle commit` made of it; may be
    /// given often
    #[arg(long = "plan", value_name = "FILE|BUNDLE")]
    pub plans: Vec<PathBuf>,
    /// Rate of false alarms at which weights are judged; plans have their own
    #[arg(long, default_value_t = 0.001, value_name = "ALPHA")]
    pub fpr: f64,
    /// Keep what was found of each suspect here, as JSON lines; what is there is not computed again
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub asking: Asking,
}
