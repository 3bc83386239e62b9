//! `markllm-exp`: exponential minimum sampling as MarkLLM's `EXP` does it, with numbers of torch's CPU generator.
//!
//! Aaronson's scheme; read in `watermark/exp/exp.py` of the package markllm 0.1.5. With u = level/2²⁴ of each token the choice
//! is argmax u_v^(1/p_v), found here as argmax ln(u_v)/p_v: the tool's 32-bit powers are 0 for improbable tokens, so near-ties
//! may fall otherwise. It knows no temperature, and of truncation `top_k` alone.
//!
//! Evidence is the tool's −ln(1 − u), at most 16.64, whose law on 2²⁴ levels is below Exp(1): the tail is an upper bound. The
//! tool counts repeats each time, and positions whose numbers are the same under all keys (see the function's page); here
//! neither counts. Because of the latter the choice is not the model's own on average over keys either.

use serde::{Deserialize, Serialize};

use super::textseal::greatest_power;
use super::transformers_kgw::{check_ids, seeding};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `markllm-exp`, as in `config/EXP.json`; `hash_key` is the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarkLlmExp {
    /// How many ids of prompt and output are read, 1 to 64.
    pub prefix_length: usize,
}

impl Default for MarkLlmExp {
    fn default() -> Self {
        Self { prefix_length: 4 }
    }
}

impl MarkLlmExp {
    pub(super) fn examples() -> Vec<Self> {
        vec![Self::default(), Self { prefix_length: 2 }]
    }
}

impl Scheme for MarkLlmExp {
    fn check(&self) -> Result<(), SpecError> {
        check_ids(self.prefix_length, false, 0)
    }

    fn seeding(&self) -> Seeding {
        seeding(self.prefix_length, false, 0)
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::MarkLlmExp { width: self.prefix_length })
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        &[KEY_A]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        candidates.read_words(|ids, out| draw.words(ids, KEY_A, out));
        let entry = greatest_power(candidates, uniform);
        Pick::Token(candidates.id(entry))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        -(-uniform(draw.word(token, KEY_A))).ln_1p()
    }

    fn null(&self, _: u32) -> Null {
        Null::Exponential
    }

    fn distortion_free(&self) -> bool {
        false
    }
}

/// level/2²⁴.
pub(super) fn uniform(word: u32) -> f64 {
    f64::from(word >> 8) / 16_777_216.0
}
