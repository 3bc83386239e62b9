//! The only source of watermark randomness.
//!
//! [`Prf::at`] makes the [`Draw`] of one position from what was written before it. Marking and scoring both receive a
//! `&Draw`; neither seeds nor hashes anything. [`Prf::walk`] gives the draws of a whole text, many positions at a time,
//! and is tested to equal `at` on every prefix. What the first draws of an answer read is told by its [`Start`].
//!
//! `native` is this project's own function; the others ([`PeerPrf`]) are those of other engines, bit for bit, so that
//! their marks can be read and made.
//!
//! Called by `watermark` only. Never knows what a scheme does with the words, and never touches a device's generator.

mod dip;
mod key_lanes;
mod key_sequence;
mod lanes;
mod lcg;
mod lm_watermarking;
mod markllm_exp;
mod markllm_kgw;
mod mpac;
mod mt19937;
mod mt_lanes;
mod murmur;
mod native;
mod numpy;
mod peer;
mod philox;
mod sbw;
mod synthid_iv;
mod synthid_mix;
mod synthid_table;
mod textseal;
mod three_bricks;
mod torch_lists;
mod torch_uniforms;
mod transformers_kgw;
mod vectors;

use key_lanes::KeyLanes;
use native::{Batch, Native, Seed};
use serde::{Deserialize, Serialize};

use crate::keys::Key;
use crate::tokens::{TokenId, TokenizerHash};
use peer::{Lanes, Peer, State};

pub use key_sequence::{HERE, PLACE, Rows};
pub use lm_watermarking::LmPrf;
pub use markllm_kgw::MarkLlmPrf;
pub use mpac::MpacSeeding;
pub use murmur::COIN;
pub use peer::{Before, Frame, Layers, PeerPrf, PrfError, Start};
pub use sbw::SbwSeeding;
pub use textseal::TEXTSEAL_LEVELS;

/// Stream of the first (or only) key's words.
pub const KEY_A: u32 = 0;
/// Stream of the second key's words, for dual-key schemes.
pub const KEY_B: u32 = 64;
/// Stream whose first words depend on the context alone: they say which part of a message a position carries.
pub const PAYLOAD: u32 = 128;

/// How (key, context, token) becomes bits. A variant is a published format: it never changes under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PrfVariant {
    /// BLAKE3 and ChaCha8, this project's own; see the manual's page on formats.
    #[default]
    #[serde(rename = "touchmark-v1")]
    TouchmarkV1,
    /// Philox4x32-10 as vLLM 0.33.0 uses it.
    #[serde(rename = "philox4x32-10-v1")]
    Philox4x32V1,
    /// MurmurHash3 as SGLang 0.5.23 uses it.
    #[serde(rename = "sglang-murmur3-v1")]
    SglangMurmur3V1,
    /// The table form of SynthID-Text: transformers, and synthid-text 0.2.1 as published.
    #[serde(rename = "synthid-table")]
    SynthIdTable,
    /// The form of SynthID-Text in Google's repository since June 2025, which no package has.
    #[serde(rename = "synthid-iv")]
    SynthIdIv,
    /// One shuffled list, as Unigram-Watermark draws it with numpy.
    #[serde(rename = "numpy-shuffle-v1")]
    NumpyShuffleV1,
    /// Colours by torch's permutations and places in a message by python's generator, as in MPAC.
    #[serde(rename = "mpac-v1")]
    MpacV1,
    /// An order of the vocabulary by torch's permutations, as in MarkLLM's DiP.
    #[serde(rename = "dip-v1")]
    DipV1,
    /// A sequence of numbers that no context chooses, as in Kuditipudi's code.
    #[serde(rename = "key-sequence-v1")]
    KeySequenceV1,
    /// Lists of transformers' KGW, drawn by torch's CPU generator.
    #[serde(rename = "transformers-kgw-torch-cpu")]
    TransformersKgw,
    /// Lists of lm-watermarking, drawn by torch's CPU generator.
    #[serde(rename = "lm-watermarking-torch-cpu")]
    LmWatermarking,
    /// Lists of MarkLLM's KGW, drawn by torch's CPU generator.
    #[serde(rename = "markllm-kgw-torch-cpu")]
    MarkLlmKgw,
    /// TextSeal 0.0.5's hash, of 8,191 levels.
    #[serde(rename = "textseal-v1")]
    TextSealV1,
    /// Numbers of MarkLLM's EXP, drawn by torch's CPU generator.
    #[serde(rename = "markllm-exp-torch-cpu")]
    MarkLlmExp,
    /// Numbers and lists of three_bricks with its `hash` seeding, drawn by torch's CPU generator.
    #[serde(rename = "three-bricks-torch-cpu")]
    ThreeBricks,
    /// SBW as vLLM's pull request 56859 has it, commit d6d2f2c; no release does.
    #[serde(rename = "vllm-sbw-pr56859")]
    VllmSbw,
}

impl PrfVariant {
    /// As profiles and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TouchmarkV1 => "touchmark-v1",
            Self::Philox4x32V1 => "philox4x32-10-v1",
            Self::SglangMurmur3V1 => "sglang-murmur3-v1",
            Self::SynthIdTable => "synthid-table",
            Self::SynthIdIv => "synthid-iv",
            Self::NumpyShuffleV1 => "numpy-shuffle-v1",
            Self::MpacV1 => "mpac-v1",
            Self::DipV1 => "dip-v1",
            Self::KeySequenceV1 => "key-sequence-v1",
            Self::TransformersKgw => "transformers-kgw-torch-cpu",
            Self::LmWatermarking => "lm-watermarking-torch-cpu",
            Self::MarkLlmKgw => "markllm-kgw-torch-cpu",
            Self::TextSealV1 => "textseal-v1",
            Self::MarkLlmExp => "markllm-exp-torch-cpu",
            Self::ThreeBricks => "three-bricks-torch-cpu",
            Self::VllmSbw => "vllm-sbw-pr56859",
        }
    }
}

/// What a position's seed is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeding {
    /// Nothing: one seed for every position.
    Fixed,
    /// All `width` ids before the token.
    Left {
        /// h, the number of ids read.
        width: usize,
    },
    /// The one id among the `width` before the token whose keyed hash is smallest (minhash). An edit of another id
    /// leaves the seed as it was.
    Min {
        /// h, the number of ids looked at.
        width: usize,
    },
    /// The candidate token, and the one id among the `width` before it whose keyed hash together with the candidate is
    /// smallest (anchored minhash).
    SelfAnchored {
        /// h, the number of ids looked at.
        width: usize,
    },
}

impl Seeding {
    /// Greatest context width: message and length must fit one BLAKE3 block.
    pub const MAX_WIDTH: usize = 15;

    /// Number of ids that must stand before a token for it to have a draw.
    pub fn width(self) -> usize {
        match self {
            Self::Fixed => 0,
            Self::Left { width } | Self::Min { width } | Self::SelfAnchored { width } => width,
        }
    }
}

/// What a [`Prf`] is for: two purposes never share words, even under one key.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// Name of the scheme, at most 255 bytes.
    pub scheme: &'static str,
    /// The scheme's parameters in canonical form.
    pub parameters: &'a str,
    /// The tokenizer that gives the ids.
    pub tokenizer: TokenizerHash,
    /// V.
    pub vocab_size: u32,
}

/// Identifies what the PRF read: the first eight bytes, little-endian, of the effective seed.
///
/// Two positions with the same seed id give a token the same evidence, so they count once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeedId(pub u64);

/// A keyed pseudo-random function over contexts and tokens.
pub struct Prf {
    function: Function,
    seeding: Seeding,
    frame: Frame,
}

enum Function {
    Native(Native),
    Peer(Box<dyn Peer>),
}

impl Prf {
    /// This project's function of `key`, for one purpose.
    ///
    /// # Errors
    /// [`PrfError::Key`] for the key of another engine.
    pub fn new(key: &Key, purpose: &Purpose<'_>, seeding: Seeding) -> Result<Self, PrfError> {
        let own = key.own().ok_or_else(|| PrfError::Key { needed: None, got: key.count() })?;
        let function = Function::Native(Native::new(own, purpose));
        Ok(Self { function, seeding, frame: Frame::of_own(seeding.width()) })
    }

    /// Another engine's function of `key` over a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// [`PrfError`]: a key of another form, or parameters that the function does not take.
    pub fn of_peer(
        key: &Key,
        peer: &PeerPrf,
        seeding: Seeding,
        vocab_size: u32,
    ) -> Result<Self, PrfError> {
        let function = Function::Peer(peer.build(key, vocab_size)?);
        Ok(Self { function, seeding, frame: peer.frame() })
    }

    /// How seeds are made.
    pub fn seeding(&self) -> Seeding {
        self.seeding
    }

    /// The beginnings that a text of unknown beginning is looked at with: it may start anywhere, and where the function
    /// gives the first tokens of an answer draws of their own, it may be a whole answer.
    pub fn starts(&self) -> &'static [Start<'static>] {
        const BOTH: &[Start<'static>] = &[Start::Fragment, Start::Answer { prompt: &[] }];
        if self.frame.tells_answers() { BOTH } else { &BOTH[..1] }
    }

    /// What is known of the layers of a tournament function under this key; `None` of other functions.
    pub fn layers(&self) -> Option<Layers> {
        match &self.function {
            Function::Native(_) => None,
            Function::Peer(peer) => peer.layers(),
        }
    }

    /// How many ids before a token its draw reads; `None` of a function that reads all of them.
    pub fn reach(&self) -> Option<usize> {
        Some(self.frame.width).filter(|&width| width < Frame::WHOLE)
    }

    /// What stands before the first id of a text, for the draws of its first positions.
    pub fn lead(&self, start: Start<'_>) -> Vec<TokenId> {
        self.frame.lead(start)
    }

    /// The draw for the token that follows `history`: what [`lead`](Self::lead) gives for `start`, then the output so far.
    /// `None` where the context is incomplete.
    ///
    /// Our own function wants the whole context in the output: the prompt never takes part, and padding would give every
    /// answer the same first draw.
    pub fn at_start<'a>(&'a self, history: &'a [TokenId], start: Start<'_>) -> Option<Draw<'a>> {
        Some(Draw::of(self.origin(self.frame.context(history, start)?)))
    }

    /// The same for a text that may begin anywhere in an answer.
    pub fn at<'a>(&'a self, history: &'a [TokenId]) -> Option<Draw<'a>> {
        self.at_start(history, Start::Fragment)
    }

    fn origin<'a>(&'a self, context: &'a [TokenId]) -> Origin<'a> {
        let native = match &self.function {
            Function::Native(native) => native,
            Function::Peer(peer) => {
                return Origin::Peer { peer: &**peer, state: peer.state(context), own: None };
            }
        };
        match self.seeding {
            Seeding::Fixed | Seeding::Left { .. } => Origin::Stream(native.left_seed(context)),
            Seeding::Min { .. } => Origin::Stream(native.min_seed(context)),
            Seeding::SelfAnchored { .. } => Origin::Anchored { native, context },
        }
    }

    /// Calls `visit(position, draw)` for every position of `tokens` that has a draw. Each draw equals that of
    /// [`at_start`](Self::at_start) and already holds the words of `streams` for the token at its position.
    ///
    /// `streams` has at most two entries for our own function.
    pub fn walk(
        &self,
        start: Start<'_>,
        tokens: &[TokenId],
        streams: &[u32],
        visit: impl FnMut(usize, &Draw<'_>),
    ) {
        match &self.function {
            Function::Native(native) => self.walk_natively(native, tokens, streams, visit),
            Function::Peer(peer) => self.walk_peer(&**peer, start, tokens, streams, visit),
        }
    }

    fn walk_peer(
        &self,
        peer: &dyn Peer,
        start: Start<'_>,
        tokens: &[TokenId],
        streams: &[u32],
        mut visit: impl FnMut(usize, &Draw<'_>),
    ) {
        let lead = self.lead(start);
        let window = [&lead, tokens].concat();
        let width = self.frame.width;
        let whole = width.saturating_sub(lead.len()).min(tokens.len());
        for (position, &token) in tokens[..whole].iter().enumerate() {
            if let Some(context) = self.frame.context(&window[..lead.len() + position], start) {
                let state = peer.state(context);
                let mut alone = [(position, state, token)];
                peer.warm(&mut alone);
                let [(_, state, _)] = alone;
                visit(position, &Draw::of(Origin::Peer { peer, state, own: None }));
            }
        }
        let mut lanes = Lanes::default();
        for first in (whole..tokens.len()).step_by(peer::BATCH) {
            let end = tokens.len().min(first + peer::BATCH);
            let ids = &window[lead.len() + first - width..lead.len() + end];
            peer.prepare(ids, width, streams, &mut lanes);
            for (lane, &state) in lanes.states.iter().enumerate() {
                let token = tokens[first + lane];
                let own = Some(Own { token, lane, streams, words: &lanes.words });
                visit(first + lane, &Draw::of(Origin::Peer { peer, state, own }));
            }
        }
    }

    fn walk_natively(
        &self,
        native: &Native,
        tokens: &[TokenId],
        streams: &[u32],
        mut visit: impl FnMut(usize, &Draw<'_>),
    ) {
        let width = self.seeding.width();
        let mut batch = Batch::new(native, self.seeding, streams);
        for first in (width..tokens.len()).step_by(lanes::LANES) {
            let count = lanes::LANES.min(tokens.len() - first);
            batch.run(&tokens[first - width..first + count]);
            for lane in 0..count {
                let position = first + lane;
                let context = &tokens[position - width..position];
                let origin = Origin::Lane { batch: &batch, lane, context, prf: self };
                visit(position, &Draw::of(origin));
            }
        }
    }
}

impl std::fmt::Debug for Prf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prf").field("seeding", &self.seeding).finish_non_exhaustive()
    }
}

/// The randomness of one position. Made by a [`Prf`] only.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    origin: Origin<'a>,
    /// Added to every word.
    turn: u32,
}

#[derive(Clone, Copy)]
enum Origin<'a> {
    /// One seed for every candidate.
    Stream(Seed),
    /// The candidate takes part in its seed.
    Anchored { native: &'a Native, context: &'a [TokenId] },
    /// A lane of a batch holds the seed and words of one token; the others are found as above.
    Lane { batch: &'a Batch<'a>, lane: usize, context: &'a [TokenId], prf: &'a Prf },
    /// The same, a key in each lane.
    Key { lanes: &'a KeyLanes<'a>, lane: usize, prf: &'a Prf },
    /// Another engine's function, with what it made of the context.
    Peer { peer: &'a dyn Peer, state: State, own: Option<Own<'a>> },
    /// Any of these, with words of many tokens at hand.
    Held { held: &'a Held, draw: &'a Draw<'a> },
}

/// Words of a draw for tokens that were asked for together; its room is used again from draw to draw.
#[derive(Debug, Default)]
pub struct Held {
    streams: Vec<u32>,
    /// A row a stream, by token.
    rows: Vec<Vec<u32>>,
    /// Words by place in what was asked for.
    words: Vec<u32>,
}

impl Held {
    /// A keystream is filled whole where one token in so many is asked for.
    const DENSE: usize = 64;

    /// The words of `tokens` in each of `streams`. Tokens lie below `vocab_size`; others have no words.
    pub fn fill(&mut self, draw: &Draw<'_>, tokens: &[TokenId], streams: &[u32], vocab_size: u32) {
        let size = vocab_size as usize;
        self.streams.clear();
        self.streams.extend_from_slice(streams);
        self.rows.resize_with(streams.len(), Vec::new);
        let dense = matches!(draw.origin, Origin::Stream(_)) && tokens.len() * Self::DENSE >= size;
        for (row, &stream) in self.rows.iter_mut().zip(streams) {
            row.resize(size, 0);
            if dense {
                draw.words(None, stream, row);
                continue;
            }
            self.words.clear();
            self.words.resize(tokens.len(), 0);
            draw.words(Some(tokens), stream, &mut self.words);
            for (&token, &word) in tokens.iter().zip(&self.words) {
                if let Some(slot) = row.get_mut(token as usize) {
                    *slot = word;
                }
            }
        }
    }

    /// The draw that [`fill`](Self::fill) was called with, for the tokens it was called with.
    pub fn draw<'a>(&'a self, draw: &'a Draw<'a>) -> Draw<'a> {
        Draw { origin: Origin::Held { held: self, draw }, turn: 0 }
    }

    fn word(&self, token: TokenId, stream: u32) -> Option<u32> {
        let row = self.streams.iter().position(|&held| held == stream)?;
        self.rows[row].get(token as usize).copied()
    }
}

/// What a walk computed for the token at its position.
#[derive(Clone, Copy)]
struct Own<'a> {
    token: TokenId,
    lane: usize,
    streams: &'a [u32],
    words: &'a [[u32; peer::BATCH]],
}

impl Own<'_> {
    fn word(&self, token: TokenId, stream: u32) -> Option<u32> {
        let mut rows = self.streams.iter().zip(self.words);
        let row = rows.find(|(known, _)| token == self.token && **known == stream);
        row.map(|(_, words)| words[self.lane])
    }
}

impl<'a> Draw<'a> {
    fn of(origin: Origin<'a>) -> Self {
        Self { origin, turn: 0 }
    }

    /// The same draw with `by` added to every word, modulo 2³². Uniform words stay uniform.
    #[must_use]
    pub fn turned(&self, by: u32) -> Self {
        Self { turn: self.turn.wrapping_add(by), ..*self }
    }

    /// The first three words of stream [`PAYLOAD`], never turned. `None` where the seed depends on the candidate, or is
    /// another engine's.
    pub fn selector(&self) -> Option<[u32; 3]> {
        let seed = match self.origin {
            Origin::Stream(seed) => seed,
            Origin::Lane { batch, lane, prf, .. }
                if !matches!(prf.seeding, Seeding::SelfAnchored { .. }) =>
            {
                batch.seed(lane)
            }
            Origin::Key { .. } => self.seed(0)?,
            Origin::Held { draw, .. } => return draw.selector(),
            _ => return None,
        };
        let mut words = [0; 3];
        seed.fill(PAYLOAD, &mut words);
        Some(words)
    }

    /// 32 uniform bits for `token`: word `token` of keystream `stream` under the effective seed. Of an engine that gives
    /// fewer, they are the highest ones; of one that draws lists of tokens, 0 for a token on the list, else 2³²−1.
    pub fn word(&self, token: TokenId, stream: u32) -> u32 {
        self.unturned(token, stream).wrapping_add(self.turn)
    }

    fn unturned(&self, token: TokenId, stream: u32) -> u32 {
        match &self.origin {
            Origin::Peer { peer, state, own } => {
                let own = own.as_ref().and_then(|own| own.word(token, stream));
                return own.unwrap_or_else(|| peer.word(*state, token, stream));
            }
            Origin::Lane { batch, lane, .. } if batch.token(*lane) == token => {
                if let Some(word) = batch.word(*lane, stream) {
                    return word;
                }
            }
            Origin::Key { lanes, lane, .. } => {
                if let Some(word) = lanes.word(*lane, token, stream) {
                    return word;
                }
            }
            Origin::Held { held, draw } => {
                return held.word(token, stream).unwrap_or_else(|| draw.word(token, stream));
            }
            _ => {}
        }
        self.seed(token).map_or(0, |seed| seed.word(token, stream))
    }

    /// The words of `tokens`, or of all tokens from 0 on, as [`word`](Self::word) gives them one by one.
    pub fn words(&self, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        let word = |token| self.unturned(token, stream);
        match (&self.origin, tokens) {
            (Origin::Peer { peer, state, .. }, _) => peer.words(*state, tokens, stream, out),
            (Origin::Stream(seed), None) => seed.fill(stream, out),
            (_, None) => (0..).zip(&mut *out).for_each(|(token, out)| *out = word(token)),
            (_, Some(tokens)) => {
                tokens.iter().zip(&mut *out).for_each(|(&token, out)| *out = word(token))
            }
        }
        if self.turn != 0 {
            out.iter_mut().for_each(|word| *word = word.wrapping_add(self.turn));
        }
    }

    /// What the words of `token` depend on.
    pub fn seed_id(&self, token: TokenId) -> SeedId {
        match &self.origin {
            Origin::Peer { peer, state, .. } => peer.seed_id(*state, token),
            Origin::Lane { batch, lane, .. } if batch.token(*lane) == token => batch.seed_id(*lane),
            Origin::Held { draw, .. } => draw.seed_id(token),
            _ => self.seed(token).map_or(SeedId(0), |seed| seed.id()),
        }
    }

    /// Names of the words of `token`, its own first, where a function has so few that they recur by chance: two positions of
    /// one text never read the same words, under any key, unless one of one's names is the other's own.
    pub fn names(&self, token: TokenId) -> Option<[u64; 3]> {
        match &self.origin {
            Origin::Peer { peer, state, .. } => peer.names(*state, token),
            Origin::Held { draw, .. } => draw.names(token),
            _ => None,
        }
    }

    /// Whether the words of `token` depend on the key. Where they do not, a text says nothing about it.
    pub fn is_keyed(&self, token: TokenId) -> bool {
        match &self.origin {
            Origin::Peer { peer, state, .. } => peer.is_keyed(*state, token),
            Origin::Held { draw, .. } => draw.is_keyed(token),
            _ => true,
        }
    }

    /// The seed of our own function; none of another engine's.
    fn seed(&self, token: TokenId) -> Option<Seed> {
        match self.origin {
            Origin::Stream(seed) => Some(seed),
            Origin::Anchored { native, context } => Some(native.anchored_seed(context, token)),
            Origin::Lane { batch, lane, .. } if batch.token(lane) == token => {
                Some(batch.seed(lane))
            }
            Origin::Lane { context, prf, .. } => Draw::of(prf.origin(context)).seed(token),
            Origin::Key { lanes, prf, .. } => Draw::of(prf.origin(lanes.context())).seed(token),
            Origin::Held { draw, .. } => draw.seed(token),
            Origin::Peer { .. } => None,
        }
    }
}
