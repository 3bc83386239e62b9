//! What a suspect says: pairs of a context and a token out of its answers, each once.

use std::collections::HashSet;

use crate::tokens::TokenId;

use super::transcript::{Chosen, Transcript};

/// Answers of a suspect, as pairs that count.
///
/// A pair counts once over all answers. It does not count where its context stands in the question, which may quote marked text; nor,
/// with a filter, where its context is in none of our own outputs; nor inside a run of [`QUOTED`](Self::QUOTED) tokens that stands in our
/// own outputs word for word, which shows that the suspect has the text, not that it was trained on it.
#[derive(Debug)]
pub struct Speech {
    width: usize,
    chosen: Chosen,
    filter: Option<HashSet<Box<[TokenId]>>>,
    quotes: HashSet<Box<[TokenId]>>,
    heard: Heard,
}

/// What became of the positions of all answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Heard {
    /// Answers.
    pub answers: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Pairs that count.
    pub scored: u64,
    /// Positions whose pair had come before.
    pub repeated: u64,
    /// Positions whose context stands in the question.
    pub prompted: u64,
    /// Positions whose context is not in the filter.
    pub filtered: u64,
    /// Positions inside a quotation.
    pub quoted: u64,
}

impl Speech {
    /// Tokens in a row that make a quotation.
    pub const QUOTED: usize = 12;

    /// For contexts of `width` ids.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            chosen: Chosen::new(width, false),
            filter: None,
            quotes: HashSet::new(),
            heard: Heard::default(),
        }
    }

    /// Takes one of our own outputs that the suspect may have been trained on: quotations of it do not count, and with `only` contexts
    /// count only where some of these outputs has them. All are to be given before the first answer.
    pub fn ours(&mut self, ids: &[TokenId], only: bool) {
        self.quotes.extend(ids.windows(Self::QUOTED).map(Box::from));
        if only {
            let filter = self.filter.get_or_insert_default();
            filter
                .extend((self.width..=ids.len()).map(|end| Box::from(&ids[end - self.width..end])));
        }
    }

    /// Takes an answer; the pairs of it that are new are noted. Gives the positions whose context counts, and whether the pair there
    /// is new.
    pub fn hear(&mut self, prompt: &[TokenId], answer: &[TokenId]) -> Vec<(usize, bool)> {
        self.heard.answers += 1;
        self.heard.tokens += answer.len() as u64;
        let asked: HashSet<&[TokenId]> =
            if self.width == 0 { HashSet::new() } else { prompt.windows(self.width).collect() };
        let quoted = self.quoted(answer);
        let mut counting = Vec::new();
        for position in self.width..answer.len() {
            let context = &answer[position - self.width..position];
            let count = if quoted[position] {
                &mut self.heard.quoted
            } else if asked.contains(context) {
                &mut self.heard.prompted
            } else if self.filter.as_ref().is_some_and(|filter| !filter.contains(context)) {
                &mut self.heard.filtered
            } else {
                let new = self.chosen.note(context, answer[position]);
                counting.push((position, new));
                if new { &mut self.heard.scored } else { &mut self.heard.repeated }
            };
            *count += 1;
        }
        counting
    }

    /// By position, whether it lies in a quotation.
    fn quoted(&self, answer: &[TokenId]) -> Vec<bool> {
        let mut quoted = vec![false; answer.len()];
        for (start, window) in answer.windows(Self::QUOTED).enumerate() {
            if self.quotes.contains(window) {
                quoted[start..start + Self::QUOTED].fill(true);
            }
        }
        quoted
    }

    /// What became of all positions so far.
    pub fn heard(&self) -> Heard {
        self.heard
    }

    /// The pairs so far.
    pub fn transcript(&self) -> Transcript {
        self.chosen.transcript()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_counts_once() {
        let mut speech = Speech::new(1);
        let counting = speech.hear(&[9, 5], &[5, 6, 7, 6, 7, 5, 1]);
        assert_eq!(counting, [(2, true), (3, true), (4, false), (5, true)]);
        let heard = speech.heard();
        assert_eq!((heard.prompted, heard.repeated, heard.scored), (2, 1, 3));
        assert_eq!(speech.hear(&[], &[5, 6, 8]), [(1, true), (2, true)]);
        assert_eq!(speech.transcript().cells(), 5);
        assert_eq!(speech.hear(&[], &[]), []);
    }

    #[test]
    fn quotations_and_unknown_contexts_do_not_count() {
        let ours: Vec<TokenId> = (100..130).collect();
        let mut speech = Speech::new(2);
        speech.ours(&ours, true);
        let quote: Vec<TokenId> = (105..120).collect();
        assert_eq!(speech.hear(&[], &quote), []);
        assert_eq!(speech.heard().quoted, 13);
        // Short runs are no quotation, and their contexts are known.
        assert_eq!(speech.hear(&[], &[110, 111, 7, 8, 9]), [(2, true)]);
        assert_eq!(speech.heard().filtered, 2);
        let mut free = Speech::new(2);
        free.ours(&ours, false);
        assert_eq!(free.hear(&[], &[110, 111, 7, 8, 9]), [(2, true), (3, true), (4, true)]);
    }
}
