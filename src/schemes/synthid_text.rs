//! `synthid-text`: tournament sampling as transformers 5.17.0 and Google's SynthID-Text do it.
//!
//! The tournament is that of [`SynthId`](super::SynthId); the bits come from one of two functions, which the tools do not
//! tell apart by name ([`SynthIdHash`]). Marking acts after temperature and truncation, on the tokens that are left. The tools
//! leave a token unmarked if its context was seen among the last `context_history_size`; that is `repeats = "single-turn"`.
//!
//! The tools' mean score is Σ g / (m·n); their weighted mean has weights that fall from 10 to 1, scaled to the sum m. Evidence
//! here is Σ g, or the weighted sum times m − 1 and the sum of the unscaled weights over m, so that it is a whole number.
//!
//! Null. With q the share of ones, a token's evidence has mean q·Σ w. The bits of two n-grams are not independent, over keys:
//! their hashes differ by what no key changes, and each difference has a correlation c of its own; ρ is the root mean square
//! of c ([`Layers`]). The variance of a sum over n n-grams of a text is 1 + Σ c / n times that of independent bits, with c
//! summed over ordered pairs.
//!
//! * Of a text that knows nothing of these functions Σ c / n has mean 0 and standard deviation √2·ρ.
//! * Of a text marked with *another* key of the same function it is positive: n-grams were chosen that agree in the other key's
//!   layers, and those have the larger c. With s_l the excess 2·mean(g_l) − 1 in those layers, Σ c / n ≈ n·ρ²·Σ s_l². With
//!   two leaves s_l ≤ ½, and texts of 30 layers reach Σ s_l² = 4 on average.
//!
//! The law used is that of independent bits with 1 + 3.5·√2·ρ + 12·ρ²·n times their variance. So for `iv` (ρ = 0.030) and 200
//! tokens 3.4 times, where 16 texts marked with one key and read with random others had 1.7 on average and 2.8 at most; for
//! a table of 2¹⁶ (ρ = 1/256) 1.06 times, 1.05 measured. Layers whose numbers in the key are as good as equal are one bit with
//! their common weight.

use serde::{Deserialize, Serialize};

use super::synthid::{SynthId, Weighting};
use super::{Candidates, Draw, Memory, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{Layers, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `synthid-text`, under the tools' names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthIdText {
    /// Ids hashed, the token's own the last, 2 to 65.
    pub ngram_len: usize,
    /// m, number of layers and of keys, 1 to 64.
    pub depth: u32,
    /// Which of the two functions.
    pub hash: SynthIdHash,
    /// Bits of the table, 1 to 2²⁴; absent: 65,536. Of `table` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_table_size: Option<u32>,
    /// Seed of the table; absent: 0. Of `table` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_table_seed: Option<u64>,
    /// For how many positions marking remembers a context.
    pub context_history_size: usize,
    /// Whether the first `ngram_len` − 1 tokens stay unmarked; else their contexts begin with zeros.
    pub skip_first_ngram_calls: bool,
    /// N, candidates in a match; 2 leaves the distribution unchanged.
    pub num_leaves: u32,
    /// How layers are added up.
    pub weighting: Weighting,
}

/// The two functions of SynthID-Text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SynthIdHash {
    /// `synthid-table`: transformers, and the packages up to synthid-text 0.2.1.
    #[default]
    Table,
    /// `synthid-iv`: Google's repository since June 2025.
    Iv,
}

impl Default for SynthIdText {
    fn default() -> Self {
        Self {
            ngram_len: 5,
            depth: 30,
            hash: SynthIdHash::Table,
            sampling_table_size: None,
            sampling_table_seed: None,
            context_history_size: 1024,
            skip_first_ngram_calls: false,
            num_leaves: 2,
            weighting: Weighting::Mean,
        }
    }
}

impl SynthIdText {
    /// Longest n-gram.
    pub const MAX_NGRAM: usize = 65;
    /// Largest table, as in transformers.
    pub const MAX_TABLE: u32 = 1 << 24;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let weighting = Weighting::WeightedMean;
        let odd_table = Some(10_007);
        let iv = Self { hash: SynthIdHash::Iv, ..base };
        vec![
            base.clone(),
            Self { ngram_len: 3, depth: 9, sampling_table_size: odd_table, ..base.clone() },
            Self { depth: 40, sampling_table_size: Some(1 << 20), weighting, ..base.clone() },
            Self { num_leaves: 3, sampling_table_seed: Some(7), ..base },
            Self { weighting, ngram_len: 4, skip_first_ngram_calls: true, ..iv.clone() },
            iv,
        ]
    }

    /// The layers' bits of `token`, layer 0 lowest.
    pub fn bits(&self, draw: &Draw<'_>, token: TokenId) -> u64 {
        self.tournament().bits(draw, token)
    }

    /// The same tournament over our own function.
    fn tournament(&self) -> SynthId {
        let (leaves, context_width) = (self.num_leaves, self.ngram_len.saturating_sub(1));
        SynthId { depth: self.depth, leaves, context_width, weighting: self.weighting }
    }

    /// The weights of the layers, those that are always equal added up.
    fn weights(&self, same_as: &[u32]) -> Vec<u64> {
        let tournament = self.tournament();
        let mut weights = vec![0; self.depth as usize];
        for (layer, &first) in (0..).zip(same_as) {
            let weight = match self.weighting {
                Weighting::Mean => 1,
                Weighting::WeightedMean => tournament.weight(layer),
            };
            if let Some(sum) = weights.get_mut(first as usize) {
                *sum += weight;
            }
        }
        weights.retain(|&weight| weight > 0);
        weights
    }
}

impl Scheme for SynthIdText {
    fn check(&self) -> Result<(), SpecError> {
        if !(2..=Self::MAX_NGRAM).contains(&self.ngram_len) {
            return Err(SpecError::NgramLen { got: self.ngram_len, max: Self::MAX_NGRAM });
        }
        if !(1..=SynthId::MAX_DEPTH).contains(&self.depth) {
            return Err(SpecError::Depth { got: self.depth, max: SynthId::MAX_DEPTH });
        }
        if !(2..=1000).contains(&self.num_leaves) {
            return Err(SpecError::Leaves { got: self.num_leaves });
        }
        match (self.hash, self.sampling_table_size, self.sampling_table_seed) {
            (SynthIdHash::Table, Some(got), _) if !(1..=Self::MAX_TABLE).contains(&got) => {
                Err(SpecError::TableSize { got, max: Self::MAX_TABLE })
            }
            (SynthIdHash::Table, ..) | (SynthIdHash::Iv, None, None) => Ok(()),
            (SynthIdHash::Iv, ..) => Err(SpecError::NoTable),
        }
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.ngram_len.saturating_sub(1) }
    }

    fn peer(&self) -> Option<PeerPrf> {
        let (ngram_len, depth) = (self.ngram_len, self.depth);
        let skip_first = self.skip_first_ngram_calls;
        Some(match self.hash {
            SynthIdHash::Table => PeerPrf::SynthIdTable {
                ngram_len,
                table_size: self.sampling_table_size.unwrap_or(1 << 16),
                table_seed: self.sampling_table_seed.unwrap_or(0),
                depth,
                skip_first,
            },
            SynthIdHash::Iv => PeerPrf::SynthIdIv { ngram_len, depth, skip_first },
        })
    }

    fn skips_repeats(&self) -> bool {
        true
    }

    fn memory(&self) -> Memory {
        Memory::Positions(self.context_history_size)
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        if self.depth > 32 { &[0, 1] } else { &[0] }
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, noise: &mut Noise) -> Pick {
        self.tournament().embed(draw, candidates, noise)
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        self.tournament().evidence(draw, token)
    }

    fn null(&self, vocab_size: u32) -> Null {
        let layers = self.peer().and_then(|peer| peer.layers());
        self.null_under(layers.as_ref(), vocab_size)
    }

    fn null_under(&self, layers: Option<&Layers>, _: u32) -> Null {
        let Some(Layers { same_as, ones, correlation }) = layers else {
            return Null::Binomial { trials: self.depth, p: 0.5 };
        };
        let weights = self.weights(same_as);
        let mean = ones * weights.iter().sum::<u64>() as f64;
        let law = if weights.iter().all(|&weight| weight == 1) {
            // A table of equal bits says nothing: its sums are always their mean.
            let p = if *ones > 0.0 && *ones < 1.0 { *ones } else { 0.5 };
            Null::Binomial { trials: self.depth, p }
        } else {
            Null::WeightedBits { weights }
        };
        let variance = 1.0 + MARGIN * std::f64::consts::SQRT_2 * correlation;
        let growth = SELECTION * correlation * correlation;
        Null::Widened { law: Box::new(law), mean, variance, growth }
    }

    fn distortion_free(&self) -> bool {
        self.num_leaves == 2
    }
}

/// Standard deviations of the variance that are allowed for.
const MARGIN: f64 = 3.5;
/// Σ s² over the layers of another key that is allowed for.
const SELECTION: f64 = 12.0;
