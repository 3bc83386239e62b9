//! `gumbel`: exponential minimum sampling.
//!
//! Aaronson, "My AI Safety Lecture for UT Effective Altruism", 2022; Kuditipudi et al., "Robust Distortion-free
//! Watermarks for Language Models", TMLR 2024 (arXiv 2307.15593), section 2.3. The token is
//!
//! ```text
//! argmin_v  −ln(u_v) / p_v,     u_v = (word_v + ½) / 2³²
//! ```
//!
//! which has probability p_v when the u are uniform, so averaged over keys the text has the model's own distribution.
//! Evidence is s = −ln(1 − word/2³²), which for a text independent of the key is discrete and stochastically at most
//! Exp(1): P(s ≥ x) = (2³² − ⌈2³²(1−e^−x)⌉)/2³² ≤ e^−x.
//!
//! With one key a context always continues in the same way. With two, each step takes key B with probability α by a coin
//! of the sampler's own, so answers to one prompt differ; the detector, which cannot see the coin, scores
//! (1−α)·s_A + α·s_B. After vLLM's `dual_key_gumbel`.
//!
//! With a message, each position's words are turned by its symbol of 16: uniform words stay uniform, so the text keeps the
//! model's distribution whatever the message.

use serde::{Deserialize, Serialize};

use super::{
    Candidates, Draw, Noise, Null, Payload, Pick, Scheme, Seeding, Sequence, SpecError, Stage,
    Turnable, Turned, check_width,
};
use crate::payload::{Code, CodeError};
use crate::prf::{KEY_A, KEY_B};
use crate::tokens::TokenId;

/// Parameters of `gumbel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gumbel {
    /// h, how many ids seed the draw, 1 to 15.
    pub context_width: usize,
    /// α, how often the second key is used, in (0, 1). Absent: a single key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// k, how many bits of a message the mark carries, 8 to 64. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bits: Option<u32>,
}

impl Default for Gumbel {
    fn default() -> Self {
        Self { context_width: 4, alpha: None, payload_bits: None }
    }
}

impl Gumbel {
    pub(super) fn examples() -> Vec<Self> {
        vec![
            Self::default(),
            Self { context_width: 2, alpha: Some(0.1), payload_bits: None },
            Self { context_width: 3, alpha: Some(0.5), payload_bits: None },
            Self { payload_bits: Some(64), ..Self::default() },
        ]
    }
}

impl Scheme for Gumbel {
    fn check(&self) -> Result<(), SpecError> {
        check_width(self.context_width)?;
        self.payload_bits.map(code).transpose()?;
        match self.alpha {
            Some(got) if !(got > 0.0 && got < 1.0) => Err(SpecError::Alpha { got }),
            Some(_) if self.payload_bits.is_some() => Err(SpecError::NoRoom { with: "alpha" }),
            _ => Ok(()),
        }
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.context_width }
    }

    fn canonical(&self) -> Vec<(&'static str, u64)> {
        let mut parameters = vec![("context_width", self.context_width as u64)];
        parameters.extend(self.alpha.map(|alpha| ("alpha_bits", alpha.to_bits())));
        parameters.extend(self.payload_bits.map(|bits| ("payload_bits", u64::from(bits))));
        parameters
    }

    fn skips_repeats(&self) -> bool {
        true
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.alpha.is_some() { &[KEY_A, KEY_B] } else { &[KEY_A] }
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, noise: &mut Noise) -> Pick {
        let stream =
            if self.alpha.is_some_and(|alpha| noise.uniform() < alpha) { KEY_B } else { KEY_A };
        candidates.read_words(|ids, out| draw.words(ids, stream, out));
        let entry = exponential_minimum(candidates);
        Pick::Token(candidates.id(entry))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        let first = exponential(draw.word(token, KEY_A));
        match self.alpha {
            None => first,
            Some(alpha) => (1.0 - alpha) * first + alpha * exponential(draw.word(token, KEY_B)),
        }
    }

    fn null(&self, _: u32) -> Null {
        self.alpha.map_or(Null::Exponential, |alpha| Null::TwoExponentials { alpha })
    }

    fn distortion_free(&self) -> bool {
        true
    }

    fn sequence(&self) -> Option<&dyn Sequence> {
        self.payload_bits.map(|_| self as _)
    }

    fn payload(&self) -> Option<Box<dyn Payload + '_>> {
        Some(Box::new(Turned::of(self)?))
    }
}

impl Turnable for Gumbel {
    const STRENGTHS: usize = FALLS.len();

    fn code(&self) -> Option<Code> {
        code(self.payload_bits?).ok()
    }

    fn evidence_of(&self, word: u32) -> f64 {
        exponential(word)
    }

    /// The word of a token that was chosen with probability p has u ~ Beta(1/p, 1), of density u^(1/p − 1)/p. The ratio is the
    /// mean of that over p = 2^−j, j = 0 … 12, with weights proportional to r^j. It grows with u, so its mean over the
    /// lower edges u = word/2³² is below its integral, one.
    fn ln_ratio(&self, strength: usize, word: u32) -> f64 {
        let fall = FALLS[strength];
        // u^(2^j − 1) is the product of u, u², u⁴, … before it.
        let (mut square, mut product) = (f64::from(word) / TWO_POW_32, 1.0);
        let (mut weight, mut inverse_p) = (1.0, 1.0);
        let (mut sum, mut total) = (0.0, 0.0);
        for _ in 0..=LEAST_LOG2_P {
            sum += weight * inverse_p * product;
            total += weight;
            product *= square;
            square *= square;
            weight *= fall;
            inverse_p *= 2.0;
        }
        (sum / total).ln()
    }
}

fn code(bits: u32) -> Result<Code, CodeError> {
    Code::new(bits, SYMBOL_BITS)
}

/// r of texts of little, middling and much entropy: fitted to tokens chosen from distributions of 1, 2 and 3.3 nats on
/// average, of which they lose at most a tenth of the information.
const FALLS: [f64; 3] = [0.55, 0.7, 0.85];
/// 12: no token is taken to be rarer than 2⁻¹².
const LEAST_LOG2_P: u32 = 12;
/// An alphabet of 16.
const SYMBOL_BITS: u32 = 4;

/// −ln(1 − word/2³²), between 0 and 22.2.
fn exponential(word: u32) -> f64 {
    -(-f64::from(word) / TWO_POW_32).ln_1p()
}

/// The entry that minimises −ln(u)·e^(highest − logit), the first on ties.
///
/// Two logarithm-free bounds, −ln u ≥ 1 − u and eˣ ≥ 1 + x + x²/2 + x³/6, rule out nearly every entry.
fn exponential_minimum(candidates: &mut Candidates) -> usize {
    let (logits, words) = candidates.logits_and_words();
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut best, mut least) = (0, f64::INFINITY);
    for (entry, (&logit, &word)) in logits.iter().zip(words).enumerate() {
        let below = f64::from(highest - logit);
        let complement = (TWO_POW_32 - f64::from(word) - 0.5) / TWO_POW_32;
        let floor = 1.0 + below * (1.0 + below * (0.5 + below * (1.0 / 6.0)));
        if complement * floor < least {
            let time = -(-complement).ln_1p() * below.exp();
            if time < least {
                (best, least) = (entry, time);
            }
        }
    }
    best
}

const TWO_POW_32: f64 = 4_294_967_296.0;
