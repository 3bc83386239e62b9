//! `synthid-table`: the function of SynthID-Text in transformers 5.17.0 (`SynthIDTextWatermarkLogitsProcessor`) and, bit for
//! bit the same on a CPU, in synthid-text 0.2.1.
//!
//! With [`fold`], N bits of torch's CPU generator as a table, and the key k₀ … k₍ₘ₋₁₎:
//!
//! ```text
//! H_c = fold over the context's ids, oldest first, from 1;   H = fold(H_c, token)
//! g_l = table[ fold(H, k_l) mod N ],   the hash taken as signed, the remainder never negative
//! ```
//!
//! Where N is a power of two, g_l = table[(A·(H + k_l) + 1) mod N]: only H mod N counts, so that one table of N words
//! can hold all layers of a key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use zeroize::Zeroize;

use super::SeedId;
use super::lcg::{MULTIPLIER, first_equal, fold};
use super::mt19937::Mt19937;
use super::peer::{Layers, Peer, State};
use crate::tokens::TokenId;

/// The function under one key.
pub(super) struct SynthIdTable {
    keys: Vec<u64>,
    table: Arc<Table>,
    /// All layers by H mod N, once enough was asked for to pay for it; of powers of two up to [`Self::COMBINED`].
    combined: OnceLock<Vec<u64>>,
    asked: AtomicUsize,
}

/// Packed bits.
struct Table {
    bits: Vec<u64>,
    size: u64,
    seed: u32,
    ones: u64,
}

impl Table {
    /// `randint(0, 2)` of torch's CPU generator: the lowest bit of each word.
    fn new(size: u32, seed: u32) -> Self {
        let mut generator = Mt19937::new(seed);
        let mut bits = vec![0; (size as usize).div_ceil(64).max(1)];
        for at in 0..size as usize {
            bits[at / 64] |= u64::from(generator.word() & 1) << (at % 64);
        }
        let ones = bits.iter().map(|word: &u64| u64::from(word.count_ones())).sum();
        Self { bits, size: u64::from(size), seed, ones }
    }

    /// The same for all who ask, whose keys are many and whose tables are few: the last ones are kept.
    fn of(size: u32, seed: u64) -> Arc<Self> {
        static RECENT: Mutex<Vec<Arc<Table>>> = Mutex::new(Vec::new());
        let seed = seed as u32;
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |table: &&Arc<Self>| (table.size, table.seed) == (u64::from(size), seed);
        if let Some(table) = recent.iter().find(known) {
            return Arc::clone(table);
        }
        let table = Arc::new(Self::new(size, seed));
        recent.truncate(3);
        recent.insert(0, Arc::clone(&table));
        table
    }

    fn bit(&self, index: u64) -> u64 {
        let word = self.bits.get((index / 64) as usize).copied().unwrap_or_default();
        word >> (index % 64) & 1
    }

    /// The bit that a hash reads.
    fn read(&self, hash: u64) -> u64 {
        if self.size.is_power_of_two() {
            return self.bit(hash & (self.size - 1));
        }
        self.bit((hash as i64).rem_euclid(self.size as i64) as u64)
    }

    fn layers(&self, same_as: Vec<u32>) -> Layers {
        let size = self.size as f64;
        Layers { same_as, ones: self.ones as f64 / size, correlation: 1.0 / size.sqrt() }
    }
}

/// Of a key without numbers that are as good as equal.
pub(super) fn layers(size: u32, seed: u64, depth: u32) -> Layers {
    Table::of(size, seed).layers((0..depth).collect())
}

/// The table, where N is a power of two: g_l = table[(A·H + A·k_l + 1) mod N].
pub(super) fn shifted(size: u32, seed: u64) -> Option<Vec<bool>> {
    let table = size.is_power_of_two().then(|| Table::of(size, seed))?;
    Some((0..table.size).map(|at| table.bit(at) == 1).collect())
}

impl SynthIdTable {
    /// Greatest N for which the layers are combined: 512 KiB.
    const COMBINED: u64 = 1 << 16;

    pub(super) fn new(keys: &[u64], size: u32, seed: u64) -> Self {
        let table = Table::of(size, seed);
        Self { keys: keys.to_vec(), table, combined: OnceLock::new(), asked: AtomicUsize::new(0) }
    }

    /// All layers of an n-gram, layer 0 lowest.
    fn bits(&self, hash: u64) -> u64 {
        match self.combined.get() {
            Some(words) => words[(hash & (self.table.size - 1)) as usize],
            None => self.plain_bits(hash),
        }
    }

    fn plain_bits(&self, hash: u64) -> u64 {
        let layers = self.keys.iter().enumerate();
        layers.fold(0, |bits, (layer, &key)| bits | self.table.read(fold(hash, key)) << layer)
    }

    /// Combines the layers when as many n-grams were asked for as there are entries.
    fn prepare(&self, tokens: usize) {
        let size = self.table.size;
        let small = size.is_power_of_two() && size <= Self::COMBINED;
        if !small || self.combined.get().is_some() {
            return;
        }
        if self.asked.fetch_add(tokens, Ordering::Relaxed) + tokens >= size as usize {
            self.combined.get_or_init(|| (0..size).map(|hash| self.plain_bits(hash)).collect());
        }
    }
}

impl Drop for SynthIdTable {
    fn drop(&mut self) {
        self.keys.zeroize();
        if let Some(mut words) = self.combined.take() {
            words.zeroize();
        }
    }
}

impl Peer for SynthIdTable {
    fn state(&self, context: &[TokenId]) -> State {
        State([context.iter().fold(1, |hash, &id| fold(hash, u64::from(id))), 0, 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        word_of(self.bits(fold(state.0[0], u64::from(token))), stream)
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        self.prepare(out.len());
        let word = |id: TokenId| self.word(state, id, stream);
        match tokens {
            None => (0..).zip(out).for_each(|(id, slot)| *slot = word(id)),
            Some(ids) => ids.iter().zip(out).for_each(|(&id, slot)| *slot = word(id)),
        }
    }

    /// Two n-grams read the same entry for layer l if A·(H − H′), as a number between −2⁶⁴ and 2⁶⁴, is a multiple of N,
    /// or if what 2⁶⁴ more or less leaves is one and k_l makes one of the two sums wrap. Of powers of two both are the same.
    fn names(&self, state: State, token: TokenId) -> Option<[u64; 3]> {
        let size = self.table.size;
        let hash = fold(state.0[0], u64::from(token)).wrapping_mul(MULTIPLIER);
        if size.is_power_of_two() {
            return Some([hash & (size - 1); 3]);
        }
        let (own, wrap) = (hash % size, wrap(size));
        Some([own, (own + wrap) % size, (own + size - wrap) % size])
    }

    fn layers(&self) -> Option<Layers> {
        let size = self.table.size;
        let equal = |a: u64, b: u64| {
            let apart = a.wrapping_sub(b).wrapping_mul(MULTIPLIER) % size;
            a == b || apart == 0 || apart == wrap(size)
        };
        Some(self.table.layers(first_equal(&self.keys, equal)))
    }

    fn warm(&self, batch: &mut [(usize, State, TokenId)]) {
        self.prepare(batch.len());
    }
}

/// 2⁶⁴ mod N.
fn wrap(size: u64) -> u64 {
    (u64::MAX % size + 1) % size
}

/// Layers 32·stream and up of all layers' bits.
pub(super) fn word_of(bits: u64, stream: u32) -> u32 {
    bits.checked_shr(32 * stream).unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const USUAL: [u64; 30] = [
        654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324,
        585, 118, 504, 421, 521, 129, 669, 732, 225, 90, 960,
    ];

    /// The table, the hashes and the bits of transformers 5.17.0.
    #[test]
    fn published_values() {
        let table = Table::new(1 << 16, 0);
        let bytes: Vec<u8> = (0..1 << 16).map(|at| table.bit(at) as u8).collect();
        let digest = Sha256::digest(bytes)
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(digest, "a3e9e18ea34546849c5136cf9b06c7bfd03e50e601da14af47cd926f9e623a85");
        assert_eq!(table.ones, 32_743);

        let function = SynthIdTable::new(&USUAL, 1 << 16, 0);
        assert_eq!(function.state(&[0; 4]).0[0] as i64, -4_106_384_379_532_733_411);
        let state = function.state(&[1, 2, 3, 4]);
        assert_eq!(state.0[0] as i64, 8_268_566_681_299_659_399);
        assert_eq!(fold(fold(state.0[0], 5), 654) as i64, -5_937_484_272_499_508_848);
        let bits = |context: &[TokenId], token| {
            let word = function.word(function.state(context), token, 0);
            format!("{word:032b}").chars().rev().take(30).collect::<String>()
        };
        assert_eq!(bits(&[1, 2, 3, 4], 5), "001010010001011111001110001011");
        assert_eq!(bits(&[464, 3290, 318, 922], 13), "111000101011011100010110011011");
    }

    /// Layers are reads of the table at shifts of their own from an n-gram's name.
    #[test]
    fn a_key_only_shifts() {
        let function = SynthIdTable::new(&USUAL, 1 << 10, 5);
        let table = shifted(1 << 10, 5).unwrap();
        let state = function.state(&[9, 8, 7, 6]);
        for token in 0..200 {
            let [name, ..] = function.names(state, token).unwrap();
            let bits = function.word(state, token, 0);
            for (layer, key) in USUAL.iter().enumerate() {
                let shift = key.wrapping_mul(MULTIPLIER).wrapping_add(1);
                let at = name.wrapping_add(shift) % (1 << 10);
                assert_eq!(table[at as usize], bits >> layer & 1 == 1, "{token} {layer}");
            }
        }
        assert_eq!(shifted(1000, 5), None);
    }

    #[test]
    fn combined_layers_are_the_plain_ones() {
        let function = SynthIdTable::new(&USUAL, 1 << 10, 5);
        let state = function.state(&[9, 8, 7, 6]);
        let mut plain = vec![0; 500];
        function.words(state, None, 0, &mut plain);
        assert!(function.combined.get().is_none());
        let mut words = vec![0; 2000];
        function.words(state, None, 0, &mut words);
        assert!(function.combined.get().is_some());
        assert_eq!(words[..500], plain);
    }

    /// N-grams whose names differ never read one entry. Of those whose names agree some do, under at least one of 60 keys:
    /// all where N is a power of two; else not those that would have to wrap in the direction in which they cannot.
    #[test]
    fn names_tell_which_ngrams_share_entries() {
        for (size, least) in [(64, 1.0), (61, 0.4), (100, 0.4)] {
            let keys: Vec<u64> = (1..=60).map(|i| fold(fold(i, 77), i)).collect();
            let function = SynthIdTable::new(&keys, size, 3);
            let index = |hash: u64, key| (fold(hash, key) as i64).rem_euclid(i64::from(size));
            let state = function.state(&[1, 2, 3, 4]);
            let tokens: Vec<u32> = (0..120).map(|i| (fold(fold(i, 5), i) >> 40) as u32).collect();
            let (mut same, mut shared) = (0, 0);
            for (at, &a) in tokens.iter().enumerate() {
                for &b in &tokens[..at] {
                    let [hash_a, hash_b] = [a, b].map(|token| fold(state.0[0], u64::from(token)));
                    let [names, other] = [a, b].map(|token| function.names(state, token).unwrap());
                    let meets = keys.iter().any(|&key| index(hash_a, key) == index(hash_b, key));
                    assert!(!meets || names.contains(&other[0]), "{size}: {a} {b}");
                    same += usize::from(names.contains(&other[0]));
                    shared += usize::from(meets);
                }
            }
            assert!(same > 50 && shared as f64 >= least * same as f64, "{size}: {same} {shared}");
        }
    }

    #[test]
    fn numbers_that_are_as_good_as_equal_are_found() {
        let function = SynthIdTable::new(&[1, 70_000, 8, 65_537], 1 << 16, 0);
        assert_eq!(function.layers().unwrap().same_as, [0, 1, 2, 0]);
        assert_eq!(layers(1 << 16, 0, 4).same_as, [0, 1, 2, 3]);
    }
}
