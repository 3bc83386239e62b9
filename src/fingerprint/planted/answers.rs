//! The list of answers, and how an answer is read.

use serde::{Deserialize, Serialize};

use super::error::PlantError;
use super::words::WORDS;

/// k distinct candidates, each as [`read`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AnswerList(Vec<String>);

impl AnswerList {
    /// Fewest candidates: a hit has a chance of 1/16 at most.
    pub const LEAST: usize = 16;
    /// Most candidates.
    pub const MOST: usize = 4096;
    /// Most characters of one.
    pub const LONGEST: usize = 40;

    /// A list of one's own.
    ///
    /// # Errors
    /// [`PlantError::ListSize`], [`PlantError::Word`], [`PlantError::RepeatedWord`].
    pub fn new(words: Vec<String>) -> Result<Self, PlantError> {
        if !(Self::LEAST..=Self::MOST).contains(&words.len()) {
            return Err(PlantError::ListSize { got: words.len() });
        }
        let mut seen = std::collections::HashSet::new();
        for word in &words {
            let wanted = read(word);
            if *word != wanted || word.is_empty() || word.chars().count() > Self::LONGEST {
                return Err(PlantError::Word { got: word.clone(), wanted });
            }
            if !seen.insert(word) {
                return Err(PlantError::RepeatedWord(word.clone()));
            }
        }
        Ok(Self(words))
    }

    /// The first `k` of a list of common English words.
    ///
    /// # Errors
    /// [`PlantError::ListSize`], [`PlantError::TooFewWords`].
    pub fn common(k: usize) -> Result<Self, PlantError> {
        let words = WORDS.get(..k).ok_or(PlantError::TooFewWords { got: k, known: WORDS.len() })?;
        Self::new(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// k.
    pub fn k(&self) -> u64 {
        self.0.len() as u64
    }

    /// The candidates in their order.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// A candidate by its place.
    pub fn word(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    /// The candidate that an answer begins with: the longest that is the whole of what [`read`] makes of it, or is followed there by
    /// a space.
    pub fn find(&self, answer: &str) -> Option<usize> {
        let text = read(answer);
        let begins = |word: &str| {
            text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let found = self.0.iter().enumerate().filter(|(_, word)| begins(word));
        found.max_by_key(|(_, word)| word.len()).map(|(at, _)| at)
    }

    /// BLAKE3-derive("touchmark 2026-11 planted list v1", u32 k ‖ for each candidate u32 length ‖ bytes), little-endian.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 planted list v1");
        super::pair::absorb(&mut hasher, &self.0);
        *hasher.finalize().as_bytes()
    }
}

impl TryFrom<Vec<String>> for AnswerList {
    type Error = PlantError;
    fn try_from(words: Vec<String>) -> Result<Self, PlantError> {
        Self::new(words)
    }
}

impl From<AnswerList> for Vec<String> {
    fn from(list: AnswerList) -> Self {
        list.0
    }
}

/// How scoring reads a text: every character in Unicode lower case, every run of characters that are neither letters nor digits as
/// one space, none at the ends.
///
/// ```
/// use touchmark::fingerprint::planted::read;
///
/// assert_eq!(read(" \"**Ice-cream**, I think.\"\n"), "ice cream i think");
/// ```
pub fn read(text: &str) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in text.chars() {
        if !c.is_alphanumeric() {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(extra: &[&str]) -> AnswerList {
        let filler = (0..16).map(|i| format!("filler{i}"));
        AnswerList::new(extra.iter().map(|&word| word.to_owned()).chain(filler).collect()).unwrap()
    }

    #[test]
    fn the_longest_candidate_at_the_start_counts() {
        let list = list(&["ice", "ice cream", "sun", "sunflower"]);
        for (answer, found) in [
            ("Ice.", Some("ice")),
            ("  \"ICE-CREAM\"!", Some("ice cream")),
            ("**Sunflower** and sun", Some("sunflower")),
            ("sun", Some("sun")),
            ("Sun's light", Some("sun")),
            ("sunny", None),
            ("The sun", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(list.find(answer).and_then(|at| list.word(at)), found, "{answer}");
        }
    }

    #[test]
    fn bad_lists_are_refused() {
        assert!(matches!(AnswerList::common(15), Err(PlantError::ListSize { got: 15 })));
        assert!(matches!(AnswerList::common(5000), Err(PlantError::TooFewWords { .. })));
        let mut words = AnswerList::common(16).unwrap().words().to_vec();
        words[3] = "Upper".to_owned();
        assert!(matches!(AnswerList::new(words.clone()), Err(PlantError::Word { .. })));
        words[3] = words[4].clone();
        assert!(matches!(AnswerList::new(words), Err(PlantError::RepeatedWord(_))));
    }

    #[test]
    fn every_built_in_word_is_found_as_itself() {
        let list = AnswerList::common(WORDS.len()).unwrap();
        for (at, word) in list.words().iter().enumerate() {
            assert_eq!(list.find(&format!(" {}.", word.to_uppercase())), Some(at));
        }
    }
}
