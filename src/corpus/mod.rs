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
//!
//! [`documents`] reads many sources; [`Records`] one, from any record on. [`table`] and [`Packed`] write.

mod arrow;
mod columns;
mod csv;
mod error;
mod format;
mod jsonl;
mod list;
mod open;
mod pack;
mod parquet;
mod record;
mod records;
mod rows;
mod sources;
pub mod table;
mod text;
mod walk;

pub use error::{DocumentError, Place};
pub use format::Format;
pub use pack::{Packed, Packing};
pub use record::record_id;
pub use records::Records;
pub use sources::{Sources, sources};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    /// Its line of JSON as it is, without the line's end, where that was asked for.
    pub line: Option<Box<[u8]>>,
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
    /// Whether documents keep their lines of JSON.
    pub keep_lines: bool,
    /// Grows by the bytes of files that have been read, as they are packed.
    pub read: Option<Arc<AtomicU64>>,
}

impl Default for Reading {
    /// Documents of up to 64 MiB, fields `text` and `id`.
    fn default() -> Self {
        Self {
            stdin: Format::Text,
            fields: Fields::default(),
            max_document: 64 << 20,
            keep_lines: false,
            read: None,
        }
    }
}

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
            match self.sources.next()? {
                Ok(path) => self.records = Some(Records::open(&path, &self.reading)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
