//! `textseal`: exponential minimum sampling and green lists as TextSeal 0.0.5 does them.
//!
//! TextSeal, arXiv 2605.12456; read in `textseal/common/watermark/core.py` and
//! `textseal/posthoc/{generator,detector}.py`. With r = level/8191 the choice of `gumbelmax` is argmax r_v^(1/p_v), found
//! here as argmax ln(r_v)/p_v: the tool's 32-bit powers are 0 for improbable tokens, so near-ties may fall otherwise.
//! `greenlist` adds δ to the tempered, truncated logits of tokens with r < γ.
//!
//! Evidence of `gumbelmax` is the tool's −ln(1 − r). Of 8,191 levels none exceeds 9.01, and its law is below Exp(1), so the
//! tail is an upper bound. Evidence of `greenlist` is 1 if green, with the exact share of green levels: 4096/8191 for
//! γ = 0.5, where the tool takes γ itself. The tool's p-value is a mid-p there, which is not one of a valid test: over all
//! texts it is at or below some levels more often than they say.
//!
//! The tool scores from the token after the first whole context on, and dedupes only when asked; here the token right
//! after the first context counts too. With two keys (the repository's head, not in a package) the second is the first plus
//! 12345 and is taken with the mixing probability; evidence is the mixture of both, as in `vllm-gumbel`.

use serde::{Deserialize, Serialize};

use super::kgw::GreenList;
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, KEY_B, PeerPrf, TEXTSEAL_LEVELS};
use crate::tokens::TokenId;

/// What TextSeal does to the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextSealMethod {
    /// Exponential minimum sampling.
    #[default]
    GumbelMax,
    /// Green lists.
    Greenlist,
}

/// Parameters of `textseal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextSeal {
    /// What is done to the choice.
    pub watermark_type: TextSealMethod,
    /// h, how many ids of prompt and output are read, 1 to 10.
    pub ngram: usize,
    /// γ, the green share, of `greenlist`.
    pub gamma: f64,
    /// δ, added to the logits of green tokens, of `greenlist`.
    pub delta: f32,
    /// How often the second key is used, of `gumbelmax`. Absent: a single key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixing: Option<f64>,
}

impl Default for TextSeal {
    fn default() -> Self {
        Self {
            watermark_type: TextSealMethod::GumbelMax,
            ngram: 1,
            gamma: 0.5,
            delta: 2.0,
            mixing: None,
        }
    }
}

impl TextSeal {
    /// Greatest number of ids that are read.
    pub const MAX_NGRAM: usize = 10;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self { ngram: 2, ..Self::default() };
        vec![
            base.clone(),
            Self { ngram: 4, mixing: Some(0.5), ..base.clone() },
            Self { watermark_type: TextSealMethod::Greenlist, ngram: 3, ..base },
        ]
    }

    /// Levels j with j/8191 < γ in 32-bit floats are green; so many are.
    fn green_levels(&self) -> u32 {
        let gamma = self.gamma as f32;
        let guess = (self.gamma * f64::from(TEXTSEAL_LEVELS)) as u32;
        let green = |&level: &u32| level as f32 / (TEXTSEAL_LEVELS as f32) < gamma;
        (guess.saturating_sub(2)..=TEXTSEAL_LEVELS).find(|level| !green(level)).unwrap_or(0)
    }

    fn greens(&self) -> GreenList {
        let share = f64::from(self.green_levels()) / f64::from(TEXTSEAL_LEVELS);
        GreenList { gamma: share, delta: self.delta }
    }
}

impl Scheme for TextSeal {
    fn check(&self) -> Result<(), SpecError> {
        let (got, max) = (self.ngram, Self::MAX_NGRAM);
        if !(1..=max).contains(&got) {
            return Err(SpecError::Count { name: "ngram", got, max });
        }
        if let Some(got) = self.mixing.filter(|&p| !(p > 0.0 && p < 1.0)) {
            return Err(SpecError::Probability { name: "mixing", got, most: "below" });
        }
        if !(self.gamma > 0.0 && self.gamma < 1.0) {
            return Err(SpecError::Gamma { got: self.gamma });
        }
        self.greens().check()
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.ngram }
    }

    fn peer(&self) -> Option<PeerPrf> {
        Some(PeerPrf::TextSeal { width: self.ngram })
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.mixing.is_some() { &[KEY_A, KEY_B] } else { &[KEY_A] }
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, noise: &mut Noise) -> Pick {
        if self.watermark_type == TextSealMethod::Greenlist {
            self.greens().bias(draw, candidates);
            return Pick::Sample;
        }
        let second = self.mixing.is_some_and(|mixing| noise.uniform() < mixing);
        let stream = if second { KEY_B } else { KEY_A };
        candidates.read_words(|ids, out| draw.words(ids, stream, out));
        let entry = greatest_power(candidates, uniform);
        Pick::Token(candidates.id(entry))
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        let score = |stream| -(-uniform(draw.word(token, stream))).ln_1p();
        match (self.watermark_type, self.mixing) {
            (TextSealMethod::Greenlist, _) => self.greens().evidence(draw, token),
            (TextSealMethod::GumbelMax, None) => score(KEY_A),
            (TextSealMethod::GumbelMax, Some(mixing)) => {
                (1.0 - mixing) * score(KEY_A) + mixing * score(KEY_B)
            }
        }
    }

    fn null(&self, _: u32) -> Null {
        match (self.watermark_type, self.mixing) {
            (TextSealMethod::Greenlist, _) => {
                let p = f64::from(self.green_levels()) / f64::from(TEXTSEAL_LEVELS);
                Null::Binomial { trials: 1, p }
            }
            (TextSealMethod::GumbelMax, None) => Null::Exponential,
            (TextSealMethod::GumbelMax, Some(alpha)) => Null::TwoExponentials { alpha },
        }
    }

    fn distortion_free(&self) -> bool {
        self.watermark_type == TextSealMethod::GumbelMax
    }
}

/// The entry of greatest u^(1/p), u being what `uniform` makes of its word; the first on ties.
pub(super) fn greatest_power(candidates: &mut Candidates, uniform: fn(u32) -> f64) -> usize {
    let (probabilities, words) = candidates.probabilities_and_words();
    let likeliest = (0..words.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    // Where every u is 0 the likeliest is taken.
    let (mut best, mut highest) = (likeliest.unwrap_or(0), f64::NEG_INFINITY);
    for (entry, (&p, &word)) in probabilities.iter().zip(words).enumerate() {
        let score = if p > 0.0 { uniform(word).ln() / f64::from(p) } else { f64::NEG_INFINITY };
        if score > highest {
            (best, highest) = (entry, score);
        }
    }
    best
}

/// r = level/8191, the level being ⌈word·8191/2³²⌉.
fn uniform(word: u32) -> f64 {
    let level = (u64::from(word) * u64::from(TEXTSEAL_LEVELS)).div_ceil(1 << 32);
    level as f64 / f64::from(TEXTSEAL_LEVELS)
}
