//! From evidence to a verdict: how sure, after every choice made on the way is paid for.
//!
//! [`Detector`] binds a watermark to a false-alarm rate and a [`Family`] of tests; [`Detector::detect`] turns a text into
//! a [`Detection`]. A p-value here is exact, or an upper bound, averaged over the random choice of a key that was fixed
//! before the text; see the manual's page on statistics.
//!
//! Called by the binary and the server. Never reads files, and never computes a tail: `stats` does.

mod bayesian;
mod reference;
mod report;
mod tail;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::profile::Reference;
use crate::stats::{Alternative, Family, LogP, StatsError};
use crate::watermark::{Evidence, Text, Watermark};

pub use bayesian::{BayesianDetector, BayesianError, counted_bits};
pub use reference::{DEFAULT_ENTROPY, expected_evidence};
pub use report::Row;
pub use tail::Law;

/// What is said of a text. Never that a person wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The mark is there: the corrected p-value is at or below the threshold.
    Detected,
    /// The text is long enough that a mark would probably have been found, and none was.
    NotDetected,
    /// Too little text to say: a marked one of this length would be found less than half the time.
    InsufficientEvidence,
    /// The text could not be examined.
    Error,
}

impl Verdict {
    /// As reports print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::NotDetected => "not_detected",
            Self::InsufficientEvidence => "insufficient_evidence",
            Self::Error => "error",
        }
    }
}

/// Reads texts for one mark.
#[derive(Debug)]
pub struct Detector {
    watermark: Watermark,
    law: Law,
    fpr: f64,
    family: Family,
    reference: Option<Reference>,
    /// Tokens at which a mark of the reference strength is found half the time; found when first asked for.
    enough: OnceLock<Option<u64>>,
}

/// What was found in one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// What is said.
    pub verdict: Verdict,
    /// The text's own p-value for this mark.
    pub p: LogP,
    /// After correction for the family of tests it belongs to.
    pub corrected: LogP,
    /// Mean evidence of the scored tokens, in the null's unit; NaN-free: 0 when none was scored.
    pub score: f64,
    /// Evidence by position.
    pub evidence: Evidence,
    /// How many more tokens would probably do, where the verdict is `insufficient_evidence`.
    pub more_tokens: Option<u64>,
}

impl Detector {
    /// A detector with false-alarm rate `fpr` for a whole family of tests.
    ///
    /// # Errors
    /// [`DetectError::Fpr`] unless 0 < fpr < 1.
    pub fn new(
        watermark: Watermark,
        fpr: f64,
        family: Family,
        reference: Option<Reference>,
    ) -> Result<Self, DetectError> {
        if !(fpr > 0.0 && fpr < 1.0) {
            return Err(DetectError::Fpr { got: fpr });
        }
        let law = Law::new(watermark.null().clone())?;
        Ok(Self { watermark, law, fpr, family, reference, enough: OnceLock::new() })
    }

    /// The mark looked for.
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// The family of tests each text's p-value is corrected for.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// log₁₀ of the false-alarm rate, which a corrected p-value must not exceed.
    pub fn threshold_log10_p(&self) -> f64 {
        self.fpr.log10()
    }

    /// Examines a text.
    ///
    /// # Errors
    /// [`DetectError::Stats`] never happens for the evidence of a scheme; it is passed on rather than hidden.
    pub fn detect(&self, text: &Text<'_>) -> Result<Detection, DetectError> {
        let evidence = self.watermark.score_text(text);
        let (sum, scored) = (evidence.sum(), evidence.scored() as u64);
        let p = self.law.tail(sum, scored)?;
        let corrected = self.family.correct(p);
        let score = if scored == 0 { 0.0 } else { sum / scored as f64 / self.law.null().unit() };
        let (verdict, more_tokens) = self.verdict(corrected, scored);
        Ok(Detection { verdict, p, corrected, score, evidence, more_tokens })
    }

    fn verdict(&self, corrected: LogP, scored: u64) -> (Verdict, Option<u64>) {
        if corrected.log10() <= self.threshold_log10_p() {
            return (Verdict::Detected, None);
        }
        match self.enough() {
            Some(enough) if scored < enough => {
                (Verdict::InsufficientEvidence, Some(enough - scored))
            }
            _ if scored == 0 => (Verdict::InsufficientEvidence, None),
            _ => (Verdict::NotDetected, None),
        }
    }

    /// Scored tokens at which a text marked at the reference strength is detected half the time.
    pub fn enough(&self) -> Option<u64> {
        *self.enough.get_or_init(|| {
            let Reference { mean, sd, .. } = self.reference.as_ref()?;
            let threshold = LogP::from_p(self.fpr / self.family.size()).ok()?;
            let alternative = Alternative::new(*mean, *sd).ok()?;
            alternative.tokens_needed(0.5, MOST_TOKENS, |n| self.law.critical(n, threshold))
        })
    }
}

/// Beyond this length a mark too weak to be found is not worth waiting for.
const MOST_TOKENS: u64 = 1_000_000;

/// Why a text could not be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// Not a rate.
    #[error("the false-alarm rate is {got}, but must lie between 0 and 1 (a usual value is 1e-6)")]
    Fpr {
        /// The value.
        got: f64,
    },
    /// A statistic outside its law's range.
    #[error("internal fault: evidence outside its law's range; please report this")]
    Stats(#[from] StatsError),
}
