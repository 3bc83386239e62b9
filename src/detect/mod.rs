//! From evidence to a verdict: how sure, after every choice made on the way is paid for.
//!
//! [`Detector`] binds a watermark to a false-alarm rate and a [`Family`] of tests; [`Detector::detect`] turns a text into
//! a [`Detection`]. A p-value here is exact, or an upper bound, averaged over the random choice of a key that was fixed
//! before the text; see the manual's page on statistics.
//!
//! Called by the binary and the server. Never reads files, and never computes a tail: `stats` does.

mod bayesian;
mod calibration;
mod claim;
mod decoys;
mod finish;
mod reference;
mod report;
mod tail;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::profile::Reference;
use crate::stats::{Alternative, Family, LogP, StatsError};
use crate::watermark::{Evidence, Text, Watermark};

pub use bayesian::{BayesianDetector, BayesianError, counted_bits};
pub use calibration::{Calibration, RealisedRate};
pub use claim::{Claim, ClaimError, Sketch};
pub use decoys::{DecoyError, Decoys};
pub use finish::{Brief, Census, RowError, finished};
pub use reference::{DEFAULT_ENTROPY, expected_evidence};
pub use report::{PayloadRow, Row};
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
    /// Tokens at which a mark of the reference strength is found half the time, by number of readings; found when first
    /// asked for.
    enough: Mutex<BTreeMap<u64, Option<u64>>>,
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
    /// That family.
    pub family: Family,
    /// Which of the readings this is.
    pub reading: usize,
    /// Mean evidence of the scored tokens, in the null's unit; NaN-free: 0 when none was scored.
    pub score: f64,
    /// Evidence by position.
    pub evidence: Evidence,
    /// How many more tokens would probably do, where the verdict is `insufficient_evidence`.
    pub more_tokens: Option<u64>,
    /// The p-value of the likeliest message alone, of a mark whose messages the marker chooses: valid when that message was
    /// fixed before the text. Of a message that was read from the text, one of 2^k, it is to be multiplied by 2^k.
    pub message_p: Option<LogP>,
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
        Ok(Self { watermark, law, fpr, family, reference, enough: Mutex::default() })
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
        self.best_of(std::slice::from_ref(text), 1)
    }

    /// Examines several readings of one document (as it is, normalised, with another beginning) and tells of the one that
    /// speaks most for the mark. Its p-value is corrected for `readings` looks, or as many as are given if that is more:
    /// a caller that compares detectors must name the most that any of them had.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn best_of(&self, texts: &[Text<'_>], readings: u64) -> Result<Detection, DetectError> {
        let readings = readings.max(texts.len() as u64);
        let family = self.family.clone().times("readings of the text", readings);
        let nothing = (0, LogP::ONE, Evidence::default());
        let (reading, p, evidence) = texts.iter().enumerate().try_fold(
            nothing,
            |best, (reading, text)| -> Result<_, DetectError> {
                let evidence = self.watermark.score_text(text);
                let (sum, scored) = (evidence.sum(), evidence.scored() as u64);
                let p = match &evidence.judgement {
                    None => self.law.tail(sum, scored)?,
                    Some(judgement) => tail::of_text(&judgement.law, sum)?,
                };
                Ok(if reading == 0 || p < best.1 { (reading, p, evidence) } else { best })
            },
        )?;
        let corrected = family.correct(p);
        let scored = evidence.scored() as u64;
        let message_p = match self.watermark.payload_bits() {
            Some(_) => Some(self.law.tail(evidence.sum(), scored)?),
            None => None,
        };
        let mean = if scored == 0 { 0.0 } else { evidence.sum() / scored as f64 };
        let score = mean / self.law.null().unit();
        let (verdict, more_tokens) = self.verdict(corrected, scored, readings);
        Ok(Detection {
            verdict,
            p,
            corrected,
            family,
            reading,
            score,
            evidence,
            more_tokens,
            message_p,
        })
    }

    fn verdict(&self, corrected: LogP, scored: u64, readings: u64) -> (Verdict, Option<u64>) {
        if corrected.log10() <= self.threshold_log10_p() {
            return (Verdict::Detected, None);
        }
        match self.enough(readings) {
            Some(enough) if scored < enough => {
                (Verdict::InsufficientEvidence, Some(enough - scored))
            }
            _ if scored == 0 => (Verdict::InsufficientEvidence, None),
            _ => (Verdict::NotDetected, None),
        }
    }

    /// Scored tokens at which a text marked at the reference strength is detected half the time, where each document is
    /// looked at in so many readings.
    pub fn enough(&self, readings: u64) -> Option<u64> {
        let mut known = self.enough.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(readings).or_insert_with(|| {
            let Reference { mean, sd, .. } = self.reference.as_ref()?;
            // A message that is not known beforehand is one of 2^k.
            let messages = f64::from(self.watermark.payload_bits().unwrap_or(0)).exp2();
            let size = self.family.size() * readings as f64 * messages;
            let threshold = LogP::from_p(self.fpr / size).ok()?;
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
