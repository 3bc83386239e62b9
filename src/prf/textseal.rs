//! `textseal-v1`: the function of TextSeal 0.0.5 (`textseal/common/watermark/pseudorandom.py`).
//!
//! With a context w of h ids, oldest first, and fixed primes P, in signed 64-bit numbers that wrap:
//!
//! ```text
//! a = ( Σ Pᵢ·wᵢ + 100000007·token + 500001713·key ) · 15485863 · 40499
//! level = ( a ⊕ (a >> 13) ) mod 8191,     word = ⌊level·2³²/8191⌋
//! ```
//!
//! Only the sum counts, so of several ids some contexts share their words, also those of different tokens: with two ids
//! (w₁, w₂, token) and (w₁ − 821, w₂ + 61, token + 76) are one to it. The second key of dual-key marking is the first plus
//! 12345.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::peer::{Peer, State};
use super::{KEY_B, SeedId};
use crate::tokens::TokenId;

/// Levels of a word.
pub const TEXTSEAL_LEVELS: u32 = 8191;

/// What each key adds to the sum.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct TextSeal {
    offsets: [u64; 2],
}

impl TextSeal {
    pub(super) fn new(key: u64) -> Self {
        let offset = |key: u64| key.wrapping_mul(500_001_713);
        Self { offsets: [offset(key), offset(key.wrapping_add(12_345))] }
    }

    fn level(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let sum = state.0[0]
            .wrapping_add(u64::from(token) * 100_000_007)
            .wrapping_add(self.offsets[usize::from(stream >= KEY_B)]);
        let a = sum.wrapping_mul(15_485_863 * 40_499) as i64;
        (a ^ a >> 13).rem_euclid(i64::from(TEXTSEAL_LEVELS)) as u32
    }
}

/// One for each id that is read.
const PRIMES: [u64; 10] = [
    10_000_019, 10_000_247, 10_000_439, 10_000_643, 10_000_747, 10_000_867, 10_000_993, 10_001_213,
    10_001_357, 10_001_501,
];

impl Peer for TextSeal {
    fn state(&self, context: &[TokenId]) -> State {
        let products = context.iter().zip(PRIMES).map(|(&id, prime)| u64::from(id) * prime);
        State([products.fold(0, u64::wrapping_add), 0, 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let level = u64::from(self.level(state, token, stream));
        ((level << 32) / u64::from(TEXTSEAL_LEVELS)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that TextSeal 0.0.5 computed.
    #[test]
    fn published_levels() {
        let levels = |context: &[TokenId]| {
            let function = TextSeal::new(42);
            [0, 1, 2, 3, 4, 5].map(|token| function.level(function.state(context), token, 0))
        };
        assert_eq!(levels(&[5]), [5032, 1702, 117, 175, 4962, 2303]);
        assert_eq!(levels(&[5, 6, 7]), [2030, 7400, 7752, 6447, 1094, 635]);
        let (first, second) = (TextSeal::new(42), TextSeal::new(42 + 12_345));
        let state = first.state(&[9]);
        assert_eq!(first.level(state, 3, KEY_B), second.level(state, 3, 0));
    }

    /// What the module's page says of shared words.
    #[test]
    fn some_contexts_are_one() {
        let function = TextSeal::new(7);
        let [one, other] = [[900, 40], [79, 101]].map(|context| function.state(&context));
        assert_ne!(one, other);
        assert_eq!(function.word(one, 5, 0), function.word(other, 81, 0));
    }
}
