//! `mpac-v1`: the function of MPAC, multi-bit marks over lists of lm-watermarking's kind.
//!
//! Yoo et al., "Advancing Beyond Identification: Multi-bit Watermark for Large Language Models", NAACL 2024 (arXiv 2308.00221);
//! `mb_watermark_processor.py` and `alternative_prf_schemes.py` of bangawayoo/mb-lm-watermarking (commit 0791102). With
//! h(x) = T[x mod 1,000,003] + 1, T being torch's `randperm(1000003)` under seed 2,971,215,073, and context s, key K:
//!
//! ```text
//! list seed   lefthash: K·s₋₁        minhash: min_i h(K·s_i)        selfhash: min_i K·h(s_i)·h(s₋₁), the candidate being s₋₁
//! colour of a token = its index in torch's randperm(V), on the CPU, under  list seed mod (2⁶⁴ − 1),  div ⌈V/colours⌉
//! slot = python's random.randint(1, slots) − 1, under  slot seed mod (2⁶⁴ − 1)
//! ```
//!
//! Products are 64-bit and wrap, and minima are of signed numbers, but for `lefthash`, which is exact. The slot seed is the
//! list seed, or min_i K·h(s_i)·h(s₋₁) over the last two ids (of which, for `selfhash`, the candidate is one).
//!
//! After token 0, `lefthash` has the same list under every key; such draws say nothing, and all their words are 2³² − 1.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::lm_watermarking::hash;
use super::mt19937::Mt19937;
use super::peer::{Peer, State};
use super::torch_lists::modulo;
use super::{KEY_B, SeedId};
use crate::tokens::TokenId;

/// What a list's seed is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpacSeeding {
    /// The last id.
    LeftHash,
    /// The smallest hash of the last `width` ids.
    MinHash {
        /// How many ids are hashed.
        width: usize,
    },
    /// The candidate and, of the ids up to it, the one of smallest hash together with it.
    SelfHash {
        /// How many ids are hashed, the candidate among them.
        width: usize,
    },
}

/// The key and what is drawn from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Mpac {
    key: i64,
    #[zeroize(skip)]
    seeding: MpacSeeding,
    #[zeroize(skip)]
    pairs: bool,
    slots: u32,
    /// Tokens of a colour.
    chunk: u32,
    vocab_size: u32,
}

/// Seeds of lists and slots.
#[derive(Clone, Copy)]
struct Seeds {
    list: u64,
    slot: u64,
}

impl Mpac {
    pub(super) fn new(
        key: u64,
        seeding: MpacSeeding,
        pairs: bool,
        [slots, colours]: [u32; 2],
        vocab_size: u32,
    ) -> Self {
        let chunk = vocab_size.div_ceil(colours.max(1)).max(1);
        Self { key: key as i64, seeding, pairs, slots, chunk, vocab_size }
    }

    /// min K·h(s)·h(anchor) over s of `ids` and the anchor itself.
    fn anchored(&self, ids: impl Iterator<Item = u64>, anchor: u64) -> i64 {
        let anchor = hash(anchor as i64);
        let product = |id: i64| self.key.wrapping_mul(id).wrapping_mul(anchor);
        ids.map(|id| product(hash(id as i64))).fold(product(anchor), i64::min)
    }

    /// Seeds of a context whose list does not depend on the candidate. `None`: the list is the same for every key.
    fn seeds(&self, context: &[TokenId]) -> Option<Seeds> {
        let &last = context.last()?;
        let list = match self.seeding {
            MpacSeeding::LeftHash if last == 0 => return None,
            MpacSeeding::LeftHash => modulo(i128::from(self.key) * i128::from(last)),
            MpacSeeding::MinHash { width } => {
                let ids = &context[context.len().saturating_sub(width)..];
                let hashes = ids.iter().map(|&id| hash(self.key.wrapping_mul(i64::from(id))));
                modulo(i128::from(hashes.min()?))
            }
            MpacSeeding::SelfHash { .. } => return None,
        };
        let before = context.iter().rev().skip(1).take(1).map(|&id| u64::from(id));
        let pair = || modulo(i128::from(self.anchored(before, u64::from(last))));
        Some(Seeds { list, slot: if self.pairs { pair() } else { list } })
    }

    /// Seeds of a candidate. The state holds the ids, plus one, newest first; or the two seeds.
    fn of(&self, state: State, token: TokenId) -> Option<Seeds> {
        let [first, second, known, _] = state.0;
        if !matches!(self.seeding, MpacSeeding::SelfHash { .. }) {
            return (known == 1).then_some(Seeds { list: first, slot: second });
        }
        let ids = || unpacked(state);
        let token = u64::from(token);
        let list = modulo(i128::from(self.anchored(ids(), token)));
        let pair = || modulo(i128::from(self.anchored(ids().take(1), token)));
        Some(Seeds { list, slot: if self.pairs { pair() } else { list } })
    }
}

impl Peer for Mpac {
    fn state(&self, context: &[TokenId]) -> State {
        if matches!(self.seeding, MpacSeeding::SelfHash { .. }) {
            return packed(context);
        }
        match self.seeds(context) {
            Some(Seeds { list, slot }) => State([list, slot, 1, 0]),
            None => State::default(),
        }
    }

    /// torch reads the low 32 bits of a seed only.
    fn seed_id(&self, state: State, token: TokenId) -> SeedId {
        SeedId(self.of(state, token).map_or(u64::MAX, |seeds| seeds.list & 0xFFFF_FFFF))
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        let Some(seeds) = self.of(state, token) else { return u32::MAX };
        if stream >= KEY_B {
            return slot(seeds.slot, self.slots);
        }
        if token >= self.vocab_size {
            return u32::MAX;
        }
        Mt19937::new(seeds.list as u32).place(self.vocab_size, token) / self.chunk
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        let few = tokens.is_some_and(|tokens| tokens.len() < 4);
        if stream >= KEY_B || few || matches!(self.seeding, MpacSeeding::SelfHash { .. }) {
            let token = |at: usize| tokens.map_or(at as TokenId, |tokens| tokens[at]);
            (0..).zip(out).for_each(|(at, word)| *word = self.word(state, token(at), stream));
            return;
        }
        let Some(seeds) = self.of(state, 0) else {
            out.fill(u32::MAX);
            return;
        };
        let mut colours = vec![u32::MAX; self.vocab_size as usize];
        let permutation = Mt19937::new(seeds.list as u32).permutation(self.vocab_size);
        for (colour, ids) in (0..).zip(permutation.chunks(self.chunk as usize)) {
            ids.iter().for_each(|&id| colours[id as usize] = colour);
        }
        let colour = |token: TokenId| colours.get(token as usize).copied().unwrap_or(u32::MAX);
        match tokens {
            None => (0..).zip(out).for_each(|(id, word)| *word = colour(id)),
            Some(ids) => ids.iter().zip(out).for_each(|(&id, word)| *word = colour(id)),
        }
    }
}

/// Most ids before the candidate that a state can hold.
pub(super) const MOST_BEFORE: usize = 7;

/// The newest ids first, each plus one, two a word; the last word has room for one.
fn packed(context: &[TokenId]) -> State {
    let mut state = State::default();
    for (at, &id) in context.iter().rev().take(MOST_BEFORE).enumerate() {
        state.0[at / 2] |= (u64::from(id) + 1) << (32 * (at % 2));
    }
    state
}

fn unpacked(state: State) -> impl Iterator<Item = u64> {
    let halves = |word: u64| [word & 0xFFFF_FFFF, word >> 32];
    state.0.into_iter().flat_map(halves).take_while(|&half| half > 0).map(|half| half - 1)
}

/// `random.seed(seed); random.randint(1, slots) - 1` of python 3.
fn slot(seed: u64, slots: u32) -> u32 {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    let mut generator = match high {
        0 => Mt19937::of_array(&[low]),
        _ => Mt19937::of_array(&[low, high]),
    };
    let unused = slots.leading_zeros();
    loop {
        let draw = generator.word() >> unused;
        if draw < slots {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_chooses_the_same_slots() {
        for (seed, expected) in [(1, 3), (123_456_789, 8), ((1 << 63) + 5, 6), (u64::MAX - 1, 3)] {
            assert_eq!(slot(seed, 8) + 1, expected, "{seed}");
        }
        assert_eq!(slot(77, 1), 0);
    }

    /// The table and the anchored minhash of lm-watermarking.
    #[test]
    fn published_seeds() {
        assert_eq!([0, 1, 2].map(hash), [250_535, 296_010, 268_312]);
        assert_eq!(hash(999_999 + 1_000_003), 938_827);
        let mpac = Mpac::new(15_485_863, MpacSeeding::SelfHash { width: 4 }, true, [8, 4], 50_257);
        let seeds = mpac.of(mpac.state(&[5, 6, 7]), 8).unwrap();
        assert_eq!(seeds.list, 1_927_255_294_499_968_986);
        assert_eq!(
            mpac.of(mpac.state(&[11, 22, 33]), 44).unwrap().list,
            10_143_471_960_641_711_975
        );
        let first = [46_932, 20_221, 5883, 663, 40_778, 18_344, 47_453, 43_005];
        for (place, token) in (0..).zip(first) {
            assert_eq!(Mt19937::new(seeds.list as u32).place(50_257, token), place);
        }
        let mpac = Mpac::new(15_485_863, MpacSeeding::MinHash { width: 4 }, false, [8, 4], 50_257);
        assert_eq!(mpac.seeds(&[5, 6, 7, 8]).unwrap().list, 267_512);
        assert_eq!(mpac.seeds(&[100, 200, 300, 400]).unwrap().list, 123_159);
    }

    #[test]
    fn states_hold_their_ids() {
        for context in [&[][..], &[0], &[5, 0, 7], &[1, 2, 3, 4, 5, 6, u32::MAX - 1]] {
            let ids: Vec<u64> = context.iter().rev().map(|&id| u64::from(id)).collect();
            assert_eq!(unpacked(packed(context)).collect::<Vec<_>>(), ids);
        }
    }
}
