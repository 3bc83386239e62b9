//! What the functions of other engines have in common.

use crate::keys::Key;
use crate::prf::lm_watermarking::{LmPrf, LmWatermarking};
use crate::prf::markllm_exp::MarkLlmExp;
use crate::prf::markllm_kgw::{MarkLlmKgw, MarkLlmPrf};
use crate::prf::three_bricks::{Shifted, ThreeBricks};
use crate::prf::torch_lists::{Lists, TorchLists};
use crate::prf::torch_uniforms::TorchUniforms;
use crate::prf::transformers_kgw::TransformersKgw;
use crate::prf::{
    MpacSeeding, PrfVariant, Rows, SbwSeeding, SeedId, dip, key_sequence, mpac, murmur, numpy,
    philox, sbw, synthid_iv, synthid_table, textseal, torch_lists,
};
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

    /// As [`Draw::names`](super::Draw::names).
    fn names(&self, _state: State, _token: TokenId) -> Option<[u64; 3]> {
        None
    }

    /// As [`Prf::layers`](super::Prf::layers).
    fn layers(&self) -> Option<Layers> {
        None
    }

    /// Whether the words of `token` depend on the key.
    fn is_keyed(&self, _state: State, _token: TokenId) -> bool {
        true
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

/// What is known of the bits that a tournament function gives the layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// For each layer the first one whose bits are always the same: itself, unless two numbers of the key are as good as
    /// equal.
    pub same_as: Vec<u32>,
    /// Probability of a one, over keys.
    pub ones: f64,
    /// Root mean square of the correlation of two bits: of one layer for two n-grams, over keys; of two layers of one
    /// key, over n-grams.
    pub correlation: f64,
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
    /// Width of a function that reads all that stands before, and at the beginning of any text nothing.
    pub const WHOLE: usize = usize::MAX;

    /// Contexts of our own function: h ids of the output.
    pub(super) fn of_own(width: usize) -> Self {
        Self { width, least: width, before: Before::Nothing }
    }

    /// Whether the first positions of a text have draws only if it is known to be an answer to no prompt.
    pub(super) fn tells_answers(&self) -> bool {
        let shorter = self.least < self.width && self.width < Self::WHOLE;
        matches!(self.before, Before::AnswerPadding(_)) || shorter
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
            Start::Fragment if self.width < Self::WHOLE => self.width,
            Start::Fragment => 0,
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
    /// SynthID-Text's with a table of bits: transformers, and synthid-text 0.2.1. Layer l is bit l mod 32 of stream ⌊l/32⌋.
    SynthIdTable {
        /// Ids hashed, the token's own the last, 2 or more.
        ngram_len: usize,
        /// Bits in the table, 1 to 2²⁴.
        table_size: u32,
        /// Seed of the table; its low 32 bits count.
        table_seed: u64,
        /// m, layers and so numbers in the key, 1 to 64.
        depth: u32,
        /// Whether the first `ngram_len` − 1 tokens of an answer have no draw; else their contexts begin with zeros.
        skip_first: bool,
    },
    /// SynthID-Text's without a table: Google's repository since June 2025. Fields as above.
    SynthIdIv {
        /// Ids hashed.
        ngram_len: usize,
        /// m.
        depth: u32,
        /// Whether the first tokens have no draw.
        skip_first: bool,
    },
    /// Unigram-Watermark's: one list for all positions.
    NumpyShuffle {
        /// ⌊fraction·V⌋ tokens are on the list.
        fraction: f64,
    },
    /// MPAC's; stream [`KEY_A`](super::KEY_A) is a token's colour, from 0, stream
    /// [`KEY_B`](super::KEY_B) the place in the message, from 0.
    Mpac {
        /// What permutations are seeded by.
        seeding: MpacSeeding,
        /// Whether places in the message have a seed of their own, made of the last two ids.
        pairs: bool,
        /// Places in the message.
        slots: u32,
        /// Parts that a permutation of the vocabulary is cut into.
        colours: u32,
    },
    /// MarkLLM's DiP: a token's quantile in an order of the vocabulary.
    Dip {
        /// h, ids of prompt and output.
        width: usize,
    },
    /// Kuditipudi's: rows of numbers, one a stream; see also [`HERE`](super::HERE) and [`PLACE`](super::PLACE).
    KeySequence {
        /// Which numbers there are.
        rows: Rows,
        /// n, how many rows.
        length: u32,
        /// The row of an answer's first token.
        offset: u32,
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
    /// TextSeal's; stream [`KEY_A`](super::KEY_A) is its key, [`KEY_B`](super::KEY_B) the second one made of it.
    TextSeal {
        /// h, ids of prompt and output.
        width: usize,
    },
    /// Numbers of MarkLLM's EXP.
    MarkLlmExp {
        /// How many ids are read.
        width: usize,
    },
    /// Of three_bricks: numbers, or lists.
    ThreeBricks {
        /// How many ids are read.
        width: usize,
        /// What seeds are multiplied by.
        salt: u32,
        /// How far the vocabulary is shifted.
        payload: u32,
        /// The share of the vocabulary on a list, of lists.
        lists: Option<f64>,
    },
    /// Of vLLM's pull request 56859.
    VllmSbw {
        /// h, ids of the output, padded with −1.
        width: usize,
        /// What a seed is made of them.
        seeding: SbwSeeding,
    },
}

impl PeerPrf {
    /// The public table of bits that a key only chooses places in, where that is all a key does: with the place of an n-gram as
    /// [`Draw::names`](super::Draw::names) gives it, layer l reads the bit at place + s_l modulo the table's size, and under a random
    /// key the shifts s_l are independent and uniform.
    pub fn shifted_table(&self) -> Option<Vec<bool>> {
        match *self {
            Self::SynthIdTable { table_size, table_seed, .. } => {
                synthid_table::shifted(table_size, table_seed)
            }
            _ => None,
        }
    }

    /// Most ids that a seed of torch's lists reads.
    pub const MOST_IDS: usize = 64;
    /// The same, the candidate included, where it takes part.
    pub const MOST_OWN_IDS: usize = torch_lists::MOST_OWN + 1;

    /// Its name in profiles.
    pub fn variant(&self) -> PrfVariant {
        match self {
            Self::Philox { .. } => PrfVariant::Philox4x32V1,
            Self::Murmur { .. } => PrfVariant::SglangMurmur3V1,
            Self::SynthIdTable { .. } => PrfVariant::SynthIdTable,
            Self::SynthIdIv { .. } => PrfVariant::SynthIdIv,
            Self::NumpyShuffle { .. } => PrfVariant::NumpyShuffleV1,
            Self::Mpac { .. } => PrfVariant::MpacV1,
            Self::Dip { .. } => PrfVariant::DipV1,
            Self::KeySequence { .. } => PrfVariant::KeySequenceV1,
            Self::TransformersKgw { .. } => PrfVariant::TransformersKgw,
            Self::LmWatermarking { .. } => PrfVariant::LmWatermarking,
            Self::MarkLlmKgw { .. } => PrfVariant::MarkLlmKgw,
            Self::TextSeal { .. } => PrfVariant::TextSealV1,
            Self::MarkLlmExp { .. } => PrfVariant::MarkLlmExp,
            Self::ThreeBricks { .. } => PrfVariant::ThreeBricks,
            Self::VllmSbw { .. } => PrfVariant::VllmSbw,
        }
    }

    /// How many 64-bit numbers its key has.
    pub fn key_numbers(&self) -> usize {
        match self {
            Self::Philox { .. } | Self::TextSeal { .. } | Self::VllmSbw { .. } => 1,
            Self::Murmur { dual, .. } => 1 + usize::from(*dual),
            Self::SynthIdTable { depth, .. } | Self::SynthIdIv { depth, .. } => *depth as usize,
            Self::NumpyShuffle { .. }
            | Self::Mpac { .. }
            | Self::Dip { .. }
            | Self::KeySequence { .. }
            | Self::TransformersKgw { .. }
            | Self::LmWatermarking { .. }
            | Self::MarkLlmKgw { .. }
            | Self::MarkLlmExp { .. }
            | Self::ThreeBricks { .. } => 1,
        }
    }

    /// Which ids it reads.
    pub fn frame(&self) -> Frame {
        match *self {
            Self::Philox { width, .. } | Self::VllmSbw { width, .. } => {
                Frame { width, least: width, before: Before::Padding(philox::PADDING) }
            }
            Self::Murmur { width, .. } => Frame { width, least: 1, before: Before::Prompt },
            Self::SynthIdTable { ngram_len, skip_first, .. }
            | Self::SynthIdIv { ngram_len, skip_first, .. } => {
                let width = ngram_len.saturating_sub(1);
                let before = if skip_first { Before::Nothing } else { Before::AnswerPadding(0) };
                Frame { width, least: width, before }
            }
            Self::NumpyShuffle { .. } => Frame::of_own(0),
            Self::KeySequence { .. } => {
                Frame { width: Frame::WHOLE, least: 0, before: Before::Nothing }
            }
            Self::Dip { width } => Frame::with_prompt(width),
            Self::Mpac { seeding, pairs, .. } => {
                let width = match seeding {
                    MpacSeeding::LeftHash => 1 + usize::from(pairs),
                    MpacSeeding::MinHash { width } => width.max(1 + usize::from(pairs)),
                    MpacSeeding::SelfHash { width } => width.saturating_sub(1),
                };
                Frame::with_prompt(width)
            }
            Self::TransformersKgw { width, selfhash: own, .. }
            | Self::LmWatermarking { width, self_salt: own, .. } => {
                Frame::with_prompt(width.saturating_sub(usize::from(own)))
            }
            Self::MarkLlmKgw { width, .. }
            | Self::MarkLlmExp { width }
            | Self::ThreeBricks { width, .. } => Frame::with_prompt(width),
            Self::TextSeal { width } => Frame { width, least: width, before: Before::Prompt },
        }
    }

    /// What is known of the layers of a tournament function, whose key has no two numbers that are as good as equal.
    pub fn layers(&self) -> Option<Layers> {
        match *self {
            Self::SynthIdTable { table_size, table_seed, depth, .. } => {
                Some(synthid_table::layers(table_size, table_seed, depth))
            }
            Self::SynthIdIv { depth, .. } => Some(synthid_iv::layers(depth)),
            _ => None,
        }
    }

    /// The most ids that [`SbwSeeding::Selfhash`] may look at, the oldest included.
    pub const SBW_SELF_WIDTH: usize = sbw::MOST_SELF;

    /// The most ids that a seeding of [`PeerPrf::Mpac`] may hash, a candidate included.
    pub const MPAC_WIDTH: usize = mpac::MOST_BEFORE + 1;

    /// How many of V tokens are on a list of the given fraction: ⌊fraction·V⌋.
    pub fn list_size(fraction: f64, vocab_size: u32) -> u32 {
        numpy::list_size(fraction, vocab_size)
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
            Self::Murmur { .. } => {
                Box::new(murmur::Murmur::new(numbers[0], numbers.get(1).copied()))
            }
            Self::SynthIdTable { table_size, table_seed, .. } => {
                Box::new(synthid_table::SynthIdTable::new(numbers, table_size, table_seed))
            }
            Self::SynthIdIv { .. } => Box::new(synthid_iv::SynthIdIv::new(numbers)),
            Self::KeySequence { rows, length, offset } => {
                let size = [length, offset];
                Box::new(key_sequence::KeySequence::new(numbers[0], rows, size, vocab_size))
            }
            Self::Dip { .. } => Box::new(dip::Dip::new(numbers[0], vocab_size)),
            Self::NumpyShuffle { fraction } => {
                Box::new(numpy::NumpyShuffle::new(numbers[0], fraction, vocab_size))
            }
            Self::Mpac { seeding, pairs, slots, colours } => {
                let parts = [slots, colours];
                Box::new(mpac::Mpac::new(numbers[0], seeding, pairs, parts, vocab_size))
            }
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
            Self::MarkLlmExp { .. } => {
                Box::new(TorchUniforms::new(MarkLlmExp::new(numbers[0], vocab_size), vocab_size))
            }
            Self::ThreeBricks { salt, payload, lists, .. } => {
                let seeds = ThreeBricks::new(numbers[0], salt);
                if let Some(gamma) = lists {
                    let lists = TorchLists::new(seeds, None, Lists::first(vocab_size, gamma)?);
                    return Ok(Box::new(Shifted::new(lists, payload, vocab_size)));
                }
                let uniforms = TorchUniforms::new(seeds, vocab_size);
                Box::new(Shifted::new(uniforms, payload, vocab_size))
            }
            Self::TextSeal { .. } => Box::new(textseal::TextSeal::new(numbers[0])),
            Self::VllmSbw { width, seeding } => Box::new(sbw::Sbw::new(numbers[0], seeding, width)),
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
