//! The decode loop: a language model, a sampler and, where a mark is wanted, an embedder.
//!
//! [`Answer`] is one answer in the making: given a row of logits it chooses the next token. It knows no model, so a
//! batching server can drive it too. [`generate`] drives many of them over one [`LanguageModel`].

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId, Want};
use crate::sampling::{Candidates, Sampler, Sampling, SamplingError};
use crate::schemes::{Pick, SpecError, Stage};
use crate::tokens::{TokenId, Tokenize, TokenizeError};
use crate::watermark::{Embedder, Marked, Unmarked, Watermark};

/// What to write.
#[derive(Clone, Debug)]
pub struct Request {
    /// The prompt, at least one id.
    pub prompt: Vec<TokenId>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tells continuations of one prompt under one seed apart.
    pub stream: u64,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

/// Ids with a meaning of their own to the decode loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// End an answer when the model chooses them.
    pub end: Vec<TokenId>,
    /// Are never chosen.
    pub never: Vec<TokenId>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop text came.
    Stop,
    /// `max_tokens` or the model's window was reached.
    Length,
    /// Who ran it ended it, as a server that is shut down.
    Abort,
}

/// One token's log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Logprob {
    /// The token.
    pub id: TokenId,
    /// ln softmax(logits) at this token, at most 0. The logits are the model's own: before penalties, temperature,
    /// truncation and marks.
    pub logprob: f32,
}

/// What the model thought of one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepLogprobs {
    /// The token that was chosen.
    pub chosen: Logprob,
    /// The most probable tokens, most probable first, the lower id on ties.
    pub top: Vec<Logprob>,
}

/// Most tokens of a step whose log-probabilities can be had: OpenAI's limit.
pub const MOST_LOGPROBS: usize = 20;

/// What an answer reads: of somebody who outlives it, or shared.
enum Held<'a, T: ?Sized> {
    Borrowed(&'a T),
    Shared(Arc<T>),
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(it) => it,
            Self::Shared(it) => it,
        }
    }
}

impl Borrow<Watermark> for Held<'_, Watermark> {
    fn borrow(&self) -> &Watermark {
        self
    }
}

/// Text as it grows, cut at stop texts.
///
/// Holds back bytes that do not yet make a character, and text that may turn out to be the beginning of a stop text.
struct TextStream<'a> {
    tokenizer: Held<'a, dyn Tokenize + 'a>,
    stop: Vec<String>,
    ids: Vec<TokenId>,
    /// Ids before this are final in `text`.
    settled: usize,
    /// Where the tokens settled last begin: new ones are decoded after them, since a tokenizer may treat a text's first
    /// token differently.
    anchor: usize,
    text: String,
    emitted: usize,
}

impl<'a> TextStream<'a> {
    fn new(tokenizer: Held<'a, dyn Tokenize + 'a>, stop: &[String]) -> Self {
        Self {
            tokenizer,
            stop: stop.iter().filter(|stop| !stop.is_empty()).cloned().collect(),
            ids: Vec::new(),
            settled: 0,
            anchor: 0,
            text: String::new(),
            emitted: 0,
        }
    }

    /// Adds a token; true when a stop text was completed and cut off.
    fn push(&mut self, id: TokenId) -> Result<bool, TokenizeError> {
        self.ids.push(id);
        let piece = self.unsettled()?;
        if piece.ends_with(char::REPLACEMENT_CHARACTER)
            && self.ids.len() - self.settled < LONGEST_CHARACTER
        {
            return Ok(false);
        }
        self.settle(&piece);
        Ok(self.cut())
    }

    /// The text of the ids that are not settled.
    fn unsettled(&self) -> Result<String, TokenizeError> {
        let before = self.tokenizer.decode(&self.ids[self.anchor..self.settled])?;
        let all = self.tokenizer.decode(&self.ids[self.anchor..])?;
        Ok(all.strip_prefix(&before).map_or_else(|| all.clone(), str::to_owned))
    }

    fn settle(&mut self, piece: &str) {
        self.text.push_str(piece);
        (self.anchor, self.settled) = (self.settled, self.ids.len());
    }

    fn cut(&mut self) -> bool {
        let found = self.stop.iter();
        let found = found.filter_map(|stop| self.text[self.emitted..].find(stop.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(self.emitted + at);
        }
        found.is_some()
    }

    /// Text that is certain and was not handed out before.
    fn take(&mut self) -> &str {
        let from = self.emitted;
        self.emitted = self.text.len() - self.pending();
        &self.text[from..self.emitted]
    }

    /// Length of the longest tail that begins a stop text.
    fn pending(&self) -> usize {
        let tail = &self.text[self.emitted..];
        let begins = |from: &usize| self.stop.iter().any(|stop| stop.starts_with(&tail[*from..]));
        tail.char_indices().map(|(at, _)| at).find(begins).map_or(0, |at| tail.len() - at)
    }

    /// Everything not handed out yet, for the end of an answer.
    fn rest(&mut self) -> &str {
        let from = std::mem::replace(&mut self.emitted, self.text.len());
        &self.text[from..]
    }

    /// Settles what was held back at the end of the answer.
    fn finish(&mut self) -> Result<(), TokenizeError> {
        let piece = self.unsettled()?;
        self.settle(&piece);
        self.cut();
        Ok(())
    }
}

/// One answer in the making.
///
/// All that it changes is its own: the sampler's generator, what the mark remembers, the text. Marks and tokenizers,
/// which it shares with others, are read only.
pub struct Answer<'a> {
    request: Held<'a, Request>,
    sampler: Sampler,
    embedder: Option<Embedder<Held<'a, Watermark>>>,
    text: TextStream<'a>,
    ends: Held<'a, Ends>,
    output: Vec<TokenId>,
    marked: usize,
    unmarked: BTreeMap<Unmarked, usize>,
    /// How many log-probabilities of each step are wanted, beside that of the token chosen.
    top: Option<usize>,
    logprobs: Vec<StepLogprobs>,
    finish: Option<FinishReason>,
}

impl Answer<'static> {
    /// Begins an answer that holds what it reads, for whoever cannot say which lives longer.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn owned(
        request: Request,
        watermark: Option<Arc<Watermark>>,
        tokenizer: Arc<dyn Tokenize>,
        ends: Arc<Ends>,
    ) -> Result<Self, GenerateError> {
        let request = Held::Shared(Arc::new(request));
        let watermark = watermark.map(Held::Shared);
        Self::begin(request, watermark, Held::Shared(tokenizer), Held::Shared(ends))
    }
}

impl<'a> Answer<'a> {
    /// Begins an answer.
    ///
    /// # Errors
    /// [`GenerateError`] for an empty prompt or a sampling parameter outside its range.
    pub fn new(
        request: &'a Request,
        watermark: Option<&'a Watermark>,
        tokenizer: &'a dyn Tokenize,
        ends: &'a Ends,
    ) -> Result<Self, GenerateError> {
        let (request, watermark) = (Held::Borrowed(request), watermark.map(Held::Borrowed));
        Self::begin(request, watermark, Held::Borrowed(tokenizer), Held::Borrowed(ends))
    }

    fn begin(
        request: Held<'a, Request>,
        watermark: Option<Held<'a, Watermark>>,
        tokenizer: Held<'a, dyn Tokenize + 'a>,
        ends: Held<'a, Ends>,
    ) -> Result<Self, GenerateError> {
        if request.prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if request.max_tokens == 0 {
            return Err(GenerateError::NoTokens);
        }
        Ok(Self {
            sampler: Sampler::new(request.sampling, request.stream)?,
            embedder: watermark.map(|mark| Embedder::new(mark, &request.prompt)),
            text: TextStream::new(tokenizer, &request.stop),
            request,
            ends,
            output: Vec::new(),
            marked: 0,
            unmarked: BTreeMap::new(),
            top: None,
            logprobs: Vec::new(),
            finish: None,
        })
    }

    /// The same, carrying a message instead of message 0.
    ///
    /// # Errors
    /// [`GenerateError::Message`] when the mark carries none, there is no mark, or the message does not fit.
    pub fn with_message(self, message: u64) -> Result<Self, GenerateError> {
        let embedder = self.embedder.ok_or(SpecError::CarriesNoMessage)?;
        Ok(Self { embedder: Some(embedder.with_message(message)?), ..self })
    }

    /// The same, noting the log-probabilities of the tokens chosen and of the `top` most probable ones of each step.
    ///
    /// # Errors
    /// [`GenerateError::Logprobs`] for more than [`MOST_LOGPROBS`].
    pub fn with_logprobs(self, top: usize) -> Result<Self, GenerateError> {
        if top > MOST_LOGPROBS {
            return Err(GenerateError::Logprobs { wanted: top });
        }
        Ok(Self { top: Some(top), ..self })
    }

    /// Chooses the next token from the model's logits and says whether the answer goes on.
    ///
    /// # Errors
    /// [`GenerateError`] when the logits are not numbers or the tokenizer cannot decode.
    pub fn advance(
        &mut self,
        logits: &[f32],
        candidates: &mut Candidates,
    ) -> Result<Option<TokenId>, GenerateError> {
        self.check_numbers(logits)?;
        candidates.load(logits);
        let entropy = self.needs_entropy().then(|| crate::sampling::entropy(logits));
        let top = self.top.map(|top| candidates.highest(top).to_vec());
        let token = self.choose(candidates, entropy);
        self.logprobs.extend(top.map(|top| step_logprobs(logits, token, &top)));
        self.append(token)
    }

    /// How many of the highest logits will mostly do for [`advance_by_highest`](Self::advance_by_highest); `None` when
    /// the choice needs them all.
    pub fn enough(&self) -> Option<usize> {
        let by_few = !self.needs_entropy() && self.top.is_none();
        let decisive = self.sampler.decisive().filter(|_| by_few)?;
        // A mark on raw logits lifts tokens from below; the further down one looks, the surer are the highest.
        let looked_at = if self.rise() > 0.0 { (16 * decisive).max(LOOKED_AT) } else { decisive };
        Some(looked_at + self.ends.never.len())
    }

    /// As [`advance`](Self::advance), from the [`enough`](Self::enough) highest logits and their tokens, ascending.
    /// `None` when they do not decide the choice; then nothing has changed.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn advance_by_highest(
        &mut self,
        tokens: &[TokenId],
        logits: &[f32],
        candidates: &mut Candidates,
    ) -> Result<Option<Option<TokenId>>, GenerateError> {
        self.check_numbers(logits)?;
        candidates.load_some(tokens, logits);
        candidates.forbid(&self.ends.never);
        let decisive = self.sampler.decisive().unwrap_or(usize::MAX).min(logits.len());
        let last = candidates.highest(decisive).last().copied();
        let last = last.map_or(f32::NEG_INFINITY, |entry| candidates.logits()[entry as usize]);
        let lowest = logits.iter().copied().fold(f32::INFINITY, f32::min);
        // No token that is missing reaches the candidates, whatever the mark adds to it. Without a mark the lowest may
        // itself be the last candidate: equal logits were left out in the order of tokens, as truncation does.
        let rise = self.rise();
        if if rise > 0.0 { last <= lowest + rise } else { last < lowest } {
            return Ok(None);
        }
        let token = self.choose(candidates, None);
        self.append(token).map(Some)
    }

    /// The most by which the mark raises a logit before truncation.
    fn rise(&self) -> f32 {
        self.embedder.as_ref().map_or(0.0, Embedder::greatest_rise)
    }

    fn needs_entropy(&self) -> bool {
        self.embedder.as_ref().is_some_and(Embedder::needs_entropy)
    }

    fn check_numbers(&self, logits: &[f32]) -> Result<(), GenerateError> {
        // A sum is NaN or +∞ whenever one of its terms is.
        let sum: f32 = logits.iter().sum();
        if sum.is_nan() || sum == f32::INFINITY {
            let position = self.request.prompt.len() + self.output.len();
            return Err(GenerateError::Logits { position });
        }
        Ok(())
    }

    fn append(&mut self, token: TokenId) -> Result<Option<TokenId>, GenerateError> {
        self.output.push(token);
        if self.ends.end.contains(&token) {
            self.end(FinishReason::Stop)?;
        } else if self.text.push(token)? {
            self.finish = Some(FinishReason::Stop);
        } else if self.output.len() >= self.request.max_tokens {
            self.end(FinishReason::Length)?;
        }
        Ok(self.finish.is_none().then_some(token))
    }

    /// Ends the answer when the model's window has no room for its last token.
    fn fit(&mut self, max_positions: usize) -> Result<(), GenerateError> {
        let full = self.request.prompt.len() + self.output.len() > max_positions;
        if full && self.finish.is_none() { self.end(FinishReason::Length) } else { Ok(()) }
    }

    /// Puts tokens into an answer that nobody chose, as if the model had been told to write them there. They count among `max_tokens`,
    /// and ends and stop texts in them end nothing. A finished answer stays as it is.
    ///
    /// # Errors
    /// [`GenerateError::Tokenize`] when the tokenizer cannot decode them.
    pub fn put(&mut self, tokens: &[TokenId]) -> Result<(), GenerateError> {
        if self.finish.is_none() {
            for &token in tokens {
                self.output.push(token);
                self.text.push(token)?;
            }
        }
        Ok(())
    }

    /// Prompt and answer but for the first `read` ids.
    fn after(&self, read: usize) -> Vec<TokenId> {
        self.request.prompt.iter().chain(&self.output).skip(read).copied().collect()
    }

    /// Ends an answer that is not finished.
    ///
    /// # Errors
    /// [`GenerateError::Tokenize`] when the tokenizer cannot decode what was held back.
    pub fn abort(&mut self) -> Result<(), GenerateError> {
        if self.finish.is_none() { self.end(FinishReason::Abort) } else { Ok(()) }
    }

    fn end(&mut self, reason: FinishReason) -> Result<(), GenerateError> {
        self.finish = Some(reason);
        Ok(self.text.finish()?)
    }

    fn choose(&mut self, candidates: &mut Candidates, entropy: Option<f64>) -> TokenId {
        candidates.forbid(&self.ends.never);
        self.sampler.penalise(&self.request.prompt, &self.output, candidates);
        let early = self.mark_at(Stage::RawLogits, candidates, entropy);
        if let Pick::Token(token) = early {
            return token;
        }
        self.sampler.truncate(candidates);
        match self.mark_at(Stage::AfterTruncation, candidates, entropy) {
            Pick::Token(token) => token,
            Pick::Sample => self.sampler.choose(candidates),
        }
    }

    fn mark_at(&mut self, stage: Stage, candidates: &mut Candidates, entropy: Option<f64>) -> Pick {
        let Some(embedder) = self.embedder.as_mut().filter(|embedder| embedder.stage() == stage)
        else {
            return Pick::Sample;
        };
        match embedder.mark(&self.output, candidates, entropy, self.sampler.noise()) {
            Marked::Yes(pick) => {
                self.marked += 1;
                pick
            }
            Marked::No(reason) => {
                *self.unmarked.entry(reason).or_default() += 1;
                Pick::Sample
            }
        }
    }

    /// Text that is certain and was not handed out before: all the rest of a finished answer.
    pub fn take_text(&mut self) -> &str {
        if self.finish.is_some() { self.text.rest() } else { self.text.take() }
    }

    /// Why it ended; `None` while it goes on.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// Number of steps so far that carry the mark.
    pub fn marked(&self) -> usize {
        self.marked
    }

    /// The ids chosen so far.
    pub fn ids(&self) -> &[TokenId] {
        &self.output
    }

    /// The log-probabilities of the steps so far; none unless they are wanted.
    pub fn logprobs(&self) -> &[StepLogprobs] {
        &self.logprobs
    }

    /// The finished answer.
    pub fn into_output(self) -> Output {
        Output {
            text: self.text.text,
            ids: self.output,
            marked: self.marked,
            unmarked: self.unmarked,
            logprobs: self.logprobs,
            finish_reason: self.finish.unwrap_or(FinishReason::Length),
        }
    }
}

/// The log-probabilities of a chosen token and of the tokens `top`.
fn step_logprobs(logits: &[f32], chosen: TokenId, top: &[TokenId]) -> StepLogprobs {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from((logit - highest).exp())).sum();
    let of = |id: TokenId| {
        let logit = logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        Logprob { id, logprob: (f64::from(logit - highest) - total.ln()) as f32 }
    };
    StepLogprobs { chosen: of(chosen), top: top.iter().copied().map(of).collect() }
}

/// A finished answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// The text, without stop texts and special tokens.
    pub text: String,
    /// Every id chosen, the end token included.
    pub ids: Vec<TokenId>,
    /// Number of steps that carry the mark.
    pub marked: usize,
    /// Number of steps that do not, by reason.
    pub unmarked: BTreeMap<Unmarked, usize>,
    /// What the model thought of every step; empty unless that was wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<StepLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// Writes all answers, `batch` at a time, and hands each to `done` with its index as soon as it is finished.
/// `progress` gets an index and its answer after each of its steps: it may [take](Answer::take_text) its text, and
/// [put](Answer::put) tokens into it.
///
/// An answer is a function of its request, the mark and the model alone; its neighbours in the batch change at most the
/// last bits of its logits.
///
/// # Errors
/// The first [`GenerateError`]; answers handed to `done` before are complete. Sequences are closed in any case.
pub fn generate<'a>(
    model: &mut dyn LanguageModel,
    answers: Vec<Answer<'a>>,
    batch: usize,
    progress: &mut Progress<'_, 'a>,
    done: &mut dyn FnMut(usize, Output) -> std::ops::ControlFlow<()>,
) -> Result<(), GenerateError> {
    let mut running: Vec<Running<'a>> = Vec::new();
    let result = drive(model, answers, batch.max(1), &mut running, progress, done);
    running.iter().for_each(|running| model.close(running.seq));
    result
}

/// What is heard of each answer after each of its steps.
type Progress<'p, 'a> = dyn FnMut(usize, &mut Answer<'a>) -> Result<(), GenerateError> + 'p;

struct Running<'a> {
    index: usize,
    seq: SeqId,
    answer: Answer<'a>,
    /// How many ids of prompt and answer the model has read.
    read: usize,
}

fn drive<'a>(
    model: &mut dyn LanguageModel,
    answers: Vec<Answer<'a>>,
    batch: usize,
    running: &mut Vec<Running<'a>>,
    progress: &mut Progress<'_, 'a>,
    done: &mut dyn FnMut(usize, Output) -> std::ops::ControlFlow<()>,
) -> Result<(), GenerateError> {
    let mut waiting = answers.into_iter().enumerate();
    let mut candidates = Candidates::default();
    loop {
        while running.len() < batch
            && let Some((index, answer)) = waiting.next()
        {
            running.push(Running { index, seq: model.open()?, answer, read: 0 });
        }
        if running.is_empty() {
            return Ok(());
        }
        step(model, running, &mut candidates)?;
        for at in (0..running.len()).rev() {
            let Running { index, answer, .. } = &mut running[at];
            answer.fit(model.max_positions())?;
            progress(*index, answer)?;
            if answer.finish.is_some() {
                let finished = running.swap_remove(at);
                model.close(finished.seq);
                if done(finished.index, finished.answer.into_output()).is_break() {
                    return Ok(());
                }
            }
        }
    }
}

/// One step of all running answers.
fn step(
    model: &mut dyn LanguageModel,
    running: &mut [Running<'_>],
    candidates: &mut Candidates,
) -> Result<(), GenerateError> {
    let fed: Vec<Vec<TokenId>> =
        running.iter().map(|running| running.answer.after(running.read)).collect();
    running.iter_mut().zip(&fed).for_each(|(running, ids)| running.read += ids.len());
    let seqs = running.iter().map(|running| running.seq);
    let work: Vec<Chunk<'_>> =
        seqs.zip(&fed).map(|(seq, ids)| Chunk { seq, ids, want: Want::Last }).collect();
    let mut choice = Choice { running, candidates, failed: Ok(()) };
    model.step(&work, &mut choice)?;
    choice.failed
}

/// Chooses each answer's next token from the rows of a step.
struct Choice<'s, 'a> {
    running: &'s mut [Running<'a>],
    candidates: &'s mut Candidates,
    failed: Result<(), GenerateError>,
}

impl Choice<'_, '_> {
    fn chosen(&mut self, token: Result<Option<TokenId>, GenerateError>) {
        if let Err(error) = token {
            self.failed = Err(error);
        }
    }
}

impl LogitSink for Choice<'_, '_> {
    fn row(&mut self, chunk: usize, _: usize, logits: &[f32]) {
        let token = self.running[chunk].answer.advance(logits, self.candidates);
        self.chosen(token);
    }

    fn enough(&self, chunk: usize) -> Option<usize> {
        self.running[chunk].answer.enough()
    }

    fn highest(&mut self, chunk: usize, _: usize, tokens: &[TokenId], logits: &[f32]) -> bool {
        let answer = &mut self.running[chunk].answer;
        let chosen = answer.advance_by_highest(tokens, logits, self.candidates);
        if let Some(token) = chosen.transpose() {
            self.chosen(token);
            return true;
        }
        false
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A model continues something: the prompt needs at least one token.
    #[error("the prompt is empty; give at least one word to continue")]
    EmptyPrompt,
    /// Nothing was asked for.
    #[error("max_tokens is 0; ask for at least one token")]
    NoTokens,
    /// More log-probabilities than can be had.
    #[error("{wanted} log-probabilities a token are asked for; ask for at most {MOST_LOGPROBS}")]
    Logprobs {
        /// What was asked for.
        wanted: usize,
    },
    /// The model gave logits that are not numbers.
    #[error(
        "the model gave logits that are not finite numbers at position {position}; its weights may be damaged"
    )]
    Logits {
        /// Position in the sequence.
        position: usize,
    },
    /// The message that an answer was to carry.
    #[error(transparent)]
    Message(#[from] SpecError),
    /// The model.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A sampling parameter.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
}

/// Logits looked at, at least, when a mark may lift tokens from below.
const LOOKED_AT: usize = 256;

/// A character never takes more tokens than this: UTF-8 has at most four bytes.
const LONGEST_CHARACTER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{Encoding, TokenizerHash};

    /// Ids are bytes.
    struct Bytes;

    impl Tokenize for Bytes {
        fn encode(&self, text: &str) -> Result<Encoding, TokenizeError> {
            Ok(Encoding { ids: text.bytes().map(TokenId::from).collect(), bytes: Vec::new() })
        }
        fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
            Ok(self.encode(text)?.ids)
        }
        fn decode(&self, ids: &[TokenId]) -> Result<String, TokenizeError> {
            let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        fn vocab_size(&self) -> usize {
            256
        }
        fn special_ids(&self) -> &[TokenId] {
            &[]
        }
        fn hash(&self) -> TokenizerHash {
            TokenizerHash([0; 32])
        }
    }

    /// What is handed out while `text` comes in byte by byte, in pieces, and what the whole text is.
    fn stream(text: &[u8], stop: &[&str]) -> (Vec<String>, String, bool) {
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        let mut stream = TextStream::new(Held::Borrowed(&Bytes), &stop);
        let (mut pieces, mut stopped) = (Vec::new(), false);
        for &byte in text {
            stopped = stream.push(TokenId::from(byte)).unwrap();
            pieces.push(stream.take().to_owned());
            if stopped {
                break;
            }
        }
        if !stopped {
            stream.finish().unwrap();
        }
        pieces.push(stream.rest().to_owned());
        (pieces, stream.text, stopped)
    }

    #[test]
    fn characters_are_handed_out_whole() {
        let text = "né 東京 👩‍🚀!";
        let (pieces, whole, _) = stream(text.as_bytes(), &[]);
        assert_eq!(whole, text);
        assert_eq!(pieces.concat(), text);
        assert!(!pieces.iter().any(|piece| piece.contains(char::REPLACEMENT_CHARACTER)));
    }

    #[test]
    fn broken_bytes_come_out_as_replacement_characters() {
        let (pieces, whole, _) = stream(b"a\xff\xff\xff\xff\xff\xffb\xe6", &[]);
        assert_eq!(pieces.concat(), whole);
        assert!(whole.starts_with('a') && whole.contains('b'), "{whole}");
    }

    #[test]
    fn stop_texts_are_cut_and_their_beginnings_held_back() {
        let (pieces, whole, stopped) = stream(b"one two END three", &["END", " tx"]);
        assert_eq!((whole.as_str(), stopped), ("one two ", true));
        assert_eq!(pieces.concat(), whole);
        // What only looked like the beginning of a stop text comes out after all.
        let (pieces, whole, stopped) = stream(b"an EN", &["END"]);
        assert_eq!(
            (pieces.concat(), whole.as_str(), stopped),
            ("an EN".to_owned(), "an EN", false)
        );
    }

    fn request(prompt: Vec<TokenId>, max_tokens: usize) -> Request {
        Request { prompt, max_tokens, sampling: Sampling::default(), stream: 0, stop: Vec::new() }
    }

    fn begin(request: Request, ends: Ends) -> Result<Answer<'static>, GenerateError> {
        Answer::owned(request, None, Arc::new(Bytes), Arc::new(ends))
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |request: Request| begin(request, Ends::default()).err();
        assert!(matches!(refused(request(vec![], 5)), Some(GenerateError::EmptyPrompt)));
        assert!(matches!(refused(request(vec![1], 0)), Some(GenerateError::NoTokens)));
        let mut answer = begin(request(vec![1], 5), Ends::default()).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let found = answer.advance(&[0.0, bad, 1.0], &mut Candidates::default());
            assert!(matches!(found, Err(GenerateError::Logits { position: 1 })));
        }
    }

    #[test]
    fn answers_end_at_their_end_ids_and_never_choose_forbidden_ones() {
        let ends = Ends { end: vec![1], never: vec![2] };
        let mut answer = begin(request(vec![0], 5), ends).unwrap();
        let next = answer.advance(&[-50.0, 40.0, 90.0, -50.0], &mut Candidates::default()).unwrap();
        assert_eq!(next, None);
        let output = answer.into_output();
        assert_eq!((output.ids, output.text.as_str()), (vec![1], ""));
        assert_eq!(output.finish_reason, FinishReason::Stop);
    }

    #[test]
    fn log_probabilities_are_the_models_own() {
        let logits = [1.0_f32, 3.0, f32::NEG_INFINITY, 3.0, -2.0];
        let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        let logprob = |id: TokenId| (f64::from(logits[id as usize]) - total.ln()) as f32;
        // Greedy, and forbidden: what is reported is what the model said before.
        let sampling = Sampling { temperature: 0.0, frequency_penalty: 2.0, ..Sampling::default() };
        let request = Request { sampling, ..request(vec![0], 2) };
        let ends = Ends { end: Vec::new(), never: vec![1] };
        let mut answer = begin(request, ends).unwrap().with_logprobs(3).unwrap();
        assert_eq!(answer.enough(), None);
        let mut candidates = Candidates::default();
        assert_eq!(answer.advance(&logits, &mut candidates).unwrap(), Some(3));
        assert_eq!(answer.advance(&logits, &mut candidates).unwrap(), None);
        let steps = answer.into_output().logprobs;
        assert_eq!(steps.iter().map(|step| step.chosen.id).collect::<Vec<_>>(), [3, 0]);
        for step in steps {
            let top: Vec<TokenId> = step.top.iter().map(|entry| entry.id).collect();
            assert_eq!(top, [1, 3, 0]);
            for entry in step.top.iter().chain([&step.chosen]) {
                assert!((entry.logprob - logprob(entry.id)).abs() < 1e-6, "{entry:?}");
            }
        }
        let plain = begin(super::tests::request(vec![0], 2), Ends::default()).unwrap();
        assert!(matches!(plain.with_logprobs(21), Err(GenerateError::Logprobs { wanted: 21 })));
    }
}
