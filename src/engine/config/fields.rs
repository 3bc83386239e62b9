//! The fields of a `config.json`, each checked as it is read.

use serde_json::{Map, Value};

use super::EngineError;

/// Greatest value accepted for a dimension; keeps every product of two of them far from overflow.
const MAX_DIMENSION: u64 = 1 << 24;

/// An object of a `config.json`.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A whole number from 1 to 2²⁴.
    pub(super) fn dimension(
        &self,
        name: &'static str,
        default: Option<usize>,
    ) -> Result<usize, EngineError> {
        let value = match (self.get(name), default) {
            (Some(value), _) => value.as_u64(),
            (None, default) => default.map(|value| value as u64),
        };
        value
            .filter(|value| (1..=MAX_DIMENSION).contains(value))
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| self.invalid(name, "a whole number from 1 to 16777216"))
    }

    /// A dimension that may be left out.
    pub(super) fn optional(&self, name: &'static str) -> Result<Option<usize>, EngineError> {
        self.get(name).map(|_| self.dimension(name, None)).transpose()
    }

    /// A positive number.
    pub(super) fn positive(&self, name: &'static str, default: f64) -> Result<f32, EngineError> {
        let value = self.get(name).map_or(Some(default), Value::as_f64).map(|value| value as f32);
        value
            .filter(|value| value.is_finite() && *value > 0.0)
            .ok_or_else(|| self.invalid(name, "a positive number"))
    }

    /// A positive number that has no default.
    pub(super) fn required(&self, name: &'static str) -> Result<f32, EngineError> {
        self.positive(name, f64::NAN)
    }

    /// A positive number, or null for none; a field that is missing has the default.
    pub(super) fn cap(
        &self,
        name: &'static str,
        default: Option<f64>,
    ) -> Result<Option<f32>, EngineError> {
        match (self.0.get(name), default) {
            (Some(Value::Null), _) | (None, None) => Ok(None),
            (_, default) => self.positive(name, default.unwrap_or(f64::NAN)).map(Some),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, EngineError> {
        self.get(name)
            .map_or(Some(default), Value::as_bool)
            .ok_or_else(|| self.invalid(name, "true or false"))
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, EngineError> {
        let text = |value: &'_ Value| value.as_str().is_some();
        match self.get(name) {
            Some(value) if !text(value) => Err(self.invalid(name, "a text")),
            value => Ok(value.and_then(Value::as_str)),
        }
    }

    /// A list with an element for each layer.
    pub(super) fn per_layer(
        &self,
        name: &'static str,
        layers: usize,
    ) -> Result<Option<&[Value]>, EngineError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() == layers);
        list.map(|list| Some(list.as_slice()))
            .ok_or_else(|| self.invalid(name, "a list with one entry for each layer"))
    }

    /// A list of `len` positive numbers.
    pub(super) fn numbers(&self, name: &'static str, len: usize) -> Result<Vec<f32>, EngineError> {
        let number =
            |value: &Value| value.as_f64().map(|v| v as f32).filter(|v| v.is_finite() && *v > 0.0);
        self.get(name)
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(number).collect::<Option<Vec<f32>>>())
            .filter(|list| list.len() == len)
            .ok_or_else(|| {
                self.invalid(
                    name,
                    "a list of positive numbers, one for every two rotary dimensions",
                )
            })
    }

    /// An object.
    pub(super) fn object(&self, name: &'static str) -> Result<Option<Self>, EngineError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let object = value.as_object().ok_or_else(|| self.invalid(name, "an object"))?;
        Ok(Some(Self(object.clone())))
    }

    /// Refuses a field that is there with any value but `supported`.
    pub(super) fn only(&self, name: &'static str, supported: &Value) -> Result<(), EngineError> {
        match self.get(name) {
            Some(value) if value != supported => {
                Err(self.unsupported(name, &supported.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn shown(&self, name: &str) -> String {
        let mut text = self.0.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
        if let Some((end, _)) = text.char_indices().nth(80) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// The field makes no sense.
    pub(super) fn invalid(&self, field: &'static str, expected: &'static str) -> EngineError {
        EngineError::ConfigField { field, value: self.shown(field), expected }
    }

    /// The field asks for something that is not implemented.
    pub(super) fn unsupported(&self, field: &'static str, supported: &str) -> EngineError {
        EngineError::Unsupported {
            field,
            value: self.shown(field),
            supported: supported.to_owned(),
        }
    }
}
