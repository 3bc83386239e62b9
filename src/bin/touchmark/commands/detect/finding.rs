//! What is written of one document.

use std::borrow::Cow;

use serde_json::{Value, json};
use touchmark::corpus::{Content, Document, DocumentError};
use touchmark::detect::{Row, Shown, Verdict};

use super::attributes;
use super::reader::{Examined, Reader};
use super::share::{Item, Place};
use crate::args::Filter;
use crate::output;

/// What is asked for beside rows.
#[derive(Clone, Copy, Default)]
pub struct Wants {
    pub filter: Option<Filter>,
    pub attributes: Option<attributes::Names>,
}

/// What is written of one document that was examined.
#[derive(Default)]
pub struct Finding {
    pub rows: Vec<Row>,
    /// The text with its tokens' evidence for each row, for `--explain` and the report.
    pub shown: Vec<Shown>,
    /// With `--filter` the document's own record and its line's end, or nothing where it is not let through.
    pub record: Option<Vec<u8>>,
    /// A line of the attribute file.
    pub attributes: Option<String>,
}

/// A document that could not be examined, or a source that could not be read.
pub struct Failure {
    pub words: String,
    /// A line of the attribute file, so that its lines stay those of the documents.
    pub attributes: Option<String>,
}

/// What came of an item.
pub struct Outcome {
    pub place: Place,
    pub result: Result<Finding, Failure>,
}

impl Finding {
    /// The rows as JSON lines.
    pub fn lines(&self) -> serde_json::Result<String> {
        let lines = self.rows.iter().map(|row| serde_json::to_string(row).map(|row| row + "\n"));
        lines.collect()
    }

    /// What a shard keeps: the document's record, or else the rows as JSON lines.
    pub fn body(&self) -> serde_json::Result<Cow<'_, [u8]>> {
        match &self.record {
            Some(record) => Ok(record.into()),
            None => Ok(self.lines()?.into_bytes().into()),
        }
    }

    pub fn is_detected(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Detected)
    }

    pub fn tokens(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.tokens_total as u64)
    }
}

impl Outcome {
    /// A line of the attribute file.
    pub fn attributes(&self) -> Option<&str> {
        match &self.result {
            Ok(finding) => finding.attributes.as_deref(),
            Err(failure) => failure.attributes.as_deref(),
        }
    }

    pub fn tokens(&self) -> u64 {
        self.result.as_ref().map_or(0, Finding::tokens)
    }
}

/// Examines an item; a panic is a fault of the program and passes through.
pub fn examine(reader: &Reader, wants: Wants, item: Item) -> Outcome {
    let place = item.place;
    let result = match item.document {
        Err(error) => Err(unread(wants, &error)),
        Ok(document) => reader
            .examine(&document)
            .map_err(|error| {
                let attributes = wants.attributes.map(|_| attributes::empty(Some(&document.id)));
                Failure { words: output::causes(&error), attributes }
            })
            .map(|examined| finding(wants, &document, examined)),
    };
    Outcome { place, result }
}

fn unread(wants: Wants, error: &DocumentError) -> Failure {
    let has_line = wants.attributes.is_some() && error.is_of_record();
    Failure { words: error.to_string(), attributes: has_line.then(|| attributes::empty(None)) }
}

fn finding(wants: Wants, document: &Document, examined: Examined) -> Finding {
    let mut finding = Finding { rows: examined.rows, shown: examined.shown, ..Finding::default() };
    finding.record = wants.filter.map(|filter| match (filter, finding.is_detected()) {
        (Filter::Keep, true) | (Filter::Drop, false) => record(document),
        _ => Vec::new(),
    });
    finding.attributes = wants.attributes.map(|names| names.line(document, &finding.rows));
    finding
}

/// The record as it was read; where it was no line of JSON, as one.
fn record(document: &Document) -> Vec<u8> {
    let mut line = match &document.line {
        Some(line) => line.to_vec(),
        None => as_json(document).to_string().into_bytes(),
    };
    line.push(b'\n');
    line
}

fn as_json(document: &Document) -> Value {
    let mut record = json!({"id": document.id});
    match &document.content {
        Content::Text(text) => record["text"] = json!(text),
        Content::Tokens(ids) => record["tokens"] = json!(ids),
    }
    if let Some(prompt) = &document.prompt {
        record["prompt"] = json!(prompt);
    }
    record["source"] = json!(document.source);
    record
}
