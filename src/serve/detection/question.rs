//! The body of a question.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::serve::error::ApiError;

/// A text to look for marks in. Fields that are not listed are refused, for a client that misspells one must not believe it was
/// heeded.
#[derive(Clone, ToSchema)]
pub struct DetectRequest {
    /// The text.
    #[schema(example = "A text to be examined, of a few hundred words.")]
    pub text: String,
    /// What the text answers, as rendered for the model, where it is known. Some schemes read a text's first tokens better then.
    pub prompt: Option<String>,
    /// Whether to send the evidence of each token. For analysts.
    #[schema(default = false)]
    pub explain: Option<bool>,
    /// A name for the text, which comes back with its answer.
    pub id: Option<String>,
}

impl DetectRequest {
    /// Reads the body of a question.
    ///
    /// # Errors
    /// 400, naming the field at fault.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ApiError::invalid(format!("the body is not JSON (line {line}, column {column})"))
        })?;
        let Value::Object(mut fields) = value else {
            return Err(ApiError::invalid("an object is expected, such as {\"text\": \"…\"}"));
        };
        let text = text(&mut fields, "text")?;
        let (prompt, id) = (text_or_none(&mut fields, "prompt")?, name(&mut fields)?);
        let explain = match fields.remove("explain") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(explain)) => Some(explain),
            Some(_) => return Err(wrong("explain", "true or false")),
        };
        if let Some(unknown) = fields.keys().next() {
            let param: String = unknown.chars().take(64).collect();
            let message = format!(
                "\"{param}\" is not a field of this request; there are text, prompt, explain and id. \
                 Profiles and keys are the server's to choose"
            );
            return Err(ApiError::invalid(message).with_code("unknown_field").with_param(param));
        }
        Ok(Self { text, prompt, explain, id })
    }

    /// Refuses a text that is empty, or longer than it may be together with its prompt.
    pub(super) fn check(&self, most: usize) -> Result<(), ApiError> {
        if self.text.trim().is_empty() {
            return Err(ApiError::invalid("\"text\" is empty").with_param("text"));
        }
        let bytes = self.text.len() + self.prompt.as_ref().map_or(0, String::len);
        if bytes > most {
            let message = format!(
                "the text has {bytes} bytes with its prompt, of {most} at most; send it in parts"
            );
            return Err(ApiError::too_large(message).with_param("text"));
        }
        Ok(())
    }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<String, ApiError> {
    text_or_none(fields, name)?
        .ok_or_else(|| ApiError::invalid(format!("\"{name}\" is missing")).with_param(name))
}

fn text_or_none(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "a text")),
    }
}

/// Names come back, so they are short.
fn name(fields: &mut Map<String, Value>) -> Result<Option<String>, ApiError> {
    const MOST: usize = 256;
    if let Some(Value::Number(number)) = fields.get("id") {
        let id = number.to_string();
        fields.remove("id");
        return Ok(Some(id));
    }
    match text_or_none(fields, "id")? {
        Some(id) if id.len() > MOST => Err(wrong("id", "a text of at most 256 bytes")),
        id => Ok(id),
    }
}

fn wrong(name: &str, expected: &str) -> ApiError {
    ApiError::invalid(format!("\"{name}\" must be {expected}")).with_param(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> (u16, Option<String>) {
        let error = match DetectRequest::parse(body.as_bytes()) {
            Ok(request) => request.check(1_000).unwrap_err(),
            Err(error) => error,
        };
        assert!(!error.message.contains("SECRET"), "{}", error.message);
        (error.status.as_u16(), error.param)
    }

    #[test]
    fn faults_name_the_field_and_do_not_repeat_the_text() {
        let param = |name: &str| Some(name.to_owned());
        for (body, expected) in [
            ("{\"text\": \"SECRET", (400, None)),
            ("[]", (400, None)),
            ("\u{feff}", (400, None)),
            ("{}", (400, param("text"))),
            ("{\"text\": null}", (400, param("text"))),
            ("{\"text\": [\"SECRET\"]}", (400, param("text"))),
            ("{\"text\": \" \\n\"}", (400, param("text"))),
            ("{\"text\": \"a\", \"prompt\": 1}", (400, param("prompt"))),
            ("{\"text\": \"a\", \"explain\": \"SECRET\"}", (400, param("explain"))),
            ("{\"text\": \"a\", \"id\": {}}", (400, param("id"))),
            ("{\"text\": \"a\", \"key\": \"SECRET\"}", (400, param("key"))),
            ("{\"text\": \"a\", \"watermark_key\": 1}", (400, param("watermark_key"))),
        ] {
            assert_eq!(fault(body), expected, "{body}");
        }
        let long =
            format!("{{\"text\": \"{}\", \"prompt\": \"{}\"}}", "a".repeat(600), "b".repeat(600));
        assert_eq!(fault(&long), (413, param("text")));
        let whole =
            DetectRequest::parse(br#"{"text":"a","prompt":null,"explain":true,"id":7}"#).unwrap();
        assert_eq!((whole.explain, whole.id.as_deref()), (Some(true), Some("7")));
    }
}
