//! Rewriting by a model.

use crate::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use crate::sampling::Noise;
use crate::tokens::TokenId;

use super::Learned;

/// Texts that advance together.
const BATCH: usize = 24;

/// How a model goes over texts.
#[derive(Clone, Copy, Debug)]
pub struct Rewriter<'a> {
    /// Probability that a token is drawn anew.
    pub share: f64,
    /// Tokens that are never drawn.
    pub never: &'a [TokenId],
    /// What an attacker learned of the mark, and how many nats it moves logits by: up to write what would be found (spoofing), down to
    /// write what would not (scrubbing).
    pub bias: Option<(&'a Learned, f32)>,
    /// Each text draws its own numbers, of this and its place.
    pub seed: u64,
}

impl Rewriter<'_> {
    /// Texts of token ids as another model would have them: from left to right each token stays or is, with probability `share`, drawn
    /// anew by the model, at temperature 1, from what it expects after what now stands left of it. With a share of 1 nothing is left but prompt and length.
    ///
    /// A paraphrase that keeps the meaning takes a larger model and an instruction; this takes any model, and its strength is known.
    ///
    /// # Errors
    /// [`LmError`] of the model.
    pub fn rewrite(
        &self,
        model: &mut dyn LanguageModel,
        texts: &[Rewritten<'_>],
    ) -> Result<Vec<Vec<TokenId>>, LmError> {
        let mut after = Vec::new();
        for (batch, texts) in texts.chunks(BATCH).enumerate() {
            let mut open = Vec::new();
            let first = (batch * BATCH) as u64;
            let result = opened(model, texts.len(), &mut open)
                .and_then(|()| self.advance(model, &open, texts, first));
            open.into_iter().for_each(|seq| model.close(seq));
            after.extend(result?);
        }
        Ok(after)
    }

    fn advance(
        &self,
        model: &mut dyn LanguageModel,
        open: &[SeqId],
        texts: &[Rewritten<'_>],
        first: u64,
    ) -> Result<Vec<Vec<TokenId>>, LmError> {
        let mut noise: Vec<Noise> =
            (first..).take(texts.len()).map(|place| Noise::new(self.seed, place)).collect();
        let mut next: Vec<Vec<TokenId>> = texts.iter().map(|text| text.prompt.to_vec()).collect();
        let mut after = vec![Vec::new(); texts.len()];
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        for at in 0..longest {
            let going: Vec<usize> =
                (0..texts.len()).filter(|&text| at < texts[text].ids.len()).collect();
            let chunk =
                |&text: &usize| Chunk { seq: open[text], ids: &next[text], want: Want::Last };
            let work: Vec<Chunk<'_>> = going.iter().map(chunk).collect();
            let mut chosen = vec![0; going.len()];
            let mut choose = |number: usize, _: usize, logits: &[f32]| {
                let text = going[number];
                let stays = noise[text].uniform() >= self.share;
                let uniform = noise[text].uniform();
                chosen[number] = if stays {
                    texts[text].ids[at]
                } else {
                    self.drawn(&after[text], logits, uniform)
                };
            };
            model.step(&work, &mut choose)?;
            for (text, token) in going.into_iter().zip(chosen) {
                after[text].push(token);
                next[text] = vec![token];
            }
        }
        Ok(after)
    }

    /// A token after what was written.
    fn drawn(&self, written: &[TokenId], logits: &[f32], uniform: f64) -> TokenId {
        let mut moved;
        let logits = match self.bias {
            None => logits,
            Some((learned, nats)) => {
                moved = logits.to_vec();
                learned.each(written, |token, score| {
                    if let Some(logit) = moved.get_mut(token as usize) {
                        *logit += nats * score;
                    }
                });
                &moved
            }
        };
        drawn(logits, self.never, uniform)
    }
}

/// A text and what it continues, which is read and stays.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten<'a> {
    /// At least one id.
    pub prompt: &'a [TokenId],
    /// What is rewritten.
    pub ids: &'a [TokenId],
}

fn opened(
    model: &mut dyn LanguageModel,
    count: usize,
    open: &mut Vec<SeqId>,
) -> Result<(), LmError> {
    for _ in 0..count {
        open.push(model.open()?);
    }
    Ok(())
}

/// A token at temperature 1, none of `never`.
fn drawn(logits: &[f32], never: &[TokenId], uniform: f64) -> TokenId {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |(token, logit): (usize, &f32)| {
        if never.contains(&(token as TokenId)) { 0.0 } else { f64::from((logit - most).exp()) }
    };
    let mut left = uniform * logits.iter().enumerate().map(weight).sum::<f64>();
    let mut last = 0;
    for (token, logit) in logits.iter().enumerate() {
        let weight = weight((token, logit));
        if weight > 0.0 {
            last = token;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
    }
    last as TokenId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.0, 2_f32.ln(), 9.0, f32::NEG_INFINITY];
        let counts = (0..300).fold([0; 4], |mut counts, at| {
            counts[drawn(&logits, &[2], (f64::from(at) + 0.5) / 300.0) as usize] += 1;
            counts
        });
        assert_eq!(counts, [100, 200, 0, 0]);
        assert_eq!(drawn(&logits, &[2], 1.0 - f64::EPSILON), 1);
    }
}
