//! Seeds of lm-watermarking, the code of Kirchenbauer et al. 2023 (`alternative_prf_schemes.py`,
//! github.com/jwkirchenbauer/lm-watermarking, commit fb602de).
//!
//! With key K, h(x) = T[x mod 1,000,003] + 1 where T = `randperm`(1,000,003) under seed 2,971,215,073, and ids s₁…s_h of which
//! the last is the candidate where `self_salt` is set; sums and products wrapped to 64 bits and signed, but for the
//! product of the first three with K:
//!
//! ```text
//! multiplicative  K·(Π sᵢ)        simple_skip        Π h(K·sᵢ), i = 1, 3, 5, …
//! additive        K·(Σ sᵢ)        skipgram           h(K·s₁)
//! minfunc         K·(min sᵢ)      anchored_skipgram  h(K·s₁)·h(K·s_h)
//! minhash         min h(K·sᵢ)     anchored_minhash   min K·h(sᵢ)·h(s_h)
//! position        Σ K·i·sᵢ        minskipgram        min over i < j of h(K·sᵢ)·h(K·sⱼ)
//! noncomm         k ← k·h(k·sᵢ) mod 2³² for each i, from k = K
//! ```
//!
//! Each modulo 2⁶⁴−1 as Python takes it; the generator uses the low 32 bits. What comes of h alone has 1,000,003 values at
//! most. The older processor (`watermark_processor.py`) and text-generation-inference are `additive` of one id: they take no
//! modulus, but refuse the products that it would change.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mt19937::Mt19937;
use super::torch_lists::{ListSeed, Seeds, modulo};
use super::transformers_kgw::TABLE_SIZE;
use crate::tokens::TokenId;

/// How ids become a seed, under the names of `prf_lookup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize)]
pub enum LmPrf {
    /// Product of the ids.
    #[serde(rename = "multiplicative_prf")]
    Multiplicative,
    /// Sum of the ids.
    #[default]
    #[serde(rename = "additive_prf")]
    Additive,
    /// Smallest id.
    #[serde(rename = "minfunc_prf")]
    MinFunc,
    /// Product of the hashes of every other id.
    #[serde(rename = "simple_skip_prf")]
    SimpleSkip,
    /// Hash of the oldest id.
    #[serde(rename = "skipgram_prf")]
    Skipgram,
    /// Hashes of the oldest and the newest id.
    #[serde(rename = "anchored_skipgram_prf")]
    AnchoredSkipgram,
    /// Smallest hash.
    #[serde(rename = "minhash_prf")]
    Minhash,
    /// Smallest product with the hash of the newest id.
    #[serde(rename = "anchored_minhash_prf")]
    AnchoredMinhash,
    /// Smallest product of two hashes.
    #[serde(rename = "minskipgram_prf")]
    MinSkipgram,
    /// A chain of hashes.
    #[serde(rename = "noncomm_prf")]
    NonComm,
    /// Sum of the ids times their places.
    #[serde(rename = "position_prf")]
    Position,
}

impl LmPrf {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Multiplicative,
        Self::Additive,
        Self::MinFunc,
        Self::SimpleSkip,
        Self::Skipgram,
        Self::AnchoredSkipgram,
        Self::Minhash,
        Self::AnchoredMinhash,
        Self::MinSkipgram,
        Self::NonComm,
        Self::Position,
    ];

    /// Fewest ids that it reads.
    pub fn least_width(self) -> usize {
        if self == Self::MinSkipgram { 2 } else { 1 }
    }

    /// What `key` makes of ids, before the modulus.
    fn value(self, key: u64, ids: &[TokenId]) -> i128 {
        let signed = key as i64;
        let plain = || ids.iter().map(|&id| i64::from(id));
        let hashes = || plain().map(|id| hash(signed.wrapping_mul(id)));
        let ends = || (plain().next().unwrap_or(0), plain().next_back().unwrap_or(0));
        // Python multiplies whole numbers here, tensors elsewhere.
        let times_key = |number: i64| i128::from(key) * i128::from(number);
        let value = match self {
            Self::Multiplicative => return times_key(plain().fold(1, i64::wrapping_mul)),
            Self::Additive => return times_key(plain().fold(0, i64::wrapping_add)),
            Self::MinFunc => return times_key(plain().min().unwrap_or(0)),
            Self::SimpleSkip => hashes().step_by(2).fold(1, i64::wrapping_mul),
            Self::Skipgram => hash(signed.wrapping_mul(ends().0)),
            Self::AnchoredSkipgram => {
                let (first, last) = ends();
                hash(signed.wrapping_mul(first)) * hash(signed.wrapping_mul(last))
            }
            Self::Minhash => hashes().min().unwrap_or(0),
            Self::AnchoredMinhash => {
                let last = hash(ends().1);
                let product = |id| signed.wrapping_mul(hash(id)).wrapping_mul(last);
                plain().map(product).min().unwrap_or(0)
            }
            Self::MinSkipgram => {
                let with_later = |(at, hash)| hashes().skip(at + 1).map(move |later| hash * later);
                hashes().enumerate().flat_map(with_later).min().unwrap_or(0)
            }
            Self::NonComm => plain().fold(signed, |key, id| {
                key.wrapping_mul(hash(key.wrapping_mul(id))).rem_euclid(1 << 32)
            }),
            Self::Position => (1..).zip(plain()).fold(0, |sum, (at, id)| {
                signed.wrapping_mul(id).wrapping_mul(at).wrapping_add(sum)
            }),
        };
        value.into()
    }
}

/// 1 to 1,000,003.
fn hash(number: i64) -> i64 {
    i64::from(TABLE[number.rem_euclid(TABLE_SIZE.into()) as usize]) + 1
}

static TABLE: LazyLock<Vec<u32>> =
    LazyLock::new(|| Mt19937::new(2_971_215_073).permutation(TABLE_SIZE));

/// A key and what is done with it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct LmWatermarking {
    key: u64,
    function: LmPrf,
}

impl LmWatermarking {
    pub(super) fn new(key: u64, function: LmPrf) -> Self {
        Self { key, function }
    }
}

impl Seeds for LmWatermarking {
    fn seed(&self, ids: &[TokenId]) -> ListSeed {
        let value = self.function.value(self.key, ids);
        // Where only ids of 0 were read, any key gives what the key 0 gives.
        let keyed = value != 0 && (!ids.contains(&0) || value != self.function.value(0, ids));
        ListSeed { low: modulo(value) as u32, keyed }
    }
}
