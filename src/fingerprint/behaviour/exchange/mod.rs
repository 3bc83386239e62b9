//! Whether a suspect is the reference under the same protocol, from answers of one token (sampling null, CHANGED).
//!
//! For each query the enrolment holds a fresh answer a of the reference, drawn for the same prompt and used once; the suspect
//! gives b. If the suspect is the reference, a and b may change places without anybody noticing. With any guesses p̂ of the
//! reference and q̂ of the suspect that were made before,
//! ```text
//! f = (1 − λ) + λ · 2 q̂(b) p̂(a) / (q̂(b) p̂(a) + q̂(a) p̂(b))
//! ```
//! has expectation 1 exactly, since the fraction and its mirror image sum to 1. The product of these factors is an e-process, and
//! by Ville's inequality P(it ever reaches 1/α) ≤ α: one may look after every answer and stop at any time. How good the guesses
//! are decides how soon a swapped model is caught, never how often the reference is accused.
//!
//! The null is composite: the reference as it was enrolled, and the same under other temperatures and nuclei, each with fresh
//! answers and an e-process of its own. CHANGED needs all of them rejected, so that a server that samples otherwise than it is told
//! is not taken for another model. Of all but the first member, half of the wealth is bet by q̂(b)/c(b) instead, where c is what the
//! member's chances cannot exceed, as follows from log-probabilities: its expectation is at most 1, and it is not bounded by 2.
//!
//! Against the enrolled protocol the p-value rests on exchangeability alone, whatever c is. Against the other members c assumes besides
//! that no answer has more than four spellings (with white space before or after it) among the tokens whose log-probabilities were not
//! told, and that log-probabilities of the same weights differ by less than 5 % of their chances from machine to machine.
//!
//! Hidden texts around the prompt show in the count of its tokens ([`PromptCounts`]).
//!
//! [`PromptCounts`]: super::protocol::PromptCounts

mod learner;
mod session;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::answer::place;
use super::asking::Question;
use super::checks;
use crate::fingerprint::ProbeError;
use crate::lm::Request;

pub(super) use learner::chances;
pub use session::Session;

/// The test's name.
pub const TEST: &str = "one-token-exchange";

/// What is fixed beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Level: CHANGED when every member of the null is rejected at it.
    pub alpha: f64,
    /// λ, in (0, 1): how much is bet.
    pub lambda: f64,
    /// Members of the null, in words; the first is the protocol that was enrolled.
    pub nulls: Vec<String>,
    /// Models that guesses are made from, in words.
    pub alternatives: Vec<String>,
    /// Whether the suspect's protocol is taken to be the enrolled one where it does not count prompts' tokens.
    pub protocol_assumed: bool,
}

impl Rule {
    /// α 1 %, λ 0.9.
    pub fn new(nulls: Vec<String>, alternatives: Vec<String>) -> Self {
        Self { alpha: 0.01, lambda: 0.9, nulls, alternatives, protocol_assumed: false }
    }
}

/// One query.
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
    /// Answers that are told apart; all others are one more.
    pub symbols: Vec<String>,
    /// What each member of the null answered, and its guess p̂.
    pub nulls: Vec<Member>,
    /// Guesses of the alternatives, in parts of a million, one for each symbol and one for all others.
    pub alternatives: Vec<Vec<u32>>,
}

/// One member of the null at one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its fresh answer.
    pub answer: String,
    /// p̂ in parts of a million, one for each symbol and one for all others.
    pub ppm: Vec<u32>,
    /// What the member's chances cannot exceed, in the same form; empty where that is not known, and not used for the first member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ceilings: Vec<u32>,
}

impl Question for Probe {
    fn question(&self) -> (&Request, Option<u64>) {
        (&self.request, self.prompt_tokens)
    }
}

impl Probe {
    /// The place of an answer among the symbols; all others have the last.
    pub fn place(&self, answer: &str) -> usize {
        place(&self.symbols, answer)
    }

    /// Refuses a probe that does not fit the rule.
    fn check(&self, at: usize, rule: &Rule) -> Result<(), ProbeError> {
        checks::as_many("number of nulls", at, self.nulls.len(), rule.nulls.len())?;
        let (got, wanted) = (self.alternatives.len(), rule.alternatives.len());
        checks::as_many("number of alternatives", at, got, wanted)?;
        let ceilings = self.nulls.iter().map(|it| &it.ceilings).filter(|row| !row.is_empty());
        let mut rows =
            self.nulls.iter().map(|it| &it.ppm).chain(&self.alternatives).chain(ceilings);
        let width = self.symbols.len() + 1;
        rows.try_for_each(|row| checks::as_many("width of a guess", at, row.len(), width))
    }
}
