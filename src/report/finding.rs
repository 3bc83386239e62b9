//! What is known of one document and one mark: a row, and the text where there is one.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::detect::{Row, Shown, Verdict};

/// A row of `detect`, with fields that this version need not know.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The row.
    pub row: Row,
    /// The text as it was read, or excerpts.
    pub shown: Option<Shown>,
    pub(super) log10_q: Option<f64>,
    pub(super) fdr_verdict: Option<Verdict>,
    more: Map<String, Value>,
}

impl Finding {
    /// A row and its text.
    pub fn new(row: Row, shown: Option<Shown>) -> Self {
        Self { row, shown, log10_q: None, fdr_verdict: None, more: Map::new() }
    }

    /// A row from its JSON object; what it has beyond a [`Row`] is shown as it is.
    ///
    /// # Errors
    /// Those of JSON, and of an object that is no row.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        let object: Value = serde_json::from_slice(line)?;
        let row = Row::deserialize(&object)?;
        let more = if let Value::Object(fields) = object { fields } else { Map::new() };
        Ok(Self { more, ..Self::new(row, None) })
    }

    /// The same, with what finishing over all rows gave: log₁₀ of the q-value, and the verdict by it.
    #[must_use]
    pub fn finished(self, log10_q: Option<f64>, verdict: Verdict) -> Self {
        Self { log10_q, fdr_verdict: Some(verdict), ..self }
    }

    /// What is said, over all documents where that is known.
    pub fn verdict(&self) -> Verdict {
        self.fdr_verdict.unwrap_or(self.row.verdict)
    }

    /// Fields that the report has no words for.
    pub(super) fn further(&self) -> Vec<(String, String)> {
        let mut fields = self.more.clone();
        if let Ok(Value::Object(own)) = serde_json::to_value(&self.row) {
            fields.extend(own);
        }
        let shown = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let unknown = fields
            .into_iter()
            .filter(|(name, value)| !TOLD.contains(&name.as_str()) && *value != Value::Null);
        unknown.map(|(name, value)| (name, shown(value))).collect()
    }
}

/// Fields that the report tells in words of its own.
const TOLD: &[&str] = &[
    "schema",
    "id",
    "source",
    "offset",
    "profile",
    "scheme",
    "prf",
    "key_id",
    "verdict",
    "log10_p",
    "log10_p_corrected",
    "score",
    "tokens_total",
    "tokens_scored",
    "repeated",
    "threshold_log10_p",
    "more_tokens",
    "reading",
    "ids_lost_in_text",
    "posterior",
    "narrow_seeds",
    "segments",
    "payload",
    "null",
    "family",
    "warnings",
    "detector_version",
    "log10_q",
    "fdr_verdict",
];
