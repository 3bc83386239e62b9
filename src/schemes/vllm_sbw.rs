//! `vllm-sbw`: green lists as vLLM's pull request 56859 makes them (`algorithm: sbw`). No release of vLLM has them, and what
//! the pull request becomes may differ.
//!
//! Ceppi & Sanchez, "Flip, Don't Shuffle: Watermarking LLMs at the Speed of Inference" (arXiv 2609.03844); read in
//! `vllm/v1/watermarking/{sbw,gpu_sampler,detector}.py` at commit d6d2f2c. A token is green when the 31 bits of its word are
//! below ⌊γ·(2³¹−1)⌋; marking adds δ to green logits before temperature and truncation, greedy decoding included, and marks
//! repeated contexts too, whatever `deduplicate_contexts` says. With `selfhash` every token of the vocabulary has a seed of
//! its own.
//!
//! Evidence is 1 for a green token, with probability ⌊γ·(2³¹−1)⌋/2³¹ exactly. The tool's p is the normal tail of the z-score,
//! too small in the tail, and counts a position for each new context; but the seed of `selfhash` does not depend on the oldest
//! id, and on no context at all where K·h(v)² is the smallest product, so that it counts the same coin again and again. Here
//! each pair of seed and token counts once.

use serde::{Deserialize, Serialize};

use super::kgw::GreenList;
use super::transformers_kgw::check_lists;
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, PeerPrf, SbwSeeding};
use crate::tokens::TokenId;

/// Parameters of `vllm-sbw`, as in `--watermark-config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VllmSbw {
    /// What a seed is made of.
    pub sbw_scheme: SbwSeeding,
    /// γ, the green fraction, in (0, 1).
    pub sbw_gamma: f64,
    /// δ, what green logits gain, in nats.
    pub sbw_delta: f32,
    /// h, how many output ids before the token are looked at, 1 to 64; with `selfhash` to 9. The tool's default is 4 for
    /// `selfhash` and 1 for `lefthash`.
    pub context_width: usize,
}

impl Default for VllmSbw {
    fn default() -> Self {
        Self { sbw_scheme: SbwSeeding::Selfhash, sbw_gamma: 0.5, sbw_delta: 2.0, context_width: 4 }
    }
}

impl VllmSbw {
    /// Greatest context width of `lefthash`.
    pub const MAX_WIDTH: usize = 64;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let left = Self { sbw_scheme: SbwSeeding::Lefthash, context_width: 1, ..base };
        let detector = Self {
            sbw_scheme: SbwSeeding::LefthashDetector,
            context_width: 3,
            sbw_gamma: 0.25,
            ..base
        };
        vec![base, left, detector]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.share(), delta: self.sbw_delta }
    }

    /// Of the 2³¹ words.
    fn share(&self) -> f64 {
        (self.sbw_gamma * f64::from(i32::MAX)).floor() / 2_147_483_648.0
    }
}

impl Scheme for VllmSbw {
    fn check(&self) -> Result<(), SpecError> {
        check_lists(("sbw_gamma", self.sbw_gamma), ("sbw_delta", self.sbw_delta))?;
        self.greens().check()?;
        let max = match self.sbw_scheme {
            SbwSeeding::Selfhash => PeerPrf::SBW_SELF_WIDTH,
            SbwSeeding::Lefthash | SbwSeeding::LefthashDetector => Self::MAX_WIDTH,
        };
        let got = self.context_width;
        if (1..=max).contains(&got) { Ok(()) } else { Err(SpecError::Width { got, max }) }
    }

    fn seeding(&self) -> Seeding {
        let width = self.context_width;
        match self.sbw_scheme {
            SbwSeeding::Selfhash => Seeding::SelfAnchored { width },
            SbwSeeding::Lefthash | SbwSeeding::LefthashDetector => Seeding::Left { width },
        }
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::VllmSbw { width: self.context_width, seeding: self.sbw_scheme })
    }

    fn stage(&self) -> Stage {
        Stage::RawLogits
    }

    fn greatest_rise(&self) -> f32 {
        self.sbw_delta
    }

    fn streams(&self) -> &[u32] {
        &[KEY_A]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        self.greens().bias(draw, candidates);
        Pick::Sample
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        self.greens().evidence(draw, token)
    }

    fn null(&self, _: u32) -> Null {
        self.greens().null()
    }

    fn distortion_free(&self) -> bool {
        false
    }
}
