//! The leaves of a commitment: each a line of JSON with a salt, so that one can be shown without the others.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Plan;
use crate::provenance::Digest;

/// The first leaf: all of a plan but its probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of this form: 1.
    pub schema: u32,
    /// The test's name.
    pub test: String,
    /// What is claimed, in words.
    pub hypothesis: String,
    /// The test's rule.
    pub rule: Value,
}

/// A line of the file of leaves.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Line {
    Open(Open),
    Hidden(Digest),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// 32 random bytes, so that nobody can guess a leaf and try.
    salt: Digest,
    leaf: Value,
}

/// The leaves as they stand in a file: the head first, then one for each probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    lines: Vec<String>,
}

const LEAF: &str = "touchmark 2026-11 bundle leaf v1";
const NODE: &str = "touchmark 2026-11 bundle node v1";

impl Leaves {
    /// The leaves of a plan, under fresh salts.
    ///
    /// # Errors
    /// [`LeafError::Randomness`].
    pub fn of(plan: &Plan) -> Result<Self, LeafError> {
        let head = Head {
            schema: 1,
            test: plan.test.clone(),
            hypothesis: plan.hypothesis.clone(),
            rule: plan.rule.clone(),
        };
        let head =
            serde_json::to_value(head).map_err(|source| LeafError::Json { at: 0, source })?;
        let line = |(at, leaf)| -> Result<String, LeafError> {
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(LeafError::Randomness)?;
            let line = Line::Open(Open { salt: Digest(salt), leaf });
            serde_json::to_string(&line).map_err(|source| LeafError::Json { at, source })
        };
        let leaves = std::iter::once(head).chain(plan.probes.iter().cloned());
        Ok(Self { lines: leaves.enumerate().map(line).collect::<Result<_, _>>()? })
    }

    /// Reads a file of leaves.
    ///
    /// # Errors
    /// [`LeafError`]: a line that is not a leaf; no leaf at all.
    pub fn parse(text: &str) -> Result<Self, LeafError> {
        let lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
        if lines.is_empty() || !text.ends_with('\n') {
            return Err(LeafError::Cut);
        }
        for (at, line) in lines.iter().enumerate() {
            let _: Line =
                serde_json::from_str(line).map_err(|source| LeafError::Json { at, source })?;
        }
        Ok(Self { lines })
    }

    /// The file.
    pub fn to_text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Digests, in order: BLAKE3-derive_key("touchmark 2026-11 bundle leaf v1", the line), or what a hidden line says.
    pub fn digests(&self) -> Vec<Digest> {
        let digest = |line: &String| match serde_json::from_str(line) {
            Ok(Line::Hidden(digest)) => digest,
            _ => Digest::derive(LEAF, &[line.as_bytes()]),
        };
        self.lines.iter().map(digest).collect()
    }

    /// The same leaves, of which only those that `shown` names by their place, and the head, can be read.
    ///
    /// # Errors
    /// [`LeafError::Json`].
    pub fn redacted(&self, shown: impl Fn(usize) -> bool) -> Result<Self, LeafError> {
        let digests = self.digests();
        let line = |(at, (line, digest)): (usize, (&String, Digest))| {
            if at == 0 || shown(at) {
                return Ok(line.clone());
            }
            serde_json::to_string(&Line::Hidden(digest))
                .map_err(|source| LeafError::Json { at, source })
        };
        let lines =
            self.lines.iter().zip(digests).enumerate().map(line).collect::<Result<_, _>>()?;
        Ok(Self { lines })
    }

    /// The head.
    ///
    /// # Errors
    /// [`LeafError`] when it is hidden or not one.
    pub fn head(&self) -> Result<Head, LeafError> {
        let leaf = self.leaf(0)?.ok_or(LeafError::HeadHidden)?;
        serde_json::from_value(leaf).map_err(|source| LeafError::Json { at: 0, source })
    }

    /// The probes, in order; none where hidden.
    ///
    /// # Errors
    /// [`LeafError::Json`].
    pub fn probes(&self) -> Result<Vec<Option<Value>>, LeafError> {
        (1..self.lines.len()).map(|at| self.leaf(at)).collect()
    }

    /// The plan that the leaves are of.
    ///
    /// # Errors
    /// [`LeafError`] when the head or a probe is hidden.
    pub fn plan(&self) -> Result<Plan, LeafError> {
        let Head { schema, test, hypothesis, rule } = self.head()?;
        let shown =
            |(at, probe): (usize, Option<Value>)| probe.ok_or(LeafError::ProbeHidden { probe: at });
        let probes = self.probes()?.into_iter().enumerate().map(shown).collect::<Result<_, _>>()?;
        Ok(Plan { schema, test, hypothesis, rule, probes })
    }

    /// Number of leaves, the head among them; at least one.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    fn leaf(&self, at: usize) -> Result<Option<Value>, LeafError> {
        let line = self.lines.get(at).map_or("", String::as_str);
        match serde_json::from_str(line).map_err(|source| LeafError::Json { at, source })? {
            Line::Open(open) => Ok(Some(open.leaf)),
            Line::Hidden(_) => Ok(None),
        }
    }
}

/// The root of a binary tree over digests. A node is BLAKE3-derive_key("touchmark 2026-11 bundle node v1", left ‖ right); a last one
/// without a neighbour goes up as it is, and the number of leaves is signed beside the root.
pub(super) fn root(digests: &[Digest]) -> Digest {
    let mut level = digests.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => Digest::derive(NODE, &[&left.0, &right.0]),
                [alone] => *alone,
                _ => Digest([0; 32]),
            })
            .collect();
    }
    level.first().copied().unwrap_or(Digest([0; 32]))
}

/// Why leaves cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// A line that is not a leaf.
    #[error("leaf {at} cannot be read")]
    Json {
        /// Its place; 0 is the head.
        at: usize,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// Empty, or without its last line's end.
    #[error("the file of leaves has been cut")]
    Cut,
    /// Nothing can be made of leaves without their head.
    #[error("the head is hidden; it is revealed first")]
    HeadHidden,
    /// A test cannot be asked without a probe.
    #[error("probe {probe} is hidden; only who committed can ask it")]
    ProbeHidden {
        /// Its place.
        probe: usize,
    },
    /// No random bytes.
    #[error("the system gave no random bytes")]
    Randomness(#[source] getrandom::Error),
}
