//! What clients send, as OpenAI defines it, with the fields that vLLM and this server add.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::tokens::TokenId;

/// Body of `POST /v1/chat/completions`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// The conversation so far, at least one message.
    #[schema(required, min_items = 1)]
    pub messages: Option<Vec<ChatMessage>>,
    /// Older name of `max_completion_tokens`.
    #[schema(minimum = 1)]
    pub max_tokens: Option<u64>,
    /// Most tokens of an answer. Without it, as many as fit the model's window.
    #[schema(minimum = 1)]
    pub max_completion_tokens: Option<u64>,
    /// Whether log-probabilities are told, of the model without its mark.
    pub logprobs: Option<bool>,
    /// How many alternatives are told at each position.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u64>,
    /// What both kinds of request have.
    #[serde(flatten)]
    pub common: Common,
}

/// Body of `POST /v1/completions`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct CompletionRequest {
    /// A text, or ids, or several of either.
    #[schema(required)]
    pub prompt: Option<Prompt>,
    /// Most tokens of an answer; 16 without it.
    #[schema(minimum = 1)]
    pub max_tokens: Option<u64>,
    /// How many alternatives are told at each position, of the model without its mark.
    #[schema(minimum = 0, maximum = 5)]
    pub logprobs: Option<u64>,
    /// What both kinds of request have.
    #[serde(flatten)]
    pub common: Common,
}

/// What both kinds of request have.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct Common {
    /// Name of the model.
    #[schema(required)]
    pub model: Option<String>,
    /// Answers to each prompt.
    #[schema(minimum = 1)]
    pub n: Option<u64>,
    /// Whether the answer comes as it grows.
    pub stream: Option<bool>,
    /// What a stream holds besides.
    pub stream_options: Option<StreamOptions>,
    /// 0 takes the likeliest token.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Choose among the likeliest tokens of this mass.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Makes tokens less likely by how often they are in the answer.
    #[schema(minimum = -2, maximum = 2)]
    pub frequency_penalty: Option<f32>,
    /// Makes tokens less likely that are in the answer.
    #[schema(minimum = -2, maximum = 2)]
    pub presence_penalty: Option<f32>,
    /// Seed of the choice of tokens. A mark's own randomness does not follow it.
    pub seed: Option<i64>,
    /// A text that ends the answer, or up to 16.
    pub stop: Option<Stop>,
    /// A name of the client's user. Kept nowhere.
    pub user: Option<String>,
    /// Only `{"type": "text"}`.
    pub response_format: Option<ResponseFormat>,
    /// Choose among the k likeliest tokens; 0 for all. As in vLLM.
    pub top_k: Option<i64>,
    /// Choose among tokens this times as likely as the likeliest. As in vLLM.
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f32>,
    /// Makes tokens of prompt and answer less likely. As in vLLM.
    pub repetition_penalty: Option<f32>,
    /// Write on to the greatest length. As in vLLM.
    pub ignore_eos: Option<bool>,
    /// Whether the answer's token ids are told. As in vLLM.
    pub return_token_ids: Option<bool>,
    /// Whether the answer is to be marked. As in vLLM.
    pub watermarking: Option<bool>,
    /// How the answer is to be marked.
    pub watermark: Option<WatermarkWish>,
}

/// How an answer is to be marked. A key is not among the fields: nobody but the operator chooses keys.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatermarkWish {
    /// Whether it is.
    pub enabled: Option<bool>,
    /// One of the profiles that this API key may use.
    pub profile: Option<String>,
}

/// What a stream holds besides.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// A last chunk with the numbers of tokens.
    pub include_usage: Option<bool>,
}

/// The form of an answer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ResponseFormat {
    /// Only `text`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Stop {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What is to be continued.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Prompt {
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// The ids of a text.
    Ids(Vec<TokenId>),
    /// The ids of several.
    IdLists(Vec<Vec<TokenId>>),
}

/// A message of a conversation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `developer`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: Option<Content>,
    /// Who of several of one role said it.
    pub name: Option<String>,
    /// Not implemented.
    #[schema(value_type = Option<Object>)]
    pub tool_calls: Option<serde_json::Value>,
}

/// A message's text, whole or in parts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Content {
    /// Whole.
    Text(String),
    /// In parts.
    Parts(Vec<ContentPart>),
}

/// A part of a message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ContentPart {
    /// Only `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub text: Option<String>,
}
