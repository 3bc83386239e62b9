//! Marks that carry a message.
//!
//! A scheme looks at one token at a time; a message is spread over a whole text. Hence a second trait: [`Payload`] marks
//! and scores with a message in hand, and its [`Reader`] takes a text's tokens one by one and says at the end which
//! message they carry. [`Turned`] is our own way, for any scheme whose words may be turned: the symbol that a token carries of the
//! message is added to the words of its draw (see [`crate::payload`]).

use std::fmt;

use super::{Candidates, Draw, Noise, Pick, Scheme};
use crate::payload::{Code, Decoded, Decoder, Posterior};
use crate::tokens::TokenId;

/// A mark that carries a message of 1 to 64 bits.
pub trait Payload: fmt::Debug {
    /// k, the length of a message.
    fn bits(&self) -> u32;

    /// As [`Scheme::embed`], for a message.
    fn embed(
        &self,
        message: u64,
        draw: &Draw<'_>,
        candidates: &mut Candidates,
        noise: &mut Noise,
    ) -> Pick;

    /// As [`Scheme::evidence`], for a message that was fixed before the text. Its null is the scheme's.
    fn evidence(&self, message: u64, draw: &Draw<'_>, token: TokenId) -> f64;

    /// Begins to read a text.
    fn reader(&self) -> Box<dyn Reader + '_>;
}

/// Reads the message of one text.
pub trait Reader {
    /// Takes a token that counts.
    fn read(&mut self, draw: &Draw<'_>, token: TokenId);

    /// What all of them say.
    fn finish(self: Box<Self>) -> Box<dyn Reading>;
}

/// What a text says of all messages.
pub trait Reading {
    /// ln of an e-value against "no message": its mean over keys is at most one when the text is independent of the key,
    /// so its inverse bounds a p-value that holds whatever the message, and before any is decoded.
    fn ln_e(&self) -> f64;

    /// The likeliest message, and how probable it and each bit are.
    fn decode(&self) -> Decoded;
}

/// Our own marks with a message: the scheme's draw, turned by the message's symbol.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a, S> {
    scheme: &'a S,
    code: Code,
}

/// A scheme whose words may be turned.
pub trait Turnable: Scheme {
    /// How many strengths of the mark the decoder tries.
    const STRENGTHS: usize;

    /// ln of how much likelier a token marked at a strength has this word than an unmarked one. The mean of the ratio over
    /// all 2³² words is at most one.
    fn ln_ratio(&self, strength: usize, word: u32) -> f64;
}

impl<'a, S> Turned<'a, S> {
    /// `scheme` with messages of this code.
    pub fn new(scheme: &'a S, code: Code) -> Self {
        Self { scheme, code }
    }

    /// The draw of a position as `message` turns it. A draw without a selector carries no message; `check` of a scheme
    /// refuses the seedings that have none.
    fn turned<'d>(&self, message: u64, draw: &Draw<'d>) -> Draw<'d> {
        let symbol = |selector| self.code.symbol(&self.code.check(selector), message);
        draw.turned(draw.selector().map_or(0, |selector| self.code.turn(symbol(selector))))
    }
}

impl<S: Turnable> Payload for Turned<'_, S> {
    fn bits(&self) -> u32 {
        self.code.bits()
    }

    fn embed(
        &self,
        message: u64,
        draw: &Draw<'_>,
        candidates: &mut Candidates,
        noise: &mut Noise,
    ) -> Pick {
        self.scheme.embed(&self.turned(message, draw), candidates, noise)
    }

    fn evidence(&self, message: u64, draw: &Draw<'_>, token: TokenId) -> f64 {
        self.scheme.evidence(&self.turned(message, draw), token)
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        let decoder = Decoder::new(self.code, S::STRENGTHS);
        Box::new(TurnedReader { scheme: self.scheme, code: self.code, decoder })
    }
}

struct TurnedReader<'a, S> {
    scheme: &'a S,
    code: Code,
    decoder: Decoder,
}

impl<S: Turnable> Reader for TurnedReader<'_, S> {
    fn read(&mut self, draw: &Draw<'_>, token: TokenId) {
        let Some(selector) = draw.selector() else { return };
        let ratio = |strength: usize, word: u32| self.scheme.ln_ratio(strength, word);
        let word = draw.word(token, crate::prf::KEY_A);
        self.decoder.add(&self.code.check(selector), word, &ratio);
    }

    fn finish(self: Box<Self>) -> Box<dyn Reading> {
        Box::new(self.decoder.finish())
    }
}

impl Reading for Posterior {
    fn ln_e(&self) -> f64 {
        Self::ln_e(self)
    }

    fn decode(&self) -> Decoded {
        Self::decode(self)
    }
}
