//! Asking a suspect, one query after the other.

use crate::lm::{Completion, Request};

use super::Finding;

/// A query that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The probe that it comes from, by its place in the commitment.
    pub probe: usize,
    /// What is asked.
    pub request: Request,
}

/// A test that asks a suspect something: a rule and probes that are fixed before the first query.
///
/// A state machine without randomness: the same answers give the same queries and the same finding, so that whoever has rule,
/// probes and answers can compute the finding again. Probes that are never asked need not be known.
pub trait Probing {
    /// The query that is due; none when the rule says that this is the end.
    ///
    /// # Errors
    /// [`ProbeError::Hidden`].
    fn next(&self) -> Result<Option<Step>, ProbeError>;

    /// Takes the answer to the query that is due.
    ///
    /// # Errors
    /// [`ProbeError`].
    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError>;

    /// What the answers so far say.
    fn finding(&self) -> Finding;
}

/// Why a test cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A probe that is due is not known.
    #[error("probe {probe} is due, and hidden; reveal it")]
    Hidden {
        /// Its place.
        probe: usize,
    },
    /// An answer when none was due.
    #[error("an answer came although the rule had ended the test")]
    Ended,
    /// A rule or a probe that makes no sense.
    #[error("{what} is {got}; {wanted}")]
    Invalid {
        /// Which field.
        what: String,
        /// Its value.
        got: String,
        /// What it may be.
        wanted: String,
    },
}

impl ProbeError {
    /// A field of a rule or a probe that makes no sense.
    pub(super) fn invalid(
        what: impl Into<String>,
        got: impl ToString,
        wanted: impl Into<String>,
    ) -> Self {
        Self::Invalid { what: what.into(), got: got.to_string(), wanted: wanted.into() }
    }
}
