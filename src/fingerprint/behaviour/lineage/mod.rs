//! Whether a suspect descends from the reference, from greedy answers to texts (population null, RELATED).
//!
//! A copy of a model that was tuned, quantised or merged still goes on with most texts as its parent does; an independent model
//! does so less often. For prompt j, a_j says whether the first word of the suspect's answer is that of the parent, b_ij whether
//! that of panel member i is.
//!
//! * *paired*: for each member i, P(Bin(n₁₀ + n₀₁, ½) ≥ n₁₀) over the prompts on which suspect and member differ; the largest of
//!   these. It says that the suspect is nearer to the parent than every member, over prompts.
//! * *panel*: how far the suspect's agreement lies above the members', by rank (1 + #{i: μᵢ ≥ μ})/(m + 1), or by Student's t on
//!   log-odds, t = (x − x̄)/(s √(1 + 1/m)) with m − 1 degrees of freedom. Which of the two is chosen beforehand. Each stratum with
//!   enough members is tested on its own too, and the largest p counts.
//! * *orphan guard*, where the parent is one of several candidates: the panel's p is multiplied by their number, and the gap
//!   between the best and the second must be large beside the same gap of the panel's members. Some candidate is always nearest.
//!
//! RELATED needs all of them: p is the largest. Neither answers of the suspect nor those of members that are counted choose the
//! prompts: a choice by their disagreement would put the members lower than an independent model that was not looked at.

mod panel;
mod session;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::asking::Question;
use super::checks;
use crate::fingerprint::ProbeError;
use crate::lm::Request;

pub use panel::{Law, least_members};
pub use session::Session;

/// The test's name.
pub const TEST: &str = "next-word-lineage";

/// What is fixed beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Level.
    pub alpha: f64,
    /// Who may be the parent; one, if it was named beforehand.
    pub candidates: Vec<String>,
    /// The independent models of the panel.
    pub members: Vec<Member>,
    /// How the panel is used.
    pub law: Law,
    /// Day after which the panel is out of date, as `2027-06-30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// One model of the panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it shares with the parent: `same data`, `same tokenizer`, `other family`.
    pub stratum: String,
}

/// One query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is asked, greedily.
    pub request: Request,
    /// Tokens of the prompt as the first candidate counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// What each candidate answered.
    pub candidates: Vec<String>,
    /// What each member of the panel answered.
    pub members: Vec<String>,
    /// The probe that this one repeats: it is not counted, but shows whether the suspect answers greedily.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<usize>,
}

impl Question for Probe {
    fn question(&self) -> (&Request, Option<u64>) {
        (&self.request, self.prompt_tokens)
    }
}

impl Probe {
    /// Refuses a probe that does not fit the rule.
    fn check(&self, at: usize, rule: &Rule) -> Result<(), ProbeError> {
        let (candidates, members) = (self.candidates.len(), self.members.len());
        let wanted = rule.candidates.len();
        checks::as_many("number of candidates' answers", at, candidates, wanted)?;
        checks::as_many("number of members' answers", at, members, rule.members.len())?;
        match self.repeats {
            Some(earlier) if earlier >= at => {
                let what = format!("what probe {at} repeats");
                Err(ProbeError::invalid(what, earlier, "an earlier probe"))
            }
            _ => Ok(()),
        }
    }
}

/// The first word of an answer, or its first sign where it begins with none. Empty answers agree with nothing.
pub fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let end = match text.chars().next() {
        None => 0,
        Some(first) if word(first) => text.find(|c| !word(c)).unwrap_or(text.len()),
        Some(first) => first.len_utf8(),
    };
    &text[..end]
}

/// Whether two answers begin alike.
fn agree(a: &str, b: &str) -> bool {
    let word = first_word(a);
    !word.is_empty() && word == first_word(b)
}
