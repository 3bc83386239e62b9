//! A model's own chat template: messages to the text of a prompt.
//!
//! Templates are jinja2 with what transformers adds (`transformers/utils/chat_template_utils.py`). They run in minijinja,
//! rewritten (`dialect.rs`) and with Python's methods, filters and operators, so that a prompt is the one that
//! transformers makes. A template comes with a model and is not trusted: its steps and the text it makes are bounded.

mod budget;
mod dialect;
mod environment;
mod filters;
mod generator;
mod lexer;
mod methods;
mod operators;
mod python;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use minijinja::{Environment, Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One turn of a conversation that is only text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`; what a template knows is its own affair.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        serde_json::json!({ "role": message.role, "content": message.content })
    }
}

/// What a prompt is made from besides the messages.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// Tools the model may call, as JSON schemas. A template called `tool_use` is taken where there is one.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from: objects with `title` and `text`.
    pub documents: Option<Vec<Value>>,
    /// Opens the assistant's turn at the end. Default: true.
    pub add_generation_prompt: bool,
    /// Ends the prompt inside the last message, for the model to go on with it; no generation prompt then.
    pub continue_final_message: bool,
    /// Further variables a template may know, such as `enable_thinking`; they win over the special tokens.
    pub variables: Map<String, Value>,
    /// The time that templates print; `None` is now, in local time.
    pub now: Option<DateTime>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            tools: None,
            documents: None,
            add_generation_prompt: true,
            continue_final_message: false,
            variables: Map::new(),
            now: None,
        }
    }
}

/// The templates of a model, and its special tokens.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Sources by name; a single template is `default`.
    sources: BTreeMap<String, String>,
    tokens: Map<String, Value>,
}

/// The special tokens that transformers gives a template by name.
const TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Names a message's reasoning goes by; the first is the one that templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Marks the end of the message to go on with while a template renders.
const CONTINUE: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

impl ChatTemplate {
    /// A template with the two special tokens that nearly all use.
    ///
    /// # Errors
    /// [`ChatError::Syntax`] when it does not parse.
    pub fn new(template: String, bos_token: &str, eos_token: &str) -> Result<Self, ChatError> {
        let tokens = [("bos_token", bos_token), ("eos_token", eos_token)];
        let tokens = tokens.map(|(name, token)| (name.to_owned(), Value::from(token)));
        Self::from_sources([("default".to_owned(), template)].into(), tokens.into_iter().collect())
    }

    /// Reads the templates from the text of a `tokenizer_config.json`; `file` is the text of a `chat_template.jinja`
    /// beside it, which wins.
    ///
    /// # Errors
    /// [`ChatError`]: no template there, or one that does not parse.
    pub fn from_config(config: &str, file: Option<&str>) -> Result<Self, ChatError> {
        Self::from_files(config, file, &[])
    }

    /// As [`Self::from_config`], with the files of `additional_chat_templates/` by their names without `.jinja`.
    ///
    /// # Errors
    /// [`ChatError`]: no template there, or one that does not parse.
    pub fn from_files(
        config: &str,
        file: Option<&str>,
        additional: &[(String, String)],
    ) -> Result<Self, ChatError> {
        let config: Value = serde_json::from_str(config).map_err(ChatError::Config)?;
        let mut sources: BTreeMap<String, String> = additional.iter().cloned().collect();
        sources.extend(file.map(|file| ("default".to_owned(), file.to_owned())));
        if sources.is_empty() {
            sources = configured(&config["chat_template"]);
        }
        let tokens = TOKENS
            .iter()
            .filter_map(|&name| Some((name.to_owned(), Value::from(token(&config[name])?))));
        Self::from_sources(sources, tokens.collect())
    }

    fn from_sources(
        sources: BTreeMap<String, String>,
        tokens: Map<String, Value>,
    ) -> Result<Self, ChatError> {
        if sources.is_empty() {
            return Err(ChatError::None);
        }
        let mut environment = environment::new();
        for (name, source) in &sources {
            let syntax = |line, reason| ChatError::Syntax { name: name.clone(), line, reason };
            let rewritten =
                dialect::rewritten(source).map_err(|fault| syntax(fault.line, fault.reason))?;
            environment
                .add_template_owned(name.clone(), rewritten)
                .map_err(|error| syntax(error.line().unwrap_or(1), reason(&error)))?;
        }
        Ok(Self { environment, sources, tokens })
    }

    /// Renders a conversation. A message is an object with `role` and `content` (text, or a list of parts), and what
    /// else the template reads: `tool_calls`, `name`, `reasoning_content`.
    ///
    /// # Errors
    /// [`ChatError`]: the template refuses the messages, fails on them, or takes too much work.
    pub fn render(&self, messages: &[Value], options: &RenderOptions) -> Result<String, ChatError> {
        if messages.is_empty() {
            return Err(ChatError::Empty);
        }
        if options.continue_final_message && options.add_generation_prompt {
            return Err(ChatError::Continue("a generation prompt would begin another turn".into()));
        }
        let name = self.select(options)?;
        let mut messages: Vec<Value> = messages.iter().map(prepared).collect();
        let ending = if options.continue_final_message {
            Some(self.mark(name, &mut messages)?)
        } else {
            None
        };
        let text = self.run(name, messages, options)?;
        match ending {
            Some(ending) => cut(&text, &ending),
            None => Ok(text),
        }
    }

    /// The name of the template to use, as transformers picks it.
    fn select(&self, options: &RenderOptions) -> Result<&'static str, ChatError> {
        if options.tools.is_some() && self.sources.contains_key("tool_use") {
            return Ok("tool_use");
        }
        if self.sources.contains_key("default") {
            return Ok("default");
        }
        Err(ChatError::NoDefault(self.sources.keys().cloned().collect::<Vec<_>>().join(", ")))
    }

    fn run(
        &self,
        name: &str,
        messages: Vec<Value>,
        options: &RenderOptions,
    ) -> Result<String, ChatError> {
        let list = |items: &Option<Vec<Value>>| items.clone().map_or(Value::Null, Value::Array);
        let mut variables = self.tokens.clone();
        variables.extend(options.variables.clone());
        variables.insert("messages".into(), Value::Array(messages));
        variables.insert("tools".into(), list(&options.tools));
        variables.insert("documents".into(), list(&options.documents));
        variables.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        environment::render(&self.environment, name, variables, options.now)
            .map_err(|error| ChatError::rendering(name, &error))
    }

    /// Puts the mark behind the text of the last message, and gives that text.
    fn mark(&self, name: &str, messages: &mut [Value]) -> Result<String, ChatError> {
        let nothing = || ChatError::Continue("the last message has no text".into());
        if !self.sources.get(name).is_some_and(|source| source.contains("content")) {
            return Err(ChatError::Continue("the template reads no content".into()));
        }
        let content = messages.last_mut().and_then(|message| message.get_mut("content"));
        let text = match content.ok_or_else(nothing)? {
            Value::Array(parts) => {
                parts.iter_mut().rev().find_map(|part| part.get_mut("text")).ok_or_else(nothing)?
            }
            content => content,
        };
        let Value::String(text) = text else { return Err(nothing()) };
        let ending = text.clone();
        text.push_str(CONTINUE);
        Ok(ending)
    }
}

/// The prompt up to the mark; where the template trimmed the message, so is the prompt's end.
fn cut(text: &str, ending: &str) -> Result<String, ChatError> {
    let mark = CONTINUE.trim_end();
    let at = text.rfind(mark).filter(|_| text.contains(ending.trim_matches(python::is_space)));
    let at = at.ok_or_else(|| ChatError::Continue("the template drops the last message".into()))?;
    let before = &text[..at];
    let kept = text[at..].starts_with(CONTINUE);
    Ok(if kept { before } else { python::trim_end(before) }.to_owned())
}

/// A message as transformers hands it on: no keys without a value, reasoning under the names that templates read.
fn prepared(message: &Value) -> Value {
    let Value::Object(fields) = message else { return message.clone() };
    let mut fields = fields.clone();
    fields.retain(|_, value| !value.is_null());
    let reasoning = REASONING.iter().find_map(|name| fields.get(*name)).cloned();
    if let Some(reasoning) = reasoning {
        fields.entry("thinking").or_insert_with(|| reasoning.clone());
        fields.insert("reasoning_content".into(), reasoning);
    }
    Value::Object(fields)
}

/// Puts system messages at the head of the first user turn, for models that know no system role.
pub fn fold_system(messages: &[Message]) -> Vec<Message> {
    let (system, mut rest): (Vec<Message>, Vec<Message>) =
        messages.iter().cloned().partition(|message| message.role == "system");
    let mut head: Vec<String> = system.into_iter().map(|message| message.content).collect();
    if let Some(first) = rest.iter_mut().find(|message| message.role == "user")
        && !head.is_empty()
    {
        head.push(std::mem::take(&mut first.content));
        first.content = head.join("\n\n");
    }
    rest
}

/// The templates of a configuration: one, or a list of named ones.
fn configured(template: &Value) -> BTreeMap<String, String> {
    match template {
        Value::String(template) => [("default".to_owned(), template.clone())].into(),
        Value::Array(named) => named
            .iter()
            .filter_map(|entry| {
                Some((entry["name"].as_str()?.to_owned(), entry["template"].as_str()?.to_owned()))
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// A special token is text, or an object that holds it.
fn token(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// Why a conversation could not become a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// Not JSON.
    #[error("tokenizer_config.json is not JSON")]
    Config(#[source] serde_json::Error),
    /// No template.
    #[error(
        "the model has no chat template; it continues text (leave out --chat), or needs one in tokenizer_config.json"
    )]
    None,
    /// Several templates, and none to take.
    #[error("the model has the chat templates {0}, and none is called default; name one so")]
    NoDefault(String),
    /// Not a template.
    #[error(
        "line {line} of the model's chat template ({name}) is not jinja: {reason}; take the template from the model's first publisher"
    )]
    Syntax {
        /// Which of the model's templates.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A conversation without messages.
    #[error("a conversation needs at least one message")]
    Empty,
    /// The template refuses the conversation.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    /// The template failed.
    #[error(
        "line {line} of the model's chat template ({name}) failed: {reason}; check that the messages have the roles and fields it reads"
    )]
    Failed {
        /// Which of the model's templates.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What went wrong there.
        reason: String,
    },
    /// The template does not come to an end, or makes too much.
    #[error(
        "line {line} of the model's chat template ({name}) takes more work than a prompt can need: {reason}; do not trust this template, or shorten the conversation"
    )]
    TooMuch {
        /// Which of the model's templates.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What was exceeded.
        reason: String,
    },
    /// The last message cannot be continued.
    #[error("the last message cannot be continued: {0}; let the model begin a turn of its own")]
    Continue(String),
}

impl ChatError {
    fn rendering(name: &str, error: &Error) -> Self {
        if let Some(message) = environment::raised(error) {
            return Self::Refused(message);
        }
        let (name, line, reason) = (name.to_owned(), error.line().unwrap_or(1), reason(error));
        match error.kind() {
            ErrorKind::OutOfFuel => Self::TooMuch { name, line, reason },
            _ => Self::Failed { name, line, reason },
        }
    }
}

/// What an error says, without the place, which is named apart.
fn reason(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}
