//! How a model is asked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::{Loading, duration};

/// How a model is asked, be it here or behind an endpoint.
#[derive(Args, Clone)]
#[command(next_help_heading = "Asking")]
pub struct Asking {
    /// Name of the model behind an endpoint [default: the only one that it lists]
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// Environment variable that holds the endpoint's API key
    #[arg(long, value_name = "VARIABLE", conflicts_with = "api_key_file")]
    pub api_key_env: Option<String>,
    /// File that holds the endpoint's API key
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// How long an answer may take to begin; it may take twice as long in all
    #[arg(long, default_value = "120s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,
    /// Attempts at a question that an endpoint fails to answer
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// Least time between two questions to an endpoint, lengthened by up to a half at random
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub interval: Option<Duration>,
    /// Tokenizer file of a model of this machine instead of its own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub loading: Loading,
}
