//! What may be typed. Parsing does no work; `assemble` turns it into objects.

mod attack;
#[cfg(feature = "engine")]
pub mod attribute;
#[cfg(feature = "engine")]
mod bench;
pub mod bundle;
#[cfg(feature = "engine")]
pub mod fingerprint;
#[cfg(feature = "cluster")]
mod query;
#[cfg(feature = "ledger")]
mod receipt;
#[cfg(feature = "serve")]
mod serve;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use touchmark::detect::{Screen, Windows};
#[cfg(feature = "engine")]
use touchmark::keys::TenantName;
use touchmark::profile::TokenizerPin;
use touchmark::profile::import::Tool;

pub use attack::{Attack, AttackFormat, Way};
#[cfg(feature = "engine")]
pub use attribute::{Attribute, AttributeAction};
#[cfg(feature = "engine")]
pub use bench::{Bench, BenchAction, BenchReport, BenchRun};
pub use bundle::{Bundle, BundleAction};
#[cfg(feature = "engine")]
pub use fingerprint::{Fingerprint, FingerprintAction};
#[cfg(feature = "cluster")]
pub use query::{Cluster, ClusterAction, ClusterExecutor, Looking, Query, QueryFormat, Sql};
#[cfg(feature = "ledger")]
pub use receipt::{Receipt, ReceiptAction, ReceiptVerify};
#[cfg(feature = "serve")]
pub use serve::{ApiKey, ApiKeyAction, NewApiKey, Policy, Role, Serve};

/// Watermark what a language model writes, and find such marks in any text.
#[derive(Parser)]
#[command(name = "touchmark", disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// Print the version
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Print the version and the licences of the program and of its bundled weights
    #[arg(long)]
    pub licenses: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Args, Clone)]
pub struct Global {
    /// Folder of keys and profiles [default: the user's data folder]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TOUCHMARK_HOME",
        help_heading = "Global options"
    )]
    pub home: Option<PathBuf>,
    /// File of defaults for flags: TOML, one table a command
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TOUCHMARK_CONFIG",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Threads to compute with [default: chosen for the model]
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "TOUCHMARK_THREADS",
        help_heading = "Global options"
    )]
    pub threads: Option<usize>,
    /// Use no network: models of a hub come from the cache alone
    #[arg(
        long,
        global = true,
        env = "TOUCHMARK_OFFLINE",
        value_parser = FalseyValueParser::new(),
        help_heading = "Global options"
    )]
    pub offline: bool,
    /// Hide progress
    #[arg(
        long,
        global = true,
        env = "TOUCHMARK_NO_PROGRESS",
        value_parser = FalseyValueParser::new(),
        help_heading = "Global options"
    )]
    pub no_progress: bool,
    /// When to use colour
    #[arg(
        long = "color",
        global = true,
        value_enum,
        default_value_t,
        env = "TOUCHMARK_COLOR",
        help_heading = "Global options"
    )]
    pub colour: Colour,
    /// Print one JSON object instead of text, for commands that give one result
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

impl Colour {
    pub fn apply(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// See it work: marked, unmarked and human text, and what the detector says of each
    #[cfg(bundled_models)]
    Demo(Demo),
    /// Write marked text with a model
    #[cfg(feature = "engine")]
    Generate(Generate),
    /// Answer requests over HTTP with marked text, and say of texts whether they are marked
    #[cfg(feature = "serve")]
    Serve(Box<Serve>),
    /// Make API keys for `serve`, and say what they may do
    #[cfg(feature = "serve")]
    ApiKey(ApiKey),
    /// Look for marks in texts
    Detect(Detect),
    /// Say which of all known marks a text carries
    Identify(Identify),
    /// Say how often profiles and keys alarm on your own texts that carry no mark
    Calibrate(Calibrate),
    /// Say whether a whole corpus contains marked text: one p-value for all of its documents
    Claim(Claim),
    /// Say whether a model is a copy of another: from weights, planted answers or behaviour
    #[cfg(feature = "engine")]
    Fingerprint(Fingerprint),
    /// Say whether a model was trained on marked text
    #[cfg(feature = "engine")]
    Attribute(Attribute),
    /// Keep evidence so that others can check it: commit, verify, reveal
    Bundle(Bundle),
    /// Measure schemes, detectors and attacks in the same way
    #[cfg(feature = "engine")]
    Bench(Bench),
    /// Edit texts as somebody would who wants to be rid of a mark
    Attack(Attack),
    /// Look for marks in the tables of a query
    #[cfg(feature = "cluster")]
    Sql(Sql),
    /// Run such queries on many machines
    #[cfg(feature = "cluster")]
    Cluster(Cluster),
    /// Look at models, fetch them from a hub, check them
    #[cfg(any(feature = "engine", feature = "hub"))]
    #[command(visible_alias = "models")]
    Model(Model),
    /// Make and keep secret keys
    #[command(visible_alias = "keys")]
    Key(Key),
    /// Describe ways of marking
    #[command(visible_alias = "profiles")]
    Profile(Profile),
    /// Say which recorded answer a text came from; keep and check the receipts of answers
    #[cfg(feature = "ledger")]
    #[command(visible_alias = "receipts")]
    Receipt(Receipt),
    /// Say what this build and this machine have, and what to do about what is missing
    Doctor,
}

#[cfg(bundled_models)]
#[derive(Args)]
pub struct Demo {
    /// Tokens in each text
    #[arg(long, default_value_t = 150, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=900))]
    pub max_tokens: u32,
    /// Seed of the choice of words
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[cfg(feature = "engine")]
#[derive(Args)]
pub struct Generate {
    /// Folder, GGUF file, or id on a hub (org/name, org/name:file.gguf) [default: the bundled model]
    #[arg(value_name = "MODEL", env = "TOUCHMARK_MODEL")]
    pub model: Option<PathBuf>,
    /// Tokenizer file instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub loading: Loading,
    /// Text to continue, or with --chat what the user says
    #[arg(short, long, conflicts_with = "prompts", required_unless_present = "prompts")]
    pub prompt: Option<String>,
    /// JSON lines with `prompt` or `messages`, and `id`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Write JSON lines here; what is there already is not written again
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most tokens in an answer
    #[arg(long, default_value_t = 200, value_name = "N", env = "TOUCHMARK_MAX_TOKENS")]
    pub max_tokens: usize,
    /// Answers for each prompt
    #[arg(short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub n: u32,
    /// Profile to mark with
    #[arg(long, value_name = "ID", env = "TOUCHMARK_PROFILE", conflicts_with = "no_watermark")]
    pub profile: Option<String>,
    /// Mark with the key of this tenant of the profile's key
    #[arg(long, value_name = "NAME", conflicts_with = "no_watermark")]
    pub tenant: Option<TenantName>,
    /// Write without a mark
    #[arg(long)]
    pub no_watermark: bool,
    /// Message that the mark carries, decimal or 0x and hexadecimal digits; the profile needs payload_bits
    #[arg(long, value_name = "N|0xHEX", value_parser = message, conflicts_with = "no_watermark")]
    pub payload: Option<u64>,
    /// Use the model's chat template
    #[arg(long)]
    pub chat: bool,
    /// System text, with --chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
    /// 0 takes the likeliest token
    #[arg(long, default_value_t = 1.0, value_name = "T", env = "TOUCHMARK_TEMPERATURE")]
    pub temperature: f32,
    /// Choose among the k likeliest tokens; 0 for all
    #[arg(long, default_value_t = 0, value_name = "K", env = "TOUCHMARK_TOP_K")]
    pub top_k: usize,
    /// Choose among the likeliest tokens of this mass
    #[arg(long, default_value_t = 1.0, value_name = "P", env = "TOUCHMARK_TOP_P")]
    pub top_p: f32,
    /// Choose among tokens this times as likely as the likeliest
    #[arg(long, default_value_t = 0.0, value_name = "P", env = "TOUCHMARK_MIN_P")]
    pub min_p: f32,
    /// Make tokens already there less likely; 1 does not
    #[arg(long, default_value_t = 1.0, value_name = "R", env = "TOUCHMARK_REPETITION_PENALTY")]
    pub repetition_penalty: f32,
    /// Seed of the choice of words [default: random]
    #[arg(long, env = "TOUCHMARK_SEED")]
    pub seed: Option<u64>,
    /// Write on to --max-tokens; tokens with a special meaning are never chosen
    #[arg(long)]
    pub ignore_eos: bool,
    /// End an answer before this text; may be given again
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Answers written at the same time
    #[arg(long, default_value_t = 8, value_name = "N", env = "TOUCHMARK_BATCH")]
    pub batch: usize,
}

/// How a model is loaded.
#[derive(Args, Clone)]
pub struct Loading {
    /// Branch, tag or commit of a model on a hub [default: main]
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
    /// Number format of the weights in memory; arithmetic is in f32
    #[cfg(feature = "engine")]
    #[arg(long, value_enum, default_value_t, env = "TOUCHMARK_DTYPE")]
    pub dtype: Dtype,
    /// What computes: auto or cpu
    #[cfg(feature = "engine")]
    #[arg(long, default_value = "auto", env = "TOUCHMARK_DEVICE")]
    pub device: touchmark::engine::Device,
}

#[cfg(feature = "engine")]
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// As in the files
    #[default]
    Auto,
    F32,
    Bf16,
    F16,
}

#[cfg(feature = "engine")]
impl From<Dtype> for touchmark::engine::Dtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Auto => Self::Auto,
            Dtype::F32 => Self::F32,
            Dtype::Bf16 => Self::Bf16,
            Dtype::F16 => Self::F16,
        }
    }
}

#[derive(Args)]
pub struct Detect {
    #[command(flatten)]
    pub inputs: Inputs,
    #[command(flatten)]
    pub marks: Marks,
    /// Weights of a trained Bayesian detector of SynthID-Text, as JSON: adds its `posterior` to each row, which is no
    /// p-value. For `synthid-text` profiles
    #[arg(long, value_name = "WEIGHTS.json", display_order = Looks::SHOWN_FROM - 1)]
    pub bayesian: Option<PathBuf>,
    /// False-alarm rate for each document
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR", display_order = Looks::SHOWN_FROM - 1)]
    pub fpr: f64,
    /// How rows are written [default: by the name of the -o file; for the terminal a table]
    #[arg(long, value_enum, env = "TOUCHMARK_FORMAT")]
    pub format: Option<Format>,
    /// Write to this file, which appears when all is written
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub runs: Runs,
    /// Show each text with the tokens that speak for the mark
    #[arg(long)]
    pub explain: bool,
    /// Exit with code 1 when a mark is found
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,
    #[command(flatten)]
    pub extras: Extras,
    #[command(flatten)]
    pub finish: Finish,
}

/// What large runs need.
#[derive(Args)]
pub struct Runs {
    /// Write documents instead of rows, JSON lines as they are: those with a detection, or those without. One that cannot be
    /// examined is written by neither
    #[arg(long, value_enum, value_name = "keep|drop", conflicts_with_all = ["format", "explain", "finish"])]
    pub filter: Option<Filter>,
    /// Write attribute files beside the documents too, laid out as dolma has them: for each source one of the same name
    #[arg(long, value_name = "DIR", conflicts_with_all = ["tokens_field", "finish"])]
    pub attributes: Option<PathBuf>,
    /// Number of this process among --world-size, from 0: it takes its share of the files, or of the records of fewer files
    #[arg(long, value_name = "R", default_value_t = 0, conflicts_with = "finish")]
    pub rank: u64,
    /// How many processes share the work
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "finish")]
    pub world_size: u64,
    /// Keep what is finished in this folder, and go on after it when run again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["explain", "finish"])]
    pub resume: Option<PathBuf>,
    /// Records in a shard, which --resume finishes or makes again, and which --world-size deals
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_documents: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Filter {
    /// Documents with a detection
    Keep,
    /// Documents without one
    Drop,
}

/// What `detect` does besides rows, or adds to them.
#[derive(Args)]
pub struct Extras {
    /// Write a sketch of the corpus here, of which `claim --merge` makes one p-value for all documents of all runs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["finish", "resume"])]
    pub claim: Option<PathBuf>,
    /// Most pairs of a sketch, for each profile and key: 32 bytes of memory each, 12 in the file. Beyond that it is a sample.
    /// Sketches that are to be merged must agree
    #[arg(long, value_name = "N", default_value_t = touchmark::detect::Sketch::LIMIT, requires = "claim")]
    pub pairs: usize,
    /// Compare with N keys that nobody marked with: adds `decoy_p` to each row, which needs no null law. Reads each text N times
    /// more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "finish")]
    pub decoys: Option<u32>,
    /// Draw those keys from this number, so that others can draw them again; fix it before looking [default: random]
    #[arg(long, value_name = "SEED", requires = "decoys")]
    pub decoy_seed: Option<u64>,
    /// Calibration of these profiles and keys, made by `calibrate`: each row cites it. Refused where it shows that a key alarms too
    /// often
    #[arg(long, value_name = "FILE", conflicts_with = "finish")]
    pub calibration: Option<PathBuf>,
    /// Use keys that the calibration refuses; each row then carries a warning
    #[arg(long, requires = "calibration")]
    pub allow_unhealthy: bool,
}

/// What is looked for, for commands over many documents.
#[derive(Args)]
pub struct Marks {
    /// Profile to look for, by name or file; may be given again; `all` for all [default: the one `generate` uses]
    #[arg(long, value_name = "ID", env = "TOUCHMARK_PROFILE", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// Tokenizer file, or a model that has it [default: the one the profile names]
    #[arg(long, value_name = "FILE|MODEL")]
    pub tokenizer: Option<PathBuf>,
    /// Model whose entropies gate the score, for `sweet`: `bundled`, a folder, a GGUF file, or an id on a hub. A
    /// --revision is this model's, or without it the tokenizer's
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub loading: Loading,
    #[command(flatten)]
    pub looks: Looks,
}

#[derive(Args)]
pub struct Calibrate {
    #[command(flatten)]
    pub inputs: Inputs,
    #[command(flatten)]
    pub marks: Marks,
    /// Try N random keys too, which are not kept: how much keys of these profiles differ
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub fresh_keys: Option<u32>,
    /// Write the calibration here, for `detect --calibration`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Exit with code 1 when a key alarms too often
    #[arg(long, value_enum, value_name = "STATE")]
    pub fail_on: Option<FailOnHealth>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOnHealth {
    Unhealthy,
}

#[derive(Args)]
pub struct Claim {
    #[command(flatten)]
    pub inputs: Inputs,
    #[command(flatten)]
    pub marks: Marks,
    /// Read sketches instead of texts, which `detect --claim` or `claim -o` wrote, in any order. Profiles and keys are theirs
    #[arg(long, conflicts_with_all = ["files_from", "keys", "boilerplate", "pairs"])]
    pub merge: bool,
    /// Texts that are known to carry the mark, such as your own outputs: gives an estimate of the marked share
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// List the N runs of words that stand in most documents
    #[arg(long, value_name = "N")]
    pub boilerplate: Option<usize>,
    /// Write the sketch here
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most pairs of a sketch, for each profile and key: 32 bytes of memory each, 12 in the file. Beyond that it is a sample
    #[arg(long, value_name = "N", default_value_t = touchmark::detect::Sketch::LIMIT)]
    pub pairs: usize,
    /// False-alarm rate for the whole corpus
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR")]
    pub fpr: f64,
    /// Exit with code 1 when a mark is found
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,
}

/// The last step over the rows of all runs.
#[derive(Args)]
pub struct Finish {
    /// Read rows instead of texts: files that `detect --format jsonl` wrote, and folders of --resume, of all runs at once. Writes them with
    /// `log10_q` and `fdr_verdict` over all their documents
    #[arg(long, conflicts_with_all = ["keys", "tenants", "top", "tokenizer", "model", "bayesian", "tokens_field", "prompt_field", "explain"])]
    pub finish: bool,
    /// False discovery rate of --finish
    #[arg(long, default_value_t = 0.01, value_name = "RATE", requires = "finish")]
    pub fdr: f64,
    /// How --finish corrects for the number of documents
    #[arg(long, value_enum, default_value_t, requires = "finish")]
    pub correction: CorrectionChoice,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CorrectionChoice {
    /// `by` where a profile's seeds read at most one token, else `bh`
    #[default]
    Auto,
    /// Benjamini–Hochberg: for documents that are independent or positively dependent
    Bh,
    /// Benjamini–Yekutieli: for documents that depend on each other in any way
    By,
}

/// The documents that are read, and how.
#[derive(Args)]
pub struct Inputs {
    /// Files (txt, md, jsonl, csv, tsv, arrow, each also .gz and .zst; parquet), folders, quoted patterns such as
    /// 'data/**/*.jsonl.zst', or `-` for standard input
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    pub paths: Vec<PathBuf>,
    /// File with a path a line, read after the other paths; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// What standard input holds; packed with gzip or zstd or not
    #[arg(long, value_enum, default_value_t)]
    pub stdin_format: StdinFormat,
    /// Field or column that holds the text
    #[arg(long, default_value = "text", value_name = "NAME", env = "TOUCHMARK_TEXT_FIELD")]
    pub text_field: String,
    /// Field or column that names the document
    #[arg(long, default_value = "id", value_name = "NAME", env = "TOUCHMARK_ID_FIELD")]
    pub id_field: String,
    /// Field or column that holds token ids, read instead of the text
    #[arg(long, value_name = "NAME")]
    pub tokens_field: Option<String>,
    /// Field or column that holds the prompt: texts are then read as answers to it, from their first token on
    #[arg(long, value_name = "NAME")]
    pub prompt_field: Option<String>,
    /// Longest text, line of JSON or row that is read, in bytes, or with K, M or G; a longer one is an error of its own
    #[arg(long, default_value = "64M", value_name = "BYTES", value_parser = bytes, env = "TOUCHMARK_MAX_DOCUMENT")]
    pub max_document: usize,
}

/// What is tried beyond one look at each text; all of it is paid for in the corrected p-values.
#[derive(Args, Clone)]
#[command(next_display_order = Self::SHOWN_FROM)]
pub struct Looks {
    /// Keys to try with each profile, by name, where they fit it; `all` for all of the keyring [default: the profile's]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub keys: Vec<String>,
    /// Try the keys of tenants instead, which `generate --tenant` marks with: a file of names, one a line
    #[arg(long, value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// Of very many keys read only those to the end of a text that its beginning speaks most for: `auto` (the first 512 tokens,
    /// of more than 256 keys), `off`, or the first N tokens
    #[arg(long, value_parser = screen, default_value = "auto", value_name = "auto|off|N")]
    pub screen: Screen,
    /// Tell of so many keys of a profile, those that a text speaks most for, and of all that are detected [default: all, of
    /// more than 64 keys 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    /// Read texts also with common damage undone (smart quotes, HTML, wrapped lines): `on`, or `off`
    #[arg(long, value_enum, default_value_t, value_name = "on|off")]
    pub normalise: Switch,
    /// Look for marked passages too: `auto` in texts of more than 256 tokens, `off`, or in passages of N tokens or more of every
    /// longer text
    #[arg(long, value_parser = segments, default_value = "auto", value_name = "auto|off|N", env = "TOUCHMARK_SEGMENTS")]
    pub segments: Windows,
}

impl Looks {
    /// Place in the help, beyond that of flags declared before, so that others can come between.
    const SHOWN_FROM: usize = 50;
}

/// Which keys are read to the end.
fn screen(text: &str) -> Result<Screen, String> {
    match text {
        "auto" => Ok(Screen::Auto),
        "off" => Ok(Screen::Off),
        tokens => match tokens.parse() {
            Ok(tokens) if tokens > 0 => Ok(Screen::First(tokens)),
            _ => Err("say auto, off, or a number of tokens".to_owned()),
        },
    }
}

/// Which windows of texts are looked at.
fn segments(text: &str) -> Result<Windows, String> {
    match text {
        "auto" => Ok(Windows::Auto),
        "off" => Ok(Windows::Off),
        tokens => match tokens.parse() {
            Ok(tokens) if tokens >= 8 => Ok(Windows::AtLeast(tokens)),
            _ => Err("say auto, off, or a number of tokens from 8 on".to_owned()),
        },
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    #[default]
    On,
    Off,
}

#[derive(Args)]
pub struct Identify {
    /// A file with the text, `-` for standard input, or the text itself
    #[arg(value_name = "TEXT|FILE")]
    pub text: String,
    /// What the text answers, where it is known: the text is then read as an answer from its first token on
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Profiles to try, by name or file
    #[arg(long, value_name = "ID", default_value = "all", value_delimiter = ',')]
    pub profile: Vec<String>,
    #[command(flatten)]
    pub looks: Looks,
    /// False-alarm rate for all that is tried together
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR")]
    pub fpr: f64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StdinFormat {
    #[default]
    Text,
    Jsonl,
    Csv,
    Tsv,
    /// An Arrow IPC stream
    Arrow,
}

impl From<StdinFormat> for touchmark::corpus::Format {
    fn from(format: StdinFormat) -> Self {
        match format {
            StdinFormat::Text => Self::Text,
            StdinFormat::Jsonl => Self::Jsonl,
            StdinFormat::Csv => Self::Csv,
            StdinFormat::Tsv => Self::Tsv,
            StdinFormat::Arrow => Self::Arrow,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One JSON object a document and profile
    Jsonl,
    /// The same as columns; lists and objects are JSON text
    Csv,
    /// The same as typed columns
    Parquet,
    /// One HTML file with pictures, for people who have to decide
    Html,
}

impl Detect {
    /// Whether a page is to be written: when it was asked for, or else by the file's name.
    pub fn is_report(&self) -> bool {
        let named = self.output.as_ref().and_then(|path| path.extension());
        match self.format {
            Some(format) => format == Format::Html,
            None => named.is_some_and(|ending| ending == "html"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Detected,
}

#[cfg(any(feature = "engine", feature = "hub"))]
#[derive(Args)]
pub struct Model {
    #[command(subcommand)]
    pub action: ModelAction,
}

#[cfg(any(feature = "engine", feature = "hub"))]
#[derive(Subcommand)]
pub enum ModelAction {
    /// Say what a model is and needs, from the headers of its files; of a hub's model, from the cache
    #[cfg(feature = "engine")]
    Info(ModelInfo),
    /// Fetch a model of a hub
    #[cfg(feature = "hub")]
    Pull {
        /// Id on the hub: org/name, or org/name:file.gguf
        #[arg(value_name = "ID")]
        id: PathBuf,
        /// Branch, tag or commit [default: main]
        #[arg(long, value_name = "REV")]
        revision: Option<String>,
    },
    /// Load every tensor and the tokenizer; of a hub's model, hash every file first. Exit code 1: damaged
    #[cfg(feature = "engine")]
    Verify {
        /// Folder, GGUF file, or id on a hub [default: the bundled model]
        #[arg(value_name = "MODEL")]
        model: Option<PathBuf>,
        #[command(flatten)]
        loading: Loading,
    },
}

#[cfg(feature = "engine")]
#[derive(Args)]
pub struct ModelInfo {
    /// Folder, GGUF file, or id on a hub [default: the bundled model]
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Tokenizer file instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Hash the files, which reads all of them
    #[cfg(feature = "hub")]
    #[arg(long)]
    pub hash: bool,
    #[command(flatten)]
    pub loading: Loading,
}

#[derive(Args)]
pub struct Key {
    #[command(subcommand)]
    pub action: KeyAction,
}

#[derive(Subcommand)]
pub enum KeyAction {
    /// Make a key
    New {
        /// Its public name [default: random]
        id: Option<String>,
    },
    /// List keys
    List,
    /// Show what is public of a key
    Show { id: String },
    /// Mark a key as no longer in use; detection goes on
    Retire { id: String },
    /// Keep a key from a file that only its owner can read: 64 hexadecimal digits, or an exported key
    Import {
        file: PathBuf,
        /// Its public name [default: the exported one, or random]
        #[arg(long)]
        id: Option<String>,
    },
    /// Copy a key, secret included, to a new file that only its owner can read
    Export {
        id: String,
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Args)]
pub struct Profile {
    #[command(subcommand)]
    pub action: ProfileAction,
}

#[derive(Subcommand)]
pub enum ProfileAction {
    /// Make a profile
    New(ProfileNew),
    /// Make a profile of another engine's configuration, and keep the key that it holds
    Import(ProfileImport),
    /// Write a profile as another engine's configuration, or with its tokenizer for who shall detect
    Export(ProfileExport),
    /// List profiles
    List,
    /// Show a profile
    Show { id: String },
    /// Say what a careful reader would question
    Lint {
        /// Name or file
        id: String,
    },
    /// Mark a profile as no longer in use; detection goes on
    Retire { id: String },
}

#[derive(Args)]
pub struct ProfileNew {
    /// Its public name
    pub id: String,
    /// kgw, unigram, gumbel, synthid or sweet
    #[arg(long, default_value = "kgw")]
    pub scheme: String,
    /// A parameter of the scheme, as `name=value`; may be given again
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Key to mark with [default: a new one]
    #[arg(long, value_name = "ID")]
    pub key: Option<String>,
    /// What counts once [default: `single-turn` for gumbel, synthid and engines that do so, else `score-once`]
    #[arg(long, value_enum)]
    pub repeats: Option<Repeats>,
    /// Tokenizer file, or a model that has it [default: the bundled model's]
    #[arg(long, value_name = "FILE|MODEL")]
    pub tokenizer: Option<PathBuf>,
    /// Branch, tag or commit of a model on a hub [default: main]
    #[arg(long, value_name = "REV", requires = "tokenizer")]
    pub revision: Option<String>,
    /// Width of the model's logits [default: the model's]
    #[arg(long, value_name = "V")]
    pub vocab_size: Option<u32>,
    /// Mean entropy of the model's next token, in nats, from which the evidence to expect is simulated [default: 2,
    /// for the bundled model 3.3]
    #[arg(long, value_name = "NATS")]
    pub entropy: Option<f64>,
}

#[derive(Args)]
pub struct ProfileImport {
    /// The tool's configuration: JSON, YAML or a Python dict
    pub file: PathBuf,
    /// transformers, vllm, sglang, synthid, lm-watermarking, markllm, tgi or llama-cpp
    #[arg(long = "for", value_name = "TOOL")]
    pub tool: Tool,
    /// Tokenizer file, or the model that has it
    #[arg(long, value_name = "FILE|MODEL")]
    pub tokenizer: PathBuf,
    /// Width of the model's logits
    #[arg(long, value_name = "V", value_parser = clap::value_parser!(u32).range(2..=TokenizerPin::MOST_IDS as i64), conflicts_with_all = ["model", "vocab_size_of_tokenizer"])]
    pub vocab_size: Option<u32>,
    /// Take that width from this model's configuration
    #[arg(long, value_name = "MODEL", conflicts_with = "vocab_size_of_tokenizer")]
    pub model: Option<PathBuf>,
    /// The model's logits are exactly as wide as the tokenizer's vocabulary, without padding
    #[arg(long)]
    pub vocab_size_of_tokenizer: bool,
    /// Name of the profile [default: the tool's]
    #[arg(long, value_name = "ID")]
    pub name: Option<String>,
    /// Name of the key [default: random]
    #[arg(long, value_name = "ID")]
    pub key_id: Option<String>,
    /// Which of synthid-text's two hashes: table is the package 0.2.1, iv the repository since June 2025
    #[arg(long, value_enum)]
    pub hash: Option<SynthIdHash>,
    /// Length of llama.cpp's n-grams
    #[arg(long, value_name = "N")]
    pub ngram_len: Option<u32>,
    /// Where the text was generated; lists of some tools depend on it
    #[arg(long, value_enum)]
    pub device: Option<DrawnOn>,
    /// Branch, tag or commit of the tokenizer's model on a hub [default: main]
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SynthIdHash {
    Table,
    Iv,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum DrawnOn {
    Cpu,
    Cuda,
}

#[derive(Args)]
pub struct ProfileExport {
    /// Name or file
    pub id: String,
    /// transformers, vllm, sglang, synthid, lm-watermarking, markllm, tgi or llama-cpp; what is written holds the key
    #[arg(long = "for", value_name = "TOOL", required_unless_present = "bundle", requires = "to")]
    pub tool: Option<Tool>,
    /// New file that only its owner can read
    #[arg(short, long, value_name = "FILE", group = "to", requires = "tool")]
    pub output: Option<PathBuf>,
    /// Write to standard output, key included
    #[arg(long, group = "to", requires = "tool")]
    pub show_key: bool,
    /// Folder for the profile and its tokenizer, without the key
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Repeats {
    /// Mark everything, count each draw once
    ScoreOnce,
    /// Leave a repeated draw unmarked, count its first occurrence
    SingleTurn,
    /// The same, and the prompt's contexts count as used
    AllTurns,
}

/// A message of at most 64 bits.
#[cfg(any(feature = "engine", feature = "serve"))]
pub fn message(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "a message is a number below 2^64, such as 12345 or 0x3039".to_owned())
}

fn bytes(text: &str) -> Result<usize, String> {
    let (number, shift) = match text.trim_end_matches(['K', 'M', 'G']) {
        number if number.len() + 1 < text.len() => (text, 0),
        number => match &text[number.len()..] {
            "K" => (number, 10),
            "M" => (number, 20),
            "G" => (number, 30),
            _ => (number, 0),
        },
    };
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a number of bytes above 0, such as 500000, 64M or 2G".to_owned())
}

/// As clap says it when a command is missing.
pub fn missing_command() -> anyhow::Error {
    use clap::CommandFactory;
    let error = Cli::command().error(
        clap::error::ErrorKind::MissingSubcommand,
        "a command is missing; `touchmark demo` shows what this is, `touchmark --help` lists the commands",
    );
    error.into()
}

/// A length of time: `500ms`, `30s`, `10m`, `1h`.
#[cfg(any(feature = "engine", feature = "serve"))]
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let bad = || "say a time such as 500ms, 30s, 10m or 1h".to_owned();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let number: u64 = text[..at].parse().map_err(|_| bad())?;
    let milliseconds = match &text[at..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    match number.checked_mul(milliseconds) {
        Some(0) | None => Err(bad()),
        Some(total) => Ok(std::time::Duration::from_millis(total)),
    }
}

/// A time, or a day, which begins at midnight UTC.
#[cfg(any(feature = "engine", feature = "ledger"))]
fn time(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let day: Result<jiff::civil::Date, _> = text.parse();
    match day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC)) {
        Ok(midnight) => Ok(midnight.timestamp()),
        Err(_) => Err("write a day, 2026-01-31, or a time, 2026-01-31T12:00:00Z".to_owned()),
    }
}
