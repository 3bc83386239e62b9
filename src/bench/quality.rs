//! What texts are like, and what a mark changes.

use std::collections::HashSet;

use crate::lm::{Chunk, LanguageModel, Want};
use crate::sampling::Noise;
use crate::stats::permutation_p;
use crate::tokens::{TokenId, Tokenize};

use super::distance::distance;
use super::error::BenchError;
use super::results::{QualityRow, TextMeasures};
use super::run::Condition;

/// Draws of the permutation test.
const DRAWS: u64 = 9_999;

/// The texts of one cell and measures of each.
pub(super) struct Judged {
    measures: Vec<TextMeasures>,
    texts: Vec<Vec<TokenId>>,
}

impl Judged {
    /// Of texts and the prompts that they continue.
    pub fn new(
        judge: &mut dyn LanguageModel,
        judge_tokenizer: &dyn Tokenize,
        texts: impl Iterator<Item = Result<(String, String, Vec<TokenId>), BenchError>>,
    ) -> Result<Self, BenchError> {
        let mut judged = Self { measures: Vec::new(), texts: Vec::new() };
        for text in texts {
            let (prompt, whole, ids) = text?;
            let loss = loss(judge, judge_tokenizer, prompt.len(), &whole)?;
            judged.measures.push(TextMeasures {
                loss,
                distinct: [1, 2, 3].map(|n| distinct(&ids, n)),
                repetition: 1.0 - distinct(&ids, 4),
            });
            judged.texts.push(ids);
        }
        Ok(judged)
    }

    /// A row, with what is different from unmarked texts of the same prompts.
    pub fn row(
        &self,
        condition: Condition<'_>,
        tokens: usize,
        unmarked: Option<&Self>,
        seed: u64,
    ) -> Result<QualityRow, BenchError> {
        let differences: Option<Vec<f64>> = unmarked.map(|unmarked| {
            let pairs = self.measures.iter().zip(&unmarked.measures);
            pairs.map(|(marked, plain)| marked.loss - plain.loss).collect()
        });
        let distance = unmarked.map(|unmarked| distance(&self.texts, &unmarked.texts, seed));
        let p = differences.as_deref().map(|it| sign_flips(it, seed)).transpose()?;
        Ok(QualityRow {
            scheme: condition.scheme_name().to_owned(),
            sampling: condition.sampling.name.clone(),
            tokens,
            mean: self.mean(),
            loss_difference: differences.as_deref().map(mean_and_margin),
            p_of_difference: p,
            distance: distance.transpose()?,
        })
    }

    fn mean(&self) -> TextMeasures {
        let count = self.measures.len().max(1) as f64;
        let mean =
            |of: &dyn Fn(&TextMeasures) -> f64| self.measures.iter().map(of).sum::<f64>() / count;
        TextMeasures {
            loss: mean(&|it| it.loss),
            distinct: [0, 1, 2].map(|n| mean(&|it| it.distinct[n])),
            repetition: mean(&|it| it.repetition),
        }
    }
}

/// Mean and 1.96 standard errors.
fn mean_and_margin(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance =
        values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, 1.96 * (variance / count).sqrt())
}

/// (1 + #{|Σ ±d| ≥ |Σ d|}) / (N + 1): valid where marked and unmarked texts of a prompt are exchangeable.
fn sign_flips(differences: &[f64], seed: u64) -> Result<f64, BenchError> {
    let own = differences.iter().sum::<f64>().abs();
    let mut noise = Noise::new(seed, 0);
    let mut at_least = 0;
    for _ in 0..DRAWS {
        let sum: f64 =
            differences.iter().map(|it| if noise.uniform() < 0.5 { -it } else { *it }).sum();
        // Sums in another order are equal up to rounding: ties count against us.
        at_least += u64::from(sum.abs() >= own * (1.0 - 1e-12));
    }
    Ok(permutation_p(at_least, DRAWS)?.p())
}

/// Distinct runs of n tokens over all of them; 1 of a text that has none.
fn distinct(ids: &[TokenId], n: usize) -> f64 {
    let all = (ids.len() + 1).saturating_sub(n);
    let distinct: HashSet<&[TokenId]> = ids.windows(n).collect();
    if all == 0 { 1.0 } else { distinct.len() as f64 / all as f64 }
}

/// Mean of −ln P over the judge's tokens that begin after the prompt.
fn loss(
    judge: &mut dyn LanguageModel,
    tokenizer: &dyn Tokenize,
    prompt: usize,
    text: &str,
) -> Result<f64, BenchError> {
    let read = tokenizer.encode(text)?;
    let ids = &read.ids[..read.ids.len().min(judge.max_positions())];
    if ids.len() < 2 {
        return Ok(0.0);
    }
    let (mut sum, mut count) = (0.0, 0.0);
    let seq = judge.open()?;
    let work = [Chunk { seq, ids: &ids[..ids.len() - 1], want: Want::All }];
    let mut sink = |_: usize, at: usize, logits: &[f32]| {
        if read.bytes[at + 1].start >= prompt {
            sum += ln_total(logits) - f64::from(logits[ids[at + 1] as usize]);
            count += 1.0;
        }
    };
    let done = judge.step(&work, &mut sink);
    judge.close(seq);
    done?;
    Ok(if count == 0.0 { 0.0 } else { sum / count })
}

/// ln Σ e^x.
fn ln_total(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    f64::from(most) + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diversity_by_hand() {
        assert_eq!(distinct(&[1, 2, 1, 2], 1), 0.5);
        assert_eq!(distinct(&[1, 2, 1, 2], 2), 2.0 / 3.0);
        assert_eq!(distinct(&[1], 4), 1.0);
        assert!((ln_total(&[0.0, 0.0]) - 2_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn differences_are_tested_both_ways() {
        let shifted: Vec<f64> = (0..40).map(|n| 0.5 + f64::from(n % 7) / 10.0).collect();
        assert!(sign_flips(&shifted, 1).unwrap() < 1e-3);
        let none: Vec<f64> = (0..40).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_eq!(sign_flips(&none, 1).unwrap(), 1.0);
        assert_eq!(mean_and_margin(&[1.0, 3.0]), (2.0, 1.96));
    }
}
