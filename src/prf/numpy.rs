//! `numpy-shuffle-v1`: one list of tokens for a key, as Unigram-Watermark draws it (`gptwm.py`; MarkLLM's `Unigram` is the same).
//!
//! ```text
//! seed = first four bytes, little-endian, of SHA-256(key as eight little-endian bytes)
//! mask = default_rng(seed).shuffle( ⌊fraction·V⌋ times true, then false )
//! ```
//!
//! numpy's generator is PCG64 (O'Neill, "PCG", HMC-CS-2014-0905: 128-bit state, XSL-RR output), seeded through `SeedSequence`
//! (numpy NEP 19 and `numpy/random/bit_generator.pyx`). Its shuffle swaps item i = V−1, …, 1 with item j ≤ i, j being the first
//! 32-bit draw, masked to the bits of i, that is no larger than i. One 64-bit output gives two draws, the low half first.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::peer::{Peer, State};
use crate::tokens::TokenId;

/// The list of one key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct NumpyShuffle {
    listed: Vec<bool>,
}

impl NumpyShuffle {
    pub(super) fn new(key: u64, fraction: f64, vocab_size: u32) -> Self {
        let hash = Sha256::digest(key.to_le_bytes());
        let seed = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Self { listed: mask(seed, vocab_size, list_size(fraction, vocab_size)) }
    }
}

/// ⌊fraction·V⌋.
pub(super) fn list_size(fraction: f64, vocab_size: u32) -> u32 {
    ((fraction * f64::from(vocab_size)) as u32).min(vocab_size)
}

impl Peer for NumpyShuffle {
    fn state(&self, _: &[TokenId]) -> State {
        State::default()
    }

    fn seed_id(&self, _: State, _: TokenId) -> SeedId {
        SeedId(0)
    }

    fn word(&self, _: State, token: TokenId, _: u32) -> u32 {
        let listed = self.listed.get(token as usize).copied().unwrap_or(false);
        if listed { 0 } else { u32::MAX }
    }
}

fn mask(seed: u32, vocab_size: u32, count: u32) -> Vec<bool> {
    let mut generator = Pcg64::seeded(seed);
    let mut items: Vec<bool> = (0..vocab_size).map(|item| item < count).collect();
    for i in (1..vocab_size).rev() {
        items.swap(i as usize, generator.at_most(i) as usize);
    }
    items
}

/// PCG64 with the spare half of its last output.
struct Pcg64 {
    state: u128,
    increment: u128,
    spare: Option<u32>,
}

impl Pcg64 {
    fn seeded(seed: u32) -> Self {
        let [a, b, c, d] = seed_sequence(seed);
        let increment = joined(c, d) << 1 | 1;
        let state = increment.wrapping_add(joined(a, b));
        let mut generator = Self { state, increment, spare: None };
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn word64(&mut self) -> u64 {
        self.step();
        let mixed = (self.state >> 64) as u64 ^ self.state as u64;
        mixed.rotate_right((self.state >> 122) as u32)
    }

    fn word32(&mut self) -> u32 {
        if let Some(word) = self.spare.take() {
            return word;
        }
        let both = self.word64();
        self.spare = Some((both >> 32) as u32);
        both as u32
    }

    /// `random_interval`: uniform on 0..=most, by rejection.
    fn at_most(&mut self, most: u32) -> u32 {
        let bits = u32::MAX >> most.leading_zeros();
        loop {
            let word = self.word32() & bits;
            if word <= most {
                return word;
            }
        }
    }
}

fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// The four 64-bit words that `SeedSequence` makes of one 32-bit word of entropy.
fn seed_sequence(entropy: u32) -> [u64; 4] {
    let mut constant = 0x43B0_D7E5;
    let mut pool = [entropy, 0, 0, 0].map(|word| hashed(word, &mut constant, 0x931E_8875));
    for source in 0..4 {
        for target in (0..4).filter(|&target| target != source) {
            let word = hashed(pool[source], &mut constant, 0x931E_8875);
            pool[target] = mixed(pool[target], word);
        }
    }
    let mut constant = 0x8B51_F9DD;
    [0, 2, 0, 2].map(|first| {
        let mut next = |index: usize| u64::from(hashed(pool[index], &mut constant, 0x58F3_8DED));
        next(first) | next(first + 1) << 32
    })
}

fn hashed(word: u32, constant: &mut u32, multiplier: u32) -> u32 {
    let word = word ^ *constant;
    *constant = constant.wrapping_mul(multiplier);
    let word = word.wrapping_mul(*constant);
    word ^ word >> 16
}

fn mixed(x: u32, y: u32) -> u32 {
    let word = x.wrapping_mul(0xCA01_F9DD).wrapping_sub(y.wrapping_mul(0x4973_F715));
    word ^ word >> 16
}

const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4.6: `default_rng(seed).bit_generator.random_raw(3)`.
    #[test]
    fn numpy_says_the_same() {
        let first = |seed| {
            let mut generator = Pcg64::seeded(seed);
            [(); 3].map(|()| generator.word64())
        };
        assert_eq!(
            first(0),
            [11_749_869_230_777_074_271, 4_976_686_463_289_251_617, 755_828_109_848_996_024]
        );
        assert_eq!(
            first(4_117_779_887),
            [13_827_216_435_688_726_740, 16_573_097_231_650_184_060, 3_899_344_306_903_826_103]
        );
    }

    /// Small lists shuffled by numpy 2.4.6, as places of what is true.
    #[test]
    fn small_lists() {
        let places = |seed, size, count| -> Vec<usize> {
            let items = mask(seed, size, count);
            items.iter().enumerate().filter(|(_, listed)| **listed).map(|(at, _)| at).collect()
        };
        assert_eq!(places(7, 12, 4), [3, 4, 5, 8]);
        assert_eq!(mask(7, 1, 1), [true]);
        assert_eq!(mask(7, 0, 0), [false; 0]);
    }
}
