//! Arguments of `receipt`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use touchmark::provenance::PublicKey;

#[derive(Args)]
pub struct Receipt {
    /// File of the receipts [default: ledger/receipts.sqlite in the home folder]
    #[arg(long, global = true, value_name = "FILE", env = "TOUCHMARK_LEDGER")]
    pub ledger: Option<PathBuf>,
    #[command(subcommand)]
    pub action: ReceiptAction,
}

#[derive(Subcommand)]
pub enum ReceiptAction {
    /// Say which recorded answer a text came from, exactly or nearly
    Find {
        /// A file with the text, `-` for standard input, or the text itself
        #[arg(value_name = "TEXT|FILE")]
        text: String,
        /// Most answers to name
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Check that no receipt was changed or left out; exit code 1 if one was
    Verify(ReceiptVerify),
    /// Write the public part of all receipts as JSON lines
    Export {
        /// Only answers from this time on
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        since: Option<Timestamp>,
        /// Write here [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show one receipt to somebody, so that they can check a text against it without the ledger
    Disclose {
        /// Id of the answer
        #[arg(value_name = "ID")]
        answer: String,
        /// Which of several choices under this id
        #[arg(long, default_value_t = 0, value_name = "N")]
        choice: u32,
        /// Let the prompt be checked too
        #[arg(long)]
        with_prompt: bool,
        /// Write here [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List receipts, newest first
    List {
        /// Only answers from this time on
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        since: Option<Timestamp>,
        /// Only answers to this account
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Most receipts to list
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
    /// Show all that is kept of an answer
    Show {
        /// Id of the answer
        #[arg(value_name = "ID")]
        answer: String,
    },
    /// Delete for good what opens the receipts of an answer, and its text where that is kept
    Redact {
        /// Ids of answers
        #[arg(value_name = "ID", required = true)]
        answers: Vec<String>,
    },
    /// Delete the oldest receipts; a signed statement says where the chain begins then
    Prune {
        /// Receipts from before this time: 2026-01-31, or 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        before: Timestamp,
    },
    /// Sign where the ledger ends; kept elsewhere, it shows later that the end was not cut off
    Checkpoint {
        /// Write here [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct ReceiptVerify {
    /// A checkpoint that was kept elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "disclosure")]
    pub checkpoint: Option<PathBuf>,
    /// The key that signatures must be made with, as 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub public_key: Option<PublicKey>,
    /// JSON lines of `receipt export` instead of a ledger
    #[arg(long, value_name = "FILE", conflicts_with_all = ["disclosure", "ledger"])]
    pub export: Option<PathBuf>,
    /// A receipt of `receipt disclose` instead of a ledger
    #[arg(long, value_name = "FILE", requires = "text", conflicts_with = "ledger")]
    pub disclosure: Option<PathBuf>,
    /// File with the text to check against the disclosed receipt
    #[arg(long, value_name = "FILE", requires = "disclosure")]
    pub text: Option<PathBuf>,
    /// File with the prompt to check against the disclosed receipt
    #[arg(long, value_name = "FILE", requires = "disclosure")]
    pub prompt: Option<PathBuf>,
}
