//! Writing what is measured.

use std::ops::{ControlFlow, Range};

use serde::Serialize;

use crate::detect::seeded_key;
use crate::generate::{Answer, Ends, GenerateError, Request, generate};
use crate::lm::LanguageModel;
use crate::sampling::Sampling;
use crate::tokens::{TokenId, Tokenize, TokenizeError};
use crate::watermark::{Vocabulary, Watermark};

use super::error::BenchError;
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

/// Human text in pieces, each a prompt and what follows it, and prompts that stand in the place of its own.
pub(super) struct Human<'a> {
    pieces: Vec<Vec<TokenId>>,
    prompt: usize,
    prompts: Option<&'a [Vec<TokenId>]>,
}

impl<'a> Human<'a> {
    /// Of texts, as many pieces as the plan needs.
    ///
    /// # Errors
    /// [`BenchError::Human`] and [`BenchError::Prompts`] for too little.
    pub fn new(
        texts: &[Vec<TokenId>],
        prompts: Option<&'a [Vec<TokenId>]>,
        plan: &Plan,
    ) -> Result<Self, BenchError> {
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
        if let Some(have) = prompts.map(<[_]>::len).filter(|&have| have < needed) {
            return Err(BenchError::Prompts { needed, have });
        }
        Ok(Self { pieces, prompt, prompts })
    }

    pub fn prompt(&self, number: usize) -> &[TokenId] {
        match self.prompts {
            Some(prompts) => &prompts[number],
            None => &self.pieces[number][..self.prompt],
        }
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
    human: &Human<'_>,
    marks: Option<&[Watermark]>,
    wanted: Wanted<'_>,
    progress: &mut dyn FnMut(),
) -> Result<Written, BenchError> {
    let inserted = wanted.inserted.map(|plan| Inserted::new(plan, tokenizer)).transpose()?;
    // Who deletes signs deletes all of them: the model is to write none of its own.
    let signs = inserted.iter().flat_map(|it| &it.sign);
    let never = tokenizer.special_ids().iter().chain(signs).copied().collect();
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
    let answers = requests.iter().enumerate().map(|(number, request)| {
        Answer::new(request, marks.map(|marks| &marks[number]), tokenizer, &ends)
    });
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let mut written = vec![Vec::new(); requests.len()];
    let put = |answer: &mut Answer<'_>| inserted.as_ref().map_or(Ok(()), |it| it.put(answer));
    generate(model, answers, BATCH, &mut |_, answer| put(answer), &mut |index, answer| {
        written[index] = match &inserted {
            Some(inserted) => inserted.without(&answer.ids),
            None => answer.ids,
        };
        progress();
        ControlFlow::Continue(())
    })?;
    Ok(written)
}

/// A sign after every so many tokens while a text is written.
struct Inserted {
    sign: Vec<TokenId>,
    every: usize,
}

impl Inserted {
    fn new(plan: &InsertedPlan, tokenizer: &dyn Tokenize) -> Result<Self, TokenizeError> {
        Ok(Self { sign: tokenizer.encode(&plan.text)?.ids, every: plan.every })
    }

    /// Tokens of a text together with its signs; it ends with none.
    fn with_signs(&self, tokens: usize) -> usize {
        tokens + tokens.saturating_sub(1) / self.every * self.sign.len()
    }

    fn put(&self, answer: &mut Answer<'_>) -> Result<(), GenerateError> {
        let round = self.every + self.sign.len();
        if answer.ids().len() % round == self.every { answer.put(&self.sign) } else { Ok(()) }
    }

    fn without(&self, ids: &[TokenId]) -> Vec<TokenId> {
        let rounds = ids.chunks(self.every + self.sign.len());
        rounds.flat_map(|round| &round[..round.len().min(self.every)]).copied().collect()
    }
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
