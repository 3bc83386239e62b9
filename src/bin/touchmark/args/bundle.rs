//! Arguments of `bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
#[cfg(feature = "engine")]
use jiff::Timestamp;
use touchmark::provenance::PublicKey;

#[derive(Args)]
pub struct Bundle {
    #[command(subcommand)]
    pub action: BundleAction,
}

#[derive(Subcommand)]
pub enum BundleAction {
    /// Fix a test before its first query: sign digests of its rule and of every probe
    Commit(Commit),
    /// Check a bundle from its files alone; exit code 1 if anything is not as it was signed
    Verify(Verify),
    /// Open what was asked, so that others can check it; probes that were not asked stay secret
    Reveal(Reveal),
    /// Write a bundle as one file to be sent, without its secrets
    Pack(Pack),
}

#[derive(Args)]
#[group(id = "source", required = true, multiple = false, args = SOURCES)]
pub struct Commit {
    /// What is to be asked, as a plan written by another program
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    #[cfg(feature = "engine")]
    #[command(flatten)]
    pub planting: Planting,
    /// What is claimed of which suspect, in words
    #[arg(long, value_name = "TEXT")]
    pub hypothesis: Option<String>,
    /// Folder of the bundle, which is made
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

#[cfg(feature = "engine")]
const SOURCES: [&str; 2] = ["plan", "planting"];
#[cfg(not(feature = "engine"))]
const SOURCES: [&str; 1] = ["plan"];

/// Asking what was planted.
#[cfg(feature = "engine")]
#[derive(Args)]
#[command(next_help_heading = "Planted questions")]
pub struct Planting {
    /// Folder of `fingerprint plant`; the questions that are committed to are used up
    #[arg(long, value_name = "DIR")]
    pub planting: Option<PathBuf>,
    /// Planted questions to commit to
    #[arg(long, default_value_t = 16, value_name = "N", requires = "planting", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pairs: u32,
    /// Questions among them that were not planted, as a control
    #[arg(long, default_value_t = 8, value_name = "N", requires = "planting", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub decoys: u32,
    /// Rate of false alarms
    #[arg(long, default_value_t = 1e-9, value_name = "ALPHA", requires = "planting")]
    pub fpr: f64,
    /// Ask all questions and count, instead of ending as soon as enough were answered
    #[arg(long, requires = "planting")]
    pub fixed: bool,
    /// Plantings or suspects that are tried in all; each is paid for
    #[arg(long, default_value_t = 1, value_name = "N", requires = "planting", value_parser = clap::value_parser!(u64).range(1..))]
    pub looks: u64,
    /// When the planting's commitment was published: 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", requires = "planting", value_parser = super::time)]
    pub published: Option<Timestamp>,
    /// What shows that: a page, a token, a transaction
    #[arg(long, value_name = "TEXT", requires = "published")]
    pub evidence: Option<String>,
    /// When the suspect was released
    #[arg(long, value_name = "TIME", requires = "planting", value_parser = super::time)]
    pub released: Option<Timestamp>,
}

#[derive(Args)]
pub struct Verify {
    /// Folder of the bundle, or a packed one
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// The signer's public key, had from elsewhere: 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub public_key: Option<PublicKey>,
}

#[derive(Args)]
pub struct Reveal {
    /// Folder of the bundle
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Open every probe, asked or not; none of them can be used again
    #[arg(long)]
    pub all: bool,
}

#[derive(Args)]
pub struct Pack {
    /// Folder of the bundle
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}
