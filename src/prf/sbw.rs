//! `vllm-sbw-pr56859`: the function of SBW, "stateless Bernoulli watermarking", in vLLM's pull request 56859, which no
//! release has (`vllm/v1/watermarking/sbw.py`, commit d6d2f2c; Ceppi & Sanchez, arXiv 2609.03844).
//!
//! With key K, a context c₁…c_h of output ids (missing ones being −1), and h(x) a hash of x + 1 after Bob Jenkins, all in
//! signed 64-bit numbers that wrap:
//!
//! ```text
//! selfhash   seed = min( K·h(v)²,  min over i ≥ 2 of K·h(cᵢ)·h(v) )
//! lefthash   seed = K·Σ cᵢ                     (the generator's)
//!            seed = K·Σ h(cᵢ)                  (the detector's)
//! block = Philox( (v div 4, 0, 0, 0), (low seed, high seed) ),   word = the low 31 bits of block[v mod 4]
//! ```
//!
//! h is a bijection of 32 bits with h(−1) = 0. A seed of 0 is that of every key: its words are not keyed.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::peer::{Peer, State};
use super::philox::philox;
use crate::tokens::TokenId;

/// What a seed is made of, under the names of `sbw_scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize)]
#[serde(rename_all = "kebab-case")]
pub enum SbwSeeding {
    /// Hashes of the token and of all ids before it but the oldest.
    #[default]
    Selfhash,
    /// The sum of the ids before it, as the generator takes it.
    Lefthash,
    /// The sum of their hashes, as the detector takes it; no text is marked so.
    LefthashDetector,
}

/// Most ids that `selfhash` may look at, the oldest included.
pub(super) const MOST_SELF: usize = 9;

/// A key and what is done with it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Sbw {
    key: u64,
    seeding: SbwSeeding,
    width: usize,
}

impl Sbw {
    pub(super) fn new(key: u64, seeding: SbwSeeding, width: usize) -> Self {
        Self { key, seeding, width }
    }

    fn seed(&self, state: State, token: TokenId) -> u64 {
        if self.seeding != SbwSeeding::Selfhash {
            return state.0[0];
        }
        let (key, own) = (self.key as i64, hash(token));
        let product = |other: i64| key.wrapping_mul(own).wrapping_mul(other);
        let read = 0..self.width.clamp(1, MOST_SELF) - 1;
        let others = read.map(|at| (state.0[at / 2] >> (32 * (at % 2))) as i32);
        others.map(|other| product(other.into())).fold(product(own), i64::min) as u64
    }
}

/// A bijection of 32 bits.
fn hash(id: TokenId) -> i64 {
    let mut x = id.wrapping_add(1) as i32;
    x = x.wrapping_sub(x << 6);
    x ^= x >> 17;
    x = x.wrapping_sub(x << 9);
    x ^= x << 4;
    x = x.wrapping_sub(x << 3);
    x ^= x << 10;
    x ^= x >> 15;
    x.into()
}

/// The words of tokens 4·block to 4·block + 3.
fn block(seed: u64, block: u32) -> [u32; 4] {
    philox([block, 0, 0, 0], [seed as u32, (seed >> 32) as u32]).map(|word| word << 1)
}

impl Peer for Sbw {
    fn state(&self, context: &[TokenId]) -> State {
        let mut state = State::default();
        // An id of 32 ones is −1, what stands for a missing one.
        let sum = |number: fn(TokenId) -> i64| {
            let sum = context.iter().fold(0, |sum: i64, &id| sum.wrapping_add(number(id)));
            self.key.wrapping_mul(sum as u64)
        };
        match self.seeding {
            SbwSeeding::Lefthash => state.0[0] = sum(|id| (id as i32).into()),
            SbwSeeding::LefthashDetector => state.0[0] = sum(hash),
            SbwSeeding::Selfhash => {
                for (at, &id) in context.iter().skip(1).take(MOST_SELF - 1).enumerate() {
                    state.0[at / 2] |= u64::from(hash(id) as u32) << (32 * (at % 2));
                }
            }
        }
        state
    }

    fn seed_id(&self, state: State, token: TokenId) -> SeedId {
        SeedId(self.seed(state, token))
    }

    fn is_keyed(&self, state: State, token: TokenId) -> bool {
        self.seed(state, token) != 0
    }

    fn word(&self, state: State, token: TokenId, _: u32) -> u32 {
        block(self.seed(state, token), token >> 2)[token as usize & 3]
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        match tokens {
            None if self.seeding != SbwSeeding::Selfhash => {
                (0..).zip(out.chunks_mut(4)).for_each(|(number, words)| {
                    words.copy_from_slice(&block(state.0[0], number)[..words.len()]);
                });
            }
            None => (0..).zip(out).for_each(|(id, word)| *word = self.word(state, id, stream)),
            Some(ids) => {
                ids.iter().zip(out).for_each(|(&id, word)| *word = self.word(state, id, stream));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::philox::PADDING;

    fn words(seeding: SbwSeeding, context: &[TokenId]) -> [u32; 4] {
        let function = Sbw::new(42, seeding, context.len());
        let mut out = [0; 4];
        function.words(function.state(context), None, 0, &mut out);
        for (token, word) in (0..).zip(out) {
            assert_eq!(function.word(function.state(context), token, 0), word);
        }
        out
    }

    /// Hashes and words that the pull request's code computed, whose highest bit nobody reads.
    #[test]
    fn words_of_the_pull_request() {
        let hashes = [PADDING, 0, 1, 50_256].map(hash);
        assert_eq!(hashes, [0, 638_944_058, 1_362_763_215, 1_136_891_807]);
        let expected = [0x9EDA_A561_u32, 0x8040_FE77, 0xF8A1_EE55, 0x1A46_CF31];
        assert_eq!(words(SbwSeeding::Selfhash, &[1, 2, 3, 4]), expected.map(|word| word << 1));
        let function = Sbw::new(42, SbwSeeding::Selfhash, 4);
        let seed = function.seed(function.state(&[1, 2, 3, 4]), 0);
        assert_eq!(seed as i64, -8_074_654_054_940_165_076);
        let expected = [0x28F1_E855_u32, 0xB640_D7CE, 0xF3B3_BA3A, 0xE740_6BC9];
        assert_eq!(words(SbwSeeding::Lefthash, &[7]), expected.map(|word| word << 1));
        assert_eq!(words(SbwSeeding::Lefthash, &[4, 3]), expected.map(|word| word << 1));
    }

    #[test]
    fn what_no_key_changes() {
        let left = |context: &[TokenId]| {
            let function = Sbw::new(9, SbwSeeding::Lefthash, context.len());
            function.is_keyed(function.state(context), 5)
        };
        assert!(!left(&[0]) && !left(&[1, PADDING]) && left(&[PADDING]) && left(&[3]));
        let own = Sbw::new(9, SbwSeeding::Selfhash, 2);
        let keyed = |token| own.is_keyed(own.state(&[7, PADDING]), token);
        // K·h(v)² decides where it is negative.
        assert!((0..100).any(keyed) && !(0..100).all(keyed));
    }
}
