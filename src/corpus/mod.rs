//! Documents from files, folders and standard input, one at a time.
//!
//! | form | ending | records | `offset` of a document |
//! |---|---|---|---|
//! | text | `.txt`, `.md`, any other | the whole source | bytes |
//! | JSON lines | `.jsonl`, `.ndjson` | an object a line | bytes |
//! | CSV, TSV | `.csv`, `.tsv` | a row under a row of names, quoted as in RFC 4180 | bytes |
//! | Parquet | `.parquet` | a row | rows before it |
//! | Arrow IPC, stream or file | `.arrow`, `.arrows`, `.feather` | a row | rows before it |
//!
//! All but Parquet may be packed with gzip or zstd (`.jsonl.gz`, `.txt.zst`); bytes are then counted in what is unpacked.
//! Packing is told by a source's first bytes, and so are Parquet and Arrow files whose names say nothing. Text is UTF-8; a
//! byte order mark is left out, NUL is a character like any other.
//!
//! Memory does not grow with the size of a source: it is a few times [`Reading::max_document`], for Parquet the pages
//! that some eight megabytes of rows lie in, for Arrow one record batch. A bad record is an item of its own in the stream
//! and does not stop the rest.

mod arrow;
mod columns;
mod csv;
mod error;
mod format;
mod jsonl;
mod list;
mod open;
mod parquet;
mod record;
mod rows;
mod sources;
mod text;
mod walk;

pub use error::{DocumentError, Place};
pub use format::Format;
pub use record::record_id;
pub use sources::{Sources, sources};

use std::path::{Path, PathBuf};

use crate::tokens::TokenId;

/// One text to be examined.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// From the record, or the file's name.
    pub id: String,
    /// The file, or `-` for standard input.
    pub source: String,
    /// Where in the source the record begins: bytes before it, or rows before it where the form has columns.
    pub offset: u64,
    /// What is examined.
    pub content: Content,
    /// What the text answers, where it was asked for and given.
    pub prompt: Option<String>,
}

/// A document's text, or ids that were kept when it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Token ids.
    Tokens(Vec<TokenId>),
}

/// Which fields of a record are read. A column is a field of all rows.
#[derive(Clone, Debug)]
pub struct Fields {
    /// The text.
    pub text: String,
    /// The record's name, a text or a number. The number of its line or row, from 1, where it is missing or neither.
    pub id: String,
    /// Token ids, read instead of the text where given: a list; in CSV `[1, 2]` or `1 2`.
    pub tokens: Option<String>,
    /// What the text answers.
    pub prompt: Option<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self { text: "text".into(), id: "id".into(), tokens: None, prompt: None }
    }
}

/// How sources are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What standard input holds.
    pub stdin: Format,
    /// What is read of a record.
    pub fields: Fields,
    /// Most bytes of a text, of a line of JSON, and of what is read of a row. A longer one is an error and is skipped
    /// without being held in memory.
    pub max_document: usize,
}

impl Default for Reading {
    /// Documents of up to 64 MiB, fields `text` and `id`.
    fn default() -> Self {
        Self { stdin: Format::Text, fields: Fields::default(), max_document: 64 << 20 }
    }
}

/// The records of one source.
type Records = Box<dyn Iterator<Item = Result<Document, DocumentError>> + Send>;

/// The documents of `sources`, in order; those of [`sources`], or a share of them. The path `-` is standard input.
pub fn documents<S>(sources: S, reading: Reading) -> Documents<S::IntoIter>
where
    S: IntoIterator<Item = Result<PathBuf, DocumentError>>,
{
    Documents { sources: sources.into_iter(), reading, records: None }
}

/// A stream of documents.
pub struct Documents<S> {
    sources: S,
    reading: Reading,
    records: Option<Records>,
}

impl<S: Iterator<Item = Result<PathBuf, DocumentError>>> Iterator for Documents<S> {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.records.as_mut().and_then(Iterator::next) {
                return Some(item);
            }
            self.records = None;
            let records = self.sources.next()?.and_then(|path| records(&path, &self.reading));
            match records {
                Ok(records) => self.records = Some(records),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Opens a source.
fn records(path: &Path, reading: &Reading) -> Result<Records, DocumentError> {
    let opened = open::open(path, reading.stdin)?;
    let reading = reading.clone();
    let name = opened.name.clone();
    Ok(match opened.format {
        Format::Text => Box::new(std::iter::once(text::whole(opened, reading.max_document))),
        Format::Jsonl => Box::new(jsonl::Lines::new(opened, reading)),
        Format::Csv => Box::new(csv::Rows::new(opened, b',', reading)?),
        Format::Tsv => Box::new(csv::Rows::new(opened, b'\t', reading)?),
        Format::Parquet => {
            drop(opened);
            Box::new(rows::Rows::new(name, reading, |fields| parquet::Batches::new(path, fields))?)
        }
        Format::Arrow => {
            Box::new(rows::Rows::new(name, reading, |fields| arrow::Batches::new(opened, fields))?)
        }
    })
}
