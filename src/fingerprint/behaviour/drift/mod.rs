//! Whether a suspect's log-probabilities have drifted from the reference's (sampling null, CHANGED), after Chauvin et al. (2025),
//! "Log Probability Tracking of LLM APIs".
//!
//! For each prompt both sides tell the likeliest first tokens n times. With S the tokens that either named, a token that one side
//! did not name standing at that answer's lowest value,
//! ```text
//! T = Σ_prompts mean_{t ∈ S} max(0, |mean ℓ_reference(t) − mean ℓ_suspect(t)| − tolerance)
//! ```
//! and p comes from permutations of the answers within prompts, as in [`distance`](super::distance).
//!
//! The same weights under another kernel, batch size or number format give other last digits, always the same ones: against an
//! exact null that would be CHANGED. The `tolerance` makes the null one of models that are equal up to it; 0.05 nats cover
//! bfloat16 arithmetic of small models. A drift that systematically lies below it stays unseen.

mod session;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::asking::Question;
use crate::lm::Request;

pub use session::Session;

/// The test's name.
pub const TEST: &str = "logprob-drift";

/// What is fixed beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Level.
    pub alpha: f64,
    /// B, the number of permutations.
    pub permutations: u32,
    /// What orders are drawn from.
    pub seed: u64,
    /// Differences of a token's mean log-probability up to this do not count, in nats.
    pub tolerance: f64,
    /// Whether the suspect's protocol is taken to be the enrolled one where it does not count prompts' tokens.
    pub protocol_assumed: bool,
}

impl Rule {
    /// α 1 %, 10,000 permutations, tolerance 0.05.
    pub fn new(seed: u64) -> Self {
        Self { alpha: 0.01, permutations: 10_000, seed, tolerance: 0.05, protocol_assumed: false }
    }
}

/// One query, beside one answer of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Which prompt: probes of one cell ask the same again.
    pub cell: u32,
    /// What is asked.
    pub request: Request,
    /// Tokens of the prompt as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The reference's likeliest first tokens with their log-probabilities.
    pub reference: Vec<(String, f64)>,
}

impl Question for Probe {
    fn question(&self) -> (&Request, Option<u64>) {
        (&self.request, self.prompt_tokens)
    }
}
