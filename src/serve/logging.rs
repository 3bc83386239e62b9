//! What the server says of its own doing. Never a text, a prompt or a key.

use serde::Serialize;

use super::openai::{Usage, WatermarkReport};

/// Where it says it.
pub trait Log: Send + Sync {
    /// Something went wrong that an operator must know of.
    fn fault(&self, words: &str);

    /// Something an operator may want to know.
    fn note(&self, words: &str);

    /// A request was answered to its end.
    fn request(&self, line: &RequestLine);
}

/// One answered request, as a line of the request log: what a search for harvesting needs, without any text.
#[derive(Clone, Debug, Serialize)]
pub struct RequestLine {
    /// Version of this form.
    pub schema: u32,
    /// When it was asked for.
    pub time: jiff::Timestamp,
    /// Name of the answer.
    pub id: String,
    /// Who asked.
    pub account: String,
    /// `/v1/chat/completions` or `/v1/completions`.
    pub route: &'static str,
    /// Name of the model.
    pub model: String,
    /// Answers to each prompt.
    pub n: usize,
    /// τ.
    pub temperature: f32,
    /// The mass that tokens were chosen from.
    pub top_p: f32,
    /// How many alternatives log-probabilities were told of.
    pub top_logprobs: Option<usize>,
    /// Keyed hashes of the prompts, the same for the same prompt while the server runs.
    pub prompts: Vec<String>,
    /// Numbers of tokens.
    pub usage: Usage,
    /// What became of the mark.
    pub watermark: WatermarkReport,
    /// From request to the end of the answer, in seconds.
    pub seconds: f64,
}

impl RequestLine {
    /// Version of the form.
    pub const SCHEMA: u32 = 1;
}
