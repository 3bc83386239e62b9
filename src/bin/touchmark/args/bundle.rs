//! Arguments of `bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
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
    Commit(Box<Commit>),
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
    #[command(flatten)]
    pub behaviour: Behaviour,
    /// What is claimed of which suspect, in words
    #[arg(long, value_name = "TEXT")]
    pub hypothesis: Option<String>,
    /// Folder of the bundle, which is made
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

#[cfg(feature = "engine")]
const SOURCES: [&str; 3] = ["plan", "planting", "enrolment"];
#[cfg(not(feature = "engine"))]
const SOURCES: [&str; 2] = ["plan", "enrolment"];

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

/// Asking what a reference was asked.
#[derive(Args)]
#[command(next_help_heading = "Behaviour")]
pub struct Behaviour {
    /// Enrolment of the reference, by `fingerprint enroll`; may be given again for lineage, where each is a candidate
    #[arg(long, value_name = "FILE", requires = "test")]
    pub enrolment: Vec<PathBuf>,
    /// What shall be tested
    #[arg(long, value_enum, value_name = "TEST", requires = "enrolment")]
    pub test: Option<BehaviourTest>,
    /// Panel of independent models, for lineage
    #[arg(long, value_name = "FILE", requires = "enrolment")]
    pub panel: Option<PathBuf>,
    /// Level of the test
    #[arg(long, default_value_t = 0.01, value_name = "ALPHA", requires = "enrolment")]
    pub level: f64,
    /// Most queries [default: all that are enrolled]
    #[arg(long, value_name = "N", requires = "enrolment")]
    pub queries: Option<usize>,
    /// The suspect is known to be asked under the enrolled protocol, even if it does not count the tokens of prompts
    #[arg(long, requires = "enrolment")]
    pub assume_protocol: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum BehaviourTest {
    /// Whether the suspect is the reference, from answers of one token
    Identity,
    /// Whether it is, from the ranks of answers of one token, each prompt asked once
    Rank,
    /// Whether it is, from answers of some tokens
    Distance,
    /// Whether it is, from log-probabilities
    Drift,
    /// Whether it descends from the reference
    Lineage,
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
