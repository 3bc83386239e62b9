//! `synthid`: tournament sampling.
//!
//! Dathathri et al., "Scalable watermarking for identifying large language model outputs", Nature 634 (2024). Each of m
//! layers gives every token a fair bit g; layer l is bit l mod 32 of stream ⌊l/32⌋. One layer lets N candidates drawn
//! from p compete and keeps one with the highest g, which turns p into
//!
//! ```text
//! N = 2:   p'_v = p_v · (1 + g_v − G),                                  G = Σ g_v p_v
//! N > 2:   p'_v = p_v · (1 − (1−G)^N) / G   if g_v = 1,   p_v · (1−G)^(N−1)   if g_v = 0
//! ```
//!
//! (supplementary information, the vectorised form). With N = 2 the layers leave the model's distribution unchanged on
//! average over keys; with more leaves they do not. Evidence is the number of ones, or a weighted sum of them with
//! weights falling linearly from 10 to 1 over the layers (times m − 1, so that they are whole numbers).
//! Null: Binomial(m, ½), or the law of the weighted sum of fair bits.

use serde::{Deserialize, Serialize};

use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage, check_width};
use crate::tokens::TokenId;

/// Parameters of `synthid`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthId {
    /// m, number of layers, 1 to 64.
    pub depth: u32,
    /// N, candidates in a match; 2 leaves the distribution unchanged.
    pub leaves: u32,
    /// h, how many ids seed the draw, 1 to 15.
    pub context_width: usize,
    /// How layers are added up.
    pub weighting: Weighting,
}

/// How the bits of the layers become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// All alike.
    #[default]
    Mean,
    /// Early layers, which carry more, weigh more: 10 down to 1.
    WeightedMean,
}

impl Default for SynthId {
    fn default() -> Self {
        Self { depth: 30, leaves: 2, context_width: 4, weighting: Weighting::Mean }
    }
}

impl SynthId {
    /// Most layers.
    pub(super) const MAX_DEPTH: u32 = 64;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        vec![
            base.clone(),
            Self { weighting: Weighting::WeightedMean, context_width: 2, ..base.clone() },
            Self { leaves: 4, depth: 9, ..base.clone() },
            Self { depth: 40, ..base },
        ]
    }

    /// The layers' bits of `token`, layer 0 lowest.
    pub(super) fn bits(&self, draw: &Draw<'_>, token: TokenId) -> u64 {
        let high = if self.depth > 32 { draw.word(token, 1) } else { 0 };
        let all = u64::from(high) << 32 | u64::from(draw.word(token, 0));
        all & (u64::MAX >> (64 - self.depth))
    }

    /// Weight of layer `l`: (10 − 9·l/(m−1))·(m−1).
    pub(super) fn weight(&self, layer: u32) -> u64 {
        let last = u64::from(self.depth - 1).max(1);
        10 * last - 9 * u64::from(layer)
    }
}

impl Scheme for SynthId {
    fn check(&self) -> Result<(), SpecError> {
        if !(1..=Self::MAX_DEPTH).contains(&self.depth) {
            return Err(SpecError::Depth { got: self.depth, max: Self::MAX_DEPTH });
        }
        if !(2..=1000).contains(&self.leaves) {
            return Err(SpecError::Leaves { got: self.leaves });
        }
        check_width(self.context_width)
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.context_width }
    }

    fn canonical(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("depth", u64::from(self.depth)),
            ("leaves", u64::from(self.leaves)),
            ("context_width", self.context_width as u64),
            ("weighting", self.weighting as u64),
        ]
    }

    fn skips_repeats(&self) -> bool {
        true
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.depth > 32 { &[0, 1] } else { &[0] }
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        for &stream in self.streams() {
            let layers = (self.depth - 32 * stream).min(32);
            candidates.read_words(|ids, out| draw.words(ids, stream, out));
            let (probabilities, words) = candidates.probabilities_and_words();
            tournament(probabilities, words, layers, self.leaves);
        }
        Pick::Sample
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        let bits = self.bits(draw, token);
        match self.weighting {
            Weighting::Mean => f64::from(bits.count_ones()),
            // Σ weight(l)·g_l = weight(0)·Σ g_l − 9·Σ l·g_l.
            Weighting::WeightedMean => {
                (self.weight(0) * u64::from(bits.count_ones()) - 9 * index_sum(bits)) as f64
            }
        }
    }

    fn null(&self, _: u32) -> Null {
        match self.weighting {
            Weighting::Mean => Null::Binomial { trials: self.depth, p: 0.5 },
            Weighting::WeightedMean => Null::WeightedBits {
                weights: (0..self.depth).map(|layer| self.weight(layer)).collect(),
            },
        }
    }

    fn distortion_free(&self) -> bool {
        self.leaves == 2
    }
}

/// Plays `layers` rounds on `p`, reading layer `l` from bit `l` of each word. Each pass applies one layer and sums the
/// next one's G.
fn tournament(p: &mut [f32], words: &[u32], layers: u32, leaves: u32) {
    let mut green_mass = mass_of_ones(p, words, 0);
    for layer in 0..layers {
        let (one, zero) = factors(green_mass, leaves);
        let mut next = [0.0_f32; 8];
        let mut pass = |p: &mut f32, word: u32, slot: usize| {
            *p *= if word >> layer & 1 == 1 { one } else { zero };
            // After the last layer of a word this reads bit 0 again, into a sum that nobody uses.
            next[slot] += if word >> ((layer + 1) & 31) & 1 == 1 { *p } else { 0.0 };
        };
        let mut blocks = p.chunks_exact_mut(8);
        for (block, words) in blocks.by_ref().zip(words.chunks_exact(8)) {
            for slot in 0..8 {
                pass(&mut block[slot], words[slot], slot);
            }
        }
        for (p, &word) in blocks.into_remainder().iter_mut().zip(&words[words.len() / 8 * 8..]) {
            pass(p, word, 0);
        }
        green_mass = next.iter().sum();
    }
}

fn mass_of_ones(p: &[f32], words: &[u32], layer: u32) -> f32 {
    p.iter().zip(words).map(|(&p, &word)| if word >> layer & 1 == 1 { p } else { 0.0 }).sum()
}

/// What a layer multiplies the probabilities of ones and of zeros by.
fn factors(green_mass: f32, leaves: u32) -> (f32, f32) {
    let red_mass = (1.0 - green_mass).max(0.0);
    if leaves == 2 {
        return (1.0 + red_mass, red_mass);
    }
    let one =
        if green_mass > 0.0 { (1.0 - red_mass.powi(leaves as i32)) / green_mass } else { 1.0 };
    (one, red_mass.powi(leaves as i32 - 1))
}

/// Σ l over the set bits l.
fn index_sum(bits: u64) -> u64 {
    const MASKS: [u64; 6] = [
        0xAAAA_AAAA_AAAA_AAAA,
        0xCCCC_CCCC_CCCC_CCCC,
        0xF0F0_F0F0_F0F0_F0F0,
        0xFF00_FF00_FF00_FF00,
        0xFFFF_0000_FFFF_0000,
        0xFFFF_FFFF_0000_0000,
    ];
    MASKS
        .iter()
        .enumerate()
        .map(|(power, mask)| u64::from((bits & mask).count_ones()) << power)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_sum_is_the_sum_of_indices() {
        for bits in [0, 1, 2, 0b1011, u64::MAX, 1 << 63, 0x1234_5678_9ABC_DEF0] {
            let plain: u64 = (0..64).filter(|l| bits >> l & 1 == 1).sum();
            assert_eq!(index_sum(bits), plain, "{bits:b}");
        }
    }

    #[test]
    fn weights_fall_from_ten_to_one() {
        let scheme = SynthId::default();
        assert_eq!((scheme.weight(0), scheme.weight(29)), (290, 29));
    }

    /// One layer of N leaves is the law of the best of N draws: enumerate all N-tuples.
    #[test]
    fn a_layer_is_the_best_of_n() {
        let words = [1, 0, 1, 0, 0];
        let start = [0.1_f32, 0.2, 0.3, 0.15, 0.25];
        for leaves in [2_u32, 3] {
            let mut expected = [0.0_f64; 5];
            for tuple in 0..5_usize.pow(leaves) {
                let drawn: Vec<usize> = (0..leaves).map(|i| tuple / 5_usize.pow(i) % 5).collect();
                let weight: f64 = drawn.iter().map(|&v| f64::from(start[v])).product();
                let best = drawn.iter().map(|&v| words[v]).max().unwrap();
                let winners: Vec<_> = drawn.iter().filter(|&&v| words[v] == best).collect();
                winners.iter().for_each(|&&v| expected[v] += weight / winners.len() as f64);
            }
            let mut p = start;
            tournament(&mut p, &words, 1, leaves);
            for (got, want) in p.iter().zip(expected) {
                assert!((f64::from(*got) - want).abs() < 1e-6, "{leaves}: {p:?} {expected:?}");
            }
        }
    }
}
