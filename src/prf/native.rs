//! `touchmark-v1`: BLAKE3 makes seeds, ChaCha8 makes words. The byte format is on the manual's page on formats.
//!
//! The functions here that take one context or one token are the definition, made of the crates `blake3` and
//! `rand_chacha`; `Native::batch` is the fast path over them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::lanes::{self, Row};
use super::{Purpose, SeedId, Seeding};
use crate::keys::Key;
use crate::tokens::TokenId;

/// The subkey of one key and purpose.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Native {
    subkey: [u8; 32],
    words: [u32; 8],
}

impl Native {
    /// subkey = BLAKE3-derive(context string, key ‖ u8 length ‖ scheme ‖ BLAKE3(parameters ‖ tokenizer hash ‖ u32 V)).
    pub fn new(key: &[u8; Key::LEN], purpose: &Purpose<'_>) -> Self {
        let mut binding = blake3::Hasher::new();
        binding.update(purpose.parameters.as_bytes());
        binding.update(&purpose.tokenizer.0).update(&purpose.vocab_size.to_le_bytes());
        let mut material = Zeroizing::new(Vec::with_capacity(32 + 1 + purpose.scheme.len() + 32));
        material.extend_from_slice(key);
        material.push(purpose.scheme.len() as u8);
        material.extend_from_slice(purpose.scheme.as_bytes());
        material.extend_from_slice(binding.finalize().as_bytes());
        let subkey = blake3::derive_key("touchmark 2026-11 prf v1", &material);
        Self { subkey, words: words_of(&subkey) }
    }

    /// The subkey as words, for lanes.
    pub fn words(&self) -> &[u32; 8] {
        &self.words
    }

    /// seed = BLAKE3-keyed(subkey, u32 h ‖ the h ids, oldest first).
    pub fn left_seed(&self, context: &[TokenId]) -> Seed {
        self.hash(context.len() as u32, context)
    }

    /// The smallest of the seeds BLAKE3-keyed(subkey, u32 1 ‖ id) over the context.
    pub fn min_seed(&self, context: &[TokenId]) -> Seed {
        smallest(context.iter().map(|&id| self.hash(1, &[id])))
    }

    /// The smallest of the seeds BLAKE3-keyed(subkey, u32 2 ‖ id ‖ candidate) over the context.
    pub fn anchored_seed(&self, context: &[TokenId], candidate: TokenId) -> Seed {
        smallest(context.iter().map(|&id| self.hash(2, &[id, candidate])))
    }

    fn hash(&self, head: u32, ids: &[TokenId]) -> Seed {
        let mut message = [0; 4 * (1 + Seeding::MAX_WIDTH)];
        for (bytes, word) in message.chunks_exact_mut(4).zip(std::iter::once(&head).chain(ids)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Seed(*blake3::keyed_hash(&self.subkey, &message[..4 * (1 + ids.len())]).as_bytes())
    }
}

/// Seeds and words of sixteen positions at a time, in buffers that are reused from batch to batch.
pub(super) struct Batch<'a> {
    native: &'a Native,
    seeding: Seeding,
    streams: &'a [u32],
    tokens: Row,
    /// What is hashed; each lane keeps its smallest hash. Words that no seeding writes stay zero, as padding must.
    messages: Vec<[Row; 16]>,
    message_len: u32,
    out: lanes::Output,
}

impl<'a> Batch<'a> {
    pub fn new(native: &'a Native, seeding: Seeding, streams: &'a [u32]) -> Self {
        let (head, count, words) = match seeding {
            Seeding::Fixed => (0, 1, 1),
            Seeding::Left { width } => (width, 1, 1 + width),
            Seeding::Min { width } => (1, width, 2),
            Seeding::SelfAnchored { width } => (2, width, 3),
        };
        let mut message = [[0; lanes::LANES]; 16];
        message[0] = [head as u32; lanes::LANES];
        Self {
            native,
            seeding,
            streams,
            tokens: [0; lanes::LANES],
            messages: vec![message; count],
            message_len: 4 * words as u32,
            out: lanes::Output { seeds: Default::default(), words: Default::default() },
        }
    }

    /// Computes up to sixteen positions. `window` holds the context width's ids before the first position, then the
    /// tokens themselves. Lanes beyond them are computed from zeros and mean nothing.
    pub fn run(&mut self, window: &[TokenId]) {
        let width = self.seeding.width();
        // Lane `j` reads id `i` of its context at window[i + j].
        let row = |i: usize| -> Row {
            std::array::from_fn(|lane| window.get(i + lane).copied().unwrap_or(0))
        };
        self.tokens = row(width);
        match self.seeding {
            Seeding::Fixed => {}
            Seeding::Left { .. } => (0..width).for_each(|i| self.messages[0][1 + i] = row(i)),
            Seeding::Min { .. } => (0..width).for_each(|i| self.messages[i][1] = row(i)),
            Seeding::SelfAnchored { .. } => {
                for (i, message) in self.messages.iter_mut().enumerate() {
                    (message[1], message[2]) = (row(i), self.tokens);
                }
            }
        }
        let job = lanes::Job {
            key: &self.native.words,
            messages: &self.messages,
            message_len: self.message_len,
            tokens: &self.tokens,
            streams: self.streams,
        };
        lanes::run(&job, &mut self.out);
    }

    pub fn token(&self, lane: usize) -> TokenId {
        self.tokens[lane]
    }

    pub fn seed_id(&self, lane: usize) -> SeedId {
        SeedId(u64::from(self.out.seeds[1][lane]) << 32 | u64::from(self.out.seeds[0][lane]))
    }

    /// The word of the lane's own token, when `stream` is one of the batch's.
    pub fn word(&self, lane: usize, stream: u32) -> Option<u32> {
        let index = self.streams.iter().position(|&s| s == stream)?;
        Some(self.out.words[index][lane])
    }

    pub fn seed(&self, lane: usize) -> Seed {
        let mut seed = [0; 32];
        for (bytes, row) in seed.chunks_exact_mut(4).zip(&self.out.seeds) {
            bytes.copy_from_slice(&row[lane].to_le_bytes());
        }
        Seed(seed)
    }
}

/// Key of one position's keystreams.
#[derive(Clone, Copy)]
pub(super) struct Seed([u8; 32]);

impl Seed {
    pub fn id(&self) -> SeedId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        SeedId(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Word `token` of the ChaCha8 keystream with stream id `stream`.
    pub fn word(&self, token: TokenId, stream: u32) -> u32 {
        let mut keystream = self.keystream(stream);
        keystream.set_word_pos(u128::from(token));
        keystream.next_u32()
    }

    pub fn fill(&self, stream: u32, out: &mut [u32]) {
        let mut keystream = self.keystream(stream);
        let mut bytes = [0; 1024];
        for words in out.chunks_mut(bytes.len() / 4) {
            let bytes = &mut bytes[..4 * words.len()];
            keystream.fill_bytes(bytes);
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
        }
    }

    fn keystream(&self, stream: u32) -> ChaCha8Rng {
        let mut keystream = ChaCha8Rng::from_seed(self.0);
        keystream.set_stream(u64::from(stream));
        keystream
    }
}

/// The seed whose id is smallest; the first wins ties. Contexts of the seedings that call this are never empty.
fn smallest(seeds: impl Iterator<Item = Seed>) -> Seed {
    seeds
        .reduce(|best, seed| if seed.id().0 < best.id().0 { seed } else { best })
        .unwrap_or(Seed([0; 32]))
}

fn words_of(bytes: &[u8; 32]) -> [u32; 8] {
    std::array::from_fn(|i| {
        u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prf::{KEY_A, KEY_B, Prf, Start};
    use crate::tokens::TokenizerHash;

    fn prf(seeding: Seeding) -> Prf {
        let purpose = Purpose {
            scheme: "test",
            parameters: "",
            tokenizer: TokenizerHash([9; 32]),
            vocab_size: 50_257,
        };
        Prf::new(&Key::take(&mut [5; 32]), &purpose, seeding).unwrap()
    }

    fn seedings() -> impl Strategy<Value = Seeding> {
        (0..4, 1..=Seeding::MAX_WIDTH).prop_map(|(kind, width)| match kind {
            0 => Seeding::Fixed,
            1 => Seeding::Left { width },
            2 => Seeding::Min { width },
            _ => Seeding::SelfAnchored { width },
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The fast path over a text is `at` on every prefix: same positions, same seeds, same words.
        #[test]
        fn walk_equals_at(seeding in seedings(), tokens in prop::collection::vec(any::<u32>(), 0..70)) {
            let prf = prf(seeding);
            let mut visited = 0;
            prf.walk(Start::Fragment, &tokens, &[KEY_A, KEY_B], |position, fast| {
                let token = tokens[position];
                let plain = prf.at(&tokens[..position]).unwrap();
                assert_eq!(fast.seed_id(token), plain.seed_id(token));
                for (token, stream) in [(token, KEY_A), (token, KEY_B), (token, 1), (token ^ 1, KEY_A)] {
                    assert_eq!(fast.word(token, stream), plain.word(token, stream));
                }
                visited += 1;
            });
            prop_assert_eq!(visited, tokens.len().saturating_sub(seeding.width()));
            prop_assert_eq!(prf.at(&tokens).is_some(), tokens.len() >= seeding.width());
        }

        /// Words in bulk are words one by one.
        #[test]
        fn fill_equals_word(seeding in seedings(), history in prop::collection::vec(any::<u32>(), 15), len in 0_usize..200) {
            let prf = prf(seeding);
            let draw = prf.at(&history).unwrap();
            let mut filled = vec![0; len];
            draw.words(None, KEY_B, &mut filled);
            for (token, word) in (0..).zip(&filled) {
                prop_assert_eq!(*word, draw.word(token, KEY_B));
            }
        }
    }

    #[test]
    fn purposes_do_not_share_words() {
        let key = Key::take(&mut [5; 32]);
        let base = Purpose {
            scheme: "kgw",
            parameters: "h=1\n",
            tokenizer: TokenizerHash([9; 32]),
            vocab_size: 100,
        };
        let others = [
            Purpose { scheme: "kgx", ..base },
            Purpose { parameters: "h=2\n", ..base },
            Purpose { tokenizer: TokenizerHash([8; 32]), ..base },
            Purpose { vocab_size: 101, ..base },
        ];
        let word = |purpose: &Purpose<'_>| {
            let prf = Prf::new(&key, purpose, Seeding::Left { width: 1 }).unwrap();
            prf.at(&[3]).unwrap().word(1, 0)
        };
        assert!(others.iter().all(|other| word(other) != word(&base)));
        assert_ne!(
            word(&base),
            Prf::new(&Key::take(&mut [6; 32]), &base, Seeding::Left { width: 1 })
                .unwrap()
                .at(&[3])
                .unwrap()
                .word(1, 0)
        );
    }
}
