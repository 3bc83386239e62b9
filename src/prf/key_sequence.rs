//! `key-sequence-v1`: rows of uniform numbers that a text walks through, whatever it says.
//!
//! Kuditipudi et al., "Robust Distortion-free Watermarks for Language Models", TMLR 2024 (arXiv 2307.15593);
//! `watermarking/{gumbel,transform}/key.py` and `demo/mersenne.{py,js}` of jthickstun/watermark (commit 80d4ec8). Under
//! torch's CPU generator, seeded with the key (of which 32 bits count):
//!
//! ```text
//! exponential   ξ = rand(n, V)                                 row j gives token v the number ξ_jv
//! transform     π = randperm(V), then ξ = rand(n, 1)           row j gives every token ξ_j; a token's place is its index in π
//! ```
//!
//! The demo's exponential numbers are words/2³² of the same generator instead of 24-bit floats. Streams 0 to n − 1 are the rows,
//! [`HERE`] is the row of the position, [`PLACE`] the place of a token (unknown tokens: V − 1).

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::mt19937::Mt19937;
use super::peer::{Peer, State};
use crate::tokens::TokenId;

/// The row of the position itself: that of the offset, at the first token, and so on, cyclically.
pub const HERE: u32 = u32::MAX;
/// The place of a token in the permutation.
pub const PLACE: u32 = u32::MAX - 1;

/// Which numbers a key gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One for each row and token, 24 bits.
    Exponential,
    /// The same in 32 bits: the demo's.
    Demo,
    /// One for each row, and a permutation of the tokens.
    Transform,
}

/// The rows of a key: n·V words, or n and V.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct KeySequence {
    words: Vec<u32>,
    places: Vec<u32>,
    length: u32,
    offset: u32,
    vocab_size: u32,
}

impl KeySequence {
    pub(super) fn new(key: u64, rows: Rows, [length, offset]: [u32; 2], vocab_size: u32) -> Self {
        let mut generator = Mt19937::new(key as u32);
        let mut places = Vec::new();
        let mut count = length as usize;
        if rows == Rows::Transform {
            places = vec![0; vocab_size as usize];
            for (place, &id) in (0..).zip(&generator.permutation(vocab_size)) {
                places[id as usize] = place;
            }
        } else {
            count *= vocab_size as usize;
        }
        let mut word = || match rows {
            Rows::Demo => generator.word(),
            Rows::Exponential | Rows::Transform => generator.level() << 8,
        };
        let words = (0..count).map(|_| word()).collect();
        Self { words, places, length, offset, vocab_size }
    }
}

impl Peer for KeySequence {
    fn state(&self, context: &[TokenId]) -> State {
        let row = (context.len() as u64 + u64::from(self.offset)) % u64::from(self.length.max(1));
        State([row, 0, 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        if stream == PLACE {
            let last = self.vocab_size.saturating_sub(1);
            return self.places.get(token as usize).copied().unwrap_or(last);
        }
        let row = if stream == HERE { state.0[0] as usize } else { stream as usize };
        let index = if self.places.is_empty() {
            if token >= self.vocab_size {
                return 0;
            }
            row * self.vocab_size as usize + token as usize
        } else {
            row
        };
        self.words.get(index).copied().unwrap_or(0)
    }
}
