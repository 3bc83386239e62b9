//! Seeds of MarkLLM's KGW (`watermark/kgw/kgw.py`, github.com/THU-BPM/MarkLLM, commit 112fa74), which are not those of
//! Kirchenbauer et al.: the table is one of the vocabulary, and so are the seeds.
//!
//! With key K, T = `randperm`(V) under seed K, and ids s₁…s_h before the candidate c:
//!
//! ```text
//! f = T[Π sᵢ mod V] (time)   T[Σ sᵢ mod V] (additive)   T[s₁] (skip)   min T[sᵢ] (min)
//! left: seed = K·f mod V        self: seed = f·T[c] mod V
//! ```
//!
//! So there are V lists at most, the same ones under every key.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mt19937::Mt19937;
use super::torch_lists::Seeds;
use crate::tokens::TokenId;

/// f, under the names of `f_scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize)]
#[serde(rename_all = "lowercase")]
pub enum MarkLlmPrf {
    /// By the product of the ids.
    #[default]
    Time,
    /// By their sum.
    Additive,
    /// By the oldest.
    Skip,
    /// The smallest of them.
    Min,
}

/// A key with its table.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MarkLlmKgw {
    key: u64,
    function: MarkLlmPrf,
    own: bool,
    table: Vec<u32>,
}

impl MarkLlmKgw {
    pub(super) fn new(key: u64, function: MarkLlmPrf, own: bool, vocab_size: u32) -> Self {
        Self { key, function, own, table: Mt19937::new(key as u32).permutation(vocab_size) }
    }

    fn scattered(&self, number: u64) -> u64 {
        self.table[(number % self.table.len() as u64) as usize].into()
    }

    fn f(&self, ids: &[TokenId]) -> u64 {
        let size = self.table.len() as u64;
        let fold = |start, join: fn(u64, u64) -> u64| {
            self.scattered(ids.iter().fold(start, |all, &id| join(all, id.into()) % size))
        };
        match self.function {
            MarkLlmPrf::Time => fold(1, |all, id| all * id),
            MarkLlmPrf::Additive => fold(0, |all, id| all + id),
            MarkLlmPrf::Skip => self.scattered(ids.first().copied().unwrap_or(0).into()),
            MarkLlmPrf::Min => ids.iter().map(|&id| self.scattered(id.into())).min().unwrap_or(0),
        }
    }
}

impl Seeds for MarkLlmKgw {
    fn seed(&self, ids: &[TokenId]) -> u32 {
        let size = self.table.len() as u64;
        let seed = match ids.split_last() {
            Some((&own, before)) if self.own => self.f(before) * self.scattered(own.into()) % size,
            _ => self.key % size * self.f(ids) % size,
        };
        seed as u32
    }

    fn is_keyed(&self, _: &[TokenId]) -> bool {
        true
    }
}
