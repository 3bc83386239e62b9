//! The two functions of SynthID-Text: `synthid-table` (transformers 5.17, synthid-text 0.2.1) and `synthid-iv` (Google's
//! repository from June 2025 on, never published as a package; its metadata says 0.2.1 too).
//!
//! Both fold ids into a hash by h ← (h + id)·6364136223846793005 + 1 modulo 2⁶⁴, over the n − 1 ids of the context and then
//! the candidate. With layer keys k_l:
//!
//! ```text
//! table:  h₀ = 1,   x_l = fold(h, k_l) as a signed number,   g_l = table[x_l mod size]
//! iv:     h₀ = SHA-256(keys as little-endian 64-bit numbers), big-endian, mod (2⁶³ − 1)
//!         x_l = fold(h, k_l), then twelve times x ← fold(x, 1) >> 5 (signed),   g_l = bit 30 of x_l
//! ```
//!
//! The table holds the lowest bits of the words of torch's CPU generator. Layer l is bit l mod 32 of stream ⌊l/32⌋.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::mt19937::Mt19937;
use super::peer::{Peer, State};
use crate::tokens::TokenId;

/// `synthid-table`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Table {
    keys: Vec<u64>,
    /// One bit an entry.
    #[zeroize(skip)]
    bits: Arc<[u64]>,
    size: u64,
    /// 2⁶⁴ mod size: what a negative number's remainder is too large by.
    wrap: u64,
}

impl Table {
    pub(super) fn new(keys: &[u64], size: u32, seed: u64) -> Self {
        let bits = bits(size, seed as u32);
        let size = u64::from(size);
        Self { keys: keys.to_vec(), bits, size, wrap: (u64::MAX % size + 1) % size }
    }

    fn bit(&self, x: u64) -> u64 {
        let at = if self.size.is_power_of_two() {
            x & (self.size - 1)
        } else {
            let remainder = x % self.size;
            // A negative number is x − 2⁶⁴.
            if x >> 63 == 0 { remainder } else { (remainder + self.size - self.wrap) % self.size }
        };
        self.bits[(at / 64) as usize] >> (at % 64) & 1
    }
}

/// The table, which says nothing of the key. The last ones made are kept: most profiles have the same.
fn bits(size: u32, seed: u32) -> Arc<[u64]> {
    type Made = Vec<((u32, u32), Arc<[u64]>)>;
    static MADE: Mutex<Made> = Mutex::new(Vec::new());
    const KEPT: usize = 4;

    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, bits)) = made.iter().find(|(of, _)| *of == (size, seed)) {
        return Arc::clone(bits);
    }
    let mut generator = Mt19937::new(seed);
    let mut bits = vec![0; (size as usize).div_ceil(64)];
    for at in 0..size as usize {
        bits[at / 64] |= u64::from(generator.word() & 1) << (at % 64);
    }
    let bits: Arc<[u64]> = bits.into();
    if made.len() == KEPT {
        made.remove(0);
    }
    made.push(((size, seed), Arc::clone(&bits)));
    bits
}

/// `synthid-iv`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Iv {
    keys: Vec<u64>,
    iv: u64,
}

impl Iv {
    pub(super) fn new(keys: &[u64]) -> Self {
        let hash =
            keys.iter().fold(Sha256::new(), |hash, key| hash.chain_update(key.to_le_bytes()));
        const MODULUS: u128 = (1 << 63) - 1;
        let remainder = hash
            .finalize()
            .iter()
            .fold(0_u128, |number, &byte| (number << 8 | u128::from(byte)) % MODULUS);
        Self { keys: keys.to_vec(), iv: remainder as u64 }
    }

    fn bit(x: u64) -> u64 {
        let mixed = (0..12).fold(x, |x, _| (fold(x, 1) as i64 >> 5) as u64);
        mixed >> 30 & 1
    }
}

fn fold(hash: u64, id: u64) -> u64 {
    hash.wrapping_add(id).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)
}

fn context(start: u64, ids: &[TokenId]) -> State {
    State([ids.iter().fold(start, |hash, &id| fold(hash, u64::from(id))), 0, 0, 0])
}

/// The layers of one stream, from the hash of the n-gram.
fn layers(keys: &[u64], stream: u32, bit: impl Fn(u64) -> u64) -> u32 {
    let first = (32 * stream as usize).min(keys.len());
    let keys = &keys[first..keys.len().min(first + 32)];
    (0..).zip(keys).fold(0, |word, (layer, &key)| word | (bit(key) as u32) << layer)
}

impl Peer for Table {
    fn state(&self, ids: &[TokenId]) -> State {
        context(1, ids)
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let ngram = fold(state.0[0], u64::from(token));
        layers(&self.keys, stream, |key| self.bit(fold(ngram, key)))
    }
}

impl Peer for Iv {
    fn state(&self, ids: &[TokenId]) -> State {
        context(self.iv, ids)
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let ngram = fold(state.0[0], u64::from(token));
        layers(&self.keys, stream, |key| Self::bit(fold(ngram, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [u64; 30] = [
        654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324,
        585, 118, 504, 421, 521, 129, 669, 732, 225, 90, 960,
    ];

    fn bits(peer: &dyn Peer, ids: [TokenId; 5]) -> String {
        let word = peer.word(peer.state(&ids[..4]), ids[4], 0);
        (0..30).map(|layer| if word >> layer & 1 == 1 { '1' } else { '0' }).collect()
    }

    /// Values that synthid-text computed.
    #[test]
    fn published_values() {
        let table = Table::new(&KEYS, 65_536, 0);
        assert_eq!(table.bits.iter().map(|word| word.count_ones()).sum::<u32>(), 32_743);
        assert_eq!(table.state(&[0; 4]).0[0] as i64, -4_106_384_379_532_733_411);
        assert_eq!(table.state(&[1, 2, 3, 4]).0[0] as i64, 8_268_566_681_299_659_399);
        assert_eq!(bits(&table, [1, 2, 3, 4, 5]), "001010010001011111001110001011");
        assert_eq!(bits(&table, [464, 3290, 318, 922, 13]), "111000101011011100010110011011");
        let iv = Iv::new(&KEYS);
        assert_eq!(iv.iv, 1_614_033_703_599_872_695);
        assert_eq!(bits(&iv, [1, 2, 3, 4, 5]), "010001100011101000101110010010");
        assert_eq!(bits(&iv, [464, 3290, 318, 922, 13]), "100011010011011010100001111100");
    }

    #[test]
    fn remainders_of_negative_numbers_are_not_negative() {
        for size in [3_u32, 10_007, 65_536, 1 << 24] {
            let table = Table::new(&[1], size, 5);
            for x in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 0x1234_5678_9ABC_DEF0, !77] {
                let at = (x as i64).rem_euclid(i64::from(size)) as usize;
                assert_eq!(table.bit(x), table.bits[at / 64] >> (at % 64) & 1, "{size} {x}");
            }
        }
    }
}
