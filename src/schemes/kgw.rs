//! `kgw`: green lists seeded by the context.
//!
//! Kirchenbauer et al., "A Watermark for Large Language Models", ICML 2023 (arXiv 2301.10226), algorithm 2; the seedings
//! `min` and `self` after Kirchenbauer et al., "On the Reliability of Watermarks for Large Language Models", ICLR 2024
//! (arXiv 2306.04634), section 3 and appendix.
//!
//! A token v is green when its word is below ⌊γ·2³²⌋. Marking adds δ to the logits of green tokens:
//!
//! ```text
//! l'_v = l_v + δ · [word_v < ⌊γ·2³²⌋]
//! ```
//!
//! Evidence is 1 for a green token, else 0. Null: Bernoulli(⌊γ·2³²⌋ / 2³²), exactly.
//!
//! With a message, each position's words are turned by its symbol of q, the smallest power of two with q·γ ≥ 1 and at most
//! 16. At γ = 1/q the q lists are a partition of the vocabulary, as in Yoo et al., "Advancing Beyond Identification:
//! Multi-bit Watermark for Large Language Models", NAACL 2024 (arXiv 2308.00221).

use serde::{Deserialize, Serialize};

use super::{
    Candidates, Draw, Noise, Null, Payload, Pick, Scheme, Seeding, Sequence, SpecError, Stage,
    Turnable, Turned, check_width,
};
use crate::payload::{Code, CodeError};
use crate::prf::KEY_A;
use crate::tokens::TokenId;

/// Parameters of `kgw`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kgw {
    /// γ, the green fraction of the vocabulary, in (0, 1).
    pub gamma: f64,
    /// δ, what green logits gain, in nats.
    pub delta: f32,
    /// h, how many ids the seed looks at, 1 to 15.
    pub context_width: usize,
    /// What the seed reads of them.
    pub seeding: KgwSeeding,
    /// Where the bias is added.
    pub stage: Stage,
    /// k, how many bits of a message the mark carries, 8 to 64. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bits: Option<u32>,
}

/// What a green list's seed reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KgwSeeding {
    /// All h ids.
    #[default]
    Left,
    /// The id of smallest keyed hash.
    Min,
    /// The candidate and the id of smallest keyed hash together with it. Marking tests the 40 highest candidates.
    #[serde(rename = "self")]
    SelfAnchored,
}

impl Default for Kgw {
    fn default() -> Self {
        Self {
            gamma: 0.25,
            delta: 2.0,
            context_width: 2,
            seeding: KgwSeeding::Left,
            stage: Stage::RawLogits,
            payload_bits: None,
        }
    }
}

impl Kgw {
    /// How many candidates marking tests when each has a seed of its own.
    pub const SELF_CANDIDATES: usize = 40;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        vec![
            base.clone(),
            Self { gamma: 0.5, context_width: 1, stage: Stage::AfterTruncation, ..base.clone() },
            Self { seeding: KgwSeeding::Min, context_width: 4, ..base.clone() },
            Self { seeding: KgwSeeding::SelfAnchored, context_width: 4, ..base.clone() },
            Self { payload_bits: Some(32), ..base.clone() },
            Self { payload_bits: Some(8), gamma: 0.5, seeding: KgwSeeding::Min, ..base },
        ]
    }

    fn greens(&self) -> GreenList {
        GreenList { gamma: self.gamma, delta: self.delta }
    }

    fn code_of(&self, bits: u32) -> Result<Code, CodeError> {
        let covering = |symbol_bits: &u32| self.gamma * f64::from(1_u32 << symbol_bits) >= 1.0;
        Code::new(bits, (1..MOST_SYMBOL_BITS).find(covering).unwrap_or(MOST_SYMBOL_BITS))
    }
}

/// What is the same in every scheme that has `greens()`: a token's evidence is whether it is on the list, and marking by a
/// bias distorts.
macro_rules! list_methods {
    () => {
        fn streams(&self) -> &[u32] {
            &[$crate::prf::KEY_A]
        }

        fn evidence(&self, draw: &$crate::prf::Draw<'_>, token: $crate::tokens::TokenId) -> f64 {
            self.greens().evidence(draw, token)
        }

        fn distortion_free(&self) -> bool {
            false
        }
    };
}
pub(super) use list_methods;

impl Scheme for Kgw {
    list_methods!();

    fn check(&self) -> Result<(), SpecError> {
        self.greens().check()?;
        check_width(self.context_width)?;
        let Some(bits) = self.payload_bits else { return Ok(()) };
        if self.seeding == KgwSeeding::SelfAnchored {
            return Err(SpecError::NoRoom { with: "seeding = \"self\"" });
        }
        self.code_of(bits)?;
        Ok(())
    }

    fn seeding(&self) -> Seeding {
        let width = self.context_width;
        match self.seeding {
            KgwSeeding::Left => Seeding::Left { width },
            KgwSeeding::Min => Seeding::Min { width },
            KgwSeeding::SelfAnchored => Seeding::SelfAnchored { width },
        }
    }

    fn canonical(&self) -> Vec<(&'static str, u64)> {
        let [threshold] = self.greens().canonical();
        let mut parameters = vec![
            threshold,
            ("context_width", self.context_width as u64),
            ("seeding", self.seeding as u64),
        ];
        parameters.extend(self.payload_bits.map(|bits| ("payload_bits", u64::from(bits))));
        parameters
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        match self.seeding {
            KgwSeeding::SelfAnchored => {
                self.greens().bias_highest(draw, candidates, Self::SELF_CANDIDATES)
            }
            KgwSeeding::Left | KgwSeeding::Min => self.greens().bias(draw, candidates),
        }
        Pick::Sample
    }

    fn null(&self, _: u32) -> Null {
        self.greens().null()
    }

    fn sequence(&self) -> Option<&dyn Sequence> {
        self.payload_bits.map(|_| self as _)
    }

    fn payload(&self) -> Option<Box<dyn Payload + '_>> {
        Some(Box::new(Turned::of(self)?))
    }
}

impl Turnable for Kgw {
    const STRENGTHS: usize = SHARES_OF_DELTA.len();

    fn code(&self) -> Option<Code> {
        self.code_of(self.payload_bits?).ok()
    }

    fn evidence_of(&self, word: u32) -> f64 {
        f64::from(u8::from(word < self.greens().threshold()))
    }

    /// A token that δ' moves among candidates of equal logits is green with probability g = γe^δ'/(1 − γ + γe^δ'); the ratio
    /// is g/γ for green and (1−g)/(1−γ) else.
    fn ln_ratio(&self, strength: usize, word: u32) -> f64 {
        let gamma = f64::from(self.greens().threshold()) / TWO_POW_32;
        let rise = f64::from(self.delta) * SHARES_OF_DELTA[strength];
        let green = word < self.greens().threshold();
        (if green { rise } else { 0.0 }) - (gamma * rise.exp_m1()).ln_1p()
    }
}

/// A model is seldom as undecided as all equal logits: its tokens move as if δ were smaller.
const SHARES_OF_DELTA: [f64; 3] = [0.25, 0.5, 0.8];
/// An alphabet of at most 16 symbols.
const MOST_SYMBOL_BITS: u32 = 4;

/// The green half of a vocabulary and what it gains: shared by every scheme of this family.
pub(super) struct GreenList {
    pub gamma: f64,
    pub delta: f32,
}

impl GreenList {
    pub fn check(&self) -> Result<(), SpecError> {
        let Self { gamma, delta } = *self;
        // Below 2⁻³² or so no word would be green. NaN fails both comparisons.
        if !(gamma > 0.0 && gamma < 1.0) || self.threshold() == 0 {
            return Err(SpecError::Gamma { got: gamma });
        }
        if delta > 0.0 && delta <= 100.0 { Ok(()) } else { Err(SpecError::Delta { got: delta }) }
    }

    /// A word below this is green.
    fn threshold(&self) -> u32 {
        (self.gamma * TWO_POW_32) as u32
    }

    pub fn canonical(&self) -> [(&'static str, u64); 1] {
        [("green_threshold", u64::from(self.threshold()))]
    }

    pub fn bias(&self, draw: &Draw<'_>, candidates: &mut Candidates) {
        let Self { delta, .. } = *self;
        let threshold = self.threshold();
        candidates.read_words(|ids, out| draw.words(ids, KEY_A, out));
        let (logits, words) = candidates.logits_and_words();
        for (logit, &word) in logits.iter_mut().zip(words) {
            *logit += if word < threshold { delta } else { 0.0 };
        }
    }

    /// Only the `count` highest candidates are tested.
    pub fn bias_highest(&self, draw: &Draw<'_>, candidates: &mut Candidates, count: usize) {
        let entries = candidates.highest(count).to_vec();
        let ids: Vec<TokenId> =
            entries.iter().map(|&entry| candidates.id(entry as usize)).collect();
        let mut words = vec![0; ids.len()];
        draw.words(Some(&ids), KEY_A, &mut words);
        let (logits, threshold) = (candidates.logits_mut(), self.threshold());
        for (&entry, _) in entries.iter().zip(words).filter(|&(_, word)| word < threshold) {
            logits[entry as usize] += self.delta;
        }
    }

    pub fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        f64::from(u8::from(self.is_green(draw, token)))
    }

    fn is_green(&self, draw: &Draw<'_>, token: TokenId) -> bool {
        draw.word(token, KEY_A) < self.threshold()
    }

    pub fn null(&self) -> Null {
        Null::Binomial { trials: 1, p: f64::from(self.threshold()) / TWO_POW_32 }
    }
}

const TWO_POW_32: f64 = 4_294_967_296.0;
