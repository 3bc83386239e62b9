//! Seeds of transformers' KGW (`generation/logits_process.py`, `WatermarkLogitsProcessor`, transformers 4.39 to 5.x).
//!
//! With key K, T = `randperm`(1,000,003) under seed K, and ids s₁…s_h, products wrapped to 64 bits and signed:
//!
//! ```text
//! lefthash   K·s_h, in whole numbers: the other ids are not read, and the id 0 gives seed 0 under every key
//! selfhash   min over i of K·a_i·a_h,  a = T[s mod 1,000,003] + 1,  s_h being the candidate
//! ```
//!
//! Both modulo 2⁶⁴−1 as Python takes it, of which the generator uses the low 32 bits. K is not negative; for `lefthash` a
//! negative one is the same as K + 2⁶⁴ − 1.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mt19937::Mt19937;
use super::torch_lists::{Seeds, modulo};
use crate::tokens::TokenId;

/// A key with its table, which only `selfhash` needs.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct TransformersKgw {
    key: u64,
    table: Option<Vec<u32>>,
}

impl TransformersKgw {
    pub(super) fn new(key: u64, selfhash: bool) -> Self {
        let table = || Mt19937::new(key as u32).permutation(TABLE_SIZE);
        Self { key, table: selfhash.then(table) }
    }
}

/// Entries of a table that scatters ids.
pub(super) const TABLE_SIZE: u32 = 1_000_003;

impl Seeds for TransformersKgw {
    fn seed(&self, ids: &[TokenId]) -> u32 {
        let last = ids.last().copied().unwrap_or(0);
        let Some(table) = &self.table else {
            return modulo(i128::from(self.key) * i128::from(last)) as u32;
        };
        let scattered = |id: TokenId| i64::from(table[(id % TABLE_SIZE) as usize]) + 1;
        let last = (self.key as i64).wrapping_mul(scattered(last));
        let smallest = ids.iter().map(|&id| scattered(id).wrapping_mul(last)).min();
        modulo(smallest.unwrap_or(0).into()) as u32
    }

    fn is_keyed(&self, ids: &[TokenId]) -> bool {
        self.table.is_some() || ids.last().is_some_and(|&last| last != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(selfhash: bool, ids: &[TokenId]) -> u32 {
        TransformersKgw::new(15_485_863, selfhash).seed(ids)
    }

    /// Seeds that transformers 5.17.0 computed.
    #[test]
    fn published_seeds() {
        assert_eq!(seed(false, &[7, 262]), 4_057_296_106);
        assert_eq!(seed(false, &[50_256]), 868_450_352);
        assert_eq!(seed(true, &[5, 6, 7, 8]), 3_392_384_465_275_318_332_u64 as u32);
        assert_eq!(seed(true, &[11, 22, 33, 44]), 9_714_363_670_351_473_055_u64 as u32);
        assert_eq!(TransformersKgw::new(u64::MAX, false).seed(&[9]), 0);
    }

    #[test]
    fn the_id_0_has_the_same_list_under_every_key() {
        for key in [1, 15_485_863] {
            let lefthash = TransformersKgw::new(key, false);
            assert_eq!((lefthash.seed(&[3, 0]), lefthash.is_keyed(&[3, 0])), (0, false));
            assert!(lefthash.is_keyed(&[0, 3]));
        }
    }
}
