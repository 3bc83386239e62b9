//! `unigram`: one green list for every position of every text of a key.
//!
//! Zhao et al., "Provable Robust Watermarking for AI-Generated Text", ICLR 2024 (arXiv 2306.17439). Marking and evidence
//! are those of `kgw` with a seed that reads nothing, so edits elsewhere cannot hide a token; each distinct token counts
//! once. The price: how a key's list meets a language's frequent words makes its false-alarm rate on one kind of text
//! stray far from the nominal one (see the manual's page on statistics). Never a default.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};

/// Parameters of `unigram`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unigram {
    /// γ, the green fraction of the vocabulary, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// Where the bias is added.
    pub stage: Stage,
}

impl Default for Unigram {
    fn default() -> Self {
        Self { gamma: 0.5, delta: 2.0, stage: Stage::RawLogits }
    }
}

impl Unigram {
    pub(super) fn examples() -> Vec<Self> {
        vec![
            Self::default(),
            Self { gamma: 0.25, stage: Stage::AfterTruncation, ..Self::default() },
        ]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }
}

impl Scheme for Unigram {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        self.greens().check()
    }

    fn seeding(&self) -> Seeding {
        Seeding::Fixed
    }

    fn canonical(&self) -> Vec<(&'static str, u64)> {
        self.greens().canonical().to_vec()
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        self.greens().bias(draw, candidates);
        Pick::Sample
    }

    fn null(&self, _: u32) -> Null {
        self.greens().null()
    }
}
