//! A JSON object a line.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde::de::{Error, Visitor};
use serde_json::Number;

use super::open::Opened;
use super::record::{Cell, Record};
use super::records::Numbered;
use super::{Document, DocumentError, Fields, Place, Reading};
use crate::tokens::TokenId;

/// The records of one source.
pub struct Lines {
    opened: Opened,
    reading: Reading,
    line: Vec<u8>,
    offset: u64,
    number: u64,
    /// Items so far.
    items: u64,
    ended: bool,
}

/// What reading a line came to.
enum Outcome {
    End,
    Line,
    TooLong,
}

impl Lines {
    pub fn new(opened: Opened, reading: Reading) -> Self {
        let offset = opened.left_out;
        Self { opened, reading, line: Vec::new(), offset, number: 0, items: 0, ended: false }
    }

    /// Reads a line into `line`; of a line beyond the limit, the rest is passed over.
    fn read(&mut self) -> io::Result<Outcome> {
        let limit = self.reading.max_document;
        self.line.clear();
        let bytes = &mut self.opened.bytes;
        let mut read =
            bytes.by_ref().take(limit as u64 + 1).read_until(b'\n', &mut self.line)? as u64;
        let whole = self.line.len() <= limit || self.line.ends_with(b"\n");
        if !whole {
            read += bytes.skip_until(b'\n')? as u64;
        }
        self.offset += read;
        self.number += u64::from(read > 0);
        Ok(match (read, whole) {
            (0, _) => Outcome::End,
            (_, true) => Outcome::Line,
            (_, false) => Outcome::TooLong,
        })
    }

    fn record(&self, offset: u64) -> Result<Document, DocumentError> {
        let (fields, source) = (&self.reading.fields, &self.opened.name);
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        let record = Wanted(fields).deserialize(&mut json);
        let record = record.and_then(|record| json.end().map(|()| record));
        let record = record.map_err(|error| DocumentError::Json {
            source_name: source.clone(),
            line: self.number,
            error,
        })?;
        let document = record.document(fields, source, Place::Line(self.number), offset)?;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Document { line: self.reading.keep_lines.then(|| line.into()), ..document })
    }
}

impl Iterator for Lines {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let offset = self.offset;
            match self.read() {
                Ok(Outcome::End) => self.ended = true,
                Ok(Outcome::Line) if self.line.trim_ascii().is_empty() => {}
                Ok(Outcome::Line) => {
                    self.items += 1;
                    return Some(self.record(offset));
                }
                Ok(Outcome::TooLong) => {
                    self.items += 1;
                    return Some(Err(DocumentError::TooLong {
                        source_name: self.opened.name.clone(),
                        place: Place::Line(self.number),
                        limit: self.reading.max_document,
                    }));
                }
                Err(error) => {
                    self.ended = true;
                    self.items += 1;
                    let source_name = self.opened.name.clone();
                    return Some(Err(DocumentError::Read { source_name, error }));
                }
            }
        }
        None
    }
}

impl Numbered for Lines {
    fn number(&self) -> u64 {
        self.items.saturating_sub(1)
    }

    fn skip_to(&mut self, number: u64) {
        while !self.ended && self.items < number {
            match self.read() {
                Ok(Outcome::End) | Err(_) => self.ended = true,
                Ok(Outcome::Line) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => self.items += 1,
            }
        }
    }
}

/// Reads the fields that are wanted and passes over all others, so that a record needs little more memory than its line.
struct Wanted<'a>(&'a Fields);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Record, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let (fields, mut record) = (self.0, Record::default());
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let is = |field: &Option<String>| field.as_deref() == Some(&*key);
            let text = fields.tokens.is_none() && fields.text == key;
            // One field may be read as more than one thing.
            let mut places = [
                (fields.id == key, &mut record.id),
                (text, &mut record.text),
                (is(&fields.tokens), &mut record.tokens),
                (is(&fields.prompt), &mut record.prompt),
            ];
            if !places.iter().any(|(wanted, _)| *wanted) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let cell: Cell = map.next_value()?;
            for (_, place) in places.iter_mut().filter(|(wanted, _)| *wanted) {
                place.clone_from(&cell);
            }
        }
        Ok(record)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyCell)
    }
}

struct AnyCell;

impl<'de> Visitor<'de> for AnyCell {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Cell, E> {
        Ok(Cell::Other("true or false".into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Cell, E> {
        Ok(Cell::Number(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Number(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Cell, E> {
        Ok(match Number::from_f64(number) {
            Some(number) => Cell::Number(number.to_string()),
            None => Cell::Other("not a finite number".into()),
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("an object".into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        let mut ids = Vec::new();
        while let Some(Element(id)) = list.next_element()? {
            let Some(id) = id else {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Cell::Other("a list with something else than token ids".into()));
            };
            ids.push(id);
        }
        Ok(Cell::Ids(ids))
    }
}

/// A token id, or something else.
struct Element(Option<TokenId>);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyElement)
    }
}

struct AnyElement;

impl<'de> Visitor<'de> for AnyElement {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Element, E> {
        Ok(Element(TokenId::try_from(number).ok()))
    }

    fn visit_unit<E: Error>(self) -> Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Element(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Element(None))
    }
}
