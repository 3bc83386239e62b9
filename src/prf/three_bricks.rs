//! Seeds and shifts of three_bricks (`wm/{generator,detector}.py`, github.com/facebookresearch/three_bricks, commit ee9c7a2):
//! with key K and salt a, for the last h ids, oldest first, as Python takes the remainder,
//!
//! ```text
//! seed = K;   for each id:  seed = ( seed·a + id ) mod (2⁶⁴ − 1)
//! ```
//!
//! of which torch's generator uses the low 32 bits. A payload m shifts the vocabulary: token v reads what (v + m) mod V would
//! read without one.
//!
//! Neighbouring keys are hardly two: K and the id x seed what K + 1 and x − a do, so with h = 1 and V above a keys share lists.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SeedId;
use super::peer::{Peer, State};
use super::torch_lists::{Seeds, modulo};
use crate::tokens::TokenId;

/// A key with its salt.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct ThreeBricks {
    key: u64,
    salt: u32,
}

impl ThreeBricks {
    pub(super) fn new(key: u64, salt: u32) -> Self {
        Self { key, salt }
    }
}

impl Seeds for ThreeBricks {
    fn seed(&self, ids: &[TokenId]) -> u32 {
        let next =
            |seed, &id: &TokenId| modulo(i128::from(seed) * i128::from(self.salt) + i128::from(id));
        ids.iter().fold(self.key, next) as u32
    }

    fn is_keyed(&self, _: &[TokenId]) -> bool {
        true
    }
}

/// A function whose tokens are shifted by a payload; those beyond the vocabulary stay.
pub(super) struct Shifted<P> {
    inner: P,
    payload: u32,
    vocab_size: u32,
}

impl<P: Peer> Shifted<P> {
    pub(super) fn new(inner: P, payload: u32, vocab_size: u32) -> Self {
        Self { inner, payload: payload % vocab_size.max(1), vocab_size }
    }

    fn shift(&self, token: TokenId) -> TokenId {
        let left = self.vocab_size - self.payload;
        match token {
            _ if token >= self.vocab_size => token,
            _ if token < left => token + self.payload,
            _ => token - left,
        }
    }
}

impl<P: Peer> Peer for Shifted<P> {
    fn state(&self, context: &[TokenId]) -> State {
        self.inner.state(context)
    }

    fn seed_id(&self, state: State, token: TokenId) -> SeedId {
        self.inner.seed_id(state, self.shift(token))
    }

    fn word(&self, state: State, token: TokenId, stream: u32) -> u32 {
        self.inner.word(state, self.shift(token), stream)
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        let shifted: Vec<TokenId> = match tokens {
            None if self.payload == 0 => return self.inner.words(state, None, stream, out),
            None => (0..out.len() as TokenId).map(|token| self.shift(token)).collect(),
            Some(ids) => ids.iter().map(|&token| self.shift(token)).collect(),
        };
        self.inner.words(state, Some(&shifted), stream, out);
    }

    fn warm(&self, batch: &mut [(usize, State, TokenId)]) {
        batch.iter_mut().for_each(|(_, _, token)| *token = self.shift(*token));
        self.inner.warm(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that Python computed.
    #[test]
    fn seeds_are_pythons() {
        let seed = |key, ids: &[TokenId]| ThreeBricks::new(key, 35_317).seed(ids);
        assert_eq!(seed(0, &[1, 2, 3, 4]), 3_868_299_170);
        assert_eq!(seed(42, &[31_999, 0, 17, 128_255]), 3_954_589_828);
        assert_eq!(seed(u64::MAX - 1, &[5]), 4_294_931_983);
        assert_eq!(seed(42, &[50_000]), seed(43, &[50_000 - 35_317]));
    }
}
