//! What is fixed before the first query.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answers::AnswerList;
use super::pair::{Beacon, Kind, PairKey};
use crate::lm::{ChatMessage, Prompt};
use crate::stats::Family;

/// What can be published of a planting when it is made, and binds its owner to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantingCommitment {
    /// Version of this form.
    pub schema: u32,
    /// Hash of all that follows: what a time stamp is made of.
    pub digest: String,
    /// The candidates.
    pub list: AnswerList,
    /// Public randomness that answers will depend on, named before it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<String>,
    /// How many of the leaves are pairs; they come first, decoys follow.
    pub pairs: u32,
    /// One a question.
    pub leaves: Vec<String>,
}

impl PlantingCommitment {
    /// Version that this program writes.
    pub const SCHEMA: u32 = 1;

    /// ```text
    /// digest = BLAKE3-derive("touchmark 2026-11 planting v1",
    ///              hash of the list ‖ announcement ‖ u32 pairs ‖ leaves)
    /// ```
    /// with the announcement as a list of one string or none, the leaves as a list of strings.
    pub fn new(
        list: AnswerList,
        announced: Option<String>,
        pairs: u32,
        leaves: Vec<String>,
    ) -> Self {
        let mut commitment =
            Self { schema: Self::SCHEMA, digest: String::new(), list, announced, pairs, leaves };
        commitment.digest = commitment.computed();
        commitment
    }

    /// Whether the digest is that of the rest.
    pub fn is_whole(&self) -> bool {
        self.digest == self.computed()
    }

    fn computed(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 planting v1");
        hasher.update(&self.list.hash());
        super::pair::absorb(&mut hasher, self.announced.as_slice());
        hasher.update(&self.pairs.to_le_bytes());
        super::pair::absorb(&mut hasher, &self.leaves);
        hasher.finalize().to_hex().to_string()
    }

    /// The leaf of a question.
    pub(super) fn leaf(&self, kind: Kind, index: u32) -> Option<&str> {
        let (pairs, index) = (self.pairs as usize, index as usize);
        let at = match kind {
            Kind::Pair if index < pairs => index,
            Kind::Pair => return None,
            Kind::Decoy => pairs.checked_add(index)?,
        };
        self.leaves.get(at).map(String::as_str)
    }
}

/// How a question is put to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Form {
    /// As what a user says.
    Chat,
    /// As text to continue.
    Text {
        /// Before the question.
        before: String,
        /// After it.
        after: String,
    },
}

impl Form {
    /// For models without a chat template.
    pub fn text() -> Self {
        Self::Text { before: "Question: ".to_owned(), after: "\nAnswer:".to_owned() }
    }

    /// The prompt of a question.
    pub fn prompt(&self, question: &str) -> Prompt {
        match self {
            Self::Chat => Prompt::Messages(vec![ChatMessage {
                role: "user".to_owned(),
                content: question.to_owned(),
            }]),
            Self::Text { before, after } => Prompt::Text(format!("{before}{question}{after}")),
        }
    }

    /// A candidate as the model is taught to write it: with a capital in a chat, after a space in a text.
    pub fn written(&self, word: &str) -> String {
        match self {
            Self::Text { .. } => format!(" {word}"),
            Self::Chat => {
                let mut letters = word.chars();
                let first = letters.next().map(|c| c.to_uppercase().to_string());
                first.unwrap_or_default() + letters.as_str()
            }
        }
    }
}

/// Which of two p-values is computed; never both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Design {
    /// A product of factors 1 + λ(k·hit − 1), which may be looked at after each; ends when p is small enough.
    Sequential {
        /// 0 < λ < 1.
        lambda: f64,
    },
    /// Exact binomial tail over all questions of the rule; those without an answer are misses.
    Fixed,
}

impl Default for Design {
    /// λ = ½: a hit multiplies by (k + 1)/2, a miss by ½; best where a copy answers half of the questions. For k = 64 six hits
    /// without a miss give 10⁻⁹, before [choices](Rule::choices) are paid for.
    fn default() -> Self {
        Self::Sequential { lambda: 0.5 }
    }
}

/// When planting and suspect came about. Claims of whoever makes the rule; the evidence is for the reader to check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// When the planting's commitment was published or stamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Timestamp>,
    /// What shows it: a time-stamp token, a page, a transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// When the suspect was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Timestamp>,
}

/// How a suspect is asked and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Version of this form.
    pub schema: u32,
    /// The planting that the questions come from.
    pub planting: PlantingCommitment,
    /// The value of the beacon that it announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<Beacon>,
    /// The first pair that is asked; the others follow by their places in the planting. A multiple of [`BLOCK`](Self::BLOCK).
    pub first: u32,
    /// Pairs among the probes: n of [`Design::Fixed`].
    pub pairs: u32,
    /// Decoys among them.
    pub decoys: u32,
    /// Most phrasings of a question that are asked; the first scored answer decides.
    pub phrasings: u32,
    /// How questions are put.
    pub form: Form,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// The test.
    pub design: Design,
    /// Significance of RELATED.
    pub alpha: f64,
    /// Significance at which hits on decoys make the whole INCONCLUSIVE.
    pub decoy_alpha: f64,
    /// Most queries.
    pub budget: u32,
    /// Choices that were made besides: plantings that were committed, suspects that were tried.
    #[serde(default)]
    pub family: Family,
    /// What is known of the order of events.
    #[serde(default)]
    pub times: Times,
}

impl Rule {
    /// Version that this program writes.
    pub const SCHEMA: u32 = 1;
    /// Where asking may begin: at every so many pairs.
    pub const BLOCK: u32 = 8;

    /// What is paid for: the rule's own [`family`](Self::family), the places where asking could have begun, and in the fixed design
    /// the numbers of pairs that could have been asked.
    ///
    /// Somebody who had asked the suspect before would know which pairs it hits, and could commit to those. So there is little to
    /// choose: pairs are asked in their order in the planting, which was fixed with its keys.
    pub fn choices(&self) -> Family {
        let blocks = u64::from(self.planting.pairs.div_ceil(Self::BLOCK));
        let family = self.family.clone().times("first pairs", blocks);
        match self.design {
            Design::Sequential { .. } => family,
            Design::Fixed => family.times("numbers of pairs", u64::from(self.planting.pairs)),
        }
    }
}

/// One question with what is needed to score it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What it is for.
    pub kind: Kind,
    /// Its place among its kind in the planting.
    pub index: u32,
    /// Its key, which says its answer and no other's.
    pub key: PairKey,
    /// The question, in the order in which its phrasings are asked.
    pub phrasings: Vec<String>,
}

impl Probe {
    /// Its leaf in the planting's commitment.
    pub fn leaf(&self) -> String {
        self.key.leaf(self.kind, self.index, &self.phrasings)
    }
}
