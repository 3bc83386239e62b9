//! What a suspect's log-probabilities say where it says something.

use std::collections::HashSet;

use touchmark::attribution::{Gatherer, Surfaces, Text, Transcript};
use touchmark::lm::{CompletedToken, Completion};
use touchmark::tokens::{Encoding, TokenId};

use super::super::marked::Marked;

/// √p of the likeliest tokens, summed up by context.
///
/// Less noisy than the one token that is said, which is drawn at random from all of them.
pub struct Likely {
    surfaces: Surfaces,
    reach: usize,
    gathered: Gatherer,
    weights: Vec<f32>,
    answers: u64,
    /// Answers without log-probabilities that fit their text.
    without: u64,
}

impl Likely {
    /// Most tokens that are kept of one context.
    const TOP: usize = 1024;

    pub fn new(mark: &Marked) -> anyhow::Result<Self> {
        let size = mark.first().vocab_size() as usize;
        Ok(Self {
            surfaces: Surfaces::new(&mark.tokenizer, size)?,
            reach: mark.reach,
            gathered: Gatherer::new(mark.reach, Self::TOP),
            weights: vec![0.0; size],
            answers: 0,
            without: 0,
        })
    }

    /// Takes an answer, which the mark's tokenizer cuts as `cut`; at the positions that are `counting` its context counts.
    pub fn hear(&mut self, answer: &Completion, cut: Encoding, counting: &HashSet<usize>) {
        self.answers += 1;
        let theirs = placed(answer);
        self.without += u64::from(theirs.ids.is_empty());
        let text = Text::of(&cut, theirs);
        for (number, token) in answer.tokens.iter().enumerate() {
            let Some(at) = text.marks_length(number).filter(|at| counting.contains(at)) else {
                continue;
            };
            self.add(&text.marks_ids()[at - self.reach..at], token);
        }
    }

    fn add(&mut self, context: &[TokenId], token: &CompletedToken) {
        self.weights.fill(0.0);
        for (text, logprob) in &token.top {
            if let Some(id) = self.surfaces.token(text).filter(|_| *logprob <= 0.0) {
                let weight = &mut self.weights[id as usize];
                // Tokens that stand for the same one add their probabilities.
                *weight = (weight.powi(2) + logprob.exp() as f32).sqrt();
            }
        }
        self.gathered.add(context, &self.weights);
    }

    pub fn transcript(&self) -> Transcript {
        self.gathered.so_far()
    }

    pub fn warning(&self) -> Option<String> {
        let (without, answers) = (self.without, self.answers);
        (without > 0).then(|| {
            format!(
                "{without} of {answers} answers came without log-probabilities that fit their text"
            )
        })
    }
}

/// Where the answer's tokens stand in its text, as far as they are that text.
fn placed(answer: &Completion) -> Encoding {
    let mut placed = Encoding::default();
    let mut at = 0;
    for (id, token) in (0..).zip(&answer.tokens) {
        if token.text.is_empty() || !answer.text[at..].starts_with(&token.text) {
            break;
        }
        placed.ids.push(id);
        placed.bytes.push(at..at + token.text.len());
        at += token.text.len();
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_as_far_as_they_are_the_text() {
        let answer = |text: &str, tokens: &[&str]| Completion {
            text: text.to_owned(),
            tokens: tokens
                .iter()
                .map(|text| CompletedToken {
                    text: (*text).to_owned(),
                    logprob: -1.0,
                    top: Vec::new(),
                })
                .collect(),
            ..Completion::default()
        };
        assert_eq!(placed(&answer("a bc", &["a", " b", "c"])).bytes, [0..1, 1..3, 3..4]);
        assert_eq!(placed(&answer("aé", &["a", "\u{fffd}", "\u{fffd}"])).ids, [0]);
        assert!(placed(&answer("a", &[])).ids.is_empty());
        assert!(placed(&answer("a", &["", "a"])).ids.is_empty());
    }
}
