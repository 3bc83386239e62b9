//! Lists of tokens that torch's CPU generator draws: `randperm(V)` under a seed of 32 bits, its beginning or its end.
//!
//! What makes a seed of a context differs by tool ([`Seeds`]); the lists are the same. Whether a token is on a list takes a
//! walk through its shuffle, sixteen lists at a time. A whole list takes as long as one such walk: it is made when its seed
//! has come several times, and kept.

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

/// How a tool makes seeds of the ids read, oldest first; the candidate is the last one where it takes part.
pub(super) trait Seeds: Send + Sync {
    /// The bits of the seed that the generator uses.
    fn seed(&self, ids: &[TokenId]) -> u32;

    /// Whether another key would have given another seed.
    fn is_keyed(&self, ids: &[TokenId]) -> bool;
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
        let unknown = self.read_kept(asked, found);
        if unknown.is_empty() {
            return;
        }
        let (rare, frequent) = self.sort_by_sights(asked, unknown);
        for chunk in rare.chunks(mt_lanes::LANES) {
            self.follow(chunk, asked, found);
        }
        for at in frequent {
            let (seed, token) = asked[at];
            found[at] = is_set(&self.list(seed), token);
        }
    }

    /// Answers what kept lists say, and names the rest.
    fn read_kept(&self, asked: &[(u32, TokenId)], found: &mut [bool]) -> Vec<usize> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        // All are looked up before one is read: lists lie far apart, and the processor fetches several at a time.
        let lists: Vec<_> = asked.iter().map(|&(seed, _)| cache.list(seed)).collect();
        let mut unknown = Vec::new();
        for (at, (list, &(_, token))) in lists.into_iter().zip(asked).enumerate() {
            match list {
                Some(list) => found[at] = is_set(list, token),
                None if token >= self.vocab_size => found[at] = false,
                None => unknown.push(at),
            }
        }
        unknown
    }

    /// Which of `asked` have a seed that came rarely, and which one that came often.
    fn sort_by_sights(
        &self,
        asked: &[(u32, TokenId)],
        unknown: Vec<usize>,
    ) -> (Vec<usize>, Vec<usize>) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        unknown.into_iter().partition(|&at| cache.is_rare(asked[at].0))
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

/// Lists by seed, and how often other seeds came. Of two generations the older is dropped when the younger has its share.
#[derive(Default)]
struct Cache {
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    seeds: HashMap<u32, Entry, BuildHasherDefault<SeedHasher>>,
    bytes: usize,
}

enum Entry {
    Seen(u32),
    List(Arc<[u64]>),
}

impl Cache {
    /// What a generation may hold: two are 256 MiB.
    const BYTES: usize = 128 << 20;
    /// What an entry takes beside its list.
    const ENTRY: usize = 64;
    /// A seed's list is made when it comes once more: making it takes as long as 8 to 16 walks.
    const RARE: u32 = 7;

    fn list(&self, seed: u32) -> Option<&Arc<[u64]>> {
        match self.young.seeds.get(&seed) {
            Some(Entry::List(list)) => return Some(list),
            _ if self.old.seeds.is_empty() => return None,
            _ => {}
        }
        match self.old.seeds.get(&seed) {
            Some(Entry::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Whether a seed without a list is rare, this time included.
    fn is_rare(&mut self, seed: u32) -> bool {
        if let Some(Entry::Seen(times)) = self.young.seeds.get_mut(&seed) {
            *times += 1;
            return *times <= Self::RARE;
        }
        if self.list(seed).is_some() {
            return false;
        }
        self.insert(seed, Entry::Seen(1), 0);
        true
    }

    fn keep(&mut self, seed: u32, list: Arc<[u64]>) {
        let bytes = 8 * list.len();
        self.insert(seed, Entry::List(list), bytes);
    }

    fn insert(&mut self, seed: u32, entry: Entry, bytes: usize) {
        if self.young.bytes + bytes + Self::ENTRY > Self::BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes + Self::ENTRY;
        self.young.seeds.insert(seed, entry);
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

    fn seed(&self, state: State, token: TokenId) -> u32 {
        match self.own {
            None => state.0[0] as u32,
            Some(count) => self.seeds.seed(&unpacked(state, count, token)[..=count]),
        }
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
            let keyed = if self.seeds.is_keyed(context) { KEYED } else { 0 };
            state.0[0] = u64::from(self.seeds.seed(context)) | keyed;
        }
        state
    }

    fn seed_id(&self, state: State, token: TokenId) -> SeedId {
        SeedId(self.seed(state, token).into())
    }

    fn is_keyed(&self, state: State, token: TokenId) -> bool {
        match self.own {
            None => state.0[0] & KEYED != 0,
            Some(count) => self.seeds.is_keyed(&unpacked(state, count, token)[..=count]),
        }
    }

    fn word(&self, state: State, token: TokenId, _: u32) -> u32 {
        let last = state.0[3];
        if last & KNOWN != 0 && (last & !(KNOWN | LISTED)) >> 32 == u64::from(token) {
            return word(last & LISTED != 0);
        }
        let mut listed = false;
        self.read(&[(self.seed(state, token), token)], |_, found| listed = found);
        word(listed)
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, _: u32, out: &mut [u32]) {
        if self.own.is_none() {
            let list = self.lists.list(state.0[0] as u32);
            match tokens {
                None => spread(&list, out),
                Some(ids) => {
                    ids.iter().zip(out).for_each(|(&id, out)| *out = word(is_set(&list, id)));
                }
            }
            return;
        }
        let ask = |id: TokenId| (self.seed(state, id), id);
        let asked: Vec<_> = match tokens {
            None => (0..out.len() as TokenId).map(ask).collect(),
            Some(ids) => ids.iter().copied().map(ask).collect(),
        };
        self.read(&asked, |at, found| out[at] = word(found));
    }

    fn warm(&self, batch: &mut [(usize, State, TokenId)]) {
        let ask = |&(_, state, token): &(_, State, TokenId)| (self.seed(state, token), token);
        let asked: Vec<_> = batch.iter().map(ask).collect();
        self.read(&asked, |at, found| {
            let (_, state, token) = &mut batch[at];
            if *token < MOST_TOKENS {
                state.0[3] |= u64::from(*token) << 32 | KNOWN | if found { LISTED } else { 0 };
            }
        });
    }
}

/// The `count` ids of a state whose candidate takes part, then the candidate.
fn unpacked(state: State, count: usize, token: TokenId) -> [TokenId; MOST_OWN + 1] {
    let mut ids = std::array::from_fn(|at| (state.0[at / 2] >> (32 * (at % 2))) as u32);
    ids[count] = token;
    ids
}

/// The words of all tokens from 0 on; those beyond the vocabulary are on no list.
fn spread(list: &[u64], out: &mut [u32]) {
    let (covered, beyond) = out.split_at_mut(out.len().min(64 * list.len()));
    for (bits, words) in list.iter().zip(covered.chunks_mut(64)) {
        (0..).zip(words).for_each(|(at, word)| *word = ((bits >> at & 1) as u32).wrapping_sub(1));
    }
    beyond.fill(word(false));
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
                for _sight in 0..10 {
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

    /// Words in bulk, one by one, prepared, and of tokens beyond the vocabulary.
    #[test]
    fn words_agree() {
        struct Sum;
        impl Seeds for Sum {
            fn seed(&self, ids: &[TokenId]) -> u32 {
                ids.iter().sum()
            }
            fn is_keyed(&self, _: &[TokenId]) -> bool {
                true
            }
        }
        for own in [None, Some(2), Some(MOST_OWN)] {
            let lists = TorchLists::new(Sum, own, Lists::first(1000, 0.3).unwrap());
            let context: Vec<TokenId> = (0..own.unwrap_or(2) as u32).map(|id| 900 - id).collect();
            let state = lists.state(&context);
            let (mut all, mut some) = (vec![9; 1100], vec![9; 3]);
            lists.words(state, None, 0, &mut all);
            lists.words(state, Some(&[1050, 7, 999]), 0, &mut some);
            assert_eq!(some, [all[1050], all[7], all[999]]);
            assert!(all[1000..].iter().all(|&word| word == u32::MAX));
            for (token, &expected) in (0..).zip(&all) {
                let seed = context.iter().sum::<u32>() + if own.is_some() { token } else { 0 };
                let listed = Mt19937::new(seed).in_prefix(1000, 300, token);
                assert_eq!(expected, word(listed), "{own:?} {token}");
                let mut batch = [(0, state, token)];
                lists.warm(&mut batch);
                assert_eq!(lists.word(batch[0].1, token, 0), expected);
                assert_eq!(lists.word(batch[0].1, 5, 0), all[5]);
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut cache = Cache::default();
        let list: Arc<[u64]> = vec![0; 1 << 14].into();
        for seed in 0..5_000 {
            assert!((0..Cache::RARE).all(|_| cache.is_rare(seed)) && !cache.is_rare(seed));
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
