//! Whether a suspect is the reference under the same protocol, from the ranks of answers of one token (sampling null, CHANGED),
//! after Zhu et al. (2025), "Auditing Black-Box LLM APIs with a Rank-Based Uniformity Test".
//!
//! Each prompt is asked once. The enrolment holds for it the likeliest answers under the reference in some order, rank 1 being the
//! first and all that are not named sharing one last rank, and M fresh answers of the reference, which the order does not rest on.
//! With s the logarithm of the rank of the suspect's answer and s_k that of the fresh ones (only their order matters),
//! ```text
//! u = (#{s_k < s} + U · (1 + #{s_k = s}))/(M + 1)
//! ```
//! where U is uniform from a committed seed. If the suspect is the reference, its answer could be any of the M + 1: u is then
//! exactly uniform, whatever the order and however many answers share a rank, and independent of those of other prompts. The
//! statistic of all prompts is that of Cramér and von Mises,
//! ```text
//! ω² = 1/(12n) + Σᵢ ((2i − 1)/(2n) − u₍ᵢ₎)²
//! ```
//! and p = (1 + #{drawn ≥ observed})/(B + 1) with B samples of n uniforms from the seed: exact for every n, and 1/(B + 1) at least.
//! There is one look, after the number of queries that was fixed beforehand.
//!
//! The order is by likelihood under the reference, as published; where an alternative was enrolled, it is by the likelihood ratio of
//! the alternative to the members of the null, with which the alternative's ranks shift most.
//!
//! Another model's answers have mostly high ranks, so that u is too often high; a model that was distilled from the reference, or
//! samples more sharply, has them too often low. The one-sided distances of Kolmogorov and Smirnov describe which of the two it is;
//! they give no p-value.
//!
//! M costs little power, since a shift of the suspect's ranks shrinks by M/(M + 1) alone. But p is averaged over the enrolment's
//! answers: of one enrolment that is used again and again, the fresh answers move the mean of u by 1/√M of its standard deviation,
//! each time to the same side. At M = 100 that is a tenth.
//!
//! The null is composite as in [`exchange`](super::exchange): p is the largest over the protocols that were enrolled, each with
//! fresh answers of its own.

mod session;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::answer::place;
use super::asking::Question;
use super::checks;
use crate::fingerprint::ProbeError;
use crate::lm::Request;

pub use session::Session;

/// The test's name.
pub const TEST: &str = "rank-uniformity";

/// What is fixed beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Level.
    pub alpha: f64,
    /// B, the number of samples of uniforms; at least 1/α − 1.
    pub draws: u32,
    /// What U and the samples are drawn from.
    pub seed: u64,
    /// Members of the null, in words; the first is the protocol that was enrolled.
    pub nulls: Vec<String>,
    /// Whether the suspect's protocol is taken to be the enrolled one where it does not count prompts' tokens.
    pub protocol_assumed: bool,
}

impl Rule {
    /// As many samples as let p fall to a tenth of α, between 9,999 and 999,999.
    pub fn new(alpha: f64, nulls: Vec<String>, seed: u64) -> Self {
        let draws = ((10.0 / alpha).ceil() - 1.0).clamp(9_999.0, 999_999.0) as u32;
        Self { alpha, draws, seed, nulls, protocol_assumed: false }
    }

    /// Refuses a rule that cannot reach its level, or makes no sense.
    fn check(&self) -> Result<(), ProbeError> {
        checks::fraction("alpha", self.alpha)?;
        checks::draws("draws", self.draws)?;
        // As a quotient, 1/α of whole numbers is exact to the last digit.
        let least = (1.0 / self.alpha - 1e-6).ceil() - 1.0;
        if f64::from(self.draws) < least {
            let wanted = format!("{least} are needed to reach the level; choose a higher one");
            return Err(ProbeError::invalid("draws", self.draws, wanted));
        }
        checks::any("nulls", self.nulls.len())
    }
}

/// One query, beside the reference's answers to the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is asked.
    pub request: Request,
    /// Tokens of the prompt as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The likeliest answers under the reference, that of rank 1 first.
    pub symbols: Vec<String>,
    /// Of each member of the null, how many of its fresh answers had each rank; the last number is of those that are not named.
    pub nulls: Vec<Vec<u32>>,
}

impl Question for Probe {
    fn question(&self) -> (&Request, Option<u64>) {
        (&self.request, self.prompt_tokens)
    }
}

impl Probe {
    /// The rank of an answer, counted from 0.
    pub fn rank(&self, answer: &str) -> usize {
        place(&self.symbols, answer)
    }

    /// Refuses a probe that does not fit the rule.
    fn check(&self, at: usize, rule: &Rule) -> Result<(), ProbeError> {
        checks::as_many("number of nulls", at, self.nulls.len(), rule.nulls.len())?;
        let ranks = self.symbols.len() + 1;
        for counts in &self.nulls {
            checks::as_many("number of ranks", at, counts.len(), ranks)?;
            if counts.iter().all(|count| *count == 0) {
                let what = format!("number of fresh answers of probe {at}");
                return Err(ProbeError::invalid(what, 0, "at least one is needed"));
            }
        }
        Ok(())
    }
}

/// How often answers had each of the ranks of symbols, or the last that all others share.
pub fn counts<'a>(symbols: &[String], answers: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
    let mut counts = vec![0; symbols.len() + 1];
    for answer in answers {
        counts[place(symbols, answer)] += 1;
    }
    counts
}

/// u = (below + U · (1 + equal))/(M + 1), from how often fresh answers had each rank.
fn percentile(counts: &[u32], rank: usize, uniform: f64) -> f64 {
    let sum = |counts: &[u32]| counts.iter().map(|count| f64::from(*count)).sum::<f64>();
    let equal = f64::from(counts[rank]);
    (sum(&counts[..rank]) + uniform * (1.0 + equal)) / (sum(counts) + 1.0)
}
