//! Whether the evidence of a suspect's answers lies in a few of them.

use crate::prf::Held;
use crate::tokens::TokenId;
use crate::watermark::Watermark;

/// How the evidence is spread over answers: mean and variance of each answer's z.
///
/// A model that was trained on marked text says a little of the mark in every answer: zᵢ has one mean and variance about 1. One that
/// quotes marked text, or hands on another's answers, says much of it in a share f of its answers and nothing in the others: with z
/// in those, the mean is f·z and the variance 1 + f(1 − f)z² = 1 + mean²·(1 − f)/f.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Concentration {
    /// Answers with enough pairs to be judged.
    pub answers: u64,
    /// Mean of zᵢ.
    pub mean: f64,
    /// Variance of zᵢ.
    pub variance: f64,
}

impl Concentration {
    /// Fewest pairs of an answer.
    pub const PAIRS: usize = 16;
    /// Least variance that speaks of few answers: trained models' answers differ somewhat too.
    const VARIANCE: f64 = 2.0;

    /// Of answers as the pairs that each brought.
    pub fn new(answers: &[Vec<(Vec<TokenId>, TokenId)>], mark: &Watermark) -> Self {
        let (mean, variance) = (mark.null().mean(), mark.null().variance());
        let mut held = Held::default();
        let mut z = Vec::new();
        for pairs in answers.iter().filter(|pairs| pairs.len() >= Self::PAIRS) {
            let (mut sum, mut count) = (0.0, 0.0);
            for (context, token) in pairs {
                mark.each_cell(context, &[*token], &mut held, |_, cell| {
                    sum += cell.evidence;
                    count += 1.0;
                });
            }
            if count > 0.0 {
                z.push((sum - count * mean) / (count * variance).sqrt());
            }
        }
        Self::of(&z)
    }

    fn of(z: &[f64]) -> Self {
        let count = z.len() as f64;
        let mean = z.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = z.iter().map(|z| (z - mean).powi(2)).sum();
        Self { answers: z.len() as u64, mean, variance: squares / (count - 1.0).max(1.0) }
    }

    /// Whether less than half of the answers carry the evidence.
    pub fn is_in_few(&self) -> bool {
        self.answers >= 4
            && self.mean > 0.0
            && self.variance > Self::VARIANCE
            && self.variance > 1.0 + self.mean * self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_told_from_training() {
        let noise = |i: usize| ((i * 7919 % 997) as f64 / 997.0 - 0.5) * 3.46;
        let of = |shift: &dyn Fn(usize) -> f64| {
            Concentration::of(&(0..200).map(|i| noise(i) + shift(i)).collect::<Vec<_>>())
        };
        assert!(!of(&|_| 0.0).is_in_few());
        assert!(!of(&|_| 0.5).is_in_few());
        assert!(!of(&|i| 3.0 + (i % 3) as f64).is_in_few());
        assert!(of(&|i| if i % 10 == 0 { 12.0 } else { 0.0 }).is_in_few());
        assert!(of(&|i| if i % 3 == 0 { 6.0 } else { 0.0 }).is_in_few());
        assert!(!Concentration::of(&[9.0, 0.0, 0.0]).is_in_few());
        assert!(!Concentration::of(&[]).is_in_few());
    }
}
