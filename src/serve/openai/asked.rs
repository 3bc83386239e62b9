//! A request, checked: what is to be written, whatever form it came in.

use serde_json::{Map, Value};

use super::read;
use super::request::{ChatMessage, ChatRequest, Common, CompletionRequest, Content, Prompt, Stop};
use crate::keys::Salt;
use crate::sampling::Sampling;
use crate::serve::ApiError;
use crate::serve::policy::{Limits, Wish};
use crate::tokens::TokenId;

/// The form of a request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A conversation.
    Chat,
    /// Texts to continue.
    Completion,
}

/// One message of a conversation, its parts joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// What is to be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A conversation.
    Turns(Vec<Turn>),
    /// Texts.
    Texts(Vec<String>),
    /// Ids of texts.
    Ids(Vec<Vec<TokenId>>),
}

/// A checked request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its form.
    pub form: Form,
    /// Name of the model.
    pub model: Option<String>,
    /// What is to be continued.
    pub given: Given,
    /// Answers to each prompt.
    pub n: usize,
    /// Most tokens of an answer; none: as many as fit.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// How many alternatives log-probabilities are told of.
    pub logprobs: Option<usize>,
    /// Whether the answer comes as it grows.
    pub stream: bool,
    /// Whether the stream ends with the numbers of tokens.
    pub include_usage: bool,
    /// What was said about marks.
    pub wish: Wish,
    /// Whether token ids are told.
    pub token_ids: bool,
    /// Whether the answer goes on beyond its end.
    pub ignore_eos: bool,
}

/// What the operator allows at most.
#[derive(Clone, Copy, Debug)]
pub struct Limited {
    /// Answers to a request.
    pub n: usize,
    /// Alternatives at a position; 0: none, nor log-probabilities.
    pub top_logprobs: usize,
}

impl Limited {
    /// The stricter of these and an account's own.
    #[must_use]
    pub fn and(self, limits: &Limits) -> Self {
        Self {
            n: limits.max_n.map_or(self.n, |n| n.min(self.n)),
            top_logprobs: limits
                .max_top_logprobs
                .map_or(self.top_logprobs, |k| k.min(self.top_logprobs)),
        }
    }
}

impl Asked {
    /// Reads `POST /v1/chat/completions`.
    ///
    /// # Errors
    /// 400 naming the field at fault.
    pub fn chat(body: &[u8], limited: Limited) -> Result<Self, ApiError> {
        let map = checked(body)?;
        let request: ChatRequest = read::fields(map)?;
        let turns = turns(request.messages.unwrap_or_default())?;
        let max_tokens = match (request.max_completion_tokens, request.max_tokens) {
            (Some(new), Some(old)) if new != old => {
                let message =
                    "\"max_tokens\" and \"max_completion_tokens\" differ; give one of them";
                return Err(ApiError::invalid(message).with_param("max_tokens"));
            }
            (new, old) => new.or(old),
        };
        let logprobs = chat_logprobs(request.logprobs, request.top_logprobs)?;
        let newer = request.max_completion_tokens.is_some();
        let name = if newer { "max_completion_tokens" } else { "max_tokens" };
        let max_tokens = positive(name, max_tokens)?;
        Self::of(Form::Chat, Given::Turns(turns), max_tokens, logprobs, request.common, limited)
    }

    /// Reads `POST /v1/completions`.
    ///
    /// # Errors
    /// 400 naming the field at fault.
    pub fn completion(body: &[u8], limited: Limited) -> Result<Self, ApiError> {
        let map = checked(body)?;
        let request: CompletionRequest = read::fields(map)?;
        let given = match request.prompt {
            None => return Err(fault("prompt", "is missing; give a text to continue")),
            Some(Prompt::Text(text)) => Given::Texts(vec![text]),
            Some(Prompt::Texts(texts)) => Given::Texts(texts),
            Some(Prompt::Ids(ids)) => Given::Ids(vec![ids]),
            Some(Prompt::IdLists(lists)) => Given::Ids(lists),
        };
        let max_tokens = positive("max_tokens", request.max_tokens)?.or(Some(COMPLETION_TOKENS));
        let logprobs = at_most("logprobs", request.logprobs, 5)?;
        Self::of(Form::Completion, given, max_tokens, logprobs, request.common, limited)
    }

    fn of(
        form: Form,
        given: Given,
        max_tokens: Option<usize>,
        logprobs: Option<usize>,
        common: Common,
        limited: Limited,
    ) -> Result<Self, ApiError> {
        check_count(&given)?;
        if logprobs.is_some_and(|k| k > limited.top_logprobs)
            || logprobs.is_some() && limited.top_logprobs == 0
        {
            let most = limited.top_logprobs;
            let words = format!("asks for more than this API key may see: {most} alternatives");
            return Err(fault("logprobs", &words));
        }
        if let Some(format) = common.response_format.as_ref().filter(|format| format.kind != "text")
        {
            let words = format!(
                "\"{}\" is not implemented; leave it out, or ask for \"text\"",
                format.kind
            );
            return Err(fault("response_format", &words).with_code("unsupported_parameter"));
        }
        let stream = common.stream.unwrap_or(false);
        if common.stream_options.is_some() && !stream {
            return Err(fault("stream_options", "is for streams; set \"stream\" to true"));
        }
        let include_usage = common.stream_options.and_then(|options| options.include_usage);
        Ok(Self {
            form,
            given,
            n: answers(common.n, limited.n)?,
            max_tokens,
            sampling: sampling(&common)?,
            stop: stop(common.stop)?,
            logprobs,
            stream,
            include_usage: include_usage.unwrap_or(false),
            wish: wish(common.watermarking, common.watermark)?,
            token_ids: common.return_token_ids.unwrap_or(false),
            ignore_eos: common.ignore_eos.unwrap_or(false),
            model: common.model,
        })
    }

    /// The system messages.
    pub fn system(&self) -> String {
        let Given::Turns(turns) = &self.given else { return String::new() };
        let system = turns.iter().filter(|turn| turn.role == "system");
        system.map(|turn| turn.content.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// OpenAI's default for completions.
const COMPLETION_TOKENS: usize = 16;
/// Prompts of one request.
const MOST_PROMPTS: usize = 64;
/// Texts that end an answer.
const MOST_STOPS: usize = 16;

fn fault(param: &str, words: &str) -> ApiError {
    ApiError::invalid(format!("\"{param}\" {words}")).with_param(param)
}

fn checked(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let map = read::object(body)?;
    read::refuse_unimplemented(&map)?;
    Ok(map)
}

fn check_count(given: &Given) -> Result<(), ApiError> {
    let (param, count) = match given {
        Given::Turns(_) => return Ok(()),
        Given::Texts(texts) => ("prompt", texts.len()),
        Given::Ids(lists) => ("prompt", lists.len()),
    };
    if (1..=MOST_PROMPTS).contains(&count) {
        return Ok(());
    }
    Err(fault(param, &format!("holds {count} prompts; give 1 to {MOST_PROMPTS}")))
}

fn positive(param: &str, value: Option<u64>) -> Result<Option<usize>, ApiError> {
    match value {
        Some(0) => Err(fault(param, "is 0; ask for at least one token")),
        other => Ok(other.map(|value| usize::try_from(value).unwrap_or(usize::MAX))),
    }
}

fn at_most(param: &str, value: Option<u64>, most: usize) -> Result<Option<usize>, ApiError> {
    let value = value.map(|value| usize::try_from(value).unwrap_or(usize::MAX));
    match value {
        Some(value) if value > most => {
            Err(fault(param, &format!("is {value}, but must be at most {most}")))
        }
        other => Ok(other),
    }
}

fn chat_logprobs(wanted: Option<bool>, top: Option<u64>) -> Result<Option<usize>, ApiError> {
    let top = at_most("top_logprobs", top, 20)?;
    match (wanted.unwrap_or(false), top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, Some(1..)) => Err(fault("top_logprobs", "needs \"logprobs\": true")),
        (false, _) => Ok(None),
    }
}

fn answers(n: Option<u64>, most: usize) -> Result<usize, ApiError> {
    match n.unwrap_or(1) {
        0 => Err(fault("n", "is 0; ask for at least one answer")),
        n if n > most as u64 => {
            Err(fault("n", &format!("is {n}, and this API key may ask for {most} at a time")))
        }
        n => Ok(n as usize),
    }
}

fn stop(stop: Option<Stop>) -> Result<Vec<String>, ApiError> {
    let texts = match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Several(texts)) => texts,
    };
    if texts.len() > MOST_STOPS {
        return Err(fault(
            "stop",
            &format!("holds {} texts; give {MOST_STOPS} at most", texts.len()),
        ));
    }
    if texts.iter().any(String::is_empty) {
        return Err(fault(
            "stop",
            "holds an empty text, which would end every answer; leave it out",
        ));
    }
    Ok(texts)
}

fn wish(
    watermarking: Option<bool>,
    watermark: Option<super::WatermarkWish>,
) -> Result<Wish, ApiError> {
    let watermark = watermark.unwrap_or_default();
    match (watermarking, watermark.enabled) {
        (Some(a), Some(b)) if a != b => {
            Err(fault("watermarking", "and \"watermark.enabled\" differ; give one of them"))
        }
        (_, Some(false)) | (Some(false), _) if watermark.profile.is_some() => {
            Err(fault("watermark", "names a profile and asks for no mark; choose one"))
        }
        (a, b) => Ok(Wish { marked: a.or(b), profile: watermark.profile }),
    }
}

fn sampling(common: &Common) -> Result<Sampling, ApiError> {
    let temperature = common.temperature.unwrap_or(1.0);
    if temperature > 2.0 {
        return Err(fault("temperature", &format!("is {temperature}, but must be at most 2")));
    }
    let top_k = match common.top_k.unwrap_or(0) {
        -1 => 0,
        k => usize::try_from(k).map_err(|_| fault("top_k", "must be 0 or more, or -1 for all"))?,
    };
    let sampling = Sampling {
        temperature,
        top_k,
        top_p: common.top_p.unwrap_or(1.0),
        min_p: common.min_p.unwrap_or(0.0),
        repetition_penalty: common.repetition_penalty.unwrap_or(1.0),
        frequency_penalty: common.frequency_penalty.unwrap_or(0.0),
        presence_penalty: common.presence_penalty.unwrap_or(0.0),
        seed: seed(common.seed)?,
    };
    sampling
        .check()
        .map_err(|error| ApiError::invalid(error.to_string()).with_param(error.name))?;
    Ok(sampling)
}

fn seed(given: Option<i64>) -> Result<u64, ApiError> {
    if let Some(seed) = given {
        return Ok(seed.cast_unsigned());
    }
    let salt = Salt::generate().map_err(|error| ApiError::internal(error.to_string()))?;
    let [a, b, c, d, e, f, g, h, ..] = salt.0;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// The conversation, with OpenAI's newer names of roles as templates know them.
pub(crate) fn turns(messages: Vec<ChatMessage>) -> Result<Vec<Turn>, ApiError> {
    if messages.is_empty() {
        return Err(fault("messages", "is missing or empty; say something"));
    }
    messages.into_iter().enumerate().map(|(number, message)| turn(number, message)).collect()
}

fn turn(number: usize, message: ChatMessage) -> Result<Turn, ApiError> {
    let at = |field: &str| format!("messages[{number}].{field}");
    let role = match message.role.as_str() {
        "system" | "developer" => "system",
        "user" => "user",
        "assistant" => "assistant",
        other => {
            let words =
                format!("is \"{other}\"; this server knows system, developer, user and assistant");
            return Err(fault(&at("role"), &words));
        }
    };
    if message
        .tool_calls
        .is_some_and(|calls| calls.as_array().is_none_or(|calls| !calls.is_empty()))
    {
        return Err(fault(&at("tool_calls"), "is not implemented by this server")
            .with_code("unsupported_parameter"));
    }
    let content = match message.content {
        None => return Err(fault(&at("content"), "is missing")),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            let mut texts = Vec::new();
            for (part, content) in parts.into_iter().enumerate() {
                let place = at(&format!("content[{part}]"));
                match (content.kind.as_str(), content.text) {
                    ("text", Some(text)) => texts.push(text),
                    ("text", None) => return Err(fault(&place, "has no \"text\"")),
                    (kind, _) => {
                        let words =
                            format!("is of type \"{kind}\", and this server reads text only");
                        return Err(fault(&place, &words).with_code("unsupported_parameter"));
                    }
                }
            }
            texts.concat()
        }
    };
    Ok(Turn { role: role.to_owned(), content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIMITED: Limited = Limited { n: 8, top_logprobs: 20 };

    fn chat(more: Value) -> Result<Asked, ApiError> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Asked::chat(body.to_string().as_bytes(), LIMITED)
    }

    #[test]
    fn defaults_are_openais() {
        let asked = chat(json!({"seed": 5})).unwrap();
        assert_eq!((asked.n, asked.max_tokens, asked.stream), (1, None, false));
        assert_eq!(asked.sampling, Sampling { seed: 5, ..Sampling::default() });
        let asked = Asked::completion(br#"{"prompt": "Once"}"#, LIMITED).unwrap();
        assert_eq!(asked.max_tokens, Some(16));
        assert_eq!(asked.given, Given::Texts(vec!["Once".to_owned()]));
        let asked =
            Asked::completion(br#"{"prompt": [[1, 2], [3]], "logprobs": 0}"#, LIMITED).unwrap();
        assert_eq!((asked.given, asked.logprobs), (Given::Ids(vec![vec![1, 2], vec![3]]), Some(0)));
    }

    #[test]
    fn content_may_come_in_parts() {
        let asked = chat(json!({"messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "How "}, {"type": "text", "text": "now?"}]},
        ]}))
        .unwrap();
        assert_eq!(asked.system(), "Be kind.");
        let Given::Turns(turns) = asked.given else { panic!() };
        assert_eq!(turns[1].content, "How now?");
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (bad, param) in [
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "tool", "content": ""}]}), "messages[0].role"),
            (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
                "messages[0].content[0]",
            ),
            (json!({"messages": "Hi"}), "messages"),
            (json!({"temperature": 2.5}), "temperature"),
            (json!({"temperature": -1}), "temperature"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"top_p": 0}), "top_p"),
            (json!({"frequency_penalty": 3}), "frequency_penalty"),
            (json!({"n": 0}), "n"),
            (json!({"n": 9}), "n"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
            (json!({"max_tokens": 3, "max_completion_tokens": 4}), "max_tokens"),
            (json!({"stop": ["a", ""]}), "stop"),
            (json!({"top_logprobs": 3}), "top_logprobs"),
            (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
            (json!({"stream_options": {}}), "stream_options"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"watermarking": true, "watermark": {"enabled": false}}), "watermarking"),
            (json!({"watermark": {"enabled": true, "key": "00"}}), "watermark"),
            (json!({"watermark": {"enabled": false, "profile": "x"}}), "watermark"),
        ] {
            let refused = chat(bad.clone()).unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.param.as_deref()),
                (400, Some(param)),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_account_may_have_stricter_limits() {
        let limited =
            LIMITED.and(&Limits { max_n: Some(2), max_top_logprobs: Some(0), ..Limits::default() });
        let ask = |more: &str| {
            let body = format!(r#"{{"messages": [{{"role": "user", "content": "Hi"}}], {more}}}"#);
            Asked::chat(body.as_bytes(), limited)
        };
        assert!(ask(r#""n": 2"#).is_ok());
        assert_eq!(ask(r#""n": 3"#).unwrap_err().param.unwrap(), "n");
        assert_eq!(ask(r#""logprobs": true"#).unwrap_err().param.unwrap(), "logprobs");
    }
}
