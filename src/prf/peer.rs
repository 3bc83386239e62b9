//! What the functions of other engines have in common.

use crate::keys::Key;
use crate::prf::lm_watermarking::{LmPrf, LmWatermarking};
use crate::prf::markllm_kgw::{MarkLlmKgw, MarkLlmPrf};
use crate::prf::torch_lists::{Lists, TorchLists};
use crate::prf::transformers_kgw::TransformersKgw;
use crate::prf::{PrfVariant, SeedId, philox, torch_lists};
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

    /// Whether the words of `token` depend on the key.
    fn is_keyed(&self, _state: State, _token: TokenId) -> bool {
        true
    }

    /// Is told of up to [`BATCH`] positions before their words are asked for, so that it may compute them together; what
    /// it found may be kept in their states.
    fn warm(&self, _batch: &mut [(usize, State, TokenId)]) {}
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

    /// h ids of the prompt and the output.
    fn with_prompt(width: usize) -> Self {
        Self { width, least: width, before: Before::Prompt }
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
    /// Lists of transformers' KGW.
    TransformersKgw {
        /// Share of the vocabulary on a list.
        ratio: f64,
        /// How many ids must stand before a token.
        width: usize,
        /// Whether the token takes part in its seed, as one of the `width`.
        selfhash: bool,
    },
    /// Lists of lm-watermarking.
    LmWatermarking {
        /// How ids become a seed.
        function: LmPrf,
        /// How many ids are read.
        width: usize,
        /// Whether the token takes part in its seed, as one of the `width`.
        self_salt: bool,
        /// Share of the vocabulary on a list.
        gamma: f64,
        /// Whether a list is the beginning of its permutation, else the end.
        select_green_tokens: bool,
    },
    /// Lists of MarkLLM's KGW.
    MarkLlmKgw {
        /// How ids become a number.
        function: MarkLlmPrf,
        /// How many ids are read.
        width: usize,
        /// Whether the token takes part in its seed, beside the `width`.
        own: bool,
        /// Share of the vocabulary on a list.
        gamma: f64,
    },
}

impl PeerPrf {
    /// Most ids that a seed of torch's lists reads.
    pub const MOST_IDS: usize = 64;
    /// The same, the candidate included, where it takes part.
    pub const MOST_OWN_IDS: usize = torch_lists::MOST_OWN + 1;

    /// Its name in profiles.
    pub fn variant(&self) -> PrfVariant {
        match self {
            Self::Philox { .. } => PrfVariant::Philox4x32V1,
            Self::TransformersKgw { .. } => PrfVariant::TransformersKgw,
            Self::LmWatermarking { .. } => PrfVariant::LmWatermarking,
            Self::MarkLlmKgw { .. } => PrfVariant::MarkLlmKgw,
        }
    }

    /// How many 64-bit numbers its key has.
    pub fn key_numbers(&self) -> usize {
        match self {
            Self::Philox { .. }
            | Self::TransformersKgw { .. }
            | Self::LmWatermarking { .. }
            | Self::MarkLlmKgw { .. } => 1,
        }
    }

    /// Which ids it reads.
    pub fn frame(&self) -> Frame {
        match *self {
            Self::Philox { width, .. } => {
                Frame { width, least: width, before: Before::Padding(philox::PADDING) }
            }
            Self::TransformersKgw { width, selfhash: own, .. }
            | Self::LmWatermarking { width, self_salt: own, .. } => {
                Frame::with_prompt(width.saturating_sub(own.into()))
            }
            Self::MarkLlmKgw { width, .. } => Frame::with_prompt(width),
        }
    }

    pub(super) fn build(&self, key: &Key, vocab_size: u32) -> Result<Box<dyn Peer>, PrfError> {
        let needed = self.key_numbers();
        let numbers = key.numbers().filter(|numbers| numbers.len() == needed);
        let numbers =
            numbers.ok_or_else(|| PrfError::Key { needed: Some(needed), got: key.count() })?;
        let width = self.frame().width;
        let before_own = |own: bool| match own {
            true if width > torch_lists::MOST_OWN => {
                Err(PrfError::Context { got: width, most: torch_lists::MOST_OWN })
            }
            own => Ok(own.then_some(width)),
        };
        Ok(match *self {
            Self::Philox { dual, .. } => Box::new(philox::Philox::new(numbers[0], dual)),
            Self::TransformersKgw { ratio, selfhash, .. } => {
                let (lists, seeds) =
                    (Lists::first(vocab_size, ratio)?, TransformersKgw::new(numbers[0], selfhash));
                Box::new(TorchLists::new(seeds, before_own(selfhash)?, lists))
            }
            Self::LmWatermarking { function, self_salt, gamma, select_green_tokens, .. } => {
                let seeds = LmWatermarking::new(numbers[0], function);
                let lists = match select_green_tokens {
                    true => Lists::first(vocab_size, gamma)?,
                    false => Lists::last(vocab_size, gamma)?,
                };
                Box::new(TorchLists::new(seeds, before_own(self_salt)?, lists))
            }
            Self::MarkLlmKgw { function, own, gamma, .. } => {
                let lists = Lists::first(vocab_size, gamma)?;
                let seeds = MarkLlmKgw::new(numbers[0], function, own, vocab_size);
                Box::new(TorchLists::new(seeds, before_own(own)?, lists))
            }
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
    /// Too many ids before a candidate that takes part in its seed.
    #[error("{got} ids cannot be read before a candidate that takes part in its seed, but {most}")]
    Context {
        /// How many there are.
        got: usize,
        /// The most.
        most: usize,
    },
    /// Lists of none or all of the tokens, or a vocabulary that torch shuffles by other rules.
    #[error(
        "lists of {listed} of {vocab_size} tokens cannot be drawn: of at most {most} tokens, some must be on a list and some not",
        most = torch_lists::MOST_TOKENS
    )]
    Lists {
        /// Tokens that a list would have.
        listed: u32,
        /// V.
        vocab_size: u32,
    },
}

fn form(numbers: Option<usize>) -> String {
    match numbers {
        None => "a 256-bit key of touchmark's own".to_owned(),
        Some(1) => "a 64-bit number of another engine".to_owned(),
        Some(count) => format!("a list of {count} 64-bit numbers of another engine"),
    }
}
