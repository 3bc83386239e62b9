//! `unigram-watermark`: the one green list of Unigram-Watermark, the code that came with the paper.
//!
//! Zhao et al., "Provable Robust Watermarking for AI-Generated Text", ICLR 2024 (arXiv 2306.17439); `gptwm.py` of
//! XuandongZhao/Unigram-Watermark, and MarkLLM's `Unigram`. ⌊fraction·V⌋ tokens are green, the same for every position and
//! text of a key. Marking adds the strength to their logits before temperature and truncation.
//!
//! Evidence is 1 for a green token, else 0, each distinct token once. The list has a fixed size, so m distinct tokens hold a
//! hypergeometric number of green ones. The tool's `detect` counts every occurrence and compares
//!
//! ```text
//! z = (G − fraction·T) / √(T·fraction·(1 − fraction))
//! ```
//!
//! with a threshold; its `unidetect` is the same over distinct tokens.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::PeerPrf;

/// Parameters of `unigram-watermark`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnigramWatermark {
    /// γ, the green fraction of the vocabulary, in (0, 1).
    pub fraction: f64,
    /// δ, what green logits gain, in nats.
    pub strength: f32,
}

impl Default for UnigramWatermark {
    fn default() -> Self {
        Self { fraction: 0.5, strength: 2.0 }
    }
}

impl UnigramWatermark {
    pub(super) fn examples() -> Vec<Self> {
        vec![Self::default(), Self { fraction: 0.3, strength: 2.5 }]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.fraction, delta: self.strength }
    }
}

impl Scheme for UnigramWatermark {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        self.greens().check()
    }

    fn seeding(&self) -> Seeding {
        Seeding::Fixed
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::NumpyShuffle { fraction: self.fraction })
    }

    fn stage(&self) -> Stage {
        Stage::RawLogits
    }

    fn greatest_rise(&self) -> f32 {
        self.strength
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        self.greens().bias(draw, candidates);
        Pick::Sample
    }

    fn null(&self, vocab_size: u32) -> Null {
        let marked = PeerPrf::list_size(self.fraction, vocab_size);
        Null::Hypergeometric { population: vocab_size, marked }
    }
}
