//! From what was written to what clients read, in either form.

use super::choice::Piece;
use super::response::{
    AnswerMessage, ChatChoice, ChatChunk, ChatLogprob, ChatLogprobs, CompletionChoice,
    CompletionLogprobs, Delta, TokenLogprob,
};
use crate::generate::{FinishReason, Logprob, StepLogprobs};
use crate::serve::writer::Writer;

/// How answers to one request are told.
#[derive(Clone, Copy)]
pub struct Telling<'a> {
    /// The model, for the texts of tokens.
    pub writer: &'a Writer,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// Decimal places that they are rounded to.
    pub decimals: Option<u32>,
    /// Whether token ids are told.
    pub token_ids: bool,
}

impl Telling<'_> {
    /// A whole answer to a conversation.
    pub fn chat(&self, index: usize, piece: &Piece, finish_reason: FinishReason) -> ChatChoice {
        ChatChoice {
            index,
            message: AnswerMessage {
                role: "assistant",
                content: piece.text.clone(),
                refusal: None,
            },
            logprobs: self.chat_logprobs(piece),
            finish_reason,
            token_ids: self.ids(piece),
        }
    }

    /// A part of one.
    pub fn chat_chunk(
        &self,
        index: usize,
        piece: &Piece,
        finish_reason: Option<FinishReason>,
    ) -> ChatChunk {
        let content = (!piece.is_empty()).then(|| piece.text.clone());
        let logprobs = if piece.is_empty() { None } else { self.chat_logprobs(piece) };
        let delta = Delta { role: None, content };
        ChatChunk { index, delta, logprobs, finish_reason, token_ids: self.ids(piece) }
    }

    /// An answer to a prompt, whole or in part. `offset` is how many characters of tokens came before.
    pub fn completion(
        &self,
        index: usize,
        piece: &Piece,
        finish_reason: Option<FinishReason>,
        offset: &mut usize,
    ) -> CompletionChoice {
        let logprobs = self.logprobs.then(|| self.completion_logprobs(&piece.logprobs, offset));
        CompletionChoice {
            index,
            text: piece.text.clone(),
            logprobs,
            finish_reason,
            token_ids: self.ids(piece),
        }
    }

    fn ids(&self, piece: &Piece) -> Option<Vec<u32>> {
        self.token_ids.then(|| piece.ids.clone())
    }

    fn chat_logprobs(&self, piece: &Piece) -> Option<ChatLogprobs> {
        let of = |step: &StepLogprobs| ChatLogprob {
            chosen: self.token(step.chosen),
            top_logprobs: step.top.iter().map(|&token| self.token(token)).collect(),
        };
        let content = || piece.logprobs.iter().map(of).collect();
        self.logprobs.then(|| ChatLogprobs { content: content(), refusal: None })
    }

    fn token(&self, Logprob { id, logprob }: Logprob) -> TokenLogprob {
        let token = self.writer.token(id);
        let whole = !token.contains(char::REPLACEMENT_CHARACTER);
        let bytes = whole.then(|| token.clone().into_bytes());
        TokenLogprob { token, logprob: self.rounded(logprob), bytes }
    }

    fn completion_logprobs(
        &self,
        steps: &[StepLogprobs],
        offset: &mut usize,
    ) -> CompletionLogprobs {
        let mut all = CompletionLogprobs::default();
        for step in steps {
            let token = self.writer.token(step.chosen.id);
            all.text_offset.push(*offset);
            *offset += token.chars().count();
            all.tokens.push(token);
            all.token_logprobs.push(self.rounded(step.chosen.logprob));
            let top =
                step.top.iter().map(|top| (self.writer.token(top.id), self.rounded(top.logprob)));
            all.top_logprobs.push(top.collect());
        }
        all
    }

    /// JSON has no infinity: what is impossible is told as OpenAI tells it.
    fn rounded(&self, logprob: f32) -> f64 {
        let value = f64::from(logprob).max(IMPOSSIBLE);
        match self.decimals {
            Some(places) => {
                let scale = 10_f64.powi(places.min(12).cast_signed());
                (value * scale).round() / scale
            }
            None => value,
        }
    }
}

/// What stands for the logarithm of 0.
const IMPOSSIBLE: f64 = -9999.0;
