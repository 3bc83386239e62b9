//! Writing what is measured.

use std::ops::{ControlFlow, Range};

use serde::Serialize;

use crate::detect::seeded_key;
use crate::generate::{Answer, Ends, Request, generate};
use crate::lm::LanguageModel;
use crate::sampling::Sampling;
use crate::tokens::{TokenId, Tokenize};
use crate::watermark::{Vocabulary, Watermark};

use super::error::BenchError;
use super::inserted::Inserted;
use super::plan::{InsertedPlan, NamedScheme, Plan};

/// Sequences that are written together.
const BATCH: usize = 24;

/// What numbers are drawn for: no two purposes share any.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Keys = 1,
    Sampling = 2,
    Attacks = 3,
    NullKeys = 4,
    Signs = 5,
    Rewriting = 6,
    StolenKeys = 7,
}

impl Plan {
    /// The seed of one purpose.
    pub(super) fn seed_of(&self, purpose: Purpose) -> u64 {
        self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((purpose as u64) << 56)
    }
}

/// Ids of texts.
pub(super) type Written = Vec<Vec<TokenId>>;

/// Human text in pieces, each a prompt and what follows it.
pub(super) struct Human {
    pieces: Vec<Vec<TokenId>>,
    prompt: usize,
}

impl Human {
    /// Of texts, as many pieces as the plan needs.
    ///
    /// # Errors
    /// [`BenchError::Human`] for too little.
    pub fn new(texts: &[Vec<TokenId>], plan: &Plan) -> Result<Self, BenchError> {
        let (prompt, tokens) = (plan.prompt_tokens, plan.prompt_tokens + plan.longest());
        let pieces: Vec<Vec<TokenId>> = texts
            .iter()
            .flat_map(|ids| ids.chunks_exact(tokens))
            .take(plan.pieces())
            .map(<[TokenId]>::to_vec)
            .collect();
        let (needed, have) = (plan.pieces(), pieces.len());
        if have < needed {
            return Err(BenchError::Human { needed, tokens, have });
        }
        Ok(Self { pieces, prompt })
    }

    pub fn prompt(&self, number: usize) -> &[TokenId] {
        &self.pieces[number][..self.prompt]
    }

    /// What stood after the prompt.
    pub fn continuation(&self, number: usize) -> &[TokenId] {
        &self.pieces[number][self.prompt..]
    }
}

/// Numbers of keys for one cell, which do not depend on what else a plan has.
pub(super) fn streams(cell: &impl Serialize, count: usize) -> Range<u64> {
    // Plans have no maps with keys that are not text, and no other value that cannot be written.
    let cell = serde_json::to_string(cell).unwrap_or_default();
    let hash = blake3::hash(cell.as_bytes());
    let [a, b, c, ..] = *hash.as_bytes();
    let first = u64::from_be_bytes([a, b, c, 0, 0, 0, 0, 0]);
    first..first + count as u64
}

/// One mark for each text, each under a key of its own.
pub(super) fn marks(
    scheme: &NamedScheme,
    vocabulary: &Vocabulary,
    seed: u64,
    streams: impl Iterator<Item = u64>,
) -> Result<Vec<Watermark>, BenchError> {
    let NamedScheme { spec, repeats, .. } = scheme;
    streams
        .map(|stream| {
            let key = seeded_key(seed, stream, spec.key_numbers())?;
            Ok(Watermark::new(&key, spec.prf(), spec, vocabulary, *repeats)?)
        })
        .collect()
}

/// Continues each prompt, marked where there are marks; special tokens are never written, so that texts have the length that is asked for.
pub(super) fn write(
    model: &mut dyn LanguageModel,
    tokenizer: &dyn Tokenize,
    human: &Human,
    marks: Option<&[Watermark]>,
    wanted: Wanted<'_>,
    progress: &mut dyn FnMut(),
) -> Result<Written, BenchError> {
    let inserted = wanted.inserted.map(|plan| Inserted::new(plan, tokenizer)).transpose()?;
    // Who deletes signs deletes all of them: the model is to write none of its own.
    let signs = inserted.iter().flat_map(Inserted::sign).copied();
    let never = tokenizer.special_ids().iter().copied().chain(signs).collect();
    let ends = Ends { end: Vec::new(), never };
    let max_tokens = inserted.as_ref().map_or(wanted.tokens, |it| it.with_signs(wanted.tokens));
    let request = |number: usize| Request {
        prompt: human.prompt(number).to_vec(),
        max_tokens,
        sampling: wanted.sampling,
        stream: number as u64,
        stop: Vec::new(),
    };
    let requests: Vec<Request> = wanted.numbers.map(request).collect();
    let mut answers = requests.iter().enumerate().map(|(number, request)| {
        Answer::new(request, marks.map(|marks| &marks[number]), tokenizer, &ends)
    });
    if let Some(inserted) = inserted {
        let mut written = Written::new();
        while written.len() < requests.len() {
            let batch = answers.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
            let prompts = &requests[written.len()..];
            let texts = inserted.write(model, batch, prompts, wanted.tokens)?;
            texts.iter().for_each(|_| progress());
            written.extend(texts);
        }
        return Ok(written);
    }
    let mut written = vec![Vec::new(); requests.len()];
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    generate(model, answers, BATCH, &mut |_, _| {}, &mut |index, answer| {
        written[index] = answer.ids;
        progress();
        ControlFlow::Continue(())
    })?;
    Ok(written)
}

/// Which texts are to be written, and how.
pub(super) struct Wanted<'a> {
    pub sampling: Sampling,
    pub inserted: Option<&'a InsertedPlan>,
    /// Tokens of each.
    pub tokens: usize,
    /// Numbers of their prompts.
    pub numbers: Range<usize>,
}
