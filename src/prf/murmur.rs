//! `sglang-murmur3-v1`: the function of SGLang 0.5.23 (`sglang/srt/sampling/watermarking/{core,detector}.py`).
//!
//! H is MurmurHash3_x86_32 (Appleby 2011) with seed 0 over 32-bit words. With key (lo, hi), the low and high halves of the
//! 64-bit key, and a context of L ids, L being less than h at the beginning of an answer:
//!
//! ```text
//! context = H(c₁, …, c_L),   word = H(lo, hi, context, token),   coin = H(lo_A, hi_A, lo_B, hi_B, context)
//! ```
//!
//! Whatever depends on the context depends on its 32-bit hash alone, which holds no key; so that hash is the seed's id. Two
//! contexts share one by chance with probability 2⁻³², and then share their words too.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::peer::{BATCH, Lanes, Peer, State};
use super::{KEY_A, KEY_B, SeedId, vectors};
use crate::tokens::TokenId;

/// Stream of the coin that chooses between two keys: the same for every token of a position.
pub const COIN: u32 = 128;

/// One key or two, each as the hash's state after its words.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Murmur {
    keys: [u32; 2],
    coin: Option<u32>,
}

impl Murmur {
    /// `second` is another key, of dual-key marking.
    pub(super) fn new(first: u64, second: Option<u64>) -> Self {
        let after = |state, key: u64| mix(mix(state, key as u32), (key >> 32) as u32);
        let one = after(0, first);
        let two = second.map_or(one, |key| after(0, key));
        Self { keys: [one, two], coin: second.map(|key| after(one, key)) }
    }
}

impl Peer for Murmur {
    fn state(&self, context: &[TokenId]) -> State {
        let hash = context.iter().fold(0, |state, &id| mix(state, id));
        let context = finish(hash, context.len() as u32);
        let coin = self.coin.map_or(0, |state| finish(mix(state, context), 5));
        State([u64::from(context), u64::from(coin), 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let key = match stream {
            COIN => return state.0[1] as u32,
            KEY_A..KEY_B => self.keys[0],
            _ => self.keys[1],
        };
        finish(mix(mix(key, state.0[0] as u32), token), 4)
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        if stream == COIN {
            return out.fill(state.0[1] as u32);
        }
        let key = self.keys[usize::from(stream >= KEY_B)];
        let context = mix(key, state.0[0] as u32);
        let word = |token| finish(mix(context, token), 4);
        match tokens {
            None => (0..).zip(out).for_each(|(token, to)| *to = word(token)),
            Some(tokens) => tokens.iter().zip(out).for_each(|(&token, to)| *to = word(token)),
        }
    }

    fn prepare(&self, ids: &[TokenId], width: usize, streams: &[u32], lanes: &mut Lanes) {
        vectors::run(Walk { murmur: self, ids, width, streams, lanes });
    }
}

/// Rounds of a batch, its lanes padded to whole arrays.
struct Walk<'a> {
    murmur: &'a Murmur,
    ids: &'a [TokenId],
    width: usize,
    streams: &'a [u32],
    lanes: &'a mut Lanes,
}

const LANES: usize = 16;
type Row = [u32; LANES];

impl vectors::Work for Walk<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { murmur, ids, width, streams, lanes } = self;
        lanes.states.clear();
        lanes.words.clear();
        lanes.words.resize(streams.len(), [0; BATCH]);
        let positions = ids.len() - width;
        for first in (0..positions).step_by(LANES) {
            let count = LANES.min(positions - first);
            let row = |offset: usize| {
                let mut row = [0; LANES];
                row[..count].copy_from_slice(&ids[first + offset..][..count]);
                row
            };
            let mut hash = [0; LANES];
            for offset in 0..width {
                each(&mut hash, &row(offset), mix);
            }
            hash.iter_mut().for_each(|hash| *hash = finish(*hash, width as u32));
            let context = hash;
            let mut coin = [0; LANES];
            if let Some(state) = murmur.coin {
                coin = [state; LANES];
                each(&mut coin, &context, mix);
                coin.iter_mut().for_each(|coin| *coin = finish(*coin, 5));
            }
            let tokens = row(width);
            for (words, &stream) in lanes.words.iter_mut().zip(streams) {
                let mut word = [murmur.keys[usize::from(stream >= KEY_B)]; LANES];
                each(&mut word, &context, mix);
                each(&mut word, &tokens, mix);
                word.iter_mut().for_each(|word| *word = finish(*word, 4));
                words[first..first + LANES].copy_from_slice(&word);
            }
            let states = context.iter().zip(&coin).take(count);
            let state = |(&context, &coin)| State([u64::from(context), u64::from(coin), 0, 0]);
            lanes.states.extend(states.map(state));
        }
    }
}

#[inline(always)]
fn each(states: &mut Row, words: &Row, f: impl Fn(u32, u32) -> u32) {
    states.iter_mut().zip(words).for_each(|(state, &word)| *state = f(*state, word));
}

/// Takes in a word.
#[inline(always)]
fn mix(state: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xCC9E_2D51).rotate_left(15).wrapping_mul(0x1B87_3593);
    (state ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64)
}

/// The hash of `words` words that were taken in.
#[inline(always)]
fn finish(state: u32, words: u32) -> u32 {
    let mut hash = state ^ (4 * words);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ hash >> 13).wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 0x0123_4567_89AB_CDEF;

    fn words_of(key: u64, context: &[TokenId]) -> (u64, [u32; 4]) {
        let murmur = Murmur::new(key, None);
        let state = murmur.state(context);
        let mut out = [0; 4];
        murmur.words(state, None, KEY_A, &mut out);
        for (token, word) in (0..).zip(out) {
            assert_eq!(murmur.word(state, token, KEY_A), word);
        }
        (state.0[0], out)
    }

    /// Hashes that SGLang 0.5.23 computed.
    #[test]
    fn published_words() {
        let words = [0xC1C4_7C5B, 0x06D3_954A, 0x0A9F_8455, 0x27E9_14BF];
        assert_eq!(words_of(42, &[1, 2, 3, 4]), (0x4445_AD00, words));
        let words = [0xD76D_640C, 0x5FE2_A88C, 0x4F0C_3B3E, 0x2701_7641];
        assert_eq!(words_of(KEY, &[10, 20, 30]), (0x3283_F599, words));
        let dual = Murmur::new(42, Some(KEY));
        let state = dual.state(&[1, 2, 3, 4]);
        assert_eq!(dual.word(state, 7, COIN), 0xB0BC_6484);
        let second = Murmur::new(KEY, None);
        assert_eq!(dual.word(state, 9, KEY_B), second.word(state, 9, KEY_A));
    }
}
