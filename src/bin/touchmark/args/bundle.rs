//! Arguments of `bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
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
pub struct Commit {
    /// What is to be asked: a file of `fingerprint plant` or `fingerprint enroll`
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// What is claimed of which suspect, in words, instead of the plan's own
    #[arg(long, value_name = "TEXT")]
    pub hypothesis: Option<String>,
    /// Folder of the bundle, which is made
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
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
