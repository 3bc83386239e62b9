//! From evidence to a verdict: how sure, after every choice made on the way is paid for.
//!
//! [`Detector`] binds a watermark to a false-alarm rate and a [`Family`] of tests; [`Detector::detect`] turns a text into
//! a [`Detection`]. A p-value here is exact, or an upper bound, averaged over the random choice of a key that was fixed
//! before the text; see the manual's page on statistics.
//!
//! Called by the binary and the server. Never reads files, and never computes a tail: `stats` does.

mod bayesian;
mod boilerplate;
mod boundaries;
mod calibrated;
mod calibration;
mod claim;
mod decoys;
mod finish;
mod many_keys;
mod marked_share;
mod passages;
mod reference;
mod report;
mod shown;
mod spread;
mod tail;
mod tilt;
mod windows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::profile::Reference;
use crate::stats::{Alternative, Family, LogP, StatsError};
use crate::watermark::{Evidence, Text, Watermark};

pub use bayesian::{BayesianDetector, BayesianError, counted_bits};
pub use boilerplate::{Boilerplate, Recurring, Runs};
pub use calibrated::{
    Calibrated, CalibratedError, KeyState, LookSettings, MarkIdentity, Negatives,
};
pub use calibration::{Calibration, RealisedRate};
pub use claim::{Claim, ClaimError, Pairs, Sketch};
pub use decoys::{DecoyError, Decoys, seeded_key};
pub use finish::{Brief, Census, RowError, finished};
pub use many_keys::{Candidates, ManyKeys, Screen};
pub use marked_share::{MarkedShare, ReferenceSample, ShareError};
pub use passages::Passage;
pub use reference::{DEFAULT_ENTROPY, expected_evidence};
pub use report::{PayloadRow, Row, Segment};
pub use shown::{Piece, Shown};
pub use spread::{FreshKeys, KeySpread};
pub use tail::Law;
pub use windows::Windows;

use windows::{Criticals, Grid, Search};

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
    law: Arc<Law>,
    fpr: f64,
    family: Family,
    reference: Option<Reference>,
    windows: Windows,
    criticals: Arc<Criticals>,
    /// Tokens at which a mark of the reference strength is found half the time, by number of looks; found when first asked
    /// for.
    enough: Arc<Mutex<BTreeMap<u64, Option<u64>>>>,
}

/// What was found in one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// What is said.
    pub verdict: Verdict,
    /// The p-value of the look that speaks most for this mark: at the whole text, or at its best window.
    pub p: LogP,
    /// After correction for the family of tests it belongs to: min(1, 2·whole, 2·windows·best window) of the best reading, where
    /// there are windows, times readings and profiles.
    pub corrected: LogP,
    /// That family; it has a factor for windows where a window spoke most.
    pub family: Family,
    /// Which of the readings this is.
    pub reading: usize,
    /// Mean evidence of the scored tokens, in the null's unit; NaN-free: 0 when none was scored.
    pub score: f64,
    /// Evidence by position.
    pub evidence: Evidence,
    /// Marked passages, in order, where windows were looked at.
    pub passages: Vec<Passage>,
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
        let law = Arc::new(Law::new(watermark.null().clone())?);
        Ok(Self {
            watermark,
            law,
            fpr,
            family,
            reference,
            windows: Windows::Off,
            criticals: Arc::default(),
            enough: Arc::default(),
        })
    }

    /// The same for another mark, of another key. What follows from the null law alone is shared, where both have one law.
    ///
    /// # Errors
    /// [`DetectError::Stats`] for a null that is no law.
    pub fn under(&self, watermark: Watermark) -> Result<Self, DetectError> {
        let (family, reference) = (self.family.clone(), self.reference.clone());
        if watermark.null() != self.law.null() {
            let other = Self::new(watermark, self.fpr, family, reference)?;
            return Ok(other.with_windows(self.windows));
        }
        Ok(Self {
            watermark,
            law: Arc::clone(&self.law),
            fpr: self.fpr,
            family,
            reference,
            windows: self.windows,
            criticals: Arc::clone(&self.criticals),
            enough: Arc::clone(&self.enough),
        })
    }

    /// The same, looking at windows of texts too. Not of marks that judge whole texts (`mpac`, `kuditipudi`, any mark with a
    /// message): their evidence has no law in a part.
    #[must_use]
    pub fn with_windows(self, windows: Windows) -> Self {
        Self { windows, ..self }
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

    /// The smallest p-value of readings as wholes: no windows, and nothing corrected.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn p_of_wholes(&self, readings: &[Text<'_>]) -> Result<LogP, DetectError> {
        let mut smallest = LogP::ONE;
        for text in readings {
            let evidence = self.watermark.score_text(text);
            smallest = smallest.min(match &evidence.judgement {
                None => self.law.tail(evidence.sum(), evidence.scored() as u64)?,
                Some(judgement) => tail::of_text(&judgement.law, evidence.sum())?,
            });
        }
        Ok(smallest)
    }

    /// Examines several readings of one document (as it is, normalised, with another beginning) and tells of the one that
    /// speaks most for the mark. Its p-value is corrected for `readings` looks, or as many as are given if that is more:
    /// a caller that compares detectors must name the most that any of them had.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn best_of(&self, texts: &[Text<'_>], readings: u64) -> Result<Detection, DetectError> {
        let readings = readings.max(texts.len() as u64);
        let mut best: Option<(usize, Look)> = None;
        for (reading, text) in texts.iter().enumerate() {
            let look = self.look(self.watermark.score_text(text))?;
            if best.as_ref().is_none_or(|(_, best)| look.p_document() < best.p_document()) {
                best = Some((reading, look));
            }
        }
        let (reading, look) = best.unwrap_or_else(|| (0, Look::nothing()));
        self.detection(reading, look, readings)
    }

    /// Reads a text's evidence as a whole, then by windows.
    fn look(&self, evidence: Evidence) -> Result<Look, DetectError> {
        let (sum, scored) = (evidence.sum(), evidence.scored());
        let whole = match &evidence.judgement {
            None => self.law.tail(sum, scored as u64)?,
            Some(judgement) => tail::of_text(&judgement.law, sum)?,
        };
        let grid = self.windows.grid(evidence.total, scored);
        let Some(grid) = grid.filter(|_| evidence.judgement.is_none()) else {
            return Ok(Look { evidence, whole, grid: None, window: None });
        };
        // Only a window that is worth more than the whole can matter.
        let bound = LogP::new(whole.log10() - (grid.count() as f64).log10())?;
        let search = Search::new(&self.law, &self.criticals, &evidence.values, grid);
        let anywhere = |length: usize| Some((0, scored.checked_sub(length)?));
        let window = search.best(bound, anywhere)?.map(|window| window.p);
        Ok(Look { evidence, whole, grid: Some(grid), window })
    }

    fn detection(
        &self,
        reading: usize,
        look: Look,
        readings: u64,
    ) -> Result<Detection, DetectError> {
        let p = look.p();
        let looks = self.family_of(&look, readings);
        let corrected = looks.correct(p);
        let passages = self.passages(&look, readings, corrected)?;
        let Look { evidence, grid, .. } = look;
        let scored = evidence.scored() as u64;
        let message_p = match self.watermark.payload_bits() {
            Some(_) => Some(self.law.tail(evidence.sum(), scored)?),
            None => None,
        };
        let mean = if scored == 0 { 0.0 } else { evidence.sum() / scored as f64 };
        let score = mean / self.law.null().unit();
        let paid = if grid.is_some() { 2 * readings } else { readings };
        let (verdict, more_tokens) = self.verdict(corrected, scored, paid);
        Ok(Detection {
            verdict,
            p,
            corrected,
            family: looks,
            reading,
            score,
            evidence,
            passages,
            more_tokens,
            message_p,
        })
    }

    /// The tests that a look's p-value was chosen from.
    fn family_of(&self, look: &Look, readings: u64) -> Family {
        look.family(self.family.clone().times("readings of the text", readings))
    }

    /// A look's p-value, corrected for them.
    fn corrected(&self, look: &Look, readings: u64) -> LogP {
        self.family_of(look, readings).correct(look.p())
    }

    /// The passages of a text that was detected.
    fn passages(
        &self,
        look: &Look,
        readings: u64,
        corrected: LogP,
    ) -> Result<Vec<Passage>, DetectError> {
        let Some(grid) = look.grid.filter(|_| corrected.log10() <= self.threshold_log10_p()) else {
            return Ok(Vec::new());
        };
        let family = self.family.clone().times("readings of the text", readings);
        let family = family.times(LOOKS, 2).times(WINDOWS, grid.count());
        let search = Search::new(&self.law, &self.criticals, &look.evidence.values, grid);
        let width = self.watermark.spec().scheme().seeding().width();
        Ok(passages::passages(&search, &look.evidence, width, &family, self.fpr)?)
    }

    fn verdict(&self, corrected: LogP, scored: u64, looks: u64) -> (Verdict, Option<u64>) {
        if corrected.log10() <= self.threshold_log10_p() {
            return (Verdict::Detected, None);
        }
        match self.enough(looks) {
            Some(enough) if scored < enough => {
                (Verdict::InsufficientEvidence, Some(enough - scored))
            }
            _ if scored == 0 => (Verdict::InsufficientEvidence, None),
            _ => (Verdict::NotDetected, None),
        }
    }

    /// Scored tokens at which a text marked throughout at the reference strength is detected half the time, where so many looks at
    /// each document are paid for: readings, twice as many with windows.
    pub fn enough(&self, looks: u64) -> Option<u64> {
        let mut known = self.enough.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(looks).or_insert_with(|| {
            let Reference { mean, sd, .. } = self.reference.as_ref()?;
            // A message that is not known beforehand is one of 2^k.
            let messages = f64::from(self.watermark.payload_bits().unwrap_or(0)).exp2();
            let size = self.family.size() * looks as f64 * messages;
            let threshold = LogP::from_p(self.fpr / size).ok()?;
            let alternative = Alternative::new(*mean, *sd).ok()?;
            alternative.tokens_needed(0.5, MOST_TOKENS, |n| self.law.critical(n, threshold))
        })
    }
}

/// One reading of a text.
#[derive(Debug)]
struct Look {
    evidence: Evidence,
    /// The p-value of the whole.
    whole: LogP,
    /// The windows that were looked at.
    grid: Option<Grid>,
    /// The p-value of the best window, where it is worth more than the whole.
    window: Option<LogP>,
}

impl Look {
    /// At a text without tokens.
    fn nothing() -> Self {
        Self { evidence: Evidence::default(), whole: LogP::ONE, grid: None, window: None }
    }

    /// The tests that this look's p-value was chosen from, besides those given.
    fn family(&self, others: Family) -> Family {
        let Some(grid) = self.grid else { return others };
        let looks = others.times(LOOKS, 2);
        if self.window.is_some() { looks.times(WINDOWS, grid.count()) } else { looks }
    }

    /// The p-value that speaks most for the mark.
    fn p(&self) -> LogP {
        self.window.unwrap_or(self.whole)
    }

    /// min(1, 2·whole, 2·windows·best window), or the whole's alone.
    fn p_document(&self) -> LogP {
        self.family(Family::one()).correct(self.p())
    }
}

const LOOKS: &str = "looks (whole, windows)";
const WINDOWS: &str = "windows";

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
