//! A record, whatever it was written in.

use std::borrow::Cow;

use serde_json::Value;

use super::{Content, Document, DocumentError, Fields, Place};
use crate::tokens::TokenId;

/// A value in a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    #[default]
    Missing,
    Null,
    Text(String),
    /// As it is written.
    Number(String),
    Ids(Vec<TokenId>),
    /// What it is.
    Other(Cow<'static, str>),
}

impl Cell {
    fn found(&self) -> String {
        let found = match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Ids(_) => "a list of numbers",
            Self::Other(found) => found,
        };
        found.to_owned()
    }
}

/// What is read of a record.
#[derive(Default)]
pub struct Record {
    pub id: Cell,
    pub text: Cell,
    pub tokens: Cell,
    pub prompt: Cell,
}

impl Record {
    /// The document it describes.
    pub fn document(
        self,
        fields: &Fields,
        source: &str,
        place: Place,
        offset: u64,
    ) -> Result<Document, DocumentError> {
        let wrong = |field: &str, expected, found: &Cell| DocumentError::Field {
            source_name: source.to_owned(),
            place,
            field: field.to_owned(),
            expected,
            found: found.found(),
        };
        let text = |field: &str, cell| match cell {
            Cell::Text(text) => Ok(text),
            cell => Err(wrong(field, "a text", &cell)),
        };
        let content = match (&fields.tokens, self.tokens) {
            (None, _) => Content::Text(text(&fields.text, self.text)?),
            (Some(_), Cell::Ids(ids)) => Content::Tokens(ids),
            (Some(field), cell) => return Err(wrong(field, "a list of token ids", &cell)),
        };
        let prompt = fields.prompt.as_ref().map(|field| text(field, self.prompt)).transpose()?;
        let id = match (self.id, place) {
            (Cell::Text(id) | Cell::Number(id), _) => id,
            (_, Place::Line(number) | Place::Row(number)) => number.to_string(),
            (_, Place::Whole) => source.to_owned(),
        };
        Ok(Document { id, source: source.to_owned(), offset, content, prompt, line: None })
    }
}

/// The name of a JSON record: its id, text or number, or else the number of its line.
pub fn record_id(id: &Value, line: u64) -> String {
    match id {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => line.to_string(),
    }
}
