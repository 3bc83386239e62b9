//! From rows of many runs to q-values over all documents: what is noted of each row, and what it comes to.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Verdict;
use super::report::Row;
use crate::stats::{Correction, LogP, StepUp};

/// What finishing reads of a row.
#[derive(Debug, Deserialize)]
pub struct Brief<'a> {
    schema: u32,
    /// The document.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Where it was read.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Where in the source it begins, in bytes.
    pub offset: u64,
    #[serde(borrow)]
    profile: Cow<'a, str>,
    #[serde(borrow)]
    key_id: Cow<'a, str>,
    verdict: Verdict,
    log10_p_corrected: LogP,
    narrow_seeds: Option<bool>,
    calibrated: Option<bool>,
    log10_q: Option<IgnoredAny>,
}

/// Of a row whose other fields this version need not know.
#[derive(Deserialize)]
struct Version {
    schema: Option<u32>,
}

impl<'a> Brief<'a> {
    /// Reads a row, one JSON object.
    ///
    /// # Errors
    /// [`RowError`]: not a row, a row of another schema, or one that has its q-value already.
    pub fn parse(line: &'a [u8]) -> Result<Self, RowError> {
        let brief: Self = serde_json::from_slice(line).map_err(|error| {
            let version = serde_json::from_slice::<Version>(line).ok();
            match version.and_then(|version| version.schema) {
                Some(got) if got != Row::SCHEMA => RowError::Schema { got },
                _ => RowError::Json { error },
            }
        })?;
        if brief.schema != Row::SCHEMA {
            return Err(RowError::Schema { got: brief.schema });
        }
        if brief.log10_q.is_some() {
            return Err(RowError::Finished);
        }
        Ok(brief)
    }

    /// Which document the row is of, as 64 bits: equal for equal documents, and different ones share them rarely.
    pub fn document(&self) -> u64 {
        hash(&(&self.source, self.offset, &self.id))
    }

    /// What was looked for, in the same way.
    pub fn target(&self) -> u64 {
        hash(&(&self.profile, &self.key_id))
    }

    /// Whether the document was examined for this profile.
    fn is_tested(&self) -> bool {
        self.verdict != Verdict::Error
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Goes through all rows once. It keeps 16 bytes a document: its p-value, and its name as 64 bits.
///
/// A document's p-value is the smallest of its rows' corrected ones, which have paid for all profiles and keys of the run. Its
/// rows lie together, in one file.
#[derive(Debug, Default)]
pub struct Census {
    p: Vec<LogP>,
    documents: Vec<u64>,
    rows: u64,
    narrow: bool,
    calibrated: bool,
    unknown: bool,
    open: Option<Open>,
    twice: Vec<u64>,
}

/// The document whose rows are being read.
#[derive(Debug)]
struct Open {
    document: u64,
    p: Option<LogP>,
    targets: HashSet<u64>,
}

impl Census {
    /// Takes the next row of a file.
    pub fn note(&mut self, row: &Brief<'_>) {
        self.rows += 1;
        let (document, target) = (row.document(), row.target());
        if self.open.as_ref().is_none_or(|open| open.document != document) {
            self.end_of_file();
            self.open = Some(Open { document, p: None, targets: HashSet::new() });
        }
        let Some(open) = &mut self.open else { return };
        if !open.targets.insert(target) {
            self.twice.push(document);
        }
        if row.is_tested() {
            let p = row.log10_p_corrected;
            open.p = Some(open.p.map_or(p, |smallest| smallest.min(p)));
            let calibrated = row.calibrated == Some(true);
            self.narrow |= row.narrow_seeds == Some(true) && !calibrated;
            self.calibrated |= row.narrow_seeds == Some(true) && calibrated;
            self.unknown |= row.narrow_seeds.is_none();
        }
    }

    /// Between two files: the rows of one document do not go on in another.
    pub fn end_of_file(&mut self) {
        if let Some(open) = self.open.take() {
            self.documents.push(open.document);
            self.p.extend(open.p);
        }
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Names, as [`Brief::document`] gives them, that came more than once, ascending. They may still be of documents that
    /// differ: of 50 million documents with probability 7·10⁻⁵. Forgets all names.
    pub fn repeated(&mut self) -> Vec<u64> {
        self.end_of_file();
        let mut documents = std::mem::take(&mut self.documents);
        documents.sort_unstable();
        let mut repeated = std::mem::take(&mut self.twice);
        repeated.extend(documents.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
        repeated.sort_unstable();
        repeated.dedup();
        repeated
    }

    /// The procedure that the rows ask for, and why in words: Benjamini–Hochberg, but Benjamini–Yekutieli where a profile's
    /// seeds read at most one token. Texts that share frequent words then share fortunes, for good or ill: they depend on each
    /// other through the key. A calibrated key is taken as given, and of a given key documents that are drawn independently are
    /// independent; what it costs is that the rate then is that of this key, known as far as the calibration goes.
    pub fn correction(&self) -> (Correction, &'static str) {
        let any = Correction::BenjaminiYekutieli;
        match (self.narrow, self.unknown, self.calibrated) {
            (true, ..) => (
                any,
                "a profile's seeds read at most one token, so that documents depend on each other",
            ),
            (_, true, _) => (any, "rows do not say how much their seeds read"),
            (.., true) => (Correction::BenjaminiHochberg, CALIBRATED),
            _ => (Correction::BenjaminiHochberg, "all seeds read two tokens or more"),
        }
    }

    /// The q-values over all documents that were examined.
    pub fn finish(mut self, correction: Correction) -> StepUp {
        self.end_of_file();
        StepUp::new(self.p, correction)
    }
}

const CALIBRATED: &str = "keys whose seeds read at most one token are calibrated, so that for these keys documents are independent if \
                          they were drawn so and are of the kind that was calibrated on; below 0.1 % no calibration vouches for a key";

/// What a row gains: `log10_q`, of rows that could be examined, and `fdr_verdict` at the level asked for.
///
/// A row that is not discovered keeps `insufficient_evidence` where that was its verdict.
pub fn finished(row: &Brief<'_>, documents: &StepUp, level: LogP) -> (Option<LogP>, Verdict) {
    if !row.is_tested() {
        return (None, Verdict::Error);
    }
    let q = documents.q(row.log10_p_corrected);
    let verdict = match row.verdict {
        _ if q <= level => Verdict::Detected,
        Verdict::InsufficientEvidence => Verdict::InsufficientEvidence,
        _ => Verdict::NotDetected,
    };
    (Some(q), verdict)
}

/// Why a line is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// Not JSON, or without a field that a row has.
    #[error("not a row of `detect --format jsonl`: {error}")]
    Json {
        /// Why.
        error: serde_json::Error,
    },
    /// A version this program does not know.
    #[error("a row of schema {got}; this version of touchmark reads schema {known}", known = Row::SCHEMA)]
    Schema {
        /// What was read.
        got: u32,
    },
    /// It has its q-value.
    #[error("a row with a q-value already; give the rows that `detect` wrote, of all runs at once")]
    Finished,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, profile: &str, log10_p: f64, narrow: bool) -> String {
        serde_json::json!({
            "schema": 1, "id": id, "source": "a.jsonl", "offset": 0, "profile": profile, "key_id": "k", "verdict": "not_detected",
            "log10_p_corrected": log10_p, "narrow_seeds": narrow,
        })
        .to_string()
    }

    fn census(lines: &[String]) -> Census {
        let mut census = Census::default();
        lines.iter().for_each(|line| census.note(&Brief::parse(line.as_bytes()).unwrap()));
        census
    }

    #[test]
    fn a_document_is_as_good_as_its_best_row() {
        let rows = [("a", "p", -3.0), ("a", "q", -400.0), ("b", "p", -2.0), ("b", "q", 0.0)];
        let lines: Vec<String> = rows.map(|(id, profile, p)| line(id, profile, p, false)).into();
        let mut census = census(&lines);
        assert!(census.repeated().is_empty());
        assert_eq!(census.correction().0, Correction::BenjaminiHochberg);
        let documents = census.finish(Correction::BenjaminiHochberg);
        let sorted: Vec<f64> = documents.sorted().iter().map(|p| p.log10()).collect();
        assert_eq!(sorted, [-400.0, -2.0]);
        let level = LogP::from_p(0.01).unwrap();
        let verdicts = lines
            .iter()
            .map(|line| finished(&Brief::parse(line.as_bytes()).unwrap(), &documents, level).1);
        use Verdict::{Detected, NotDetected};
        // Row 1 by the document that row 2 selected: its p is below 1/2 of 1 %. Row 3 has q = 0.01.
        assert_eq!(verdicts.collect::<Vec<_>>(), [Detected, Detected, Detected, NotDetected]);
    }

    #[test]
    fn a_document_that_comes_again_is_noticed() {
        let repeated = |ids: &[&str]| {
            let lines: Vec<String> = ids.iter().map(|id| line(id, "p", -1.0, false)).collect();
            census(&lines).repeated().len()
        };
        assert_eq!(repeated(&["a", "b", "c"]), 0);
        assert_eq!(repeated(&["a", "b", "a"]), 1);
        assert_eq!(repeated(&["a", "a", "b"]), 1);
    }

    #[test]
    fn narrow_seeds_cost_more() {
        let wide = line("a", "p", -1.0, false);
        let census_of = |other: String| census(&[wide.clone(), other]).correction().0;
        assert_eq!(census_of(line("b", "p", -1.0, true)), Correction::BenjaminiYekutieli);
        let given = |calibrated: bool| {
            let row = line("b", "p", -1.0, true);
            census_of(row.replace("\"narrow", &format!("\"calibrated\":{calibrated},\"narrow")))
        };
        assert_eq!(given(true), Correction::BenjaminiHochberg);
        assert_eq!(given(false), Correction::BenjaminiYekutieli);
        let silent = line("b", "p", -1.0, true).replace("narrow_seeds", "other");
        assert_eq!(census_of(silent), Correction::BenjaminiYekutieli);
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let parse = |line: &str| Brief::parse(line.as_bytes()).map(|_| ());
        let row = line("a", "p", -1.0, false);
        assert!(parse(&row).is_ok());
        assert!(matches!(parse(&row[..row.len() - 9]), Err(RowError::Json { .. })));
        assert!(matches!(parse(&row.replace("-1.0", "1.0")), Err(RowError::Json { .. })));
        assert!(matches!(parse(r#"{"schema":7,"x":1}"#), Err(RowError::Schema { got: 7 })));
        let finished = row.replace("\"schema\"", "\"log10_q\":-2,\"schema\"");
        assert!(matches!(parse(&finished), Err(RowError::Finished)));
    }
}
