//! The documents that speak most for a mark, of however many there are.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::finding::Finding;
use crate::detect::Verdict;

/// Documents with a section of their own.
pub const MOST_SECTIONS: usize = 200;
/// Documents in the table.
pub const MOST_LISTED: usize = 1_000;
/// Other marks that are told of a document.
const MOST_OTHERS: usize = 12;
/// Tokens shown in one section, and in all sections together.
pub const MOST_TOKENS: usize = 20_000;
const ALL_TOKENS: usize = 100_000;
/// A section has room for a passage in any case.
const LEAST_TOKENS: usize = 500;

/// A document with what is known of it.
#[derive(Debug)]
pub(super) struct Document {
    /// The mark that it speaks most for.
    pub best: Finding,
    /// The next ones, best first.
    pub others: Vec<Finding>,
    /// How many there are besides.
    pub left_out: usize,
    /// What is said of it for all marks together.
    pub verdict: Verdict,
}

impl Document {
    /// Sorts what was found; `None` where there is nothing.
    pub fn new(mut findings: Vec<Finding>) -> Option<Self> {
        findings.sort_by(|a, b| Rank::of(a, 0).cmp(&Rank::of(b, 0)));
        let verdict = together(&findings);
        let mut findings = findings.into_iter();
        let best = findings.next()?;
        let mut others: Vec<Finding> = findings.collect();
        let left_out = others.len().saturating_sub(MOST_OTHERS);
        others.truncate(MOST_OTHERS);
        others.iter_mut().for_each(|other| other.shown = None);
        Some(Self { best, others, left_out, verdict })
    }

    fn cut(&mut self, most: usize) {
        let passages: Vec<Range<usize>> =
            self.best.row.segments.iter().map(|segment| segment.start..segment.end).collect();
        let shown = self.best.shown.take();
        self.best.shown = shown.map(|shown| shown.excerpt(&passages, most));
    }
}

/// Detected where any mark is; not detected only where the text is long enough for every mark.
fn together(findings: &[Finding]) -> Verdict {
    let all = |verdict| findings.iter().all(|finding| finding.verdict() == verdict);
    if findings.iter().any(|finding| finding.verdict() == Verdict::Detected) {
        Verdict::Detected
    } else if all(Verdict::NotDetected) {
        Verdict::NotDetected
    } else if all(Verdict::Error) {
        Verdict::Error
    } else {
        Verdict::InsufficientEvidence
    }
}

/// Detected ones first, then by evidence, then as they came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rank {
    class: u8,
    corrected: f64,
    own: f64,
    number: u64,
}

impl Rank {
    pub fn of(finding: &Finding, number: u64) -> Self {
        let class = match finding.verdict() {
            Verdict::Detected => 0,
            Verdict::InsufficientEvidence | Verdict::NotDetected => 1,
            Verdict::Error => 2,
        };
        let row = &finding.row;
        Self { class, corrected: row.log10_p_corrected, own: row.log10_p, number }
    }
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let class = self.class.cmp(&other.class);
        let p = self.corrected.total_cmp(&other.corrected).then(self.own.total_cmp(&other.own));
        class.then(p).then(self.number.cmp(&other.number))
    }
}

/// The first documents by rank. Memory is bounded by their numbers, and by that of the tokens shown.
#[derive(Debug, Default)]
pub(super) struct Kept {
    sections: BTreeMap<Rank, Document>,
    listed: BTreeMap<Rank, Document>,
}

impl Kept {
    pub fn note(&mut self, number: u64, mut document: Document) {
        let rank = Rank::of(&document.best, number);
        let full = self.sections.len() >= MOST_SECTIONS;
        if full && self.sections.last_key_value().is_some_and(|(last, _)| rank > *last) {
            self.list(rank, document);
            return;
        }
        document.cut(tokens_of_each(self.sections.len() + 1));
        self.sections.insert(rank, document);
        if self.sections.len() > MOST_SECTIONS
            && let Some((rank, document)) = self.sections.pop_last()
        {
            self.list(rank, document);
        }
    }

    fn list(&mut self, rank: Rank, mut document: Document) {
        document.best.shown = None;
        self.listed.insert(rank, document);
        if self.listed.len() > MOST_LISTED - MOST_SECTIONS {
            self.listed.pop_last();
        }
    }

    /// Cuts all texts alike, once all documents are there.
    pub fn settle(&mut self) {
        let most = tokens_of_each(self.sections.len());
        self.sections.values_mut().for_each(|document| document.cut(most));
    }

    pub fn sections(&self) -> impl Iterator<Item = &Document> {
        self.sections.values()
    }

    pub fn all(&self) -> impl Iterator<Item = &Document> {
        self.sections.values().chain(self.listed.values())
    }
}

fn tokens_of_each(sections: usize) -> usize {
    (ALL_TOKENS / sections.max(1)).clamp(LEAST_TOKENS, MOST_TOKENS)
}
