//! `transformers-kgw`: green lists as transformers makes them (`WatermarkingConfig`), with lists of torch's CPU generator.
//!
//! Read in `generation/{watermarking,logits_process,configuration_utils}.py` of transformers 5.17.0. A list is the first
//! ⌊V·greenlist_ratio⌋ ids of `randperm(V)` under the seed of the position; V is the model's `vocab_size`, not the tokenizer's.
//! `lefthash` adds the bias to every id on the list; `selfhash` to those of the 40 highest candidates that are on their own
//! list. Where none of the 40 is, transformers stops with an IndexError; here nothing is added.
//!
//! Evidence is 1 for a token on its list, else 0, each (seed, token) once. The seed that the id 0 gives in `lefthash` is the
//! same under every key: such positions are marked, as transformers does, but do not count. Lists have a fixed size, so the
//! count is a sum of hypergeometric ones; see [`Null::Lists`].
//!
//! transformers itself counts repeats each time unless `ignore_repeated_ngrams` is set, which had no effect in 5.17.0 and has
//! in 5.23.0, and it counts after the id 0. Its p-value is the normal tail in 5.23.0, and was not in 5.17.0.

use serde::{Deserialize, Serialize};

use super::kgw::{GreenList, list_methods};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::PeerPrf;

/// Parameters of `transformers-kgw`, as in `WatermarkingConfig`; `hashing_key` is the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformersKgw {
    /// Share of the vocabulary on a list, in (0, 1).
    pub greenlist_ratio: f64,
    /// What green logits gain, in nats.
    pub bias: f32,
    /// What a seed reads.
    pub seeding_scheme: SeedingScheme,
    /// How many ids must stand before a token, 1 to 64; with `selfhash` one fewer, the token being one of 1 to 8 that are read.
    pub context_width: usize,
}

/// What a seed of transformers reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeedingScheme {
    /// The last id alone, whatever the context width.
    #[default]
    LeftHash,
    /// All ids, and the candidate.
    SelfHash,
}

impl Default for TransformersKgw {
    fn default() -> Self {
        Self {
            greenlist_ratio: 0.25,
            bias: 2.0,
            seeding_scheme: SeedingScheme::LeftHash,
            context_width: 1,
        }
    }
}

impl TransformersKgw {
    /// How many candidates `selfhash` tests.
    pub const SELF_CANDIDATES: usize = 40;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let selfhash = Self { seeding_scheme: SeedingScheme::SelfHash, context_width: 4, ..base };
        vec![Self { greenlist_ratio: 0.5, context_width: 3, ..base }, selfhash, base]
    }

    fn is_self(&self) -> bool {
        self.seeding_scheme == SeedingScheme::SelfHash
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.greenlist_ratio, delta: self.bias }
    }
}

impl Scheme for TransformersKgw {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        check_lists(("greenlist_ratio", self.greenlist_ratio), ("bias", self.bias))?;
        check_ids(self.context_width, self.is_self(), 0)
    }

    fn seeding(&self) -> Seeding {
        seeding(self.context_width, self.is_self(), 0)
    }

    fn peer(&self) -> Option<PeerPrf> {
        let Self { greenlist_ratio: ratio, context_width: width, .. } = *self;
        Some(PeerPrf::TransformersKgw { ratio, width, selfhash: self.is_self() })
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        if self.is_self() {
            self.greens().bias_highest(draw, candidates, Self::SELF_CANDIDATES);
        } else {
            self.greens().bias(draw, candidates);
        }
        Pick::Sample
    }

    fn null(&self, vocab_size: u32) -> Null {
        null(vocab_size, self.greenlist_ratio)
    }
}

/// Checks the size of lists and what is gained by being on one.
pub(super) fn check_lists(
    ratio: (&'static str, f64),
    bias: (&'static str, f32),
) -> Result<(), SpecError> {
    if !(ratio.1 > 0.0 && ratio.1 < 1.0) {
        return Err(SpecError::Ratio { name: ratio.0, got: ratio.1 });
    }
    if bias.1 > 0.0 && bias.1 <= 100.0 {
        return Ok(());
    }
    Err(SpecError::Bias { name: bias.0, got: bias.1 })
}

/// Checks how many ids are read; `beside` is 1 where a candidate that takes part is not one of `width`.
pub(super) fn check_ids(width: usize, own: bool, beside: usize) -> Result<(), SpecError> {
    let max = if own { PeerPrf::MOST_OWN_IDS - beside } else { PeerPrf::MOST_IDS };
    if (1..=max).contains(&width) { Ok(()) } else { Err(SpecError::Width { got: width, max }) }
}

/// What the seed is made of, `beside` as above.
pub(super) fn seeding(width: usize, own: bool, beside: usize) -> Seeding {
    if own { Seeding::SelfAnchored { width: width + beside - 1 } } else { Seeding::Left { width } }
}

/// The law of lists of ⌊V·ratio⌋ tokens.
pub(super) fn null(vocab_size: u32, ratio: f64) -> Null {
    let listed = (f64::from(vocab_size) * ratio).floor();
    Null::Lists { p: listed / f64::from(vocab_size.max(1)) }
}
