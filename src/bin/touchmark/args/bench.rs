//! What may be typed after `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Loading;

#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    pub action: BenchAction,
}

#[derive(Subcommand)]
pub enum BenchAction {
    /// Write and read texts as a plan says, and measure what comes of it
    Run(BenchRun),
    /// Make a page, and tables for other programs, of what was measured
    Report(BenchReport),
}

#[derive(Args)]
pub struct BenchRun {
    /// The plan: TOML, see the manual's page on the harness
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
    /// Folder for the texts, which a later run of the plan goes on from, and for results.json
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub loading: Loading,
}

#[derive(Args)]
pub struct BenchReport {
    /// What `bench run` wrote: its folder, or results.json
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE.html")]
    pub output: PathBuf,
    /// Folder for the tables as CSV and the pictures as SVG
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
}
