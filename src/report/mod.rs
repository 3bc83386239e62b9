//! What was found, as one HTML file that needs nothing else: put before people who have to decide.
//!
//! [`Report`] takes what was found in documents, one after the other, and [`Report::write`] writes the page. Memory does not
//! grow with the number of documents: those that speak most for a mark are kept, the others are counted. Equal input
//! gives equal bytes.
//!
//! [`write_attributions`] makes such a page of tests whether models were trained on marked text.

mod attribution;
mod axis;
mod bench;
mod escape;
mod finding;
mod frame;
mod kept;
mod page;
mod plots;
mod section;
mod tally;
mod tokens;
mod words;

use std::io::{self, Write};

pub use attribution::write_attributions;
pub use bench::{bench_pictures, bench_tables, write_bench};
pub use finding::Finding;
pub use kept::{MOST_LISTED, MOST_SECTIONS, MOST_TOKENS};

use kept::{Document, Kept};
use tally::Tally;

/// What the rows do not say.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// When the report was made, in words.
    pub date: String,
    /// What marked text would give.
    pub expected: Vec<Expected>,
    /// How verdicts were made over all documents, where they were.
    pub finishing: Option<Finishing>,
}

/// The p-value to expect of text marked throughout at a profile's reference strength.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The profile.
    pub profile: String,
    /// Where that strength comes from, in words.
    pub source: String,
    /// Tokens that count, ascending, and log₁₀ of the corrected p-value.
    pub points: Vec<(u64, f64)>,
}

/// The last step over the rows of all runs.
#[derive(Clone, Debug)]
pub struct Finishing {
    /// The false discovery rate.
    pub fdr: f64,
    /// The procedure and why it was taken, in words.
    pub procedure: String,
}

/// Takes what was found, and writes it as a page.
#[derive(Debug)]
pub struct Report {
    head: Head,
    tally: Tally,
    kept: Kept,
}

impl Report {
    /// A report without documents.
    pub fn new(head: Head) -> Self {
        Self { head, tally: Tally::default(), kept: Kept::default() }
    }

    /// Takes the next document: what was found of each mark that was looked for.
    pub fn document(&mut self, findings: Vec<Finding>) {
        findings.iter().for_each(|finding| self.tally.note_mark(finding));
        let Some(document) = Document::new(findings) else { return };
        self.tally.note(&document);
        self.kept.note(self.tally.documents, document);
    }

    /// Notes a document that could not be examined and has no row.
    pub fn failed(&mut self) {
        self.tally.failed += 1;
    }

    /// Writes the page.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(mut self, out: &mut impl Write) -> Result<(), ReportError> {
        self.kept.settle();
        let page = page::Page { head: &self.head, tally: &self.tally, kept: &self.kept };
        page.write(out)
    }
}

/// Why a page could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file takes no more.
    #[error("the report could not be written")]
    Write(#[from] io::Error),
    /// A picture could not be drawn.
    #[error(
        "internal fault: a picture of the report could not be drawn: {why}; please report this"
    )]
    Picture {
        /// Why.
        why: String,
    },
    /// A line-up has p-values that are none.
    #[error("the line-up cannot be shown; do it again")]
    LineUp(#[from] crate::stats::StatsError),
}

impl ReportError {
    fn picture(error: impl std::fmt::Display) -> Self {
        Self::Picture { why: error.to_string() }
    }
}
