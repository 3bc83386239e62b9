//! Lists of tokens that torch's CPU generator draws: `randperm(V)` under a seed of 32 bits, its beginning or its end.
//!
//! What makes a seed of a context differs by tool ([`Seeds`]); the lists are the same. Whether one token is on a list takes a
//! walk through half the list's shuffle on average, sixteen lists at a time; a whole list takes about as long as such a walk for all of sixteen
//! and is kept when its seed comes a second time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use super::SeedId;
use super::mt_lanes::{self, Divisors};
use super::mt19937::Mt19937;
use super::peer::{Peer, PrfError, State};
use crate::tokens::TokenId;

/// Greatest vocabulary: torch permutes more by other rules.
pub(super) const MOST_TOKENS: u32 = u32::MAX / 20;

/// Most ids before a candidate that takes part in its seed.
pub(super) const MOST_OWN: usize = 7;

/// What a list's permutation is seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListSeed {
    /// The bits that the generator uses.
    pub low: u32,
    /// Whether another key would have given another one.
    pub keyed: bool,
}

/// How a tool makes seeds.
pub(super) trait Seeds: Send + Sync {
    /// The seed of the ids read, oldest first; the candidate is the last one where it takes part.
    fn seed(&self, ids: &[TokenId]) -> ListSeed;
}

/// `value` modulo 2⁶⁴−1 as Python takes it, never negative, for |value| < 2¹²⁷.
pub(super) fn modulo(value: i128) -> u64 {
    // 2⁶⁴ is 1: high and low halves are added, twice for the carry.
    let folded = (value >> 64) + i128::from(value as u64);
    let folded = (folded >> 64) + i128::from(folded as u64);
    match folded {
        0.. if folded < MODULUS => folded as u64,
        0.. => (folded - MODULUS) as u64,
        _ => (folded + MODULUS) as u64,
    }
}

const MODULUS: i128 = u64::MAX as i128;

/// The lists of one size of one vocabulary.
pub(super) struct Lists {
    vocab_size: u32,
    /// Steps of a shuffle that decide a list.
    drawn: u32,
    /// Whether the list is what those steps left over.
    rest: bool,
    divisors: Divisors,
    cache: RwLock<Cache>,
}

impl Lists {
    /// ⌊V·ratio⌋ tokens, from the beginning of each permutation.
    pub(super) fn first(vocab_size: u32, ratio: f64) -> Result<Self, PrfError> {
        Self::new(vocab_size, ratio, false)
    }

    /// As many from its end.
    pub(super) fn last(vocab_size: u32, ratio: f64) -> Result<Self, PrfError> {
        Self::new(vocab_size, ratio, true)
    }

    fn new(vocab_size: u32, ratio: f64, rest: bool) -> Result<Self, PrfError> {
        let listed = (f64::from(vocab_size) * ratio) as u32;
        if !(1..vocab_size).contains(&listed) || vocab_size > MOST_TOKENS {
            return Err(PrfError::Lists { listed, vocab_size });
        }
        let drawn = if rest { vocab_size - listed } else { listed };
        let divisors = Divisors::new(vocab_size, drawn);
        Ok(Self { vocab_size, drawn, rest, divisors, cache: RwLock::default() })
    }

    /// Whether each token is on the list of its seed.
    fn contain(&self, asked: &[(u32, TokenId)], found: &mut [bool]) {
        let mut unknown = Vec::new();
        {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            for (at, (&(seed, token), found)) in asked.iter().zip(&mut *found).enumerate() {
                match cache.list(seed) {
                    _ if token >= self.vocab_size => *found = false,
                    Some(list) => *found = is_set(list, token),
                    None => unknown.push(at),
                }
            }
        }
        if unknown.is_empty() {
            return;
        }
        let (new, again) = self.sort_by_sight(asked, unknown);
        for chunk in new.chunks(mt_lanes::LANES) {
            self.follow(chunk, asked, found);
        }
        for at in again {
            let (seed, token) = asked[at];
            found[at] = is_set(&self.list(seed), token);
        }
    }

    /// Which of `asked` have a seed that was never seen, and which one that was.
    fn sort_by_sight(
        &self,
        asked: &[(u32, TokenId)],
        unknown: Vec<usize>,
    ) -> (Vec<usize>, Vec<usize>) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        unknown.into_iter().partition(|&at| cache.is_first_sight(asked[at].0))
    }

    /// Follows up to sixteen tokens through the shuffles of their seeds.
    fn follow(&self, chunk: &[usize], asked: &[(u32, TokenId)], found: &mut [bool]) {
        if let &[at] = chunk {
            let (seed, token) = asked[at];
            found[at] =
                Mt19937::new(seed).in_prefix(self.vocab_size, self.drawn, token) != self.rest;
            return;
        }
        let lane = |lane: usize| asked[chunk[lane.min(chunk.len() - 1)]];
        let seeds = std::array::from_fn(|i| lane(i).0);
        let tokens = std::array::from_fn(|i| lane(i).1);
        let drawn = mt_lanes::in_prefix(&self.divisors, &seeds, &tokens);
        for (&at, drawn) in chunk.iter().zip(drawn) {
            found[at] = drawn != self.rest;
        }
    }

    /// The whole list of a seed, one bit a token.
    fn list(&self, seed: u32) -> Arc<[u64]> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = cache.list(seed) {
            return list.clone();
        }
        drop(cache);
        let list: Arc<[u64]> = self.drawn_list(seed).into();
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.keep(seed, list.clone());
        list
    }

    fn drawn_list(&self, seed: u32) -> Vec<u64> {
        let start = if self.rest { u64::MAX } else { 0 };
        let mut bits = vec![start; self.vocab_size.div_ceil(64) as usize];
        for token in Mt19937::new(seed).prefix(self.vocab_size, self.drawn) {
            bits[token as usize / 64] ^= 1 << (token % 64);
        }
        if let (Some(last), used @ 1..) = (bits.last_mut(), self.vocab_size % 64) {
            *last &= (1 << used) - 1;
        }
        bits
    }
}

fn is_set(list: &[u64], token: TokenId) -> bool {
    list.get(token as usize / 64).is_some_and(|bits| bits >> (token % 64) & 1 == 1)
}

/// Lists by seed, and which seeds came once. Of two generations the older is dropped when the younger has its share.
#[derive(Default)]
struct Cache {
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    lists: HashMap<u32, Option<Arc<[u64]>>, BuildHasherDefault<SeedHasher>>,
    bytes: usize,
}

impl Cache {
    /// What a generation may hold: two are 256 MiB.
    const BYTES: usize = 128 << 20;
    /// What an entry takes beside its list.
    const ENTRY: usize = 64;

    fn list(&self, seed: u32) -> Option<&Arc<[u64]>> {
        let of =
            |generation: &'_ Generation| generation.lists.get(&seed).is_some_and(Option::is_some);
        let generation = if of(&self.young) { &self.young } else { &self.old };
        generation.lists.get(&seed)?.as_ref()
    }

    fn is_first_sight(&mut self, seed: u32) -> bool {
        if self.young.lists.contains_key(&seed) || self.old.lists.contains_key(&seed) {
            return false;
        }
        self.insert(seed, None, 0);
        true
    }

    fn keep(&mut self, seed: u32, list: Arc<[u64]>) {
        let bytes = 8 * list.len();
        self.insert(seed, Some(list), bytes);
    }

    fn insert(&mut self, seed: u32, list: Option<Arc<[u64]>>, bytes: usize) {
        if self.young.bytes + bytes + Self::ENTRY > Self::BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes + Self::ENTRY;
        self.young.lists.insert(seed, list);
    }
}

/// Seeds are nearly uniform: a multiplication is hash enough.
#[derive(Default)]
struct SeedHasher(u64);

impl Hasher for SeedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(u32::from(byte)));
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// A tool's seeds with its lists.
///
/// A state is the seed, or where the candidate takes part the ids before it, in seven 32-bit words; the eighth is what
/// [`Peer::warm`] found.
pub(super) struct TorchLists<S> {
    seeds: S,
    own: Option<usize>,
    lists: Lists,
}

impl<S: Seeds> TorchLists<S> {
    /// `own`: the candidate takes part in its seed, after so many ids.
    pub(super) fn new(seeds: S, own: Option<usize>, lists: Lists) -> Self {
        Self { seeds, own, lists }
    }

    fn seed(&self, state: State, token: TokenId) -> ListSeed {
        let Some(count) = self.own else {
            return ListSeed { low: state.0[0] as u32, keyed: state.0[0] & KEYED != 0 };
        };
        let mut ids = [0; MOST_OWN + 1];
        for (at, id) in ids.iter_mut().enumerate().take(count) {
            *id = (state.0[at / 2] >> (32 * (at % 2))) as u32;
        }
        ids[count] = token;
        self.seeds.seed(&ids[..=count])
    }

    fn read(&self, asked: &[(u32, TokenId)], mut each: impl FnMut(usize, bool)) {
        let mut found = vec![false; asked.len()];
        self.lists.contain(asked, &mut found);
        found.into_iter().enumerate().for_each(|(at, found)| each(at, found));
    }
}

impl<S: Seeds> Peer for TorchLists<S> {
    fn state(&self, context: &[TokenId]) -> State {
        let mut state = State::default();
        if self.own.is_some() {
            for (at, &id) in context.iter().enumerate() {
                state.0[at / 2] |= u64::from(id) << (32 * (at % 2));
            }
        } else {
            let ListSeed { low, keyed } = self.seeds.seed(context);
            state.0[0] = u64::from(low) | if keyed { KEYED } else { 0 };
        }
        state
    }

    fn seed_id(&self, state: State, token: TokenId) -> SeedId {
        SeedId(u64::from(self.seed(state, token).low))
    }

    fn is_keyed(&self, state: State, token: TokenId) -> bool {
        self.seed(state, token).keyed
    }

    fn word(&self, state: State, token: TokenId, _: u32) -> u32 {
        let last = state.0[3];
        if last & KNOWN != 0 && (last & !(KNOWN | LISTED)) >> 32 == u64::from(token) {
            return word(last & LISTED != 0);
        }
        let mut listed = false;
        self.read(&[(self.seed(state, token).low, token)], |_, found| listed = found);
        word(listed)
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, _: u32, out: &mut [u32]) {
        let id = |at: usize| tokens.map_or(at as TokenId, |tokens| tokens[at]);
        if self.own.is_none() {
            let list = self.lists.list(state.0[0] as u32);
            out.iter_mut().enumerate().for_each(|(at, out)| *out = word(is_set(&list, id(at))));
        } else {
            let ask = |at| (self.seed(state, id(at)).low, id(at));
            let asked: Vec<_> = (0..out.len()).map(ask).collect();
            self.read(&asked, |at, found| out[at] = word(found));
        }
    }

    fn warm(&self, batch: &mut [(usize, State, TokenId)]) {
        let ask = |&(_, state, token): &(_, State, TokenId)| (self.seed(state, token).low, token);
        let asked: Vec<_> = batch.iter().map(ask).collect();
        self.read(&asked, |at, found| {
            let (_, state, token) = &mut batch[at];
            if *token < MOST_TOKENS {
                state.0[3] |= u64::from(*token) << 32 | KNOWN | if found { LISTED } else { 0 };
            }
        });
    }
}

fn word(listed: bool) -> u32 {
    if listed { 0 } else { u32::MAX }
}

/// Of the first word of a state: the seed depends on the key.
const KEYED: u64 = 1 << 32;
/// Of the last word of a state: its upper half names a token whose list was read,
const KNOWN: u64 = 1 << 63;
/// and which is on it.
const LISTED: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn modulo_is_pythons(value in any::<i128>(), shift in 1_u32..100) {
            let value = value >> shift;
            prop_assert_eq!(i128::from(modulo(value)), value.rem_euclid(MODULUS));
        }
    }

    #[test]
    fn modulo_at_its_edges() {
        for value in [0, -1, 1, MODULUS, -MODULUS, MODULUS + 1, MODULUS - 1, 1 << 64, -(1 << 64)] {
            assert_eq!(i128::from(modulo(value)), value.rem_euclid(MODULUS), "{value}");
        }
    }

    /// Every way to read a list says what the permutation says: at first sight, at second, whole, from either end.
    #[test]
    fn lists_are_the_ends_of_permutations() {
        for (vocab_size, ratio) in [(2, 0.5), (100, 0.25), (640, 0.5), (1000, 0.9)] {
            for (lists, rest) in [
                (Lists::first(vocab_size, ratio).unwrap(), false),
                (Lists::last(vocab_size, ratio).unwrap(), true),
            ] {
                let listed = (f64::from(vocab_size) * ratio) as usize;
                let seeds = || 0..70_u32;
                let asked: Vec<_> =
                    seeds().map(|seed| (seed, seed * 13 % (vocab_size + 5))).collect();
                let expected = asked.iter().map(|&(seed, token)| {
                    let mut order = Mt19937::new(seed).permutation(vocab_size);
                    if rest {
                        order.reverse();
                    }
                    order[..listed].contains(&token)
                });
                let expected: Vec<bool> = expected.collect();
                for _sight in 0..3 {
                    let mut found = vec![false; asked.len()];
                    lists.contain(&asked, &mut found);
                    assert_eq!(found, expected, "{vocab_size} {ratio}");
                }
                for (&(seed, token), expected) in asked.iter().zip(expected) {
                    let list = lists.list(seed);
                    assert_eq!(is_set(&list, token), expected);
                    let ones: u32 = list.iter().map(|bits| bits.count_ones()).sum();
                    assert_eq!(ones as usize, listed);
                }
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut cache = Cache::default();
        let list: Arc<[u64]> = vec![0; 1 << 14].into();
        for seed in 0..5_000 {
            assert!(cache.is_first_sight(seed) && !cache.is_first_sight(seed));
            cache.keep(seed, list.clone());
            assert!(cache.list(seed).is_some());
            assert!(cache.young.bytes + cache.old.bytes <= 2 * Cache::BYTES);
        }
        assert!(cache.list(0).is_none() && cache.list(4_500).is_some());
    }

    #[test]
    fn lists_of_none_or_all_are_refused() {
        for (vocab_size, ratio) in [(3, 0.25), (0, 0.5), (1, 0.5), (MOST_TOKENS + 1, 0.5)] {
            let refused = Lists::first(vocab_size, ratio).err();
            assert!(matches!(refused, Some(PrfError::Lists { .. })), "{vocab_size} {ratio}");
        }
    }
}
