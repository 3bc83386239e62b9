//! One answer as it comes in: what may be given out of it, and what must wait.

use crate::generate::{Output, StepLogprobs};
use crate::tokens::TokenId;

/// Part of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub ids: Vec<TokenId>,
    /// What the model thought of them, where that was asked for.
    pub logprobs: Vec<StepLogprobs>,
}

impl Piece {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.ids.is_empty()
    }

    fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.ids.extend(other.ids);
        self.logprobs.extend(other.logprobs);
    }
}

/// One answer in the making.
///
/// Where the policy asks for a mark, nothing is given out before enough tokens carry it: an answer that ends earlier was then
/// never given, not even in part.
#[derive(Debug)]
pub struct Choice {
    /// Marked tokens before which nothing is given out.
    enough: usize,
    held: Piece,
    /// Tokens so far that carry the mark.
    pub marked: usize,
    /// What was given out.
    pub given: Piece,
    /// The finished answer.
    pub output: Option<Output>,
}

impl Choice {
    /// An answer of which nothing is known yet.
    pub fn new(enough: usize) -> Self {
        Self { enough, held: Piece::default(), marked: 0, given: Piece::default(), output: None }
    }

    /// Takes what came in, `marked` tokens of the answer so far carrying the mark, and says what may be given out.
    pub fn step(&mut self, piece: Piece, marked: usize) -> Piece {
        self.held.append(piece);
        self.marked = marked;
        if marked < self.enough {
            return Piece::default();
        }
        let released = std::mem::take(&mut self.held);
        self.given.append(released.clone());
        released
    }

    /// Takes the end, and says what is left to be given out; `None` when the answer must be held back.
    pub fn finish(&mut self, output: Output) -> Option<Piece> {
        let enough = output.marked >= self.enough;
        let rest = self.step(Piece::default(), output.marked);
        self.output = Some(output);
        enough.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::FinishReason;

    fn piece(text: &str, id: TokenId) -> Piece {
        Piece { text: text.to_owned(), ids: vec![id], logprobs: Vec::new() }
    }

    fn output(marked: usize) -> Output {
        Output {
            text: "abc".to_owned(),
            ids: vec![1, 2, 3],
            marked,
            unmarked: std::collections::BTreeMap::new(),
            logprobs: Vec::new(),
            finish_reason: FinishReason::Stop,
        }
    }

    #[test]
    fn nothing_is_given_before_enough_is_marked() {
        let mut choice = Choice::new(2);
        assert!(
            choice.step(piece("a", 1), 0).is_empty() && choice.step(piece("b", 2), 1).is_empty()
        );
        let released = choice.step(piece("c", 3), 2);
        assert_eq!((released.text.as_str(), released.ids), ("abc", vec![1, 2, 3]));
        assert_eq!(choice.step(piece("d", 4), 2).text, "d");
        assert!(choice.finish(output(2)).unwrap().is_empty());
        assert_eq!(choice.given.text, "abcd");
    }

    #[test]
    fn an_answer_with_too_little_is_never_given() {
        let mut choice = Choice::new(2);
        choice.step(piece("a", 1), 1);
        assert_eq!(choice.finish(output(1)), None);
        assert!(choice.given.is_empty());
    }
}
