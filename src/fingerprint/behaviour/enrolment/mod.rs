//! What a reference answered, kept to recognise it by; and panels of independent models.
//!
//! An [`Enrolment`] holds outputs and no weights: whoever has it can plan tests without the model. It is made by [`record`] from
//! anything that answers. What it holds of fresh answers is used once a test: two tests of one enrolment share them, so that their
//! p-values are valid each, but not independent.

mod plans;
mod prompts;
mod ranks;
mod record;
mod select;
mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::protocol::Protocol;

pub use plans::{EnrolmentError, PlanSettings, plan};
pub use prompts::{odd, plain};
pub use record::{Asked, Part, RecordError, Settings, record, record_member};

/// Version of the forms below.
pub const SCHEMA: u32 = 1;

/// What a reference answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Version of this form.
    pub schema: u32,
    /// The program that made it.
    pub tool: String,
    /// The reference.
    pub model: String,
    /// What is known of it.
    pub about: Vec<(String, String)>,
    /// When it was made, RFC 3339.
    pub made: String,
    /// Day after which it shall not be used, as `2027-06-30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// What prompts and answers were drawn from.
    pub seed: u64,
    /// For [`exchange`](super::exchange).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// For [`rank`](super::rank).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<Ranks>,
    /// For [`distance`](super::distance).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<Samples>,
    /// For [`drift`](super::drift).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Tops>,
    /// For [`lineage`](super::lineage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Greedy>,
}

/// A protocol of the composite null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullProtocol {
    /// In words.
    pub name: String,
    /// How the reference was asked.
    pub protocol: Protocol,
}

/// Answers of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The composite null; the first is the protocol that suspects are asked under.
    pub nulls: Vec<NullProtocol>,
    /// Models that guesses are made from.
    pub alternatives: Vec<String>,
    /// The prompts.
    pub cells: Vec<Cell>,
    /// The order of asking, as places in `cells`.
    pub order: Vec<u32>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The prompt.
    pub prompt: String,
    /// Its tokens as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Answers that are told apart.
    pub symbols: Vec<String>,
    /// Of each null, its chances in parts of a million.
    pub nulls: Vec<Vec<u32>>,
    /// Of each null, what its chances cannot exceed, where they follow from log-probabilities; of the first and where they do not, none.
    pub ceilings: Vec<Vec<u32>>,
    /// Of each alternative, the same as of the nulls.
    pub alternatives: Vec<Vec<u32>>,
    /// Fresh answers: of each null, as many as the order asks the prompt.
    pub fresh: Vec<Vec<String>>,
}

/// Ranks of answers of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// The composite null; the first is the protocol that suspects are asked under.
    pub nulls: Vec<NullProtocol>,
    /// The prompts in the order of asking.
    pub cells: Vec<RankCell>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankCell {
    /// The prompt.
    pub prompt: String,
    /// Its tokens as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The likeliest answers, that of rank 1 first.
    pub symbols: Vec<String>,
    /// Of each null, how many fresh answers had each rank; the last number is of those that are not named.
    pub fresh: Vec<Vec<u32>>,
}

/// Answers of several tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// The composite null.
    pub nulls: Vec<NullProtocol>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// The prompts with, of each null, its answers.
    pub cells: Vec<Sample>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The prompt.
    pub prompt: String,
    /// Its tokens as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Of each null, its answers.
    pub answers: Vec<Vec<String>>,
}

/// Log-probabilities of first tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tops {
    /// How the reference was asked.
    pub protocol: Protocol,
    /// Tokens asked for.
    pub top: u8,
    /// The prompts.
    pub cells: Vec<Top>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// The prompt.
    pub prompt: String,
    /// Its tokens as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Each answer's likeliest tokens.
    pub answers: Vec<Vec<(String, f64)>>,
}

/// Greedy answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greedy {
    /// How the reference was asked; its temperature is 0.
    pub protocol: Protocol,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Prompts, those that tell most first.
    pub cells: Vec<GreedyCell>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreedyCell {
    /// The prompt.
    pub prompt: String,
    /// Its tokens as the reference counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The answer.
    pub answer: String,
}

/// What independent models answered to the prompts of an enrolment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Version of this form.
    pub schema: u32,
    /// The program that made it.
    pub tool: String,
    /// Day after which it shall not be used, as `2027-06-30`: models of later data agree with each other otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How its members were asked.
    pub protocol: Protocol,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// The prompts.
    pub prompts: Vec<String>,
    /// The models.
    pub members: Vec<PanelMember>,
}

/// One model of a panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelMember {
    /// Its name.
    pub name: String,
    /// What it shares with the reference: `same data`, `same tokenizer`, `other family`.
    pub stratum: String,
    /// What is known of it.
    pub about: Vec<(String, String)>,
    /// Its answers, one a prompt.
    pub answers: Vec<String>,
}

impl Panel {
    /// A panel without members for the prompts of an enrolment.
    pub fn for_prompts(greedy: &Greedy, tool: &str, expires: Option<String>) -> Self {
        Self {
            schema: SCHEMA,
            tool: tool.to_owned(),
            expires,
            protocol: greedy.protocol.clone(),
            max_tokens: greedy.max_tokens,
            prompts: greedy.cells.iter().map(|cell| cell.prompt.clone()).collect(),
            members: Vec::new(),
        }
    }
}
