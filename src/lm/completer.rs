//! A model that can only be asked: prompt in, text out.

use serde::{Deserialize, Serialize};

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The prompt.
    pub prompt: Prompt,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Nucleus: 1 is everything.
    pub top_p: f64,
    /// Seed, where the model takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// So many likeliest tokens with their log-probabilities at each position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u8>,
}

/// What goes before the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Text to continue.
    Text(String),
    /// A conversation.
    Messages(Vec<ChatMessage>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Its tokens, where log-probabilities were asked for and given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<CompletedToken>,
    /// Why it ended: `stop`, `length`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The model's own name for itself in the answer (`model`), which may differ from the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Headers of the answer that say who gave it, in lower case, in order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Tokens of the prompt, as the model counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the model counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Milliseconds from the request to the end of the answer.
    #[serde(default)]
    pub millis: u64,
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletedToken {
    /// Its text.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest tokens at its place with their log-probabilities, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f64)>,
}

/// A model behind a prompt.
pub trait Completer: Send {
    /// Where it is and what it is called, for reports; no secret. It does not change after [`about`](Self::about).
    fn name(&self) -> String;

    /// What can be learnt of it without paying for tokens, as pairs of a name and a value: models that it lists, headers.
    ///
    /// # Errors
    /// [`CompleterError`].
    fn about(&mut self) -> Result<Vec<(String, String)>, CompleterError>;

    /// One answer.
    ///
    /// # Errors
    /// [`CompleterError`].
    fn complete(&mut self, request: &Request) -> Result<Completion, CompleterError>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleterError {
    /// The model is not there or does not let us in; asking again does not help.
    #[error("{name} refuses ({status}): {message}")]
    Refused {
        /// The model.
        name: String,
        /// HTTP status.
        status: u16,
        /// What it says, shortened.
        message: String,
    },
    /// It was busy or failed at each attempt.
    #[error("{name} did not answer in {attempts} attempts; last: {message}")]
    Unavailable {
        /// The model.
        name: String,
        /// Attempts.
        attempts: u32,
        /// The last failure.
        message: String,
    },
    /// What it answered is not an answer.
    #[error("the answer of {name} cannot be read: {message}")]
    Malformed {
        /// The model.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A model in this process failed.
    #[error("{name} failed")]
    Local {
        /// The model.
        name: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
