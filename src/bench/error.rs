//! Why nothing could be measured.

use crate::attack::AttackError;
use crate::detect::DetectError;
use crate::generate::GenerateError;
use crate::keys::KeyError;
use crate::lm::LmError;
use crate::schemes::SpecError;
use crate::stats::StatsError;
use crate::tokens::TokenizeError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The plan asks for what cannot be measured.
    #[error("{field} in the plan: {message}")]
    Plan {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: &'static str,
    },
    /// A scheme of the plan is none.
    #[error("scheme \"{name}\" in the plan: {source}")]
    Scheme {
        /// Its name in the plan.
        name: String,
        /// What is wrong with it.
        source: SpecError,
    },
    /// Too little human text.
    #[error(
        "{needed} pieces of {tokens} tokens of human text are needed, and there are {have}: give more, or plan for fewer texts"
    )]
    Human {
        /// Pieces needed.
        needed: usize,
        /// Tokens of each.
        tokens: usize,
        /// Pieces there are.
        have: usize,
    },
    /// Too few prompts.
    #[error(
        "{needed} prompts are needed, and there are {have}: give more, or plan for fewer texts"
    )]
    Prompts {
        /// Prompts needed.
        needed: usize,
        /// Prompts there are.
        have: usize,
    },
    /// A text ended before the greatest length.
    #[error(
        "text {number} of \"{scheme}\" has {have} of {needed} tokens: the model's window is too short for this plan"
    )]
    Short {
        /// Number of the text.
        number: usize,
        /// Its scheme.
        scheme: String,
        /// Its tokens.
        have: usize,
        /// Tokens needed.
        needed: usize,
    },
    /// A mark could not be made.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A key could not be drawn.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A text could not be read.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A text could not be written.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A text could not be attacked.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// A rate or an interval could not be had.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// What was kept of an earlier run could not be read, or could not be kept.
    #[error("{message}")]
    Kept {
        /// What happened.
        message: String,
    },
}
