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
use super::torch_lists::{Seeds, modulo};
use super::transformers_kgw::TABLE_SIZE;
use crate::tokens::TokenId;

/// Makes [`LmPrf`] with the names of `prf_lookup`.
macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// How ids become a seed, under the names of `prf_lookup`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize)]
        pub enum LmPrf {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl LmPrf {
            /// The function called `name`.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
functions! {
    /// Product of the ids.
    Multiplicative = "multiplicative_prf",
    /// Sum of the ids.
    Additive = "additive_prf",
    /// Smallest id.
    MinFunc = "minfunc_prf",
    /// Product of the hashes of every other id.
    SimpleSkip = "simple_skip_prf",
    /// Hash of the oldest id.
    Skipgram = "skipgram_prf",
    /// Hashes of the oldest and the newest id.
    AnchoredSkipgram = "anchored_skipgram_prf",
    /// Smallest hash.
    Minhash = "minhash_prf",
    /// Smallest product with the hash of the newest id.
    AnchoredMinhash = "anchored_minhash_prf",
    /// Smallest product of two hashes.
    MinSkipgram = "minskipgram_prf",
    /// A chain of hashes.
    NonComm = "noncomm_prf",
    /// Sum of the ids times their places.
    Position = "position_prf",
}

impl LmPrf {
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

/// h, from 1 to 1,000,003.
pub(super) fn hash(number: i64) -> i64 {
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
    fn seed(&self, ids: &[TokenId]) -> u32 {
        modulo(self.function.value(self.key, ids)) as u32
    }

    fn is_keyed(&self, ids: &[TokenId]) -> bool {
        // Where only ids of 0 were read, any key gives what the key 0 gives; where a product is 0, too.
        if !ids.contains(&0) && self.function != LmPrf::Multiplicative {
            return true;
        }
        self.function.value(self.key, ids) != self.function.value(0, ids)
    }
}
