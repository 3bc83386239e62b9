//! Texts with signs in them while they are written, and without afterwards.

use crate::generate::{Answer, GenerateError, Request};
use crate::lm::{Chunk, LanguageModel, SeqId, Want};
use crate::sampling::Candidates;
use crate::tokens::{TokenId, Tokenize, TokenizeError};

use super::error::BenchError;
use super::plan::InsertedPlan;
use super::texts::Written;

/// A sign in tokens, after every so many others.
pub(super) struct Inserted {
    sign: Vec<TokenId>,
    every: usize,
}

impl Inserted {
    pub fn new(plan: &InsertedPlan, tokenizer: &dyn Tokenize) -> Result<Self, TokenizeError> {
        Ok(Self { sign: tokenizer.encode(&plan.text)?.ids, every: plan.every })
    }

    /// The sign's tokens.
    pub fn sign(&self) -> &[TokenId] {
        &self.sign
    }

    /// Tokens of a text together with its signs.
    pub fn with_signs(&self, tokens: usize) -> usize {
        tokens + tokens / self.every * self.sign.len()
    }

    /// Writes so many tokens of each answer, all in step with each other; signs are left out of what is given back.
    pub fn write(
        &self,
        model: &mut dyn LanguageModel,
        answers: Vec<Answer<'_>>,
        prompts: &[Request],
        tokens: usize,
    ) -> Result<Written, BenchError> {
        let seqs = answers.iter().map(|_| model.open()).collect::<Result<Vec<_>, _>>()?;
        let written = self.write_in(model, answers, prompts, tokens, &seqs);
        seqs.iter().for_each(|&seq| model.close(seq));
        written
    }

    fn write_in(
        &self,
        model: &mut dyn LanguageModel,
        mut answers: Vec<Answer<'_>>,
        prompts: &[Request],
        tokens: usize,
        seqs: &[SeqId],
    ) -> Result<Written, BenchError> {
        let mut written = vec![Vec::new(); answers.len()];
        let mut next: Vec<Vec<TokenId>> =
            prompts[..answers.len()].iter().map(|request| request.prompt.clone()).collect();
        let mut candidates = Candidates::default();
        for count in 1..=tokens {
            let mut failed: Result<(), GenerateError> = Ok(());
            let chunks = seqs.iter().zip(&next);
            let work: Vec<Chunk<'_>> =
                chunks.map(|(&seq, ids)| Chunk { seq, ids, want: Want::Last }).collect();
            model.step(&work, &mut |chunk: usize, _: usize, logits: &[f32]| {
                if let Err(error) = answers[chunk].advance(logits, &mut candidates) {
                    failed = Err(error);
                }
            })?;
            failed?;
            for (at, answer) in answers.iter_mut().enumerate() {
                let token = answer.ids().last().copied();
                written[at].extend(token);
                next[at] = token.into_iter().collect();
                if count % self.every == 0 {
                    answer.put(&self.sign)?;
                    next[at].extend(&self.sign);
                }
            }
        }
        Ok(written)
    }
}
