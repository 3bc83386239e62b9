//! `philox4x32-10-v1`: the function of vLLM 0.33.0 (`vllm/v1/watermarking/prfs/philox.py`).
//!
//! Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. With key (lo, hi), the low and high
//! halves of the 64-bit key, and a context of h ids, missing ones being −1:
//!
//! ```text
//! state = (0x574D4358, h, 0, 0);   for every 4 ids at offset o:  state = Philox( state ⊕ ids,  (lo ⊕ o, hi) )
//!         what is missing of the last four is −1 − its place among them (0 to 3)
//! block = Philox( (token div 4, state₀, state₁, state₂),  (lo ⊕ state₃, hi ⊕ 0x574D544B) ),   word = block[token mod 4]
//! ```
//!
//! The two keys of dual-key marking are the first eight bytes, big-endian, of SHA-256("key_a" ‖ key), SHA-256("key_b" ‖ key)
//! with the key as eight big-endian bytes.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::peer::{BATCH, Lanes, Peer, State};
use super::{KEY_B, SeedId, vectors};
use crate::tokens::TokenId;

/// Stands for an id before the first, −1.
pub(super) const PADDING: TokenId = u32::MAX;

/// One key, or the two derived from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Philox {
    keys: Vec<u64>,
}

impl Philox {
    pub(super) fn new(key: u64, dual: bool) -> Self {
        let keys =
            if dual { vec![derived("key_a", key), derived("key_b", key)] } else { vec![key] };
        Self { keys }
    }

    fn index(&self, stream: u32) -> usize {
        usize::from(stream >= KEY_B).min(self.keys.len() - 1)
    }

    /// Words of tokens 4·block to 4·block + 3.
    fn block(&self, state: &State, stream: u32, block: u32) -> Block {
        let index = self.index(stream);
        let (key, [a, b, c, d]) = (self.keys[index], words(state, index));
        philox([block, a, b, c], [low(key) ^ d, high(key) ^ TOKEN])
    }
}

fn derived(label: &str, key: u64) -> u64 {
    let hash = Sha256::new().chain_update(label).chain_update(key.to_be_bytes()).finalize();
    hash.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Peer for Philox {
    fn state(&self, context: &[TokenId]) -> State {
        let mut all = State::default();
        for (index, &key) in self.keys.iter().enumerate() {
            let mut state = [CONTEXT, context.len() as u32, 0, 0];
            for (chunk, ids) in context.chunks(4).enumerate() {
                let offset = 4 * chunk as u32;
                for (word, at) in state.iter_mut().zip(0..) {
                    let beyond = PADDING - at;
                    *word ^= ids.get(at as usize).copied().unwrap_or(beyond);
                }
                state = philox(state, [low(key) ^ offset, high(key)]);
            }
            all.0[2 * index] = joined(state[0], state[1]);
            all.0[2 * index + 1] = joined(state[2], state[3]);
        }
        all
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        self.block(&state, stream, token >> 2)[token as usize & 3]
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        match tokens {
            None => (0..).zip(out.chunks_mut(4)).for_each(|(block, words)| {
                words.copy_from_slice(&self.block(&state, stream, block)[..words.len()]);
            }),
            Some(ids) => {
                ids.iter().zip(out).for_each(|(&id, word)| *word = self.word(state, id, stream));
            }
        }
    }

    fn prepare(&self, ids: &[TokenId], width: usize, streams: &[u32], lanes: &mut Lanes) {
        vectors::run(Walk { philox: self, ids, width, streams, lanes });
    }
}

/// The blocks of a batch, its lanes padded to whole arrays.
struct Walk<'a> {
    philox: &'a Philox,
    ids: &'a [TokenId],
    width: usize,
    streams: &'a [u32],
    lanes: &'a mut Lanes,
}

/// 20 million tokens a second, against 18 with 4 and 10 with 16.
const LANES: usize = 8;
/// 32-bit numbers in 64 bits, where their products fit.
type Row = [u64; LANES];

impl vectors::Work for Walk<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { philox, ids, width, streams, lanes } = self;
        let positions = ids.len() - width;
        lanes.states.clear();
        lanes.states.resize(positions, State::default());
        lanes.words.clear();
        lanes.words.resize(streams.len(), [0; BATCH]);
        for first in (0..positions).step_by(LANES) {
            let count = LANES.min(positions - first);
            let row = |offset: usize| {
                let mut row = [0; LANES];
                let ids = &ids[first + offset..][..count];
                row.iter_mut().zip(ids).for_each(|(to, &id)| *to = u64::from(id));
                row
            };
            let tokens = row(width);
            for (index, &key) in philox.keys.iter().enumerate() {
                let state = context_rows(key, width, row);
                for (lane, to) in lanes.states[first..first + count].iter_mut().enumerate() {
                    to.0[2 * index] = state[1][lane] << 32 | state[0][lane];
                    to.0[2 * index + 1] = state[3][lane] << 32 | state[2][lane];
                }
                let wanted = lanes.words.iter_mut().zip(streams);
                for (words, _) in wanted.filter(|(_, stream)| philox.index(**stream) == index) {
                    let block = token_rows(key, &state, &tokens);
                    for lane in 0..LANES {
                        words[first + lane] = block[(tokens[lane] & 3) as usize][lane] as u32;
                    }
                }
            }
        }
    }
}

/// States of a batch's contexts; `row(i)` is the i-th id of each.
#[inline(always)]
fn context_rows(key: u64, width: usize, row: impl Fn(usize) -> Row) -> [Row; 4] {
    let begin = [u64::from(CONTEXT), width as u64, 0, 0];
    let mut state = begin.map(|word| [word; LANES]);
    for offset in (0..width).step_by(4) {
        for (at, words) in state.iter_mut().enumerate() {
            let ids = match offset + at < width {
                true => row(offset + at),
                false => [u64::from(PADDING) - at as u64; LANES],
            };
            words.iter_mut().zip(ids).for_each(|(word, id)| *word ^= id);
        }
        let first = [u64::from(low(key)) ^ offset as u64; LANES];
        philox_rows(&mut state, first, u64::from(high(key)));
    }
    state
}

/// Blocks that hold the words of a batch's tokens.
#[inline(always)]
fn token_rows(key: u64, state: &[Row; 4], tokens: &Row) -> [Row; 4] {
    let mut block = [*tokens, state[0], state[1], state[2]];
    block[0].iter_mut().for_each(|token| *token >>= 2);
    let first = state[3].map(|word| u64::from(low(key)) ^ word);
    philox_rows(&mut block, first, u64::from(high(key) ^ TOKEN));
    block
}

/// [`philox`] of each lane; the second word of the key is the same for all.
#[inline(always)]
fn philox_rows(counter: &mut [Row; 4], mut first: Row, mut second: u64) {
    const LOW: u64 = 0xFFFF_FFFF;
    for _ in 0..10 {
        // One operation on all lanes after the other: so each becomes a vector's.
        let left: Row = each(|lane| (counter[0][lane] & LOW) * 0xD251_1F53);
        let right: Row = each(|lane| (counter[2][lane] & LOW) * 0xCD9E_8D57);
        counter[0] = each(|lane| right[lane] >> 32 ^ counter[1][lane] ^ first[lane]);
        counter[2] = each(|lane| left[lane] >> 32 ^ counter[3][lane] ^ second);
        counter[1] = each(|lane| right[lane] & LOW);
        counter[3] = each(|lane| left[lane] & LOW);
        first = each(|lane| (first[lane] + 0x9E37_79B9) & LOW);
        second = (second + 0xBB67_AE85) & LOW;
    }
}

#[inline(always)]
fn each(f: impl Fn(usize) -> u64) -> Row {
    std::array::from_fn(f)
}

pub(super) type Block = [u32; 4];

/// Ten rounds of Philox4x32.
pub(super) fn philox(mut counter: Block, mut key: [u32; 2]) -> Block {
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let (left, right) = (product(a, 0xD251_1F53), product(c, 0xCD9E_8D57));
        counter = [high(right) ^ b ^ key[0], low(right), high(left) ^ d ^ key[1], low(left)];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

fn product(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

fn low(number: u64) -> u32 {
    number as u32
}

fn high(number: u64) -> u32 {
    (number >> 32) as u32
}

fn joined(first: u32, second: u32) -> u64 {
    u64::from(second) << 32 | u64::from(first)
}

fn words(state: &State, index: usize) -> Block {
    let [first, second] = [state.0[2 * index], state.0[2 * index + 1]];
    [low(first), high(first), low(second), high(second)]
}

const CONTEXT: u32 = 0x574D_4358;
const TOKEN: u32 = 0x574D_544B;

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(key: u64, context: &[TokenId]) -> Block {
        let philox = Philox::new(key, false);
        let mut out = [0; 4];
        philox.words(philox.state(context), None, 0, &mut out);
        for (token, word) in (0..).zip(out) {
            assert_eq!(philox.word(philox.state(context), token, 0), word);
        }
        out
    }

    /// Words that vLLM 0.33.0 computed.
    #[test]
    fn published_words() {
        assert_eq!(
            words_of(42, &[PADDING; 4]),
            [0xFA2F_6B05, 0x01B2_A14F, 0xE1C0_616E, 0x7FE6_AD3F]
        );
        assert_eq!(
            words_of(42, &[1, 2, 3, 4]),
            [0x893E_53FD, 0xB1AF_6810, 0x3861_02F4, 0xC9AA_E9CF]
        );
        assert_eq!(
            words_of(0x1234_5678_9ABC_DEF0, &[10, 20, 30, 40]),
            [0x0D68_E1A7, 0xDB20_B700, 0x0718_C6BC, 0x07F3_FF03]
        );
        assert_eq!(
            words_of(42, &[7, 8, 9, 10, 11]),
            [0x2352_998E, 0x7880_88A1, 0x84B7_99AA, 0x3144_87E0]
        );
    }

    #[test]
    fn two_keys_come_of_one() {
        let keys = Philox::new(42, true).keys.clone();
        assert_eq!(keys, [37_150_756_557_148_556, 15_826_636_237_805_488_045]);
    }
}
