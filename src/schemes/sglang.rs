//! `sglang-gumbel`: exponential minimum sampling as SGLang 0.5.23 does it, with one key or two.
//!
//! Read in `sglang/srt/sampling/watermarking/{config,core,detector}.py`. The token is
//!
//! ```text
//! argmax_v  ln(u_v)/p_v,     u_v = (word_v + ½)/2³²
//! ```
//!
//! in 32-bit floats over the tempered and truncated probabilities, the lowest id on ties. SGLang's detector scores
//! −ln(1 − u), whose law is a little above Exp(1); evidence here is −ln(1 − word/2³²), which is never above it, so the tail
//! is an upper bound. It is smaller by at most 2⁻³³/(1 − u) a token: 1e-7 where u < 0.999.
//!
//! With two keys, a coin that the context and both keys determine takes key A where coin < ⌊P·2³²⌋, P being the mixing
//! probability, and key B elsewhere. The detector tosses the same coin, so evidence is the chosen key's alone: nothing is
//! lost, unlike in vLLM's form. SGLang also reports both keys over all positions; choosing the best of these statistics
//! would have to be paid for, and none of them is used here.
//!
//! A position is unmarked where its context was marked before in the answer, where the most probable candidate exceeds
//! `max_probability`, and after 4,096 marked positions. Scoring knows the first of the three rules only.

use serde::{Deserialize, Serialize};

use super::{Candidates, Draw, Memory, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{COIN, KEY_A, KEY_B, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `sglang-gumbel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SglangGumbel {
    /// h, how many ids of prompt and output seed the draw, 1 to 64.
    pub context_window: usize,
    /// P, how often the first of two keys is used, above 0 and below 1. Absent: a single key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixing_probability: Option<f64>,
    /// Steps whose most probable candidate exceeds this are unmarked, above 0 and at most 1.
    pub max_probability: f64,
}

impl Default for SglangGumbel {
    fn default() -> Self {
        Self { context_window: 4, mixing_probability: None, max_probability: 1.0 }
    }
}

impl SglangGumbel {
    /// Greatest context window.
    pub const MAX_WINDOW: usize = 64;
    /// Most positions of an answer that are marked.
    pub const MAX_CONTEXTS: usize = 4096;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        vec![
            base.clone(),
            Self { context_window: 2, mixing_probability: Some(0.3), ..base.clone() },
            Self { context_window: 7, max_probability: 0.9375, ..base },
        ]
    }

    /// Stream of the key that the position's coin chooses.
    fn chosen(&self, draw: &Draw<'_>) -> u32 {
        let second = |p: f64| draw.word(0, COIN) >= (p * TWO_32) as u32;
        if self.mixing_probability.is_some_and(second) { KEY_B } else { KEY_A }
    }
}

impl Scheme for SglangGumbel {
    fn check(&self) -> Result<(), SpecError> {
        let (got, max) = (self.context_window, Self::MAX_WINDOW);
        if !(1..=max).contains(&got) {
            return Err(SpecError::Count { name: "context_window", got, max });
        }
        if let Some(got) = self.mixing_probability.filter(|&p| !(p > 0.0 && p < 1.0)) {
            return Err(SpecError::Probability { name: "mixing_probability", got, most: "below" });
        }
        let got = self.max_probability;
        if !(got > 0.0 && got <= 1.0) {
            return Err(SpecError::Probability { name: "max_probability", got, most: "at most" });
        }
        Ok(())
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.context_window }
    }

    fn peer(&self) -> Option<PeerPrf> {
        let dual = self.mixing_probability.is_some();
        Some(PeerPrf::Murmur { width: self.context_window, dual })
    }

    fn skips_repeats(&self) -> bool {
        true
    }

    fn memory(&self) -> Memory {
        Memory::Marked(Self::MAX_CONTEXTS)
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.mixing_probability.is_some() { &[KEY_A, KEY_B] } else { &[KEY_A] }
    }

    fn declines(&self, candidates: &mut Candidates) -> bool {
        let greatest = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
        self.max_probability < 1.0
            && greatest(candidates.probabilities()) > self.max_probability as f32
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        let stream = self.chosen(draw);
        candidates.read_words(|ids, out| draw.words(ids, stream, out));
        let (probabilities, words) = candidates.probabilities_and_words();
        let score = |entry: usize| match probabilities[entry] {
            p if p > 0.0 => ln_uniform(words[entry]) / p,
            _ => f32::NEG_INFINITY,
        };
        let (mut best, mut highest, mut tied) = (0, f32::NEG_INFINITY, false);
        for entry in 0..words.len() {
            let score = score(entry);
            if score > highest {
                (best, highest, tied) = (entry, score, false);
            } else {
                tied |= score == highest;
            }
        }
        // Candidates are in the order of their logits, the tool's in that of their ids.
        let ties: Vec<usize> = match tied {
            true => (0..words.len()).filter(|&entry| score(entry) == highest).collect(),
            false => vec![best],
        };
        let possible = ties.iter().map(|&entry| candidates.id(entry)).min();
        Pick::Token(possible.unwrap_or_else(|| candidates.id(best)))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        -(-f64::from(draw.word(token, self.chosen(draw))) / TWO_32).ln_1p()
    }

    fn null(&self, _: u32) -> Null {
        Null::Exponential
    }

    fn distortion_free(&self) -> bool {
        true
    }
}

const TWO_32: f64 = 4_294_967_296.0;

/// ln((word + ½)/2³²) in 32-bit floats, from the nearer of 0 and 1.
fn ln_uniform(word: u32) -> f32 {
    let half = |word: u32| (word as f32 + 0.5) / TWO_32 as f32;
    if word < 1 << 31 { half(word).ln() } else { (-half(!word)).ln_1p() }
}
