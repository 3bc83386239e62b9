//! `lm-watermarking`: green lists of Kirchenbauer et al. as their code and text-generation-inference make them, with lists of torch's CPU generator.
//!
//! Read in `extended_watermark_processor.py`, `watermark_processor.py` and `alternative_prf_schemes.py` of
//! github.com/jwkirchenbauer/lm-watermarking, commit fb602de. A list is ⌊V·γ⌋ ids from the beginning of `randperm(V)`
//! under the position's seed, or from its end without `select_green_tokens`; V is the length of the tokenizer's vocabulary
//! there. With `self_salt` the 41 highest candidates are tested, each against its own list.
//!
//! | their name | `prf_type` | `context_width` | `self_salt` | `gamma` |
//! |---|---|---|---|---|
//! | `simple_1`, `lefthash`, and the older processor | `additive_prf` | 1 | no | 0.25, older 0.5 |
//! | `selfhash`, `algorithm-3` | `anchored_minhash_prf` | 4 | yes | 0.25 |
//! | `minhash` | `minhash_prf` | 4 | no | 0.25 |
//! | `skipgram` | `skipgram_prf` | 5 | no | 0.25 |
//! | text-generation-inference, V the width of its logits | `additive_prf` | 1 | no | 0.5 |
//!
//! Evidence and law are those of [`TransformersKgw`](super::TransformersKgw): each (seed, token) once, where the authors'
//! detector counts each n-gram once. Seeds that no key changes, because only ids of 0 were read, do not count.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::transformers_kgw::{check_ids, check_lists, null, seeding};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{LmPrf, PeerPrf};

/// Parameters of `lm-watermarking`; `hash_key` is the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LmWatermarking {
    /// How ids become a seed.
    pub prf_type: LmPrf,
    /// How many ids are read, the candidate among them with `self_salt`: 1 to 64, with it to 8.
    pub context_width: usize,
    /// Whether the candidate takes part in its seed.
    pub self_salt: bool,
    /// γ, the share of the vocabulary on a list, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// Whether lists are the beginning of a permutation, else its end.
    pub select_green_tokens: bool,
    /// Where the bias is added.
    pub stage: Stage,
}

impl Default for LmWatermarking {
    fn default() -> Self {
        Self {
            prf_type: LmPrf::AnchoredMinhash,
            context_width: 4,
            self_salt: true,
            gamma: 0.25,
            delta: 2.0,
            select_green_tokens: true,
            stage: Stage::RawLogits,
        }
    }
}

impl LmWatermarking {
    /// How many candidates are tested with `self_salt`.
    pub const SELF_CANDIDATES: usize = 41;
    /// The `hash_key` of every named `seeding_scheme`.
    pub const USUAL_KEY: u64 = 15_485_863;

    /// The parameters that a `seeding_scheme` stands for, others as usual, and its `hash_key`: a name of the table, or
    /// `ff-PRF-WIDTH-SALT` with an optional `-KEY`, such as `ff-anchored_minhash_prf-4-True-15485863`.
    pub fn of_seeding_scheme(seeding_scheme: &str) -> Option<(Self, u64)> {
        let of = |prf_type, context_width, self_salt, key| {
            Some((Self { prf_type, context_width, self_salt, ..Self::default() }, key))
        };
        match seeding_scheme {
            "simple_1" | "lefthash" => of(LmPrf::Additive, 1, false, Self::USUAL_KEY),
            "selfhash" | "algorithm-3" => of(LmPrf::AnchoredMinhash, 4, true, Self::USUAL_KEY),
            "minhash" => of(LmPrf::Minhash, 4, false, Self::USUAL_KEY),
            "skipgram" => of(LmPrf::Skipgram, 5, false, Self::USUAL_KEY),
            free => {
                let mut parts = free.strip_prefix("ff-")?.split('-');
                let prf_type = LmPrf::named(parts.next()?)?;
                let (width, salt) = (parts.next()?.parse().ok()?, parts.next()? == "True");
                let key = parts.next().map_or(Ok(Self::USUAL_KEY), str::parse).ok()?;
                if parts.next().is_none() { of(prf_type, width, salt, key) } else { None }
            }
        }
    }

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let left = Self { self_salt: false, context_width: 1, ..base };
        vec![
            base,
            Self { prf_type: LmPrf::Additive, gamma: 0.5, ..left },
            Self { prf_type: LmPrf::Minhash, context_width: 4, ..left },
            Self {
                prf_type: LmPrf::Position,
                context_width: 3,
                select_green_tokens: false,
                stage: Stage::AfterTruncation,
                ..left
            },
        ]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }
}

impl Scheme for LmWatermarking {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        check_lists(("gamma", self.gamma), ("delta", self.delta))?;
        let least = self.prf_type.least_width();
        if self.context_width < least {
            return Err(SpecError::Narrow { got: self.context_width, least });
        }
        check_ids(self.context_width, self.self_salt, 0)
    }

    fn seeding(&self) -> Seeding {
        seeding(self.context_width, self.self_salt, 0)
    }

    fn peer(&self) -> Option<PeerPrf> {
        let Self { prf_type: function, context_width: width, self_salt, .. } = *self;
        let Self { gamma, select_green_tokens, .. } = *self;
        Some(PeerPrf::LmWatermarking { function, width, self_salt, gamma, select_green_tokens })
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        if self.self_salt {
            self.greens().bias_highest(draw, candidates, Self::SELF_CANDIDATES);
        } else {
            self.greens().bias(draw, candidates);
        }
        Pick::Sample
    }

    fn null(&self, vocab_size: u32) -> Null {
        null(vocab_size, self.gamma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeding_schemes_have_their_parameters() {
        let named = |name| {
            let (spec, key) = LmWatermarking::of_seeding_scheme(name)?;
            Some((spec.prf_type, spec.context_width, spec.self_salt, key))
        };
        assert_eq!(named("lefthash"), Some((LmPrf::Additive, 1, false, 15_485_863)));
        assert_eq!(named("ff-anchored_minhash_prf-4-True"), named("selfhash"));
        assert_eq!(named("ff-position_prf-5-False-77"), Some((LmPrf::Position, 5, false, 77)));
        for bad in [
            "",
            "ff",
            "ff-position-5-False",
            "ff-position_prf-x-True",
            "ff-position_prf-1-True-7-7",
        ] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
