//! Schemes whose evidence is of a whole text at once.
//!
//! A token of such a text says nothing alone: what it is compared with (a digit, an alignment) is itself chosen from the
//! text. The scheme notes some words of each counted token, then judges the text: each token's part in the statistic, the law
//! of the statistic when there is no mark, and the message if there is one.

use std::fmt;

use super::Draw;
use crate::tokens::TokenId;

/// A scheme that judges whole texts.
pub trait Sequence: fmt::Debug + Send + Sync {
    /// Notes what a token has to do with its draw, always the same number of words. `false`: nothing, and it does not count.
    fn note(&self, draw: &Draw<'_>, token: TokenId, words: &mut Vec<u32>) -> bool;

    /// Judges a text of a vocabulary of V tokens.
    fn judge(&self, noted: &Noted, vocab_size: u32) -> Judgement;

    /// Whether a token that repeats a draw counts again.
    fn repeats_count(&self) -> bool {
        false
    }
}

/// What was noted of the counted tokens of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// As many words for each.
    pub words: Vec<u32>,
}

/// What a scheme makes of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Each counted token's part in the statistic, which is their sum.
    pub values: Vec<f64>,
    /// The law of the statistic when the text is independent of the key.
    pub law: TextLaw,
    /// What the mark says, if it can say anything.
    pub message: Option<Message>,
}

/// The law of a text's statistic under the null, given what does not depend on the key.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum TextLaw {
    /// There is nothing to test.
    #[default]
    Nothing,
    /// Σ over slots of the largest count of any colour.
    MaximalCounts {
        /// Tokens of each slot.
        tokens: Vec<u64>,
        /// Probability of each colour; what is missing from 1 is the probability of none.
        colours: Vec<f64>,
    },
    /// An e-value: its mean over keys is at most one when the text is independent of the key, so that its inverse bounds a
    /// p-value. The values do not enter.
    EValue {
        /// Its natural logarithm.
        ln: f64,
    },
    /// The best of many alignments, ranked among draws under the null.
    Alignments {
        /// How many draws are as large as the statistic, or larger.
        at_least: u64,
        /// How many there are.
        draws: u64,
        /// Alignments that were tried, each the sum of `terms` independent numbers that are at most Exp(1); 0 if they are not.
        alignments: u64,
        /// Numbers of an alignment.
        terms: u64,
    },
}

/// A message read from a text, with how sure each digit is.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Binary digits, the most significant first.
    pub bits: String,
    /// Its probability if the text carries one of this mark's, all being equally likely beforehand.
    pub posterior: f64,
    /// The probability of a one for each binary digit; empty where the mark's own digits are others.
    pub ones: Vec<f64>,
    /// The next likeliest messages and their probabilities, best first, where they were looked for.
    pub next: Vec<(String, f64)>,
    /// Digits of the mark's own base, the most significant first, where it is not two.
    pub digits: Vec<Digit>,
}

/// One digit of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Digit {
    /// The likeliest value; of equally likely ones the largest.
    pub value: u32,
    /// Tokens that speak for each value.
    pub counts: Vec<u64>,
    /// Tokens that speak of this digit at all.
    pub tokens: u64,
    /// Probability of each value, all being equally likely beforehand.
    pub posterior: Vec<f64>,
}
