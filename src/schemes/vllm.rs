//! `vllm-gumbel`: exponential minimum sampling as vLLM 0.33.0 does it (`gumbel`, `dual_key_gumbel`).
//!
//! Read in `vllm/v1/watermarking/{gumbel,detector}.py` and `vllm/config/watermarking.py`. The token is
//!
//! ```text
//! argmax_v  l_v − ln(−ln u_v),     u_v = (⌊word_v/2⁸⌋ + 1) / (2²⁴ + 1)
//! ```
//!
//! in 32-bit floats over the tempered and truncated logits. vLLM's detector scores −ln(1 − u), whose law is a little above
//! Exp(1) at 2²⁴ points; evidence here is −ln(1 − ⌊word/2⁸⌋/2²⁴), which is at most that and never above Exp(1), so the tail
//! is an upper bound. It is smaller by at most 1e-7 a token outside the last few thousand of the 2²⁴ values.
//!
//! With two keys, key B is taken with probability α, by a coin that the detector cannot see; as in `gumbel` it scores
//! (1−α)·s_A + α·s_B. vLLM compares that with one gamma law of equal mean and variance, which claims too much (1.5 times
//! at p = 1e-6, n = 20, α = 0.1); here it is the exact law of the sum of two.

use serde::{Deserialize, Serialize};

use super::{Candidates, Draw, Memory, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, KEY_B, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `vllm-gumbel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VllmGumbel {
    /// h, how many output ids seed the draw, 1 to 64.
    pub context_width: usize,
    /// α, how often the second key is used, 0 to 1. Absent: `gumbel`, a single key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// For how many positions marking remembers a context, vLLM's default being 8,192; absent: for the whole answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_history: Option<usize>,
}

impl Default for VllmGumbel {
    fn default() -> Self {
        Self { context_width: 4, alpha: None, max_history: None }
    }
}

impl VllmGumbel {
    /// Greatest context width.
    pub const MAX_WIDTH: usize = 64;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        vec![
            base.clone(),
            Self { alpha: Some(0.1), context_width: 2, ..base.clone() },
            Self { context_width: 6, max_history: Some(8192), ..base },
        ]
    }
}

impl Scheme for VllmGumbel {
    fn check(&self) -> Result<(), SpecError> {
        if !(1..=Self::MAX_WIDTH).contains(&self.context_width) {
            return Err(SpecError::Width { got: self.context_width, max: Self::MAX_WIDTH });
        }
        if self.max_history == Some(0) {
            return Err(SpecError::Memory { name: "max_history" });
        }
        match self.alpha {
            Some(got) if !(0.0..=1.0).contains(&got) => Err(SpecError::Alpha { got }),
            _ => Ok(()),
        }
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.context_width }
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::Philox { width: self.context_width, dual: self.alpha.is_some() })
    }

    fn skips_repeats(&self) -> bool {
        true
    }

    fn memory(&self) -> Memory {
        self.max_history.map_or(Memory::Answer, Memory::Positions)
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.alpha.is_some() { &[KEY_A, KEY_B] } else { &[KEY_A] }
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, noise: &mut Noise) -> Pick {
        let second = self.alpha.is_some_and(|alpha| noise.uniform() < alpha);
        let stream = if second { KEY_B } else { KEY_A };
        candidates.read_words(|ids, out| draw.words(ids, stream, out));
        let (logits, words) = candidates.logits_and_words();
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for (entry, (&logit, &word)) in logits.iter().zip(words).enumerate() {
            let perturbed = logit - (-uniform(word).ln()).ln();
            if perturbed > highest {
                (best, highest) = (entry, perturbed);
            }
        }
        Pick::Token(candidates.id(best))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        let first = exponential(draw.word(token, KEY_A));
        match self.alpha {
            None => first,
            Some(alpha) => (1.0 - alpha) * first + alpha * exponential(draw.word(token, KEY_B)),
        }
    }

    fn null(&self, _: u32) -> Null {
        match self.alpha {
            // One key decides, whichever it is.
            None | Some(0.0 | 1.0) => Null::Exponential,
            Some(alpha) => Null::TwoExponentials { alpha },
        }
    }

    fn distortion_free(&self) -> bool {
        true
    }
}

/// (⌊word/2⁸⌋ + 1) / (2²⁴ + 1) in 32-bit floats, where 1 is not reached.
fn uniform(word: u32) -> f32 {
    ((f64::from(word >> 8) + 1.0) / 16_777_217.0) as f32
}

/// −ln(1 − ⌊word/2⁸⌋/2²⁴), between 0 and 16.64.
fn exponential(word: u32) -> f64 {
    -(-f64::from(word >> 8) / 16_777_216.0).ln_1p()
}
