//! `markllm-kgw`: green lists as MarkLLM's `KGW` makes them, with lists of torch's CPU generator.
//!
//! Read in `watermark/kgw/kgw.py` of github.com/THU-BPM/MarkLLM, commit 112fa74. It is not the scheme of Kirchenbauer et al.:
//! seeds are numbers below V, so that all keys share the same V lists. With `window_scheme = "self"` every token of the
//! vocabulary is tested against a list of its own, V lists a step.
//!
//! Evidence and law are those of [`TransformersKgw`](super::TransformersKgw). MarkLLM counts repeats each time.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::transformers_kgw::{check_ids, check_lists, null, seeding};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{MarkLlmPrf, PeerPrf};

/// Parameters of `markllm-kgw`, as in `config/KGW.json`; `hash_key` is the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarkLlmKgw {
    /// γ, the share of the vocabulary on a list, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// How many ids before the token are read, 1 to 64; with `window_scheme = "self"` to 7.
    pub prefix_length: usize,
    /// What is made of them.
    pub f_scheme: MarkLlmPrf,
    /// Whether the candidate takes part in its seed.
    pub window_scheme: WindowScheme,
}

/// What a seed of MarkLLM reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowScheme {
    /// The ids before the token.
    #[default]
    Left,
    /// These and the candidate.
    #[serde(rename = "self")]
    Own,
}

impl Default for MarkLlmKgw {
    fn default() -> Self {
        Self {
            gamma: 0.5,
            delta: 2.0,
            prefix_length: 1,
            f_scheme: MarkLlmPrf::Time,
            window_scheme: WindowScheme::Left,
        }
    }
}

impl MarkLlmKgw {
    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let min = Self { f_scheme: MarkLlmPrf::Min, prefix_length: 3, ..base };
        vec![base, min]
    }

    fn is_own(&self) -> bool {
        self.window_scheme == WindowScheme::Own
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }
}

impl Scheme for MarkLlmKgw {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        check_lists(("gamma", self.gamma), ("delta", self.delta))?;
        check_ids(self.prefix_length, self.is_own(), 1)
    }

    fn seeding(&self) -> Seeding {
        seeding(self.prefix_length, self.is_own(), 1)
    }

    fn peer(&self) -> Option<PeerPrf> {
        let Self { f_scheme: function, prefix_length: width, gamma, .. } = *self;
        Some(PeerPrf::MarkLlmKgw { function, width, own: self.is_own(), gamma })
    }

    fn stage(&self) -> Stage {
        Stage::RawLogits
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        self.greens().bias(draw, candidates);
        Pick::Sample
    }

    fn null(&self, vocab_size: u32) -> Null {
        null(vocab_size, self.gamma)
    }
}
