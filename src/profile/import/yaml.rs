//! YAML, as far as configurations need it: mappings, lists and scalars.
//!
//! Read from the parser's events, so that an alias is refused where it stands and never grows, and depth is bounded.
//! Plain scalars are what YAML 1.2's core schema says, and Python's `None` is null.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::ImportError;
use super::value::{MOST_DEPTH, Secret, Value, insert, is_number};

const FORMAT: &str = "YAML";

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Value, ImportError> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    let mut document = None;
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            _ if document.is_some() => return Err(fault(at, "there is a second document")),
            event => document = Some(reader.value(event, at, 0)?),
        }
    }
    Ok(document.unwrap_or(Value::Null))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ImportError> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            // The parser's own words could quote the file.
            Some(Err(error)) => {
                let at = error.marker();
                let why = "it cannot be read from here on";
                Err(ImportError::Syntax {
                    format: FORMAT,
                    line: at.line(),
                    column: at.col() + 1,
                    why,
                })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'a>, at: Span, depth: usize) -> Result<Value, ImportError> {
        if depth > MOST_DEPTH {
            return Err(ImportError::Depth { most: MOST_DEPTH });
        }
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(fault(at, "tags are not read")),
            Event::Scalar(text, ScalarStyle::Plain, 0, None) if is_octal(&text) => Err(fault(
                at,
                "a leading zero means octal to some readers; write the number without",
            )),
            Event::Scalar(text, style, 0, None) => Ok(scalar(text, style)),
            Event::SequenceStart(0, None) => self.list(depth),
            Event::MappingStart(0, None) => self.map(depth),
            _ => Err(fault(at, "anchors and aliases are not read; write the value out")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, ImportError> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(list)),
                (event, at) => list.push(self.value(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, ImportError> {
        let mut map = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Value::Map(map)),
                Event::Scalar(name, _, 0, None) => Secret::new(name.into_owned()),
                _ => return Err(fault(at, "a name is expected")),
            };
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            insert(&mut map, name, value)?;
        }
    }
}

/// Whether YAML 1.1 and 1.2 take a scalar for different numbers.
fn is_octal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|c| c.is_ascii_digit())
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(Secret::new(text.into_owned()));
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" | "None" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number if is_number(number) => Value::Number(Secret::new(text.into_owned())),
        _ => Value::Text(Secret::new(text.into_owned())),
    }
}

fn fault(at: Span, why: &'static str) -> ImportError {
    ImportError::Syntax { format: FORMAT, line: at.start.line(), column: at.start.col() + 1, why }
}
