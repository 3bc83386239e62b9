//! `synthid-text`: tournament sampling as transformers and Google's synthid-text do it.
//!
//! Read in transformers 5.17.0 (`SynthIDTextWatermarkLogitsProcessor`), synthid-text 0.2.1 and its repository's head; see
//! `synthid` for the tournament. The context of an answer begins as n − 1 zeros, never the prompt; detectors begin with the
//! first full n-gram, so a text is read both ways, as a part of an answer and as a whole one. A context that occurred among
//! the last `context_history_size` is left unmarked; the scorer counts each context once in a text.
//!
//! Neither tool gives a p-value. Its mean score is the sum of the evidence over depth and scored tokens; the weighted mean
//! is the same with weights from 10 down to 1. Evidence here is that sum in whole numbers.

use serde::{Deserialize, Serialize};

use super::synthid::{self, Weighting, tournament};
use super::{Candidates, Draw, Memory, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::PeerPrf;
use crate::tokens::TokenId;

/// Parameters of `synthid-text`. The layers' keys are the profile's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthIdText {
    /// n, ids hashed together, the token included, 2 to 64.
    pub ngram_len: usize,
    /// m, the number of layers and of keys, 1 to 64.
    pub depth: u32,
    /// Which of the two functions.
    pub hash: SynthIdHash,
    /// Entries of the table (`table` only), 1 to 2²⁴.
    pub sampling_table_size: u32,
    /// Seed of the table (`table` only).
    pub sampling_table_seed: u64,
    /// How many contexts marking remembers.
    pub context_history_size: usize,
    /// Candidates in a match; 2 leaves the distribution unchanged.
    pub num_leaves: u32,
    /// How layers are added up.
    pub weighting: Weighting,
}

/// The functions that go by the name of SynthID-Text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SynthIdHash {
    /// transformers, synthid-text 0.2.1.
    #[default]
    Table,
    /// Google's repository from June 2025 on.
    Iv,
}

impl Default for SynthIdText {
    fn default() -> Self {
        Self {
            ngram_len: 5,
            depth: 30,
            hash: SynthIdHash::Table,
            sampling_table_size: 1 << 16,
            sampling_table_seed: 0,
            context_history_size: 1024,
            num_leaves: 2,
            weighting: Weighting::Mean,
        }
    }
}

impl SynthIdText {
    /// Longest n-gram.
    pub const MAX_NGRAM: usize = 64;
    /// Largest table.
    pub const MAX_TABLE: u32 = 1 << 24;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        vec![
            base.clone(),
            Self { hash: SynthIdHash::Iv, ngram_len: 3, ..base.clone() },
            Self { depth: 40, num_leaves: 3, weighting: Weighting::WeightedMean, ..base },
        ]
    }

    /// The same layers as our own scheme has.
    fn layers(&self) -> synthid::SynthId {
        let Self { depth, num_leaves: leaves, weighting, .. } = *self;
        synthid::SynthId { depth, leaves, weighting, ..synthid::SynthId::default() }
    }
}

impl Scheme for SynthIdText {
    fn check(&self) -> Result<(), SpecError> {
        self.layers().check()?;
        if !(2..=Self::MAX_NGRAM).contains(&self.ngram_len) {
            return Err(SpecError::NgramLen { got: self.ngram_len, max: Self::MAX_NGRAM });
        }
        if !(1..=Self::MAX_TABLE).contains(&self.sampling_table_size) {
            let (got, max) = (self.sampling_table_size, Self::MAX_TABLE);
            return Err(SpecError::TableSize { got, max });
        }
        if self.context_history_size == 0 {
            return Err(SpecError::Memory { name: "context_history_size" });
        }
        Ok(())
    }

    fn seeding(&self) -> Seeding {
        Seeding::Left { width: self.ngram_len - 1 }
    }

    fn peer(&self) -> Option<PeerPrf> {
        let (ngram_len, depth) = (self.ngram_len, self.depth as usize);
        Some(match self.hash {
            SynthIdHash::Table => PeerPrf::SynthIdTable {
                ngram_len,
                depth,
                size: self.sampling_table_size,
                seed: self.sampling_table_seed,
            },
            SynthIdHash::Iv => PeerPrf::SynthIdIv { ngram_len, depth },
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

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        for &stream in self.streams() {
            let layers = (self.depth - 32 * stream).min(32);
            candidates.read_words(|ids, out| draw.words(ids, stream, out));
            let (probabilities, words) = candidates.probabilities_and_words();
            tournament(probabilities, words, layers, self.num_leaves);
        }
        Pick::Sample
    }

    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64 {
        self.layers().evidence(draw, token)
    }

    fn null(&self, vocab_size: u32) -> Null {
        self.layers().null(vocab_size)
    }

    fn distortion_free(&self) -> bool {
        self.num_leaves == 2
    }
}
