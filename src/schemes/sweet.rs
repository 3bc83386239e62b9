//! `sweet`: green lists only where the model is uncertain.
//!
//! Lee et al., "Who Wrote this Code? Watermarking for Code Generation", ACL 2024 (arXiv 2305.15060). Marking and evidence
//! are those of `kgw`, at positions where the entropy of the model's distribution (softmax of its logits, before any
//! warper) exceeds a threshold. Detection needs the model's entropies of the text. Which positions count depends on the
//! text and the model, not on the key, so the null is that of `kgw`.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage, check_width};

/// Parameters of `sweet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweet {
    /// γ, the green fraction of the vocabulary, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// h, how many ids seed the list, 1 to 15.
    pub context_width: usize,
    /// Nats of entropy that a position must exceed.
    pub entropy_threshold: f64,
}

impl Default for Sweet {
    fn default() -> Self {
        Self { gamma: 0.25, delta: 2.0, context_width: 2, entropy_threshold: 0.9 }
    }
}

impl Sweet {
    pub(super) fn examples() -> Vec<Self> {
        vec![Self::default()]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }
}

impl Scheme for Sweet {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        self.greens().check()?;
        check_width(self.context_width)?;
        let got = self.entropy_threshold;
        if got >= 0.0 && got.is_finite() {
            Ok(())
        } else {
            Err(SpecError::EntropyThreshold { got })
        }
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.context_width }
    }

    fn canonical(&self) -> Vec<(&'static str, u64)> {
        let [threshold] = self.greens().canonical();
        vec![
            threshold,
            ("context_width", self.context_width as u64),
            ("entropy_threshold_bits", self.entropy_threshold.to_bits()),
        ]
    }

    fn stage(&self) -> Stage {
        Stage::RawLogits
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        self.greens().bias(draw, candidates);
        Pick::Sample
    }

    fn null(&self, _: u32) -> Null {
        self.greens().null()
    }

    fn entropy_floor(&self) -> Option<f64> {
        Some(self.entropy_threshold)
    }
}
