//! Reading request bodies: strict where OpenAI defines a field, and saying which one is at fault.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::serve::ApiError;

/// The object in a body.
///
/// # Errors
/// 400 when it is not JSON, or no object.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::invalid(format!("the body is not JSON ({place}); send an object"))
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(ApiError::invalid("the body is JSON, but not an object; send an object")),
    }
}

/// A request of a type whose every field may be missing. A field that is null is one that is not there.
///
/// # Errors
/// 400 naming the first field that is not of its type.
pub fn fields<T: DeserializeOwned>(mut map: Map<String, Value>) -> Result<T, ApiError> {
    map.retain(|_, value| !value.is_null());
    let whole = match serde_json::from_value(Value::Object(map.clone())) {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    for (name, value) in map {
        let alone = Map::from_iter([(name.clone(), value)]);
        if let Err(error) = serde_json::from_value::<T>(Value::Object(alone)) {
            return Err(ApiError::invalid(format!("\"{name}\": {error}")).with_param(name));
        }
    }
    Err(ApiError::invalid(whole.to_string()))
}

/// Refuses fields that OpenAI defines and this server does not implement, unless they are at the value that changes nothing.
///
/// # Errors
/// 400 naming the field.
pub fn refuse_unimplemented(map: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, value) in map {
        if let Some((_, harmless)) = UNIMPLEMENTED.iter().find(|(field, _)| field == name)
            && !harmless(value)
        {
            let message = format!("\"{name}\" is not implemented by this server; leave it out");
            return Err(ApiError::invalid(message)
                .with_param(name)
                .with_code("unsupported_parameter"));
        }
    }
    Ok(())
}

/// Whether a field is at the value that changes nothing.
type Harmless = fn(&Value) -> bool;

/// Fields with what may be said in them all the same.
const UNIMPLEMENTED: &[(&str, Harmless)] = &[
    ("audio", Value::is_null),
    ("best_of", |value| value.is_null() || *value == 1),
    ("echo", |value| value.is_null() || *value == false),
    ("function_call", |value| value.is_null() || *value == "none"),
    ("functions", nothing),
    ("logit_bias", nothing),
    ("modalities", |value| value.is_null() || *value == serde_json::json!(["text"])),
    ("parallel_tool_calls", |value| value.is_null() || value.is_boolean()),
    ("prediction", Value::is_null),
    ("reasoning_effort", |value| value.is_null() || *value == "none"),
    ("suffix", |value| value.is_null() || *value == ""),
    ("tool_choice", |value| value.is_null() || *value == "none"),
    ("tools", nothing),
    ("verbosity", |value| value.is_null() || *value == "medium"),
    ("web_search_options", Value::is_null),
];

fn nothing(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        other => other.is_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Request {
        number: Option<u8>,
        list: Option<Vec<u8>>,
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let read = |value| fields::<Request>(map(value));
        assert_eq!(read(json!({"number": 7, "other": {}, "list": null})).unwrap().number, Some(7));
        assert_eq!(
            read(json!({"number": 1, "list": [3, 300]})).unwrap_err().param.unwrap(),
            "list"
        );
        assert_eq!(read(json!({"number": -1})).unwrap_err().param.unwrap(), "number");
        assert_eq!(object(b"[1]").unwrap_err().status, 400);
        assert_eq!(object(b"{\"a\":").unwrap_err().status, 400);
    }

    #[test]
    fn fields_that_change_nothing_are_let_through() {
        let refused = |value| refuse_unimplemented(&map(value)).err().and_then(|error| error.param);
        for fine in [
            json!({"tools": [], "tool_choice": "none", "logit_bias": {}, "best_of": 1, "echo": false, "suffix": null}),
            json!({"functions": null, "audio": null, "parallel_tool_calls": true, "unheard_of": 1}),
        ] {
            assert_eq!(refused(fine), None);
        }
        for (name, value) in [
            ("tools", json!([{"type": "function"}])),
            ("tool_choice", json!("auto")),
            ("functions", json!([{}])),
            ("logit_bias", json!({"50256": -100})),
            ("audio", json!({"voice": "a"})),
            ("echo", json!(true)),
            ("suffix", json!("end")),
            ("best_of", json!(2)),
        ] {
            assert_eq!(refused(json!({ name: value })).as_deref(), Some(name));
        }
    }
}
