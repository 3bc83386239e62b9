//! What the functions of other engines have in common.

use crate::keys::Key;
use crate::prf::{PrfVariant, SeedId, murmur, philox, textseal};
use crate::tokens::TokenId;

/// Positions of a walk that are prepared together.
pub(super) const BATCH: usize = 64;

/// What a function made of a position's context, once for all candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State(pub [u64; 4]);

/// A function of another engine, with its key.
pub(super) trait Peer: Send + Sync {
    /// Reads a context, oldest id first; see [`Frame`] for how long it is.
    fn state(&self, context: &[TokenId]) -> State;

    /// Names what the words of `token` depend on.
    fn seed_id(&self, state: State, token: TokenId) -> SeedId;

    /// As [`Draw::word`](super::Draw::word).
    fn word(&self, state: State, token: TokenId, stream: u32) -> u32;

    /// The words of `tokens`, or of all tokens from 0 on.
    fn words(&self, state: State, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        match tokens {
            None => (0..).zip(out).for_each(|(id, word)| *word = self.word(state, id, stream)),
            Some(ids) => {
                ids.iter().zip(out).for_each(|(&id, word)| *word = self.word(state, id, stream))
            }
        }
    }

    /// Is told of up to [`BATCH`] positions before their words are asked for, so that it may compute them together; what
    /// it found may be kept in their states.
    fn warm(&self, _batch: &mut [(usize, State, TokenId)]) {}

    /// Prepares consecutive positions, at most [`BATCH`]: the context of lane i is `ids[i..i + width]`, its token
    /// `ids[i + width]`.
    fn prepare(&self, ids: &[TokenId], width: usize, _streams: &[u32], lanes: &mut Lanes) {
        let windows = ids.windows(width + 1).enumerate();
        let mut batch: Vec<_> = windows
            .map(|(lane, window)| (lane, self.state(&window[..width]), window[width]))
            .collect();
        self.warm(&mut batch);
        lanes.words.clear();
        lanes.states.clear();
        lanes.states.extend(batch.iter().map(|(_, state, _)| *state));
    }
}

/// Consecutive positions, prepared.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Of each position.
    pub states: Vec<State>,
    /// For each stream the word of each position's own token; empty where they were not computed together.
    pub words: Vec<[u32; BATCH]>,
}

/// What stands before a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start<'a> {
    /// Unknown: the text may begin anywhere in an answer.
    #[default]
    Fragment,
    /// The text is an answer from its first token on, and this was its prompt; empty if there was none.
    Answer {
        /// Ids of the prompt.
        prompt: &'a [TokenId],
    },
}

/// Which ids the draw of a position reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// h: how many ids before the token are read.
    pub width: usize,
    /// How few will do at the beginning of an answer.
    pub least: usize,
    /// What is read where the output is shorter than h.
    pub before: Before,
}

/// What stands before the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// The prompt.
    Prompt,
    /// This id, over and over, before every text.
    Padding(TokenId),
    /// The same, but only texts that are known to be whole answers are read from their first token on.
    AnswerPadding(TokenId),
}

impl Frame {
    /// Contexts of our own function: h ids of the output.
    pub(super) fn of_own(width: usize) -> Self {
        Self { width, least: width, before: Before::Nothing }
    }

    /// The ids, at most h, that stand before a text.
    pub(super) fn lead(&self, start: Start<'_>) -> Vec<TokenId> {
        match (self.before, start) {
            (Before::Padding(id), _) | (Before::AnswerPadding(id), Start::Answer { .. }) => {
                vec![id; self.width]
            }
            (Before::Prompt, Start::Answer { prompt }) => {
                prompt[prompt.len().saturating_sub(self.width)..].to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The context at the end of `history`, if it is long enough.
    pub(super) fn context<'a>(
        &self,
        history: &'a [TokenId],
        start: Start<'_>,
    ) -> Option<&'a [TokenId]> {
        let least = match start {
            Start::Fragment => self.width,
            Start::Answer { .. } => self.least,
        };
        (history.len() >= least).then(|| &history[history.len().saturating_sub(self.width)..])
    }
}

/// A function of another engine, without its key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerPrf {
    /// vLLM's; stream [`KEY_A`](super::KEY_A) is the key, or with `dual` the first of the two keys derived from it, and
    /// [`KEY_B`](super::KEY_B) the second.
    Philox {
        /// h, ids of the output, padded with −1.
        width: usize,
        /// Whether two keys are derived.
        dual: bool,
    },
    /// SGLang's; streams [`KEY_A`](super::KEY_A) and [`KEY_B`](super::KEY_B) are its keys, [`COIN`](super::COIN) chooses
    /// between them.
    Murmur {
        /// h, ids of prompt and output, fewer at the beginning of an answer.
        width: usize,
        /// Whether there are two keys.
        dual: bool,
    },
    /// TextSeal's; stream [`KEY_A`](super::KEY_A) is its key, [`KEY_B`](super::KEY_B) the second one made of it.
    TextSeal {
        /// h, ids of prompt and output.
        width: usize,
    },
}

impl PeerPrf {
    /// Its name in profiles.
    pub fn variant(&self) -> PrfVariant {
        match self {
            Self::Philox { .. } => PrfVariant::Philox4x32V1,
            Self::Murmur { .. } => PrfVariant::SglangMurmur3V1,
            Self::TextSeal { .. } => PrfVariant::TextSealV1,
        }
    }

    /// How many 64-bit numbers its key has.
    pub fn key_numbers(&self) -> usize {
        match self {
            Self::Philox { .. } | Self::TextSeal { .. } => 1,
            Self::Murmur { dual, .. } => 1 + usize::from(*dual),
        }
    }

    /// Which ids it reads.
    pub fn frame(&self) -> Frame {
        match *self {
            Self::Philox { width, .. } => {
                Frame { width, least: width, before: Before::Padding(philox::PADDING) }
            }
            Self::Murmur { width, .. } => Frame { width, least: 1, before: Before::Prompt },
            Self::TextSeal { width } => Frame { width, least: width, before: Before::Prompt },
        }
    }

    pub(super) fn build(&self, key: &Key, _vocab_size: u32) -> Result<Box<dyn Peer>, PrfError> {
        let needed = self.key_numbers();
        let numbers = key.numbers().filter(|numbers| numbers.len() == needed);
        let numbers =
            numbers.ok_or_else(|| PrfError::Key { needed: Some(needed), got: key.count() })?;
        Ok(match *self {
            Self::Philox { dual, .. } => Box::new(philox::Philox::new(numbers[0], dual)),
            Self::Murmur { .. } => {
                Box::new(murmur::Murmur::new(numbers[0], numbers.get(1).copied()))
            }
            Self::TextSeal { .. } => Box::new(textseal::TextSeal::new(numbers[0])),
        })
    }
}

/// Why a function cannot be made. Never carries key material.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrfError {
    /// The key is of another form.
    #[error("this scheme's key is {}, but the one given is {}", form(*needed), form(*got))]
    Key {
        /// Numbers it must have; `None`: it must be a key of our own.
        needed: Option<usize>,
        /// Numbers that it has.
        got: Option<usize>,
    },
}

fn form(numbers: Option<usize>) -> String {
    match numbers {
        None => "a 256-bit key of touchmark's own".to_owned(),
        Some(1) => "a 64-bit number of another engine".to_owned(),
        Some(count) => format!("a list of {count} 64-bit numbers of another engine"),
    }
}
