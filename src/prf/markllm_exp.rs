//! Seeds of MarkLLM's EXP (`watermark/exp/exp.py`, package markllm 0.1.5): with key K and the last h ids,
//!
//! ```text
//! seed = K · ( (Π sᵢ) mod V )
//! ```
//!
//! of which torch's generator uses the low 32 bits. There are V seeds at most. Where V divides the product, above all after an
//! id of 0, the seed is 0 under every key.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::torch_lists::Seeds;
use crate::tokens::TokenId;

/// A key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MarkLlmExp {
    key: u64,
    vocab_size: u32,
}

impl MarkLlmExp {
    pub(super) fn new(key: u64, vocab_size: u32) -> Self {
        Self { key, vocab_size: vocab_size.max(1) }
    }

    fn product(&self, ids: &[TokenId]) -> u64 {
        let size = u64::from(self.vocab_size);
        ids.iter().fold(1 % size, |product, &id| product * u64::from(id) % size)
    }
}

impl Seeds for MarkLlmExp {
    fn seed(&self, ids: &[TokenId]) -> u32 {
        self.key.wrapping_mul(self.product(ids)) as u32
    }

    fn is_keyed(&self, ids: &[TokenId]) -> bool {
        self.product(ids) != 0
    }
}
