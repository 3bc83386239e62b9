//! Values of a configuration, as text until somebody says what they are.
//!
//! Any of them may be the key, so every one is wiped, none can be shown, and numbers stay the digits of the file: 64 bits
//! would not survive a floating-point number.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use super::{ImportError, Tool};

/// Text that may be a key.
pub(super) type Secret = Zeroizing<String>;

/// A value of a configuration.
pub(super) enum Value {
    /// `null`, `None` or `~`.
    Null,
    /// `true` or `True`.
    Bool(bool),
    /// A number as it is written.
    Number(Secret),
    /// Text.
    Text(Secret),
    /// A list or tuple.
    List(Vec<Self>),
    /// Names and values, in the order of the file; no name twice.
    Map(Vec<(Secret, Self)>),
}

/// Deepest nesting that is read.
pub(super) const MOST_DEPTH: usize = 32;

/// Most entries of one mapping.
pub(super) const MOST_FIELDS: usize = 4096;

/// Adds an entry to a mapping, unless its name is there.
pub(super) fn insert(
    map: &mut Vec<(Secret, Value)>,
    name: Secret,
    value: Value,
) -> Result<(), ImportError> {
    if map.iter().any(|(known, _)| *known == name) {
        return Err(ImportError::Twice { field: shown(&name) });
    }
    if map.len() >= MOST_FIELDS {
        return Err(ImportError::Fields { most: MOST_FIELDS });
    }
    map.push((name, value));
    Ok(())
}

/// A field's name where it looks like one, and not like a key that stands at the wrong place.
pub(super) fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.');
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let letters = name.chars().filter(|&c| plain(c)).count();
    let likely = digits <= 2
        && digits + letters == name.len()
        && name.len() <= 64
        && !name.chars().all(|c| c.is_ascii_hexdigit());
    if likely { format!("\"{name}\"") } else { "a field that is not shown".to_owned() }
}

/// Whether `text` is a decimal or hexadecimal integer, or a real number, as JSON, Python and YAML write them.
pub(super) fn is_number(text: &str) -> bool {
    integer(text).is_some() || is_real(text)
}

fn is_real(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sound = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    // Python once read a leading zero as octal, and YAML still does.
    let octal = whole.len() > 1 && whole.starts_with('0');
    sound && digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && !octal
}

/// An integer as it is written, underscores between digits included. `None`: not one. Beyond 127 bits it is the greatest
/// or least number, which is outside every range.
fn integer(text: &str) -> Option<i128> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, body) = match body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None => (10, body),
    };
    let octal = radix == 10 && body.len() > 1 && body.starts_with('0');
    let gaps = body.starts_with('_') || body.ends_with('_') || body.contains("__");
    let sound = body.chars().all(|c| c.is_digit(radix) || c == '_');
    if body.is_empty() || octal || gaps || !sound {
        return None;
    }
    let mut sum = 0_i128;
    for digit in body.chars().filter_map(|c| c.to_digit(radix)) {
        sum = sum.saturating_mul(i128::from(radix)).saturating_add(i128::from(digit));
    }
    Some(if negative { -sum } else { sum })
}

impl Value {
    /// The value as an integer. `None`: it is something else.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Number(digits) => integer(digits),
            _ => None,
        }
    }

    fn real(&self) -> Option<f64> {
        let Self::Number(digits) = self else { return None };
        match integer(digits) {
            Some(whole) => Some(whole as f64),
            None => digits.parse().ok(),
        }
    }
}

/// The fields of a tool's configuration, taken out one by one.
pub(super) struct Fields {
    tool: Tool,
    map: Vec<(Secret, Value)>,
}

impl Fields {
    /// The configuration itself, or what stands in it under one of `names`.
    pub(super) fn of(tool: Tool, value: Value, names: &[&str]) -> Result<Self, ImportError> {
        let Value::Map(mut map) = value else { return Err(ImportError::NoFields { tool }) };
        let inner = map.iter().position(|(name, _)| names.contains(&name.as_str()));
        match inner.map(|at| map.swap_remove(at).1) {
            None => Ok(Self { tool, map }),
            Some(Value::Map(map)) => Ok(Self { tool, map }),
            // As servers' own YAML files quote it.
            Some(Value::Text(text)) => Self::of(tool, super::read_value(&text)?, &[]),
            Some(_) => Err(ImportError::NoFields { tool }),
        }
    }

    /// Leaves out what is null.
    pub(super) fn without_nulls(mut self) -> Self {
        self.map.retain(|(_, value)| !matches!(value, Value::Null));
        self
    }

    /// The first of `names` that is there.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.map.iter().any(|(known, _)| known.as_str() == *name))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.map.iter().position(|(known, _)| known.as_str() == name)?;
        Some(self.map.remove(at).1)
    }

    pub(super) fn wrong(&self, field: &'static str, wanted: impl Into<String>) -> ImportError {
        ImportError::Value { tool: self.tool, field, wanted: wanted.into() }
    }

    pub(super) fn missing(&self, field: &'static str) -> ImportError {
        ImportError::Missing { tool: self.tool, field }
    }

    /// A number above `range`'s start and below its end, both left out.
    pub(super) fn between(
        &mut self,
        field: &'static str,
        low: f64,
        high: f64,
    ) -> Result<Option<f64>, ImportError> {
        let wanted = || format!("a number between {low} and {high}, both left out");
        self.real(field, |value| value > low && value < high, wanted)
    }

    /// A number in `range`.
    pub(super) fn within(
        &mut self,
        field: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ImportError> {
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        self.real(field, |value| range.contains(&value), wanted)
    }

    fn real(
        &mut self,
        field: &'static str,
        fits: impl Fn(f64) -> bool,
        wanted: impl Fn() -> String,
    ) -> Result<Option<f64>, ImportError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.real().filter(|&value| fits(value)) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(field, wanted())),
        }
    }

    /// A whole number in `range`.
    pub(super) fn count(
        &mut self,
        field: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ImportError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let fitting = value.integer().and_then(|value| i64::try_from(value).ok());
        match fitting.filter(|value| range.contains(value)) {
            Some(value) => Ok(Some(value)),
            None => {
                let (low, high) = range.into_inner();
                let range = if high == i64::MAX {
                    format!("a whole number, {low} or more")
                } else {
                    format!("a whole number from {low} to {high}")
                };
                Err(self.wrong(field, range))
            }
        }
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<Option<bool>, ImportError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(field, "true or false")),
        }
    }

    /// One of a few words.
    pub(super) fn word(
        &mut self,
        field: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ImportError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let known = match &value {
            Value::Text(text) => words.iter().find(|word| **word == text.as_str()),
            _ => None,
        };
        match known {
            Some(word) => Ok(Some(word)),
            None => Err(self.wrong(field, one_of(words))),
        }
    }

    /// Refuses what is left.
    pub(super) fn finish(self) -> Result<(), ImportError> {
        match self.map.first() {
            None => Ok(()),
            Some((name, _)) => Err(ImportError::Unknown { tool: self.tool, field: shown(name) }),
        }
    }
}

/// "a", "b" or "c".
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
