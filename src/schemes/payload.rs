//! Marks that carry a message of the caller's choice.
//!
//! A message is spread over a whole text: each token's draw says which part of the message the token carries, and so a text is
//! read as a whole ([`Sequence`]). [`Turned`] is our own way, for any scheme whose words may be turned: the symbol that a token
//! carries is added to the words of its draw (see [`crate::payload`]).

use std::fmt;

use super::sequence::{Judgement, Message, Noted, Sequence, TextLaw};
use super::{Candidates, Draw, Noise, Pick, Scheme};
use crate::payload::{Code, Decoded, Decoder};
use crate::prf::KEY_A;
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
}

/// A scheme whose words may be turned: it reads stream [`KEY_A`] alone.
pub trait Turnable: Scheme {
    /// How many strengths of the mark the decoder tries.
    const STRENGTHS: usize;

    /// How messages are written; `None`: the mark carries none.
    fn code(&self) -> Option<Code>;

    /// What a token of this word contributes.
    fn evidence_of(&self, word: u32) -> f64;

    /// ln of how much likelier a token marked at a strength has this word than an unmarked one. The mean of the ratio over
    /// all 2³² words is at most one.
    fn ln_ratio(&self, strength: usize, word: u32) -> f64;
}

/// Our own marks with a message: the scheme's draw, turned by the message's symbol.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a, S> {
    scheme: &'a S,
    code: Code,
}

impl<'a, S: Turnable> Turned<'a, S> {
    /// `scheme`, if it carries messages.
    pub fn of(scheme: &'a S) -> Option<Self> {
        scheme.code().map(|code| Self { scheme, code })
    }

    /// The draw of a position as `message` turns it. A draw without a selector carries no message; `check` of a scheme
    /// refuses the seedings that have none.
    fn turned<'d>(&self, message: u64, draw: &Draw<'d>) -> Draw<'d> {
        draw.turned(draw.selector().map_or(0, |selector| turn(&self.code, selector, message)))
    }
}

fn turn(code: &Code, selector: [u32; 3], message: u64) -> u32 {
    code.turn(code.symbol(&code.check(selector), message))
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
}

/// A text is judged by an e-value: its likelihood ratio against the null, averaged over messages and strengths. The values are
/// the evidence of the likeliest message.
impl<S: Turnable> Sequence for S {
    /// The selector, and the token's word before any turn.
    fn note(&self, draw: &Draw<'_>, token: TokenId, words: &mut Vec<u32>) -> bool {
        let Some(selector) = draw.selector() else { return false };
        words.extend(selector);
        words.push(draw.word(token, KEY_A));
        true
    }

    fn judge(&self, noted: &Noted, _: u32) -> Judgement {
        let Some(code) = self.code() else { return Judgement::default() };
        let (seen, _) = noted.words.as_chunks::<4>();
        let mut decoder = Decoder::new(code, S::STRENGTHS);
        for &[a, b, c, word] in seen {
            let ratio = |strength: usize, word: u32| self.ln_ratio(strength, word);
            decoder.add(&code.check([a, b, c]), word, &ratio);
        }
        let posterior = decoder.finish();
        let found = posterior.decode();
        let value = |&[a, b, c, word]: &[u32; 4]| {
            self.evidence_of(word.wrapping_add(turn(&code, [a, b, c], found.message)))
        };
        Judgement {
            values: seen.iter().map(value).collect(),
            law: TextLaw::EValue { ln: posterior.ln_e() },
            message: Some(found.into()),
        }
    }
}

impl From<Decoded> for Message {
    fn from(found: Decoded) -> Self {
        let width = found.bits as usize;
        let binary = |message: u64| format!("{message:0width$b}");
        let next = found.candidates.iter().skip(1);
        Self {
            bits: binary(found.message),
            posterior: found.posterior,
            ones: found.ones.iter().rev().copied().collect(),
            next: next.map(|next| (binary(next.message), next.posterior)).collect(),
            digits: Vec::new(),
        }
    }
}
