//! Arguments of `fingerprint enroll`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use touchmark::fingerprint::behaviour::enrolment::Part;

use super::Asking;

#[derive(Args)]
pub struct Enroll {
    /// Model to record: folder, GGUF file, id on a hub, `bundled`, `bundled-chat`, or address of an OpenAI-compatible endpoint
    #[arg(value_name = "MODEL|URL")]
    pub model: String,
    /// File to write; answers so far lie beside it until it is whole, and a run that was broken off goes on
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What to record
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Parts::Identity, Parts::Lineage], value_name = "PART")]
    pub parts: Vec<Parts>,
    /// Whether prompts are texts to continue or turns of a conversation
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub form: Form,
    /// What conversations begin with
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Another system prompt under which it is still the model; may be given again
    #[arg(long, value_name = "TEXT")]
    pub tolerate_system: Vec<String>,
    /// Sampling temperature
    #[arg(long, default_value_t = 1.0, value_name = "T")]
    pub temperature: f64,
    /// Nucleus
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    pub top_p: f64,
    /// Ask under this protocol alone: other temperatures and nuclei are then other models
    #[arg(long)]
    pub strict: bool,
    /// A model that shall be told apart soonest, such as a quantised copy or one that may be put in the model's place; may be given
    /// again
    #[arg(long, value_name = "MODEL|URL")]
    pub alternative: Vec<String>,
    /// Prompts to choose from instead of those made from the seed, one a line
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Prompts to choose from [default: 1000, or 150 where an endpoint is asked]
    #[arg(long, value_name = "N", conflicts_with = "prompts")]
    pub candidates: Option<usize>,
    /// Most queries of a test of identity, and prompts of one of ranks or of lineage
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(24..=100_000))]
    pub queries: u32,
    /// Fresh answers to each prompt of ranks, of each member of the null
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub references: u32,
    /// What prompts and answers are drawn from
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Day after which it shall not be used: 2027-06-30
    #[arg(long, value_name = "DAY")]
    pub expires: Option<jiff::civil::Date>,
    /// Record the model as a member of a panel for the prompts of this enrolment; the panel in --output is made or grows
    #[arg(long, value_name = "FILE", requires = "stratum")]
    pub panel_for: Option<PathBuf>,
    /// What the member shares with the enrolled model: "same data", "same tokenizer", "other family"
    #[arg(long, value_name = "TEXT", requires = "panel_for")]
    pub stratum: Option<String>,
    /// Most requests of this run; the next goes on
    #[arg(long, value_name = "N")]
    pub max_requests: Option<u64>,
    /// End after about so many tokens, prompts and answers together; the next run goes on
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Parts {
    /// Answers of one token: whether a suspect is this model
    Identity,
    /// Ranks of answers of one token: whether a suspect is this model
    Rank,
    /// Greedy answers: whether a suspect descends from it
    Lineage,
    /// Answers of some tokens: whether a suspect is this model
    Distance,
    /// Log-probabilities: whether a suspect is this model
    Drift,
}

impl From<Parts> for Part {
    fn from(part: Parts) -> Self {
        match part {
            Parts::Identity => Self::Identity,
            Parts::Rank => Self::Rank,
            Parts::Lineage => Self::Lineage,
            Parts::Distance => Self::Distance,
            Parts::Drift => Self::Drift,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Form {
    #[default]
    Text,
    Chat,
}
