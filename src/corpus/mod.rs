//! Documents from files, folders and standard input, one at a time.
//!
//! A bad record is an item of its own in the stream and does not stop the rest.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tokens::TokenId;

/// One text to be examined.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// From the record, or the file's name.
    pub id: String,
    /// The file, or `-` for standard input.
    pub source: String,
    /// Where in the source the record begins, in bytes.
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

/// Which fields of a record are read.
#[derive(Clone, Debug)]
pub struct Fields {
    /// The text.
    pub text: String,
    /// The record's name; the line number where it is missing.
    pub id: String,
    /// Token ids, read instead of the text where given.
    pub tokens: Option<String>,
    /// What the text answers.
    pub prompt: Option<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self { text: "text".into(), id: "id".into(), tokens: None, prompt: None }
    }
}

/// What a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The whole source is one document.
    Text,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// By the name's ending; text where it says nothing.
    pub fn of(path: &Path) -> Self {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["jsonl", "ndjson"].contains(&extension.to_ascii_lowercase().as_str()) {
            Self::Jsonl
        } else {
            Self::Text
        }
    }
}

/// The documents of `paths`, in order; folders are walked by name, leaving out what ignore files name and hidden files.
/// The path `-` is standard input, in the format given.
pub fn documents(paths: Vec<PathBuf>, stdin: Format, fields: Fields) -> Documents {
    Documents { paths: paths.into(), stdin, fields, open: None }
}

/// A stream of documents.
pub struct Documents {
    paths: VecDeque<PathBuf>,
    stdin: Format,
    fields: Fields,
    open: Option<Lines>,
}

impl Iterator for Documents {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(lines) = &mut self.open {
                if let Some(item) = lines.next(&self.fields) {
                    return Some(item);
                }
                self.open = None;
            }
            let path = self.paths.pop_front()?;
            match self.open_source(&path) {
                Ok(Some(document)) => return Some(Ok(document)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Documents {
    /// A source that is one document gives it; one of many is opened; a folder's files are put at the front.
    fn open_source(&mut self, path: &Path) -> Result<Option<Document>, DocumentError> {
        let source = path.display().to_string();
        let failed = |error| DocumentError::Read { source_name: source.clone(), error };
        let (format, reader): (Format, Box<dyn Read + Send>) = if source == "-" {
            (self.stdin, Box::new(std::io::stdin()))
        } else if path.is_dir() {
            self.walk(path);
            return Ok(None);
        } else {
            (Format::of(path), Box::new(File::open(path).map_err(failed)?))
        };
        match format {
            Format::Text => whole(reader, source).map(Some),
            Format::Jsonl => {
                self.open = Some(Lines {
                    reader: BufReader::new(reader),
                    source,
                    offset: 0,
                    number: 0,
                    failed: false,
                });
                Ok(None)
            }
        }
    }

    fn walk(&mut self, folder: &Path) {
        let entries = ignore::WalkBuilder::new(folder).sort_by_file_name(Ord::cmp).build();
        let files = entries
            .filter_map(Result::ok)
            .map(ignore::DirEntry::into_path)
            .filter(|path| path.is_file());
        let files: Vec<PathBuf> = files.collect();
        files.into_iter().rev().for_each(|file| self.paths.push_front(file));
    }
}

fn whole(mut reader: Box<dyn Read + Send>, source: String) -> Result<Document, DocumentError> {
    let mut bytes = Vec::new();
    if let Err(error) = reader.read_to_end(&mut bytes) {
        return Err(DocumentError::Read { source_name: source, error });
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let content = Content::Text(text);
            Ok(Document { id: source.clone(), source, offset: 0, content, prompt: None })
        }
        Err(error) => Err(DocumentError::Utf8 {
            source_name: source,
            valid: error.utf8_error().valid_up_to(),
        }),
    }
}

/// The records of one JSONL source.
struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    source: String,
    offset: u64,
    number: u64,
    failed: bool,
}

impl Lines {
    fn next(&mut self, fields: &Fields) -> Option<Result<Document, DocumentError>> {
        let mut line = Vec::new();
        while !self.failed {
            line.clear();
            let offset = self.offset;
            match self.reader.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(read) => self.offset += read as u64,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(DocumentError::Read {
                        source_name: self.source.clone(),
                        error,
                    }));
                }
            }
            self.number += 1;
            if !line.trim_ascii().is_empty() {
                return Some(self.record(&line, offset, fields));
            }
        }
        None
    }

    fn record(&self, line: &[u8], offset: u64, fields: &Fields) -> Result<Document, DocumentError> {
        let at = || (self.source.clone(), self.number);
        let mut record: Value = serde_json::from_slice(line).map_err(|error| {
            let (source_name, line) = at();
            DocumentError::Json { source_name, line, error }
        })?;
        let id = record_id(&record[&fields.id], self.number);
        let missing = |field: &str, expected| {
            let (source_name, line) = at();
            DocumentError::Field { source_name, line, field: field.to_owned(), expected }
        };
        let content = match &fields.tokens {
            Some(field) => serde_json::from_value(record[field].take())
                .map(Content::Tokens)
                .map_err(|_| missing(field, "a list of token ids"))?,
            None => match record[&fields.text].take() {
                Value::String(text) => Content::Text(text),
                _ => return Err(missing(&fields.text, "a text")),
            },
        };
        let prompt = match fields.prompt.as_ref().map(|field| (field, record[field].take())) {
            None => None,
            Some((_, Value::String(prompt))) => Some(prompt),
            Some((field, _)) => return Err(missing(field, "a text")),
        };
        Ok(Document { id, source: self.source.clone(), offset, content, prompt })
    }
}

/// The name of a record: its id, text or number, or else the number of its line.
pub fn record_id(id: &Value, line: u64) -> String {
    match id {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => line.to_string(),
    }
}

/// Why a document cannot be examined. The documents after it still can.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The source cannot be read.
    #[error("{source_name}: cannot be read: {error}")]
    Read {
        /// The source.
        source_name: String,
        /// Why.
        error: std::io::Error,
    },
    /// Not text.
    #[error(
        "{source_name}: not UTF-8 text (byte {valid} is not); binary files and other encodings are not read"
    )]
    Utf8 {
        /// The source.
        source_name: String,
        /// Number of bytes that are.
        valid: usize,
    },
    /// Not a JSON object.
    #[error("{source_name}, line {line}: not JSON: {error}")]
    Json {
        /// The source.
        source_name: String,
        /// Line number, from 1.
        line: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// The field that is to be examined is missing or of another kind.
    #[error(
        "{source_name}, line {line}: field \"{field}\" is not {expected}; name it with --text-field, --tokens-field or --prompt-field"
    )]
    Field {
        /// The source.
        source_name: String,
        /// Line number, from 1.
        line: u64,
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
}
