//! `dip`: DiPmark, and with α = ½ the γ-reweight of the unbiased watermark.
//!
//! Wu et al., "A Resilient and Accessible Distribution-Preserving Watermark for Large Language Models", ICML 2024
//! (arXiv 2310.07710); Hu et al., "Unbiased Watermark for Large Language Models", ICLR 2024 (arXiv 2310.10669). The draw is an
//! order of the vocabulary. With F the cumulative probability in that order, marking gives
//!
//! ```text
//! F' = max(F − α, 0) + max(F − (1 − α), 0)
//! ```
//!
//! whose average over orders is the model's own distribution. A token is green when its quantile (rank + 1)/V is γ or more. The
//! order is a uniform permutation, so with no mark that has probability (V − ⌈γV⌉ + 1)/V exactly.
//!
//! Marking acts after temperature and truncation, where it leaves unchanged what is sampled. MarkLLM's processor runs before
//! them: the same at temperature 1 without truncation.

use serde::{Deserialize, Serialize};

use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage, check_width};
use crate::prf::{KEY_A, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `dip`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dip {
    /// γ, the quantile from which a token is green, in (0, 1).
    pub gamma: f64,
    /// α, in (0, ½]; ½ is the γ-reweight.
    pub alpha: f64,
    /// h, how many ids seed the order, 1 to 15.
    pub prefix_length: usize,
}

impl Default for Dip {
    fn default() -> Self {
        Self { gamma: 0.5, alpha: 0.45, prefix_length: 5 }
    }
}

impl Dip {
    pub(super) fn examples() -> Vec<Self> {
        vec![Self::default(), Self { alpha: 0.5, prefix_length: 2, gamma: 0.6 }]
    }
}

impl Scheme for Dip {
    fn check(&self) -> Result<(), SpecError> {
        let Self { gamma, alpha, .. } = *self;
        if !(gamma > 0.0 && gamma < 1.0) {
            return Err(SpecError::Gamma { got: gamma });
        }
        if !(alpha > 0.0 && alpha <= 0.5) {
            return Err(SpecError::Reweight { got: alpha });
        }
        check_width(self.prefix_length)
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.prefix_length }
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::Dip { width: self.prefix_length })
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        &[KEY_A]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        candidates.read_words(|ids, out| draw.words(ids, KEY_A, out));
        let (probabilities, words) = candidates.probabilities_and_words();
        let mut order: Vec<usize> = (0..words.len()).collect();
        order.sort_unstable_by_key(|&entry| words[entry]);
        let total: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
        let moved = |f: f64| (f - self.alpha).max(0.0) + (f - (1.0 - self.alpha)).max(0.0);
        let (mut before, mut mass) = (0.0, 0.0);
        for entry in order {
            mass += f64::from(probabilities[entry]);
            let after = moved(mass / total);
            probabilities[entry] = (after - before) as f32;
            before = after;
        }
        Pick::Sample
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        // A quantile that is γ to the last bit may lie below γ·2³² by less than one.
        let quantile = f64::from(draw.word(token, KEY_A)) + 1.0;
        f64::from(u8::from(quantile >= (self.gamma * TWO_POW_32).floor()))
    }

    fn null(&self, vocab_size: u32) -> Null {
        let size = f64::from(vocab_size);
        // γV is whole where it is meant to be, in spite of rounding.
        let first = (self.gamma * size - 1e-6).ceil().max(1.0);
        Null::Binomial { trials: 1, p: (size - first + 1.0) / size }
    }

    fn distortion_free(&self) -> bool {
        true
    }
}

const TWO_POW_32: f64 = 4_294_967_296.0;
