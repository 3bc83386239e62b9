//! `three-bricks`: exponential minimum sampling and green lists as three_bricks does them, with torch's CPU generator.
//!
//! Fernandez et al., "Three Bricks to Consolidate Watermarks for Large Language Models", WIFS 2023 (arXiv 2308.00113); read in
//! `wm/{generator,detector}.py` of github.com/facebookresearch/three_bricks, commit ee9c7a2, with `--seeding hash`. The other
//! seedings go through a table that its generator and its detector each draw without a seed of their own: nobody can read them.
//!
//! `openai` picks argmax u_v^(1/p_v) after temperature and top-p, found here as argmax ln(u_v)/p_v: the tool's 32-bit powers are
//! 0 for improbable tokens, so near-ties may fall otherwise. `maryland` adds δ to the raw logits of ⌊γ·V⌋ tokens. Both shift the
//! vocabulary by a payload.
//!
//! Evidence of `openai` is the tool's −ln(1 − u), at most 16.64, whose law on 2²⁴ levels is below Exp(1): the tail is an upper
//! bound. Evidence of `maryland` is 1 for a green token. One payload is read, as one key; for p over several every payload is
//! one look to pay for (the tool: M·p below 1e-5, else 1 − (1 − p)^M).
//!
//! The tool scores from the second token after the first whole context on, and dedupes only when asked (`--scoring_method v1`,
//! `v2`); here the token right after the first context counts too.

use serde::{Deserialize, Serialize};

use super::kgw::GreenList;
use super::markllm_exp::uniform;
use super::textseal::greatest_power;
use super::transformers_kgw::{check_ids, check_lists, null, seeding};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, PeerPrf};
use crate::tokens::TokenId;

/// What three_bricks does to the choice, under the names of `--method`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThreeBricksMethod {
    /// Exponential minimum sampling.
    #[default]
    OpenAi,
    /// Green lists.
    Maryland,
}

/// Parameters of `three-bricks`, as on its command line; `--seed` is the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThreeBricks {
    /// What is done to the choice.
    pub method: ThreeBricksMethod,
    /// How many ids of prompt and output are read, 1 to 64.
    pub ngram: usize,
    /// What seeds are multiplied by, `salt_key` in the code.
    pub hash_key: u32,
    /// γ, the share of the vocabulary on a list of `maryland`, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// The message: how far the vocabulary is shifted.
    pub payload: u32,
}

impl Default for ThreeBricks {
    fn default() -> Self {
        Self {
            method: ThreeBricksMethod::OpenAi,
            ngram: 4,
            hash_key: 35_317,
            gamma: 0.25,
            delta: 4.0,
            payload: 0,
        }
    }
}

impl ThreeBricks {
    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let maryland = Self { method: ThreeBricksMethod::Maryland, ..base };
        vec![
            Self { ngram: 2, payload: 3, ..base },
            Self { ngram: 1, gamma: 0.5, payload: 11, delta: 2.0, ..maryland },
            maryland,
            base,
        ]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }
}

impl Scheme for ThreeBricks {
    fn check(&self) -> Result<(), SpecError> {
        check_lists(("gamma", self.gamma), ("delta", self.delta))?;
        check_ids(self.ngram, false, 0)
    }

    fn seeding(&self) -> Seeding {
        seeding(self.ngram, false, 0)
    }

    fn peer(&self) -> Option<PeerPrf> {
        let Self { ngram: width, hash_key: salt, payload, .. } = *self;
        let lists = (self.method == ThreeBricksMethod::Maryland).then_some(self.gamma);
        Some(PeerPrf::ThreeBricks { width, salt, payload, lists })
    }

    fn stage(&self) -> Stage {
        match self.method {
            ThreeBricksMethod::OpenAi => Stage::AfterTruncation,
            ThreeBricksMethod::Maryland => Stage::RawLogits,
        }
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn streams(&self) -> &[u32] {
        &[KEY_A]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        if self.method == ThreeBricksMethod::Maryland {
            self.greens().bias(draw, candidates);
            return Pick::Sample;
        }
        candidates.read_words(|ids, out| draw.words(ids, KEY_A, out));
        let entry = greatest_power(candidates, uniform);
        Pick::Token(candidates.id(entry))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        match self.method {
            ThreeBricksMethod::OpenAi => -(-uniform(draw.word(token, KEY_A))).ln_1p(),
            ThreeBricksMethod::Maryland => self.greens().evidence(draw, token),
        }
    }

    fn null(&self, vocab_size: u32) -> Null {
        match self.method {
            ThreeBricksMethod::OpenAi => Null::Exponential,
            ThreeBricksMethod::Maryland => null(vocab_size, self.gamma),
        }
    }

    fn distortion_free(&self) -> bool {
        self.method == ThreeBricksMethod::OpenAi
    }
}
