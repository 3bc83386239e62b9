//! Whether a suspect is the reference under the same protocol, from whole answers: the maximum mean discrepancy of two samples
//! (sampling null, CHANGED), after Gao, Liang and Guestrin, "Model Equality Testing: Which Model Is This API Serving?" (2024).
//!
//! For each prompt there are n answers x of the reference and n of the suspect, y. Answers are cut and filled to L characters, and
//! k(x, y) is the share of places at which they agree. Over prompts is summed
//! ```text
//! MMD² = mean_{i≠i'} k(xᵢ, xᵢ') + mean_{i≠i'} k(yᵢ, yᵢ') − 2 mean k(xᵢ, yⱼ)
//! ```
//! Under the null the labels within a prompt are exchangeable: p = (1 + #{permuted ≥ observed})/(B + 1), with B orders drawn from
//! a committed seed. The kernel is computed once; a permutation only adds its entries. There is one look, at the end.
//!
//! The null is composite as in [`exchange`](super::exchange): p is the largest over the protocols that were enrolled.

mod gram;
mod session;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::asking::Question;
use crate::lm::Request;

pub use session::Session;

/// The test's name.
pub const TEST: &str = "answer-distance";

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
    /// L, in characters.
    pub length: u32,
    /// Members of the null, in words; the first is the protocol that was enrolled.
    pub nulls: Vec<String>,
    /// Whether the suspect's protocol is taken to be the enrolled one where it does not count prompts' tokens.
    pub protocol_assumed: bool,
}

impl Rule {
    /// α 1 %, 2,000 permutations.
    pub fn new(nulls: Vec<String>, length: u32, seed: u64) -> Self {
        Self { alpha: 0.01, permutations: 2000, seed, length, nulls, protocol_assumed: false }
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
    /// What each member of the null answered.
    pub nulls: Vec<String>,
}

impl Question for Probe {
    fn question(&self) -> (&Request, Option<u64>) {
        (&self.request, self.prompt_tokens)
    }
}
