//! The only source of watermark randomness.
//!
//! [`Prf::at`] makes the [`Draw`] of one position from what was written before it. Marking and scoring both receive a
//! `&Draw`; neither seeds nor hashes anything. [`Prf::walk`] gives the draws of a whole text, many positions at a time,
//! and is tested to equal `at` on every prefix.
//!
//! Called by `watermark` only. Never knows what a scheme does with the words, and never touches a device's generator.

mod lanes;
mod native;

use native::{Batch, Native, Seed};
use serde::{Deserialize, Serialize};

use crate::keys::Key;
use crate::tokens::{TokenId, TokenizerHash};

/// Stream of the first (or only) key's words.
pub const KEY_A: u32 = 0;
/// Stream of the second key's words, for dual-key schemes.
pub const KEY_B: u32 = 64;

/// How (key, context, token) becomes bits. A variant is a published format: it never changes under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PrfVariant {
    /// BLAKE3 and ChaCha8, this project's own; see the manual's page on formats.
    #[default]
    #[serde(rename = "touchmark-v1")]
    TouchmarkV1,
}

impl PrfVariant {
    /// As profiles and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TouchmarkV1 => "touchmark-v1",
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
    native: Native,
    seeding: Seeding,
}

impl Prf {
    /// The function of `key` for one purpose.
    pub fn new(key: &Key, purpose: &Purpose<'_>, seeding: Seeding) -> Self {
        Self { native: Native::new(key, purpose), seeding }
    }

    /// How seeds are made.
    pub fn seeding(&self) -> Seeding {
        self.seeding
    }

    /// The draw for the token that follows `history`, the output ids so far. `None` while they are fewer than the
    /// context width: the prompt never takes part, and padding would give every answer the same first draw.
    pub fn at<'a>(&'a self, history: &'a [TokenId]) -> Option<Draw<'a>> {
        let context = &history[history.len().checked_sub(self.seeding.width())?..];
        Some(Draw(self.origin(context)))
    }

    fn origin<'a>(&'a self, context: &'a [TokenId]) -> Origin<'a> {
        match self.seeding {
            Seeding::Fixed | Seeding::Left { .. } => Origin::Stream(self.native.left_seed(context)),
            Seeding::Min { .. } => Origin::Stream(self.native.min_seed(context)),
            Seeding::SelfAnchored { .. } => Origin::Anchored { native: &self.native, context },
        }
    }

    /// Calls `visit(position, draw)` for every position of `tokens` that has a draw. Each draw equals
    /// `self.at(&tokens[..position])` and already holds the words of `streams` for the token at its position.
    ///
    /// `streams` has at most two entries.
    pub fn walk(
        &self,
        tokens: &[TokenId],
        streams: &[u32],
        mut visit: impl FnMut(usize, &Draw<'_>),
    ) {
        let width = self.seeding.width();
        let mut batch = Batch::new(&self.native, self.seeding, streams);
        for first in (width..tokens.len()).step_by(lanes::LANES) {
            let count = lanes::LANES.min(tokens.len() - first);
            batch.run(&tokens[first - width..first + count]);
            for lane in 0..count {
                let position = first + lane;
                let context = &tokens[position - width..position];
                visit(position, &Draw(Origin::Lane { batch: &batch, lane, context, prf: self }));
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
pub struct Draw<'a>(Origin<'a>);

enum Origin<'a> {
    /// One seed for every candidate.
    Stream(Seed),
    /// The candidate takes part in its seed.
    Anchored { native: &'a Native, context: &'a [TokenId] },
    /// A lane of a batch holds the seed and words of one token; the others are found as above.
    Lane { batch: &'a Batch<'a>, lane: usize, context: &'a [TokenId], prf: &'a Prf },
}

impl Draw<'_> {
    /// 32 uniform bits for `token`: word `token` of keystream `stream` under the effective seed.
    pub fn word(&self, token: TokenId, stream: u32) -> u32 {
        if let Origin::Lane { batch, lane, .. } = self.0
            && batch.token(lane) == token
            && let Some(word) = batch.word(lane, stream)
        {
            return word;
        }
        self.seed(token).word(token, stream)
    }

    /// The words of `tokens`, or of all tokens from 0 on, as [`word`](Self::word) gives them one by one.
    pub fn words(&self, tokens: Option<&[TokenId]>, stream: u32, out: &mut [u32]) {
        match (&self.0, tokens) {
            (Origin::Stream(seed), None) => seed.fill(stream, out),
            (_, None) => (0..).zip(out).for_each(|(token, word)| *word = self.word(token, stream)),
            (_, Some(tokens)) => {
                tokens.iter().zip(out).for_each(|(&token, word)| *word = self.word(token, stream))
            }
        }
    }

    /// What the words of `token` depend on.
    pub fn seed_id(&self, token: TokenId) -> SeedId {
        match self.0 {
            Origin::Lane { batch, lane, .. } if batch.token(lane) == token => batch.seed_id(lane),
            _ => self.seed(token).id(),
        }
    }

    fn seed(&self, token: TokenId) -> Seed {
        match self.0 {
            Origin::Stream(seed) => seed,
            Origin::Anchored { native, context } => native.anchored_seed(context, token),
            Origin::Lane { batch, lane, .. } if batch.token(lane) == token => batch.seed(lane),
            Origin::Lane { context, prf, .. } => Draw(prf.origin(context)).seed(token),
        }
    }
}
