//! What is counted over all documents, in memory that does not grow with their number.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::kept::Document;
use crate::detect::{Row, Verdict};

/// Names that are kept of each kind.
const MOST_NAMES: usize = 100;
/// Points that are drawn one by one.
pub(super) const MOST_POINTS: usize = 1_500;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub documents: u64,
    pub rows: u64,
    /// Documents that gave no row.
    pub failed: u64,
    pub tokens: u64,
    pub scored: u64,
    /// In the order of [`VERDICTS`].
    pub verdicts: [u64; 4],
    pub sources: Names<String>,
    pub marks: Names<Mark>,
    pub versions: Names<String>,
    /// Thresholds, as bits of log₁₀ p: usually one.
    pub thresholds: BTreeSet<u64>,
    pub histogram: Histogram,
    pub cloud: Cloud,
}

/// The order in which verdicts are told.
pub(super) const VERDICTS: [Verdict; 4] =
    [Verdict::Detected, Verdict::NotDetected, Verdict::InsufficientEvidence, Verdict::Error];

/// A mark that was looked for, in public names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub profile: String,
    pub scheme: String,
    pub prf: String,
    pub key_id: String,
}

impl Mark {
    fn of(row: &Row) -> Self {
        Self {
            profile: row.profile.clone(),
            scheme: row.scheme.clone(),
            prf: row.prf.clone(),
            key_id: row.key_id.clone(),
        }
    }
}

/// How often names came, of the first so many.
#[derive(Debug)]
pub(super) struct Names<T> {
    pub counts: BTreeMap<T, u64>,
    /// Whether there were more.
    pub more: bool,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), more: false }
    }
}

impl<T: Ord> Names<T> {
    fn add(&mut self, name: T, count: u64) {
        if let Some(known) = self.counts.get_mut(&name) {
            *known += count;
        } else if self.counts.len() < MOST_NAMES {
            self.counts.insert(name, count);
        } else {
            self.more = true;
        }
    }
}

impl Tally {
    /// Notes which mark a finding is of.
    pub fn note_mark(&mut self, finding: &Finding) {
        let found = u64::from(finding.verdict() == Verdict::Detected);
        self.marks.add(Mark::of(&finding.row), found);
    }

    pub fn note(&mut self, document: &Document) {
        let row = &document.best.row;
        self.documents += 1;
        self.rows += 1 + (document.others.len() + document.left_out) as u64;
        self.tokens += row.tokens_total as u64;
        self.scored += row.tokens_scored as u64;
        let verdict = document.verdict;
        if let Some(at) = VERDICTS.iter().position(|known| *known == verdict) {
            self.verdicts[at] += 1;
        }
        self.sources.add(row.source.clone(), 1);
        self.versions.add(row.detector_version.clone(), 1);
        if row.verdict != Verdict::Error {
            self.thresholds.insert(row.threshold_log10_p.to_bits());
            self.histogram.add(-row.log10_p_corrected);
            self.cloud.add(Point {
                tokens: row.tokens_scored,
                evidence: -row.log10_p_corrected,
                verdict,
            });
        }
    }

    /// Documents of a verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        let at = VERDICTS.iter().position(|known| *known == verdict);
        at.map_or(0, |at| self.verdicts[at])
    }

    /// The threshold, where all rows have the same.
    pub fn threshold(&self) -> Option<f64> {
        match self.thresholds.first() {
            Some(bits) if self.thresholds.len() == 1 => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }
}

/// Documents by −log₁₀ p, in steps of [`Histogram::STEP`]; the last bin has all beyond.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    pub bins: Vec<u64>,
    pub documents: u64,
}

impl Histogram {
    pub const STEP: f64 = 0.5;
    /// 10⁻²⁰ and beyond.
    pub const LAST: usize = 40;

    fn add(&mut self, evidence: f64) {
        let bin = ((evidence / Self::STEP) as usize).min(Self::LAST);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
        self.documents += 1;
    }
}

/// A document in the picture of length and evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub tokens: usize,
    pub evidence: f64,
    pub verdict: Verdict,
}

/// Length and evidence of documents: the first ones and the first detected ones as points, all as counts in cells.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    pub points: Vec<Point>,
    pub detected: Vec<Point>,
    pub cells: BTreeMap<(u32, u32), u64>,
    pub documents: usize,
}

impl Cloud {
    /// Width of a cell in log₁₀ tokens, and its height in [`stretched`] evidence.
    pub const CELL: (f64, f64) = (0.05, 0.1);

    fn add(&mut self, point: Point) {
        self.documents += 1;
        if self.points.len() < MOST_POINTS {
            self.points.push(point);
        }
        if point.verdict == Verdict::Detected && self.detected.len() < MOST_POINTS {
            self.detected.push(point);
        }
        let (x, y) =
            (log_tokens(point.tokens) / Self::CELL.0, stretched(point.evidence) / Self::CELL.1);
        *self.cells.entry((x as u32, y as u32)).or_default() += 1;
    }

    /// Whether every document is a point.
    pub fn has_all_points(&self) -> bool {
        self.documents <= self.points.len()
    }
}

/// Where a length stands: no tokens are drawn as one.
pub(super) fn log_tokens(tokens: usize) -> f64 {
    (tokens.max(1) as f64).log10()
}

/// Where −log₁₀ p stands on an axis that has room for the faint and the overwhelming: ln(1 + x).
pub(super) fn stretched(evidence: f64) -> f64 {
    evidence.max(0.0).ln_1p()
}
