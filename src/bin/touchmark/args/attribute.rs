//! Arguments of `attribute`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use touchmark::attribution::Setting;

use super::fingerprint::Asking;

#[derive(Args)]
pub struct Attribute {
    #[command(subcommand)]
    pub action: AttributeAction,
}

#[derive(Subcommand)]
pub enum AttributeAction {
    /// Test a suspect: by what it expects while reading texts, or by what it says
    Run(Box<Run>),
    /// How many tokens must be read or said to show training, and what they cost
    Plan(Plan),
    /// Make a page of results, for people who have to decide: one HTML file that needs nothing else
    Report(Report),
}

#[derive(Args)]
pub struct Plan {
    /// Share of the suspect's training text that is marked, above 0 and at most 1
    #[arg(long, value_name = "S")]
    pub share: f64,
    /// The suspect can only be asked; else it can be made to read
    #[arg(long)]
    pub closed: bool,
    /// Greatest p-value, after correction, at which training counts as shown
    #[arg(long, default_value_t = 1e-6, value_name = "P")]
    pub fpr: f64,
    /// Keys that are tried
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub accounts: u64,
    /// Result of a test (`attribute run -o`) of a model whose share is known [default: a test of a small bundled student]
    #[arg(long, value_name = "FILE", requires = "pilot_share")]
    pub pilot: Option<PathBuf>,
    /// That share
    #[arg(long, value_name = "S", requires = "pilot")]
    pub pilot_share: Option<f64>,
    /// Tokens of a prompt
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub prompt_tokens: u32,
    /// Tokens of an answer
    #[arg(long, default_value_t = 248, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub answer_tokens: u32,
    /// Price of a million tokens of prompts
    #[arg(long, value_name = "PRICE", requires = "price_out")]
    pub price_in: Option<f64>,
    /// Price of a million tokens of answers
    #[arg(long, value_name = "PRICE", requires = "closed")]
    pub price_out: Option<f64>,
}

impl Plan {
    pub fn setting(&self) -> Setting {
        if self.closed { Setting::Closed } else { Setting::Open }
    }
}

#[derive(Args)]
pub struct Report {
    /// What `attribute run -o` wrote
    #[arg(required = true, value_name = "RESULT.json")]
    pub results: Vec<PathBuf>,
    /// Write the page here instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Clone)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["texts", "prompts", "outputs"]))]
pub struct Run {
    /// Model to test: folder, GGUF file, id on a hub; with --prompts also the address of an OpenAI-compatible endpoint
    #[arg(long, value_name = "MODEL|URL", required_unless_present = "outputs")]
    pub suspect: Option<String>,
    /// Model that the suspect is known to be trained from; what it expects is taken off
    #[arg(long, value_name = "MODEL", requires = "texts")]
    pub base: Option<PathBuf>,
    /// Model that was trained from the same base on such text without the mark; what it does as well is taken off. Repeat for several
    #[arg(long = "like", value_name = "MODEL", requires = "texts")]
    pub alike: Vec<PathBuf>,
    /// Have the suspect read these texts, which were written independently of the key: human or unmarked text (any input of
    /// `detect`)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub texts: Vec<PathBuf>,
    /// The texts are marked with the tested key; what speaks for training must then be told from copying by --control models
    #[arg(long, requires = "texts")]
    pub marked: bool,
    /// Ask the suspect these prompts and weigh what it says: JSON lines with `prompt` or `messages`
    #[arg(long, value_name = "FILE", requires = "suspect")]
    pub prompts: Option<PathBuf>,
    /// Weigh answers that the suspect gave elsewhere: JSON lines with `text`, or `ids`, and `prompt`
    #[arg(long, value_name = "FILE")]
    pub outputs: Option<PathBuf>,
    /// Model without the mark that is tested in the suspect's place; repeat for several
    #[arg(long = "control", value_name = "MODEL")]
    pub controls: Vec<PathBuf>,
    /// Answers that carry no mark, such as our own unmarked output, weighed in the suspect's place: JSON lines as --outputs; repeat for
    /// several
    #[arg(long, value_name = "FILE", conflicts_with_all = ["texts", "top_logprobs"])]
    pub control_outputs: Vec<PathBuf>,
    /// Day on which the suspect was made, as 2026-11-22: a key of a later day shows nothing of it
    #[arg(long, value_name = "DATE")]
    pub suspect_made: Option<Date>,
    /// Our own outputs that the suspect may have been trained on: what it quotes of them does not count
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub ours: Option<PathBuf>,
    /// Count only contexts that --ours has
    #[arg(long, requires = "ours")]
    pub only_ours: bool,
    /// Profile whose mark is looked for [default: default]
    #[arg(long, value_name = "ID")]
    pub profile: Option<String>,
    /// Try the keys of tenants instead of the profile's own, to say whose outputs were used: a file of names, one a line
    #[arg(long, value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// Most tokens that are read or said
    #[arg(long, default_value_t = 25_600, value_name = "N", value_parser = clap::value_parser!(u64).range(64..))]
    pub max_tokens: u64,
    /// Texts are read in pieces of so many tokens, one of each text in turn
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=65_536))]
    pub piece: u32,
    /// Tokens of an answer
    #[arg(long, default_value_t = 248, value_name = "N", value_parser = clap::value_parser!(u32).range(8..=8192))]
    pub answer_tokens: u32,
    /// Of each context so many tokens of greatest weight are kept [default: 1024; 64 where the token takes part in its seed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    /// Other keys that are tried on the same transcript
    #[arg(long, default_value_t = 999, value_name = "N", value_parser = clap::value_parser!(u64).range(999..=1_000_000))]
    pub decoys: u64,
    /// Greatest p-value, after correction, at which training counts as shown
    #[arg(long, default_value_t = 1e-6, value_name = "P")]
    pub fpr: f64,
    /// Seed of decoys, of a local suspect's answers and of the order of prompts
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Ask for so many likeliest tokens with their log-probabilities at each place, and weigh those instead of the tokens said
    #[arg(long, value_name = "N", requires = "prompts", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub top_logprobs: Option<u8>,
    /// Most requests to the suspect
    #[arg(long, value_name = "N", requires = "prompts")]
    pub max_requests: Option<u64>,
    /// Keep answers in this file; a run that was broken off goes on from it
    #[arg(long, value_name = "FILE", requires = "prompts")]
    pub transcript: Option<PathBuf>,
    /// Keep what was read in this folder; a run that was broken off, or is to read more tokens, goes on from it
    #[arg(long, value_name = "DIR", requires = "texts")]
    pub checkpoint: Option<PathBuf>,
    /// Look at the evidence whenever it has doubled, and end as soon as it shows training; look j costs the factor j(j+1)
    #[arg(long)]
    pub stop_early: bool,
    /// Write the result here as JSON
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Exit with 1 when training is shown
    #[arg(long, value_name = "VERDICT", value_parser = ["shown"])]
    pub fail_on: Option<String>,
    #[command(flatten)]
    pub asking: Asking,
}
