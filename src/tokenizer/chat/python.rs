//! Values as Python writes them: `str`, `repr` and `json.dumps`.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Deeper values than this are refused: Python gives up at its own recursion limit.
pub const MAX_DEPTH: usize = 100;

/// What `str.isspace` holds to be white space.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.rstrip()`.
pub fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

pub fn type_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Python's name for a value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        ValueKind::Iterable => "generator",
        _ => "object",
    }
}

/// `str(value)`; undefined is empty, as in jinja2.
pub fn str(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut out = String::new();
    repr(value, &mut out, 0)?;
    Ok(out)
}

/// Appends `repr(value)`.
fn repr(value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
    bounded(depth)?;
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => repr_str(value.as_str().unwrap_or_default(), out),
        ValueKind::Number if !value.is_integer() => out.push_str(&float(value)),
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()? {
                out.push_str(if count > 0 { ", " } else { "" });
                repr(&item, out, depth + 1)?;
                count += 1;
            }
            out.push_str(match (tuple, count) {
                (true, 1) => ",)",
                (true, _) => ")",
                _ => "]",
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                repr(&key, out, depth + 1)?;
                out.push_str(": ");
                repr(&value.get_item(&key)?, out, depth + 1)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// A level of nesting, refused when there are too many.
pub fn bounded(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(type_error(format!("a value is nested more than {MAX_DEPTH} deep")));
    }
    Ok(())
}

fn repr_str(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            _ => {
                let code = c as u32;
                // Writing to a string cannot fail.
                let _ = match code {
                    0..0x100 => write!(out, "\\x{code:02x}"),
                    0x100..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// `str.isprintable` of a character. Rust's tables follow the same rule but for marks that extend the character before
/// them, which `str::escape_debug` leaves alone after a first character.
fn is_printable(c: char) -> bool {
    matches!(c, '\'' | '"' | '\\')
        || ['a', c].iter().collect::<String>().escape_debug().skip(1).eq([c])
}

/// `repr` of a float.
fn float(value: &Value) -> String {
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), repr_f64)
}

/// The shortest digits that read back as the number, with an exponent where Python writes one.
pub fn repr_f64(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{number:?}")
}

/// How `json.dumps` writes.
pub struct Json {
    pub ensure_ascii: bool,
    pub indent: Option<String>,
    /// Between items, and between a key and its value.
    pub separators: (String, String),
    pub sort_keys: bool,
}

impl Json {
    /// `json.dumps(value)`, appended.
    pub fn dump(&self, value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
        bounded(depth)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq => {
                let items: Vec<Value> = value.try_iter()?.collect();
                let write =
                    |json: &Self, item: &Value, out: &mut String| json.dump(item, out, depth + 1);
                self.wrapped(('[', ']'), &items, depth, out, write)?;
            }
            ValueKind::Map => self.map(value, depth, out)?,
            _ => {
                let name = type_name(value);
                return Err(type_error(format!("a value of type {name} cannot become JSON")));
            }
        }
        Ok(())
    }

    fn map(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        self.wrapped(('{', '}'), &keys, depth, out, |json, key, out| {
            match key.kind() {
                ValueKind::String => json.text(key.as_str().unwrap_or_default(), out),
                ValueKind::None => out.push_str("\"null\""),
                ValueKind::Bool if key.is_true() => out.push_str("\"true\""),
                ValueKind::Bool => out.push_str("\"false\""),
                ValueKind::Number => out.push_str(&format!("\"{}\"", number(key))),
                _ => return Err(type_error("a key of a JSON object must be text or a number")),
            }
            out.push_str(&json.separators.1);
            json.dump(&value.get_item(key)?, out, depth + 1)
        })
    }

    /// Items between brackets, on lines of their own where there is an indent.
    fn wrapped(
        &self,
        (open, close): (char, char),
        items: &[Value],
        depth: usize,
        out: &mut String,
        write: impl Fn(&Self, &Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        let line = |depth: usize, out: &mut String| {
            if let (Some(indent), false) = (&self.indent, items.is_empty()) {
                out.push('\n');
                out.extend(std::iter::repeat_n(indent.as_str(), depth));
            }
        };
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.separators.0);
            }
            line(depth + 1, out);
            write(self, item, out)?;
        }
        line(depth, out);
        out.push(close);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\0'..' ' => escape(c, out),
                '\x7f'.. if self.ensure_ascii => escape(c, out),
                _ => out.push(c),
            }
        }
        out.push('"');
    }
}

fn escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// A number as JSON; `json.dumps` writes infinities too.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match float(value).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        finite => finite.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CPython 3.11 prints.
    #[test]
    fn numbers_and_texts_print_as_in_python() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (123456789.125, "123456789.125"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(repr_f64(number), text);
        }
        let value =
            Value::from(vec!["it's", "\"q\" it's", "e\u{301}\u{a0}\u{200b}\u{1f980}\n\x7f"]);
        let text = "[\"it's\", '\"q\" it\\'s', 'e\u{301}\\xa0\\u200b\u{1f980}\\n\\x7f']";
        assert_eq!(str(&value).unwrap(), text);
    }
}
