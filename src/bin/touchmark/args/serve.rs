//! Arguments of `serve` and `api-key`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand, ValueEnum};
use touchmark::keys::TenantName;
use touchmark::serve::policy;

use super::{Loading, Looks, duration};

/// Answer requests over HTTP as OpenAI does, with marked text, and say of texts whether they are marked.
#[derive(Args, Clone)]
pub struct Serve {
    /// Folder, GGUF file, or id on a hub (org/name, org/name:file.gguf) [default: the bundled model]
    #[arg(value_name = "MODEL", env = "TOUCHMARK_MODEL", conflicts_with = "detect_only")]
    pub model: Option<PathBuf>,
    /// Tokenizer file instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub loading: Loading,
    /// Name of the model for clients [default: its own]
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,
    /// Address to listen at
    #[arg(long, default_value = "127.0.0.1", value_name = "IP", env = "TOUCHMARK_HOST")]
    pub host: IpAddr,
    /// Port to listen at; 0 takes a free one
    #[arg(long, default_value_t = 8080, value_name = "N", env = "TOUCHMARK_PORT")]
    pub port: u16,
    /// Read texts only: no model is loaded
    #[arg(long)]
    pub detect_only: bool,
    #[command(flatten)]
    pub policy: Policy,
    #[command(flatten)]
    pub work: Work,
    #[command(flatten)]
    pub receipts: Receipts,
    #[command(flatten)]
    pub detection: Detection,
    #[command(flatten)]
    pub connections: Connections,
}

/// Who may ask for what.
#[derive(Args, Clone)]
#[command(next_help_heading = "Policy")]
pub struct Policy {
    /// Profile to mark with; may be given again for clients to choose from, the first being the usual one
    #[arg(long, value_name = "ID", env = "TOUCHMARK_PROFILE", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// When answers are marked, for API keys whose entries do not say
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub watermark_mode: WatermarkMode,
    /// What becomes of answers that cannot be marked, such as greedy ones under gumbel [default: reject where the client asked for
    /// the mark, else pass; with `required` always reject]
    #[arg(long, value_enum, value_name = "reject|pass")]
    pub on_unmarkable: Option<OnUnmarkable>,
    /// API keys and their policies: TOML, its entries made by `touchmark api-key new`. Loaded again at SIGHUP
    #[arg(long, value_name = "FILE", env = "TOUCHMARK_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Listen at an address that others can reach although nobody needs an API key
    #[arg(long)]
    pub allow_public_without_keys: bool,
    /// Answers to a request, at most
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub max_n: usize,
    /// Alternatives that log-probabilities are told of, at most; 0: no log-probabilities
    #[arg(long, default_value_t = 20, value_name = "K", value_parser = clap::value_parser!(u8).range(..=20))]
    pub max_top_logprobs: u8,
    /// Round log-probabilities to so many decimal places
    #[arg(long, value_name = "N")]
    pub logprob_decimals: Option<u32>,
}

/// How much is done at once.
#[derive(Args, Clone)]
#[command(next_help_heading = "Work")]
pub struct Work {
    /// Tokens of an answer where the client does not say [default: as many as fit]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Answers that are written at a time
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub max_running: usize,
    /// Requests that wait
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub max_queue: usize,
    /// Memory for what the model remembers of texts, in MiB [default: a quarter of what is free]
    #[arg(long, value_name = "MIB")]
    pub cache_memory: Option<u64>,
    /// Tokens of prompts read between two tokens of answers
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub prefill_tokens: usize,
    /// How long a request may wait
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub queue_timeout: Duration,
    /// How long an answer may take in all
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = duration)]
    pub request_timeout: Duration,
}

/// What is kept of answers.
#[derive(Args, Clone)]
#[command(next_help_heading = "Records")]
pub struct Receipts {
    /// Where answers name their receipts
    #[arg(long, value_enum, default_value_t, value_name = "off|header|body")]
    pub receipts: ReceiptsTold,
    /// Keep receipts in this file [default: in the home folder]
    #[arg(long, value_name = "FILE", conflicts_with = "no_ledger")]
    pub ledger: Option<PathBuf>,
    /// Keep no receipts
    #[arg(long)]
    pub no_ledger: bool,
    /// Keep prompts and answers in plain text beside their receipts
    #[arg(long, conflicts_with = "no_ledger")]
    pub store_text: bool,
    /// Write a line for each answered request here: JSON lines, without any text
    #[arg(long, value_name = "FILE")]
    pub request_log: Option<PathBuf>,
}

/// How texts are read.
#[derive(Args, Clone)]
#[command(next_help_heading = "Detection")]
pub struct Detection {
    /// Profiles to look for besides those that are marked with; `all` for all
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub detect_profile: Vec<String>,
    /// False-alarm rate for each text
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR")]
    pub fpr: f64,
    #[command(flatten)]
    pub looks: Looks,
    /// Keep nothing of texts that are asked about, not even sketches that answer near duplicates alike
    #[arg(long, env = "TOUCHMARK_NO_RETENTION", value_parser = FalseyValueParser::new())]
    pub no_retention: bool,
}

/// What connections may be.
#[derive(Args, Clone)]
#[command(next_help_heading = "Connections")]
pub struct Connections {
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Connections at a time
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub max_connections: usize,
    /// Length of a request's body in bytes, at most
    #[arg(long, default_value_t = 4 << 20, value_name = "BYTES")]
    pub max_body: usize,
    /// How long a client may take to send a request, or to read what it was sent
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub client_timeout: Duration,
    /// How long answers under way may go on when the server is told to stop
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub shutdown_grace: Duration,
    /// Take the address in `x-forwarded-for` for the client's: only behind a proxy that sets it
    #[arg(long)]
    pub trust_forwarded_for: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum WatermarkMode {
    /// Never
    Off,
    /// When the client asks for it
    OptIn,
    /// Unless the client asks for none
    #[default]
    Default,
    /// Always: what cannot be marked is refused
    Required,
}

impl From<WatermarkMode> for policy::WatermarkMode {
    fn from(mode: WatermarkMode) -> Self {
        match mode {
            WatermarkMode::Off => Self::Off,
            WatermarkMode::OptIn => Self::OptIn,
            WatermarkMode::Default => Self::Default,
            WatermarkMode::Required => Self::Required,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OnUnmarkable {
    /// They are refused
    Reject,
    /// They are given, and say that they are not marked
    Pass,
}

impl From<OnUnmarkable> for policy::OnUnmarkable {
    fn from(what: OnUnmarkable) -> Self {
        match what {
            OnUnmarkable::Reject => Self::Reject,
            OnUnmarkable::Pass => Self::Pass,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum ReceiptsTold {
    /// Nowhere
    #[default]
    Off,
    /// In the header `x-watermark-receipt`; of a stream in its last chunk
    Header,
    /// In the body
    Body,
}

impl From<ReceiptsTold> for touchmark::serve::ReceiptsTold {
    fn from(told: ReceiptsTold) -> Self {
        match told {
            ReceiptsTold::Off => Self::Off,
            ReceiptsTold::Header => Self::Header,
            ReceiptsTold::Body => Self::Body,
        }
    }
}

#[derive(Args)]
pub struct ApiKey {
    #[command(subcommand)]
    pub action: ApiKeyAction,
}

#[derive(Subcommand)]
pub enum ApiKeyAction {
    /// Make an API key, show it once, and add its entry to a policy file
    New(NewApiKey),
    /// List the entries of a policy file
    List {
        /// The policy file
        #[arg(value_name = "FILE", env = "TOUCHMARK_API_KEY_FILE")]
        file: PathBuf,
    },
    /// Check a policy file
    Check {
        /// The policy file
        #[arg(value_name = "FILE", env = "TOUCHMARK_API_KEY_FILE")]
        file: PathBuf,
    },
}

#[derive(Args)]
pub struct NewApiKey {
    /// Public name of the account
    pub name: String,
    /// The policy file; made if there is none
    #[arg(long, value_name = "FILE", env = "TOUCHMARK_API_KEY_FILE")]
    pub file: PathBuf,
    /// When its answers are marked
    #[arg(long, value_enum, value_name = "MODE")]
    pub watermark_mode: Option<WatermarkMode>,
    /// Mark with the key of this tenant of the profile's key, so that a text names the account
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<TenantName>,
    /// What it may do; may be given again [default: generate]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
    pub role: Vec<Role>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Ask for answers
    Generate,
    /// See how sure the detector is, and why
    Analyst,
    /// Load policies again
    Admin,
    /// Read /metrics
    Metrics,
}
