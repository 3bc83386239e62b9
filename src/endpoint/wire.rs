//! What is sent and what comes back, as OpenAI defines it and as other servers write it.

use serde_json::{Map, Value, json};

use crate::lm::{CompletedToken, Completion, Prompt, Request};

/// Longest text of an endpoint that is repeated, in characters.
const SHOWN: usize = 300;

/// What the limit of an answer's tokens is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
}

impl TokenLimit {
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// A request's body.
pub(super) fn body(model: &str, request: &Request, limit: TokenLimit) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    match (&request.prompt, request.top_logprobs) {
        (Prompt::Text(text), top) => {
            body.insert("prompt".to_owned(), json!(text));
            body.extend(top.map(|top| ("logprobs".to_owned(), json!(top))));
        }
        (Prompt::Messages(messages), top) => {
            body.insert("messages".to_owned(), json!(messages));
            if let Some(top) = top {
                body.insert("logprobs".to_owned(), json!(true));
                body.insert("top_logprobs".to_owned(), json!(top));
            }
        }
    }
    body.insert(limit.field().to_owned(), json!(request.max_tokens));
    body.insert("temperature".to_owned(), json!(request.temperature));
    body.insert("top_p".to_owned(), json!(request.top_p));
    body.extend(request.seed.map(|seed| ("seed".to_owned(), json!(seed))));
    body.insert("stream".to_owned(), json!(false));
    Value::Object(body)
}

/// The answer in a body.
pub(super) fn completion(body: &Value) -> Result<Completion, String> {
    let choice = match &body["choices"] {
        Value::Array(choices) => choices.first().ok_or("it has no choices")?,
        Value::Null => {
            return Err(format!("no field `choices` in {}", shortened(&body.to_string())));
        }
        other => return Err(wrong("choices", other, "a list")),
    };
    Ok(Completion {
        text: answer_text(choice)?,
        tokens: tokens(&choice["logprobs"])?,
        finish_reason: text(choice, "finish_reason")?,
        model: text(body, "model")?,
        headers: Vec::new(),
        prompt_tokens: count(body, "prompt_tokens")?,
        completion_tokens: count(body, "completion_tokens")?,
        millis: 0,
    })
}

/// `message.content` of a conversation, `text` of a continuation. Null, as with a refusal, is the empty text.
fn answer_text(choice: &Value) -> Result<String, String> {
    let (name, value) = match choice.get("message") {
        Some(message) => ("message.content", message.get("content")),
        None => ("text", choice.get("text")),
    };
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) => Ok(String::new()),
        Some(other) => Err(wrong(name, other, "a text")),
        None => Err(format!("no field `{name}` in its first choice")),
    }
}

fn text(object: &Value, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(name, other, "a text")),
    }
}

fn count(body: &Value, name: &str) -> Result<Option<u64>, String> {
    match body.get("usage").and_then(|usage| usage.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or_else(|| wrong(name, value, "a count of tokens"))
        }
    }
}

/// Log-probabilities in either form: `content`, a list of objects, or parallel lists.
fn tokens(logprobs: &Value) -> Result<Vec<CompletedToken>, String> {
    match logprobs {
        Value::Null => Ok(Vec::new()),
        Value::Object(fields) => match fields.get("content") {
            Some(Value::Array(content)) => content.iter().map(chat_token).collect(),
            Some(Value::Null) => Ok(Vec::new()),
            Some(other) => Err(wrong("logprobs.content", other, "a list")),
            None => parallel_tokens(fields),
        },
        other => Err(wrong("logprobs", other, "an object")),
    }
}

fn chat_token(entry: &Value) -> Result<CompletedToken, String> {
    let top = match &entry["top_logprobs"] {
        Value::Null => Vec::new(),
        Value::Array(top) => top.iter().map(scored).collect::<Result<_, _>>()?,
        other => return Err(wrong("top_logprobs", other, "a list")),
    };
    let (text, logprob) = scored(entry)?;
    Ok(CompletedToken { text, logprob, top: best_first(top) })
}

fn scored(entry: &Value) -> Result<(String, f64), String> {
    let token = entry["token"].as_str();
    let token = token.ok_or_else(|| wrong("token", &entry["token"], "a text"))?;
    Ok((token.to_owned(), logarithm(&entry["logprob"])?))
}

/// The older form: `tokens`, `token_logprobs`, and `top_logprobs` as one object a position.
fn parallel_tokens(fields: &Map<String, Value>) -> Result<Vec<CompletedToken>, String> {
    let list = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(other) => Err(wrong(name, other, "a list")),
    };
    let (texts, values, tops) = (list("tokens")?, list("token_logprobs")?, list("top_logprobs")?);
    if values.len() != texts.len() || !(tops.is_empty() || tops.len() == texts.len()) {
        return Err(format!(
            "its lists of log-probabilities have {}, {} and {} entries",
            texts.len(),
            values.len(),
            tops.len()
        ));
    }
    let token = |(at, (token, value)): (usize, (&Value, &Value))| {
        let text = token.as_str().ok_or_else(|| wrong("tokens", token, "a text"))?.to_owned();
        let top = match tops.get(at) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(top)) => top
                .iter()
                .map(|(text, value)| Ok((text.clone(), logarithm(value)?)))
                .collect::<Result<_, String>>()?,
            Some(other) => return Err(wrong("top_logprobs", other, "an object")),
        };
        Ok(CompletedToken { text, logprob: logarithm(value)?, top: best_first(top) })
    };
    texts.iter().zip(&values).enumerate().map(token).collect()
}

fn best_first(mut top: Vec<(String, f64)>) -> Vec<(String, f64)> {
    top.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top
}

/// A log-probability. Rounding may lift it a little above 0.
fn logarithm(value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| *number <= 1e-3);
    number.map(|number| number.min(0.0)).ok_or_else(|| wrong("logprob", value, "a number up to 0"))
}

/// What a refusal says, whichever form it has.
pub(super) fn refusal(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let places = ["/error/message", "/message", "/detail", "/error"];
    let said = places.iter().find_map(|place| parsed.pointer(place)?.as_str());
    let text = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    if text.trim().is_empty() { "it says nothing".to_owned() } else { shortened(&text) }
}

/// Names of the models that are listed.
pub(super) fn model_ids(list: &Value) -> Vec<String> {
    models(list).filter_map(|model| Some(shortened(model["id"].as_str()?))).collect()
}

fn models(list: &Value) -> impl Iterator<Item = &Value> {
    list["data"].as_array().into_iter().flatten()
}

/// What the list says: the models, and of the one asked for who owns it, since when it is there, how long its window is.
pub(super) fn about_models(list: &Value, model: Option<&str>) -> Vec<(String, String)> {
    let ids = model_ids(list);
    let shown = ids.iter().take(50).cloned().collect::<Vec<_>>().join(", ");
    let mut about = vec![("models".to_owned(), shown)];
    if ids.len() > 50 {
        about.push(("models listed".to_owned(), ids.len().to_string()));
    }
    let Some(name) = model else { return about };
    let Some(found) = models(list).find(|entry| entry["id"] == name) else {
        about.push(("listed".to_owned(), format!("{name} is not among the models listed")));
        return about;
    };
    for field in ["owned_by", "created", "root", "parent", "max_model_len"] {
        match &found[field] {
            Value::String(text) => about.push((field.to_owned(), shortened(text))),
            Value::Number(number) => about.push((field.to_owned(), number.to_string())),
            _ => {}
        }
    }
    about
}

/// A text of an endpoint, on one line and of limited length.
pub(super) fn shortened(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.trim().chars().take(SHOWN).map(clean).collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn wrong(name: &str, got: &Value, wanted: &str) -> String {
    format!("`{name}` is {}, not {wanted}", shortened(&got.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::ChatMessage;

    #[test]
    fn both_forms_of_logprobs_say_the_same() {
        let chat = json!({"choices": [{"message": {"content": "ab"}, "finish_reason": "length", "logprobs": {"content": [
            {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.5}, {"token": "a", "logprob": -0.5}]},
            {"token": "b", "logprob": 0.0}]}}], "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
        let older = json!({"choices": [{"text": "ab", "finish_reason": "length", "logprobs": {
            "tokens": ["a", "b"], "token_logprobs": [-0.5, 0.0001], "top_logprobs": [{"b": -1.5, "a": -0.5}, null]}}],
            "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
        let (chat, older) = (completion(&chat).unwrap(), completion(&older).unwrap());
        assert_eq!(chat, older);
        assert_eq!(chat.tokens[0].top, [("a".to_owned(), -0.5), ("b".to_owned(), -1.5)]);
        assert_eq!((chat.prompt_tokens, chat.completion_tokens), (Some(3), Some(2)));
    }

    #[test]
    fn wrong_types_are_named() {
        for (body, named) in [
            (json!({}), "choices"),
            (json!({"choices": 3}), "choices"),
            (json!({"choices": []}), "choices"),
            (json!({"choices": [{}]}), "text"),
            (json!({"choices": [{"message": {"content": 5}}]}), "message.content"),
            (json!({"choices": [{"text": "a", "logprobs": []}]}), "logprobs"),
            (
                json!({"choices": [{"text": "a", "logprobs": {"content": [{"token": "a", "logprob": 2}]}}]}),
                "logprob",
            ),
            (
                json!({"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]}),
                "lists",
            ),
            (json!({"choices": [{"text": "a"}], "usage": {"prompt_tokens": -1}}), "prompt_tokens"),
            (json!([1]), "choices"),
        ] {
            let error = completion(&body).unwrap_err();
            assert!(error.contains(named), "{body}: {error}");
        }
    }

    #[test]
    fn requests_have_the_form_of_their_route() {
        let mut request = Request {
            prompt: Prompt::Text("p".to_owned()),
            max_tokens: 1,
            temperature: 1.0,
            top_p: 1.0,
            seed: None,
            top_logprobs: Some(5),
        };
        let text = body("m", &request, TokenLimit::MaxTokens);
        assert_eq!(
            (&text["prompt"], &text["logprobs"], &text["max_tokens"]),
            (&json!("p"), &json!(5), &json!(1))
        );
        assert!(text.get("seed").is_none() && text.get("messages").is_none());
        let message = ChatMessage { role: "user".to_owned(), content: "p".to_owned() };
        request.prompt = Prompt::Messages(vec![message]);
        let chat = body("m", &request, TokenLimit::MaxCompletionTokens);
        assert_eq!((&chat["logprobs"], &chat["top_logprobs"]), (&json!(true), &json!(5)));
        assert!(chat.get("max_tokens").is_none() && chat["max_completion_tokens"] == 1);
    }

    #[test]
    fn refusals_are_one_short_line() {
        assert_eq!(refusal(br#"{"error": {"message": "no\nkey"}}"#), "no key");
        assert_eq!(refusal(br#"{"detail": "no"}"#), "no");
        assert_eq!(refusal(b"<html>"), "<html>");
        assert_eq!(refusal(b""), "it says nothing");
        assert!(refusal("x".repeat(5000).as_bytes()).chars().count() <= SHOWN + 1);
    }
}
