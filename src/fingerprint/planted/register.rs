//! Which questions were asked already.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a planting: questions are asked once, for whoever answers may keep them, and later filter or learn them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Burned questions by their leaf.
    #[serde(default)]
    burned: BTreeMap<String, Burn>,
    /// Leaves of the pairs that the planted model itself answers, where that was tried: asking begins where most of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<BTreeSet<String>>,
}

/// When and where a question was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burn {
    /// When.
    pub when: Timestamp,
    /// Whom.
    pub suspect: String,
}

impl Register {
    /// Notes a question as asked; what was noted first stays.
    pub fn burn(&mut self, leaf: String, when: Timestamp, suspect: &str) {
        self.burned.entry(leaf).or_insert_with(|| Burn { when, suspect: suspect.to_owned() });
    }

    /// When and whom a question was asked.
    pub fn burned(&self, leaf: &str) -> Option<&Burn> {
        self.burned.get(leaf)
    }

    /// How many are burned.
    pub fn count(&self) -> usize {
        self.burned.len()
    }

    /// Notes which pairs the planted model answers.
    pub fn set_known(&mut self, leaves: BTreeSet<String>) {
        self.known = Some(leaves);
    }

    /// Whether the planted model answers a pair; also where that was never tried.
    pub fn is_known(&self, leaf: &str) -> bool {
        self.known.as_ref().is_none_or(|known| known.contains(leaf))
    }
}
