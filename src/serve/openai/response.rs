//! What clients get, as OpenAI defines it, with what this server adds.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::generate::FinishReason;
use crate::tokens::TokenId;
use crate::watermark::Unmarked;

/// An answer to a conversation, whole or a chunk of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answer<C> {
    /// Name of the answer.
    pub id: String,
    /// `chat.completion`, `chat.completion.chunk` or `text_completion`.
    pub object: &'static str,
    /// When it was asked for, seconds since 1970.
    pub created: i64,
    /// Name of the model.
    pub model: String,
    /// Changes when the model or the server does: what a seed chose may then be another answer.
    pub system_fingerprint: String,
    /// The answers, one for each that was asked for.
    pub choices: Vec<C>,
    /// Numbers of tokens; of a stream in its last chunk, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What became of the mark; of a stream in its last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkReport>,
    /// Names of the receipts, where the operator has them told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Vec<String>>,
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
    /// Of the prompts.
    pub prompt_tokens: usize,
    /// Of the answers.
    pub completion_tokens: usize,
    /// Of both.
    pub total_tokens: usize,
    /// Of the prompts' tokens.
    pub prompt_tokens_details: PromptTokens,
}

/// Of the prompts' tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PromptTokens {
    /// Those that were not computed again.
    pub cached_tokens: usize,
}

/// What became of the mark.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct WatermarkReport {
    /// The profile, where there is a mark.
    pub profile: Option<String>,
    /// Its scheme.
    pub scheme: Option<String>,
    /// Whether the answer carries the mark.
    pub applied: bool,
    /// Why it does not.
    pub reason: Option<String>,
    /// Tokens that carry it.
    pub tokens_marked: usize,
    /// Tokens that do not.
    pub tokens_skipped: usize,
    /// Those by reason.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub skipped: BTreeMap<Unmarked, usize>,
}

/// One answer to a conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
    /// Which of the answers.
    pub index: usize,
    /// The answer.
    pub message: AnswerMessage,
    /// Log-probabilities, where they were asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended: `stop`, `length`, or `abort` when the server did.
    #[schema(value_type = String)]
    pub finish_reason: FinishReason,
    /// Its token ids, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<TokenId>>,
}

/// What was answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnswerMessage {
    /// `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
    /// Null: this server refuses by errors.
    pub refusal: Option<String>,
}

/// Part of one answer to a conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChunk {
    /// Which of the answers.
    pub index: usize,
    /// What is new.
    pub delta: Delta,
    /// Log-probabilities of what is new, where they were asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended, in its last chunk.
    #[schema(value_type = Option<String>)]
    pub finish_reason: Option<FinishReason>,
    /// Token ids of what is new, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<TokenId>>,
}

/// What is new.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Delta {
    /// `assistant`, in the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// New text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// One answer to a prompt, or part of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CompletionChoice {
    /// Which of the answers.
    pub index: usize,
    /// The text.
    pub text: String,
    /// Log-probabilities, where they were asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended.
    #[schema(value_type = Option<String>)]
    pub finish_reason: Option<FinishReason>,
    /// Token ids, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<TokenId>>,
}

/// Log-probabilities of the model without its mark: natural logarithms, before temperature, truncation and penalties.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ChatLogprobs {
    /// One entry a token.
    pub content: Vec<ChatLogprob>,
    /// Null.
    pub refusal: Option<Vec<ChatLogprob>>,
}

/// Of one token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatLogprob {
    /// The token that was chosen.
    #[serde(flatten)]
    pub chosen: TokenLogprob,
    /// The likeliest.
    pub top_logprobs: Vec<TokenLogprob>,
}

/// A token and its log-probability.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenLogprob {
    /// The token's text; empty for special tokens.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes; null where it is a part of a character.
    pub bytes: Option<Vec<u8>>,
}

/// Log-probabilities in the older form.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct CompletionLogprobs {
    /// Tokens' texts.
    pub tokens: Vec<String>,
    /// Their log-probabilities.
    pub token_logprobs: Vec<f64>,
    /// The likeliest at each position.
    pub top_logprobs: Vec<BTreeMap<String, f64>>,
    /// Where each begins in the answer, in characters.
    pub text_offset: Vec<usize>,
}

impl Usage {
    /// Of prompts and answers together.
    pub fn of(prompt_tokens: usize, completion_tokens: usize, cached_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokens { cached_tokens },
        }
    }
}
