//! Texts that the mark's tokenizer and the suspect's cut in different places.

use std::collections::HashMap;

use crate::tokens::{Encoding, TokenId, Tokenize, TokenizeError};

/// A text as the mark's tokenizer and as the suspect's cut it.
///
/// The suspect's expectation of what comes next can only be weighed where both have a boundary: inside one of its tokens it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    mark: Vec<TokenId>,
    /// The models' ids and, by how many of them were read, how many of the mark's that is. None where they are the mark's own.
    other: Option<(Vec<TokenId>, Vec<Option<usize>>)>,
}

impl Text {
    /// For models of the mark's own tokenizer.
    pub fn own(ids: Vec<TokenId>) -> Self {
        Self { mark: ids, other: None }
    }

    /// For models of another tokenizer: a text of which `mark` are ids and byte ranges in the mark's.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn cut(text: &str, mark: &Encoding, models: &dyn Tokenize) -> Result<Self, TokenizeError> {
        Ok(Self::of(mark, models.encode(text)?))
    }

    /// Of both ways in which a text is cut.
    pub fn of(mark: &Encoding, theirs: Encoding) -> Self {
        let ours = boundaries(mark);
        let mut at = 0;
        let same = |end: Option<usize>| {
            let end = end?;
            while ours.get(at).is_some_and(|own| own.is_none_or(|own| own < end)) {
                at += 1;
            }
            (ours.get(at) == Some(&Some(end))).then_some(at)
        };
        let lengths = boundaries(&theirs).into_iter().map(same).collect();
        Self { mark: mark.ids.clone(), other: Some((theirs.ids, lengths)) }
    }

    /// Ids in the mark's tokenizer.
    pub fn marks_ids(&self) -> &[TokenId] {
        &self.mark
    }

    /// What the models read.
    pub fn models_ids(&self) -> &[TokenId] {
        self.other.as_ref().map_or(&self.mark, |(ids, _)| ids)
    }

    /// How many of the mark's ids the first `length` of the models' are; none where one of the mark's ends elsewhere.
    pub fn marks_length(&self, length: usize) -> Option<usize> {
        match &self.other {
            Some((_, lengths)) => lengths.get(length).copied().flatten(),
            None => Some(length),
        }
    }

    /// Boundaries that both have, and all of the mark's.
    pub fn coverage(&self) -> (u64, u64) {
        let all = self.mark.len() as u64 + 1;
        let both = |lengths: &Vec<Option<usize>>| lengths.iter().flatten().count() as u64;
        (self.other.as_ref().map_or(all, |(_, lengths)| both(lengths)), all)
    }
}

/// By number of tokens, the byte where they end; none inside a character that several tokens share.
fn boundaries(encoding: &Encoding) -> Vec<Option<usize>> {
    let starts = encoding.bytes.iter().map(|range| range.start).chain([usize::MAX]);
    let ends = std::iter::once(0).chain(encoding.bytes.iter().map(|range| range.end));
    ends.zip(starts).map(|(end, next)| (next >= end).then_some(end)).collect()
}

/// The tokens of the mark by their text.
#[derive(Clone, Debug)]
pub struct Surfaces(HashMap<String, TokenId>);

impl Surfaces {
    /// Of a tokenizer's first `size` tokens.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn new(mark: &dyn Tokenize, size: usize) -> Result<Self, TokenizeError> {
        let texts = surfaces(mark)?;
        let named = (0..size as TokenId).zip(texts).filter_map(|(id, text)| Some((text?, id)));
        Ok(Self(named.collect()))
    }

    /// The token with this text; where there is none, the longest one that it begins with.
    pub fn token(&self, text: &str) -> Option<TokenId> {
        let ends = (1..=text.len()).rev().filter(|&end| text.is_char_boundary(end));
        ends.filter_map(|end| self.0.get(&text[..end]).copied()).next()
    }
}

/// From the tokens of a suspect's vocabulary to those of the mark's.
///
/// A token of the suspect stands for the token of the mark with the same text; where there is none, for the longest one that its text
/// begins with. Tokens that are no text by themselves stand for nothing. Any such table, made without the key, leaves the p-value
/// valid: it decides what is weighed, not what is on a list.
#[derive(Clone, Debug)]
pub struct Shared {
    to: Vec<Option<TokenId>>,
    size: usize,
}

impl Shared {
    /// Of two tokenizers; `size` is the mark's number of logits.
    ///
    /// # Errors
    /// Those of the tokenizers.
    pub fn new(
        models: &dyn Tokenize,
        mark: &dyn Tokenize,
        size: usize,
    ) -> Result<Self, TokenizeError> {
        let own = Surfaces::new(mark, size)?;
        let stands_for = |text: &Option<String>| own.token(text.as_deref()?);
        Ok(Self { to: surfaces(models)?.iter().map(stands_for).collect(), size })
    }

    /// Sums up the suspect's probabilities by the mark's tokens.
    pub fn project(&self, from: &[f32], to: &mut Vec<f32>) {
        to.clear();
        to.resize(self.size, 0.0);
        for (&p, token) in from.iter().zip(&self.to) {
            if let Some(token) = token {
                to[*token as usize] += p;
            }
        }
    }
}

/// By id, the text of a token; none of special ones and of parts of a character.
fn surfaces(tokenizer: &dyn Tokenize) -> Result<Vec<Option<String>>, TokenizeError> {
    // Some tokenizers drop the space before a first token: each token is looked at behind another one.
    let before = tokenizer.encode("a")?.ids;
    let surface = |id: TokenId| {
        if tokenizer.special_ids().contains(&id) {
            return Ok(None);
        }
        let text = tokenizer.decode(&[&before[..], &[id]].concat())?;
        let text = text.strip_prefix('a').filter(|text| !text.is_empty());
        Ok(text.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)).map(str::to_owned))
    };
    (0..tokenizer.vocab_size() as TokenId).map(surface).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::TokenizerHash;

    /// Cuts by a list of words, the longest first; what is on none is cut into letters.
    struct Words(&'static [&'static str]);

    impl Tokenize for Words {
        fn encode(&self, text: &str) -> Result<Encoding, TokenizeError> {
            let (mut encoding, mut at) = (Encoding::default(), 0);
            while at < text.len() {
                let fits = |word: &&str| text[at..].starts_with(*word);
                let id = (0..self.0.len())
                    .filter(|&id| fits(&self.0[id]))
                    .max_by_key(|&id| self.0[id].len());
                let id = id.expect("the text is made of these words");
                encoding.ids.push(id as TokenId);
                encoding.bytes.push(at..at + self.0[id].len());
                at += self.0[id].len();
            }
            Ok(encoding)
        }

        fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
            Ok(self.encode(text)?.ids)
        }

        fn decode(&self, ids: &[TokenId]) -> Result<String, TokenizeError> {
            Ok(ids.iter().map(|&id| self.0[id as usize]).collect())
        }

        fn vocab_size(&self) -> usize {
            self.0.len()
        }

        fn special_ids(&self) -> &[TokenId] {
            &[0]
        }

        fn hash(&self) -> TokenizerHash {
            TokenizerHash([0; 32])
        }
    }

    const MARK: Words = Words(&["<s>", "a", "b", "c", "ab", "ca"]);
    const OTHER: Words = Words(&["<s>", "a", "b", "c", "abc", "bc", "\u{fffd}"]);

    #[test]
    fn only_common_boundaries_count() {
        // Mark: ab ca b; the suspect: abc a b.
        let text = Text::cut("abcab", &MARK.encode("abcab").unwrap(), &OTHER).unwrap();
        assert_eq!(text.marks_ids(), [4, 5, 2]);
        assert_eq!(text.models_ids(), [4, 1, 2]);
        let lengths: Vec<_> = (0..=4).map(|length| text.marks_length(length)).collect();
        assert_eq!(lengths, [Some(0), None, Some(2), Some(3), None]);
        assert_eq!(text.coverage(), (3, 4));
        let own = Text::own(vec![4, 5, 2]);
        assert_eq!((own.marks_length(2), own.coverage()), (Some(2), (4, 4)));
    }

    #[test]
    fn tokens_that_share_a_character_have_no_boundary_inside() {
        let shared = Encoding { ids: vec![1, 2, 3], bytes: vec![0..3, 0..3, 3..4] };
        assert_eq!(boundaries(&shared), [Some(0), None, Some(3), Some(4)]);
    }

    #[test]
    fn probabilities_go_to_the_token_that_begins_the_same() {
        let shared = Shared::new(&OTHER, &MARK, 6).unwrap();
        let mut sums = Vec::new();
        shared.project(&[0.1, 0.2, 0.1, 0.05, 0.3, 0.15, 0.1], &mut sums);
        // "abc" begins with "ab", "bc" with "b"; "<s>" and the torn character stand for nothing.
        let rounded: Vec<f32> = sums.iter().map(|sum| (sum * 100.0).round()).collect();
        assert_eq!(rounded, [0.0, 20.0, 25.0, 5.0, 30.0, 0.0]);
    }
}
