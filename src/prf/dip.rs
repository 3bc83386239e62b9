//! `dip-v1`: the order of tokens of DiPmark and of the γ-reweight, as MarkLLM's `DIP` draws it on the CPU.
//!
//! ```text
//! bytes = python's random.seed(key); random.getrandbits(1024), as 128 big-endian bytes
//! seed  = SHA-256(h context ids as 64-bit little-endian numbers ‖ bytes), big-endian, mod (2³² − 1)
//! rank of a token = its index in torch's randperm(V) under that seed
//! ```
//!
//! A word is ⌊(rank + 1)·2³²/V⌋ − 1: the token's quantile, in 32 bits. Unknown tokens have the lowest, 0.
//!
//! `watermark/dip/dip.py` of THU-BPM/MarkLLM, commit 876ccb9. Later commits lost the line that makes the bytes.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::mt19937::Mt19937;
use super::peer::{Peer, State};
use crate::tokens::TokenId;

/// The key's bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Dip {
    bytes: Vec<u8>,
    vocab_size: u32,
}

impl Dip {
    pub(super) fn new(key: u64, vocab_size: u32) -> Self {
        // Python takes the magnitude of a negative seed.
        let magnitude = (key as i64).unsigned_abs();
        let limbs = [magnitude as u32, (magnitude >> 32) as u32];
        let used = if limbs[1] == 0 { 1 } else { 2 };
        let mut generator = Mt19937::of_array(&limbs[..used]);
        // The first word is the least significant one.
        let words: Vec<u32> = (0..32).map(|_| generator.word()).collect();
        let bytes = words.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
        Self { bytes, vocab_size }
    }

    fn word_of(&self, rank: u32) -> u32 {
        let level = ((u64::from(rank) + 1) << 32) / u64::from(self.vocab_size.max(1));
        (level - 1) as u32
    }
}

impl Peer for Dip {
    fn state(&self, context: &[TokenId]) -> State {
        let mut hash = Sha256::new();
        for &id in context {
            hash.update(u64::from(id).to_le_bytes());
        }
        hash.update(&self.bytes);
        // 2³² is 1 modulo 2³² − 1: the remainder is that of the sum of the eight 32-bit digits.
        let digest = hash.finalize();
        let digits = digest.chunks_exact(4);
        let sum: u64 = digits
            .map(|digit| digit.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)))
            .sum();
        State([sum % u64::from(u32::MAX), 0, 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, _: u32) -> u32 {
        if token >= self.vocab_size {
            return 0;
        }
        self.word_of(Mt19937::new(state.0[0] as u32).place(self.vocab_size, token))
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, _: u32, out: &mut [u32]) {
        let permutation = Mt19937::new(state.0[0] as u32).permutation(self.vocab_size);
        let mut words = vec![0; self.vocab_size as usize];
        for (rank, &id) in (0..).zip(&permutation) {
            words[id as usize] = self.word_of(rank);
        }
        let word = |token: usize| words.get(token).copied().unwrap_or(0);
        match tokens {
            None => (0..).zip(out).for_each(|(id, out)| *out = word(id)),
            Some(ids) => ids.iter().zip(out).for_each(|(&id, out)| *out = word(id as usize)),
        }
    }
}
