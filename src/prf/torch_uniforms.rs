//! Numbers that torch's CPU generator gives tokens: `rand(V)` under a seed of 32 bits, token v having the v-th.
//!
//! A word is one of 2²⁴ levels, in its highest bits. The generator cannot skip, so a token's number costs all before it.

use super::SeedId;
use super::mt19937::Mt19937;
use super::peer::{Peer, State};
use super::torch_lists::Seeds;
use crate::tokens::TokenId;

/// A tool's seeds with its numbers. A state is the seed, whether it is keyed, and what [`Peer::warm`] found.
pub(super) struct TorchUniforms<S> {
    seeds: S,
    vocab_size: u32,
}

impl<S: Seeds> TorchUniforms<S> {
    pub(super) fn new(seeds: S, vocab_size: u32) -> Self {
        Self { seeds, vocab_size }
    }

    /// That of a token beyond the vocabulary is 0.
    fn find(&self, state: State, token: TokenId) -> u32 {
        if token >= self.vocab_size {
            return 0;
        }
        let mut generator = Mt19937::new(state.0[0] as u32);
        generator.skip(token);
        generator.level() << 8
    }
}

impl<S: Seeds> Peer for TorchUniforms<S> {
    fn state(&self, context: &[TokenId]) -> State {
        let keyed = u64::from(self.seeds.is_keyed(context));
        State([u64::from(self.seeds.seed(context)), keyed, 0, 0])
    }

    fn seed_id(&self, state: State, _: TokenId) -> SeedId {
        SeedId(state.0[0])
    }

    fn is_keyed(&self, state: State, _: TokenId) -> bool {
        state.0[1] != 0
    }

    fn word(&self, state: State, token: TokenId, _: u32) -> u32 {
        match state.0[2] == known(token) {
            true => state.0[3] as u32,
            false => self.find(state, token),
        }
    }

    fn words(&self, state: State, tokens: Option<&[TokenId]>, _: u32, out: &mut [u32]) {
        let mut generator = Mt19937::new(state.0[0] as u32);
        let mut row = |end: u32| -> Vec<u32> {
            (0..end.min(self.vocab_size)).map(|_| generator.level() << 8).collect()
        };
        let Some(ids) = tokens else {
            let row = row(out.len() as u32);
            let (inside, beyond) = out.split_at_mut(row.len());
            inside.copy_from_slice(&row);
            beyond.fill(0);
            return;
        };
        let row = row(ids.iter().max().map_or(0, |&id| id.saturating_add(1)));
        for (&id, word) in ids.iter().zip(out) {
            *word = row.get(id as usize).copied().unwrap_or(0);
        }
    }

    fn warm(&self, batch: &mut [(usize, State, TokenId)]) {
        for (_, state, token) in batch {
            let word = self.find(*state, *token);
            (state.0[2], state.0[3]) = (known(*token), word.into());
        }
    }
}

/// Names a token whose number was found.
fn known(token: TokenId) -> u64 {
    1 << 32 | u64::from(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum;

    impl Seeds for Sum {
        fn seed(&self, ids: &[TokenId]) -> u32 {
            ids.iter().sum()
        }

        fn is_keyed(&self, _: &[TokenId]) -> bool {
            true
        }
    }

    /// One by one, prepared, in bulk, some, and of tokens beyond the vocabulary; torch 2.15 says the first five.
    #[test]
    fn words_agree() {
        let function = TorchUniforms::new(Sum, 1500);
        let state = function.state(&[40, 2]);
        let mut all = vec![9; 1510];
        function.words(state, None, 0, &mut all);
        for (word, expected) in
            all.iter().zip([0.882_269_3, 0.915_004, 0.382_864, 0.959_305_6, 0.390_448_2])
        {
            let found = f64::from(*word) / 4_294_967_296.0;
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let mut some = [0; 4];
        function.words(state, Some(&[1499, 0, 1505, 700]), 0, &mut some);
        assert_eq!(some, [all[1499], all[0], 0, all[700]]);
        for (token, &expected) in (0..).zip(&all) {
            let mut batch = [(0, state, token)];
            function.warm(&mut batch);
            let prepared = batch[0].1;
            assert_eq!(function.word(state, token, 0), expected, "{token}");
            assert_eq!(function.word(prepared, token, 0), expected, "{token}");
            assert_eq!(function.word(prepared, 3, 0), all[3]);
        }
    }
}
