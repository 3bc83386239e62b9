//! How far the words of marked texts are from those of unmarked ones.

use std::iter::zip;

use crate::sampling::Noise;
use crate::stats::permutation_p;
use crate::tokens::TokenId;

use super::error::BenchError;
use super::results::Distance;

/// Draws of the permutation test.
const DRAWS: u64 = 999;

/// Of texts and as many others, each pair of them after one prompt.
///
/// The Jensen–Shannon divergence of the frequencies of tokens, H((P + Q) / 2) − (H(P) + H(Q)) / 2 bits (Lin 1991), all texts of a side
/// together. It is above 0 for any two samples; what it is by chance is seen by changing the sides of pairs, each with probability ½.
pub(super) fn distance(
    texts: &[Vec<TokenId>],
    others: &[Vec<TokenId>],
    seed: u64,
) -> Result<Distance, BenchError> {
    let mut counts = Counts::new(texts.iter().chain(others).flatten().copied().max().unwrap_or(0));
    let bits = counts.divergence(zip(texts, others));
    let mut noise = Noise::new(seed, 1);
    let (mut at_least, mut sum) = (0, 0.0);
    for _ in 0..DRAWS {
        let pairs = zip(texts, others);
        let drawn = counts
            .divergence(pairs.map(|(a, b)| if noise.uniform() < 0.5 { (b, a) } else { (a, b) }));
        // Sums of the same numbers are equal up to rounding: ties count against us.
        at_least += u64::from(drawn >= bits - 1e-12);
        sum += drawn;
    }
    let p = permutation_p(at_least, DRAWS)?.p();
    Ok(Distance { bits, by_chance: sum / DRAWS as f64, p })
}

/// How often each token stands on each side.
struct Counts(Vec<[u32; 2]>);

impl Counts {
    fn new(greatest: TokenId) -> Self {
        Self(vec![[0; 2]; greatest as usize + 1])
    }

    fn divergence<'a>(
        &mut self,
        pairs: impl Iterator<Item = (&'a Vec<TokenId>, &'a Vec<TokenId>)>,
    ) -> f64 {
        self.0.fill([0; 2]);
        let mut totals = [0.0; 2];
        for (a, b) in pairs {
            for (side, ids) in [a, b].into_iter().enumerate() {
                ids.iter().for_each(|&id| self.0[id as usize][side] += 1);
                totals[side] += ids.len() as f64;
            }
        }
        if totals.contains(&0.0) {
            return 0.0;
        }
        let term = |share: f64| if share > 0.0 { share * share.log2() } else { 0.0 };
        let shares = self.0.iter().filter(|it| **it != [0; 2]).map(|&[a, b]| {
            let (a, b) = (f64::from(a) / totals[0], f64::from(b) / totals[1]);
            f64::midpoint(term(a), term(b)) - term(f64::midpoint(a, b))
        });
        shares.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_by_hand() {
        let of = |a: &[TokenId], b: &[TokenId]| {
            Counts::new(9).divergence([(&a.to_vec(), &b.to_vec())].into_iter())
        };
        assert_eq!(of(&[1, 2], &[3, 3]), 1.0);
        assert_eq!(of(&[1, 2], &[2, 1]), 0.0);
        assert_eq!(of(&[1], &[]), 0.0);
        // P = (1, 0), Q = (½, ½): H(¾, ¼) − ½.
        assert!((of(&[1, 1], &[1, 2]) - (0.811_278_124_459_132_8 - 0.5)).abs() < 1e-12);
    }

    #[test]
    fn only_texts_of_other_words_are_far() {
        let texts = |shift: u32| -> Vec<Vec<TokenId>> {
            let mut noise = Noise::new(u64::from(shift) + 1, 0);
            (0..40)
                .map(|_| {
                    (0..50).map(|_| (noise.uniform() * 40.0) as TokenId + shift % 10).collect()
                })
                .collect()
        };
        let far = distance(&texts(0), &texts(3), 1).unwrap();
        assert_eq!(far.p, 1e-3);
        assert!(far.bits > 2.0 * far.by_chance);
        let near = distance(&texts(0), &texts(10), 1).unwrap();
        assert!(near.p > 0.05 && near.bits < 1.2 * near.by_chance, "{near:?}");
    }
}
