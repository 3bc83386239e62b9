//! The values of metadata and how to ask for them.

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the types'")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

/// An array: all its elements have one type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the types'")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Self>),
}

impl Value {
    /// The type, and the value where it is a number, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::U8(value) => format!("the number {value}"),
            Self::I8(value) => format!("the number {value}"),
            Self::U16(value) => format!("the number {value}"),
            Self::I16(value) => format!("the number {value}"),
            Self::U32(value) => format!("the number {value}"),
            Self::I32(value) => format!("the number {value}"),
            Self::U64(value) => format!("the number {value}"),
            Self::I64(value) => format!("the number {value}"),
            Self::F32(value) => format!("the number {value:?}"),
            Self::F64(value) => format!("the number {value:?}"),
            Self::Bool(value) => value.to_string(),
            Self::String(_) => "a text".to_owned(),
            Self::Array(array) => format!("an array of {} {}", array.len(), array.elements()),
        }
    }
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::String(values) => values.len(),
            Self::Array(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn elements(&self) -> &'static str {
        match self {
            Self::F32(_) | Self::F64(_) => "real numbers",
            Self::Bool(_) => "truth values",
            Self::String(_) => "texts",
            Self::Array(_) => "arrays",
            _ => "whole numbers",
        }
    }
}

/// What [`Gguf::get`](super::Gguf::get) can make of a value.
///
/// Converters do not agree on the width of integers, so whole numbers are taken from any integer type that holds one in
/// range.
pub trait FromValue<'a>: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;

    /// The value, if it is of a fitting type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl FromValue<'_> for u64 {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::U8(value) => Some(value.into()),
            Value::I8(value) => value.try_into().ok(),
            Value::U16(value) => Some(value.into()),
            Value::I16(value) => value.try_into().ok(),
            Value::U32(value) => Some(value.into()),
            Value::I32(value) => value.try_into().ok(),
            Value::U64(value) => Some(value),
            Value::I64(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

impl FromValue<'_> for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";

    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

impl FromValue<'_> for usize {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

impl FromValue<'_> for f32 {
    const EXPECTED: &'static str = "a real number";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::F32(value) => Some(value),
            Value::F64(value) => Some(value as Self),
            _ => None,
        }
    }
}

impl FromValue<'_> for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a [String] {
    const EXPECTED: &'static str = "an array of texts";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::String(values)) => Some(values),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<u32> {
    const EXPECTED: &'static str = "an array of whole numbers from 0 to 4294967295";

    fn from_value(value: &Value) -> Option<Self> {
        fn all<T: Copy + TryInto<u32>>(values: &[T]) -> Option<Vec<u32>> {
            values.iter().map(|&value| value.try_into().ok()).collect()
        }
        let Value::Array(array) = value else { return None };
        match array {
            Array::U8(values) => all(values),
            Array::I8(values) => all(values),
            Array::U16(values) => all(values),
            Array::I16(values) => all(values),
            Array::U32(values) => all(values),
            Array::I32(values) => all(values),
            Array::U64(values) => all(values),
            Array::I64(values) => all(values),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<f32> {
    const EXPECTED: &'static str = "an array of real numbers";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Array(Array::F32(values)) => Some(values.clone()),
            Value::Array(Array::F64(values)) => {
                Some(values.iter().map(|&value| value as f32).collect())
            }
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<bool> {
    const EXPECTED: &'static str = "an array of true and false";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Array(Array::Bool(values)) => Some(values.clone()),
            _ => None,
        }
    }
}
