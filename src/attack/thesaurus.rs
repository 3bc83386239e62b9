//! Words of like meaning.

use std::collections::HashMap;
use std::sync::OnceLock;

/// For each word those that may stand in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thesaurus(HashMap<String, Vec<String>>);

impl Thesaurus {
    /// Some two hundred common English words in groups of like meaning, written for this project: enough to try the attack, too few for
    /// more than a tenth of the words of a text.
    pub fn bundled() -> &'static Self {
        static BUNDLED: OnceLock<Thesaurus> = OnceLock::new();
        BUNDLED.get_or_init(|| Self::parse(include_str!("thesaurus.txt")).unwrap_or_default())
    }

    /// Of lines `word: other, other` (those that may stand in place of `word`) or `word, other, other` (a group, each in place of each).
    /// Empty lines and lines that begin with `#` say nothing. Words are compared in lower case.
    ///
    /// # Errors
    /// [`ThesaurusError`] for a line of another form.
    pub fn parse(text: &str) -> Result<Self, ThesaurusError> {
        let mut thesaurus = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || ThesaurusError { line: number + 1 };
            let words = |list: &str| -> Result<Vec<String>, ThesaurusError> {
                let words: Vec<String> =
                    list.split(',').map(|word| word.trim().to_lowercase()).collect();
                if words.iter().any(String::is_empty) { Err(wrong()) } else { Ok(words) }
            };
            match line.split_once(':') {
                Some((word, others)) if !word.trim().is_empty() => {
                    thesaurus.add(word.trim().to_lowercase(), words(others)?);
                }
                Some(_) => return Err(wrong()),
                None => {
                    let group = words(line)?;
                    if group.len() < 2 {
                        return Err(wrong());
                    }
                    for word in &group {
                        let others = group.iter().filter(|other| *other != word).cloned();
                        thesaurus.add(word.clone(), others.collect());
                    }
                }
            }
        }
        Ok(thesaurus)
    }

    /// More words that may stand in place of one.
    pub fn add(&mut self, word: String, others: Vec<String>) {
        self.0.entry(word).or_default().extend(others);
    }

    /// What may stand in place of a word, if anything.
    pub fn of(&self, word: &str) -> Option<&[String]> {
        self.0.get(&word.to_lowercase()).map(Vec::as_slice)
    }

    /// Words that have others.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line that is neither `word: other, other` nor `word, other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the thesaurus is neither 'word: other, other' nor 'word, other, other'")]
pub struct ThesaurusError {
    /// Its number, from 1.
    pub line: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let words = Thesaurus::parse("# of mine\nbig, Large\n\nnight: dark, evening\n").unwrap();
        assert_eq!(words.of("BIG").unwrap(), ["large"]);
        assert_eq!(words.of("large").unwrap(), ["big"]);
        assert_eq!(words.of("night").unwrap(), ["dark", "evening"]);
        assert_eq!(words.of("dark"), None);
        for (text, line) in [("a", 1), ("a, b\n: c", 2), ("a:", 1), ("a,,b", 1)] {
            assert_eq!(Thesaurus::parse(text), Err(ThesaurusError { line }), "{text}");
        }
        assert!(Thesaurus::bundled().len() > 150, "{}", Thesaurus::bundled().len());
    }
}
