//! The records of one source, numbered, so that reading can begin in the middle.

use std::path::Path;

use super::{
    Document, DocumentError, Format, Reading, arrow, csv, jsonl, open, parquet, rows, text,
};

/// What reads the records of one form.
pub(super) trait Numbered: Iterator<Item = Result<Document, DocumentError>> + Send {
    /// Number of the item that was given last.
    fn number(&self) -> u64;

    /// Leaves out items of smaller numbers, without making documents of them.
    fn skip_to(&mut self, number: u64);
}

/// The records of one source, or what is wrong with them.
///
/// Items have numbers from 0 that never descend: the row of a Parquet file, elsewhere the count of items before. They are a
/// function of the source's bytes alone, wherever reading begins.
pub struct Records(Box<dyn Numbered>);

impl Records {
    /// Opens a source; `-` is standard input. One that cannot be opened is a single item that says so.
    pub fn open(path: &Path, reading: &Reading) -> Self {
        Self(numbered(path, reading).unwrap_or_else(|error| Box::new(One::new(Err(error)))))
    }

    /// Number of the item that was given last; 0 before the first.
    pub fn number(&self) -> u64 {
        self.0.number()
    }

    /// Leaves out items whose number is below `number`. This costs no more than finding where they end: Parquet passes over
    /// whole row groups, lines are not parsed.
    pub fn skip_to(&mut self, number: u64) {
        self.0.skip_to(number);
    }
}

impl Iterator for Records {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn numbered(path: &Path, reading: &Reading) -> Result<Box<dyn Numbered>, DocumentError> {
    let opened = open::open(path, reading)?;
    let reading = reading.clone();
    let name = opened.name.clone();
    Ok(match opened.format {
        Format::Text => Box::new(One::new(text::whole(opened, reading.max_document))),
        Format::Jsonl => Box::new(jsonl::Lines::new(opened, reading)),
        Format::Csv => Box::new(csv::Rows::new(opened, b',', reading)?),
        Format::Tsv => Box::new(csv::Rows::new(opened, b'\t', reading)?),
        Format::Parquet => {
            drop(opened);
            let read = reading.read.clone();
            let open = |fields: &_| parquet::Batches::new(path, fields, read);
            Box::new(rows::Rows::new(name, reading, open)?)
        }
        Format::Arrow => {
            Box::new(rows::Rows::new(name, reading, |fields| arrow::Batches::new(opened, fields))?)
        }
    })
}

/// The only item of a source.
struct One(Option<Box<Result<Document, DocumentError>>>);

impl One {
    fn new(item: Result<Document, DocumentError>) -> Self {
        Self(Some(Box::new(item)))
    }
}

impl Iterator for One {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|item| *item)
    }
}

impl Numbered for One {
    fn number(&self) -> u64 {
        0
    }

    fn skip_to(&mut self, number: u64) {
        if number > 0 {
            self.0 = None;
        }
    }
}
