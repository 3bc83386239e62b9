//! One text under many keys of our own function: sixteen keys at a time, context and token the same in every lane.

use zeroize::Zeroizing;

use super::lanes::{self, KeysJob, LANES, MAX_STREAMS, Row};
use super::native::Native;
use super::{Draw, Function, Origin, Prf, Seeding};
use crate::tokens::TokenId;

/// Words of one position's token under up to sixteen keys.
pub(super) struct KeyLanes<'a> {
    /// Word by word, a subkey in each lane.
    keys: Zeroizing<[Row; 8]>,
    streams: &'a [u32],
    context: &'a [TokenId],
    token: TokenId,
    words: [Row; MAX_STREAMS],
}

impl<'a> KeyLanes<'a> {
    fn new<'n>(natives: impl Iterator<Item = &'n Native>, streams: &'a [u32]) -> Self {
        let mut keys = Zeroizing::new([[0; LANES]; 8]);
        for (lane, native) in natives.take(LANES).enumerate() {
            for (row, word) in keys.iter_mut().zip(native.words()) {
                row[lane] = *word;
            }
        }
        Self { keys, streams, context: &[], token: 0, words: Default::default() }
    }

    fn run(&mut self, context: &'a [TokenId], token: TokenId) {
        (self.context, self.token) = (context, token);
        let mut message = [0; 16];
        message[0] = context.len() as u32;
        message[1..=context.len()].copy_from_slice(context);
        let job = KeysJob {
            keys: &self.keys,
            message: &message,
            message_len: 4 * (1 + context.len() as u32),
            token,
            streams: self.streams,
        };
        lanes::run_keys(&job, &mut self.words);
    }

    /// The word of the position's own token, when `stream` is one of those computed.
    pub fn word(&self, lane: usize, token: TokenId, stream: u32) -> Option<u32> {
        let index = self.streams.iter().position(|&known| known == stream)?;
        (token == self.token).then(|| self.words[index][lane])
    }

    pub fn context(&self) -> &'a [TokenId] {
        self.context
    }
}

impl Prf {
    /// Whether [`walk_keys`](Self::walk_keys) takes functions like this: our own, and the seed reads the whole context, so that
    /// equal contexts have equal seeds under every key.
    pub fn keys_fit_lanes(&self) -> bool {
        matches!(self.function, Function::Native(_))
            && matches!(self.seeding, Seeding::Fixed | Seeding::Left { .. })
    }

    /// Calls `visit(i, k, draw)` for every position `positions[i]` of a text and every function `functions[k]`. They have one
    /// purpose and different keys; a position without the context width's ids before it is left out. Each draw equals that of
    /// [`at`](Self::at) and already holds the words of `streams`, at most two, for the token at its position. Nothing is
    /// visited where the functions are not of the kind that [`keys_fit_lanes`](Self::keys_fit_lanes) says.
    pub fn walk_keys(
        functions: &[&Self],
        tokens: &[TokenId],
        positions: &[u32],
        streams: &[u32],
        mut visit: impl FnMut(usize, usize, &Draw<'_>),
    ) {
        for (block, sixteen) in functions.chunks(LANES).enumerate() {
            if !sixteen.iter().all(|function| function.keys_fit_lanes()) {
                continue;
            }
            let width = sixteen[0].seeding.width();
            let mut lanes = KeyLanes::new(sixteen.iter().filter_map(|prf| prf.native()), streams);
            for (at, &position) in positions.iter().enumerate() {
                let position = position as usize;
                let context = tokens.get(position.wrapping_sub(width)..position);
                let (Some(context), Some(&token)) = (context, tokens.get(position)) else {
                    continue;
                };
                lanes.run(context, token);
                for (lane, prf) in sixteen.iter().enumerate() {
                    let draw = Draw::of(Origin::Key { lanes: &lanes, lane, prf });
                    visit(at, LANES * block + lane, &draw);
                }
            }
        }
    }

    fn native(&self) -> Option<&Native> {
        match &self.function {
            Function::Native(native) => Some(native),
            Function::Peer(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Key;
    use crate::prf::{KEY_A, KEY_B, Purpose};
    use crate::tokens::TokenizerHash;

    fn prf(number: u8, seeding: Seeding) -> Prf {
        let purpose = Purpose {
            scheme: "test",
            parameters: "",
            tokenizer: TokenizerHash([9; 32]),
            vocab_size: 50_257,
        };
        Prf::new(&Key::take(&mut [number; 32]), &purpose, seeding).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// A walk over keys is `at` for every key and position.
        #[test]
        fn keys_equal_at(
            fixed in any::<bool>(),
            width in 1..=Seeding::MAX_WIDTH,
            tokens in prop::collection::vec(any::<u32>(), 0..40),
            keys in 1_u8..40,
            every in 1_usize..4,
        ) {
            let seeding = if fixed { Seeding::Fixed } else { Seeding::Left { width } };
            let functions: Vec<Prf> = (0..keys).map(|number| prf(number, seeding)).collect();
            let functions: Vec<&Prf> = functions.iter().collect();
            let positions: Vec<u32> = (seeding.width()..tokens.len()).step_by(every).map(|at| at as u32).collect();
            let mut visited = 0;
            Prf::walk_keys(&functions, &tokens, &positions, &[KEY_A, KEY_B], |at, key, fast| {
                let position = positions[at] as usize;
                let token = tokens[position];
                let plain = functions[key].at(&tokens[..position]).unwrap();
                for (token, stream) in [(token, KEY_A), (token, KEY_B), (token, 1), (token ^ 1, KEY_A)] {
                    assert_eq!(fast.word(token, stream), plain.word(token, stream));
                    assert_eq!(fast.seed_id(token), plain.seed_id(token));
                }
                assert_eq!(fast.selector(), plain.selector());
                visited += 1;
            });
            prop_assert_eq!(visited, positions.len() * functions.len());
        }
    }

    #[test]
    fn other_functions_are_left_out() {
        let minimum = prf(1, Seeding::Min { width: 2 });
        assert!(!minimum.keys_fit_lanes());
        let visit = |_: usize, _: usize, _: &Draw<'_>| panic!("visited");
        Prf::walk_keys(&[&minimum], &[1, 2, 3], &[2], &[KEY_A], visit);
    }
}
