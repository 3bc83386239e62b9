//! Words of like meaning.

use std::collections::HashMap;
use std::iter::zip;
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

    /// For each word the `nearest` others by the cosine of their vectors, which stand in one row after the other in `vectors`: neighbours in
    /// a model's table of embeddings are used alike, if not always of like meaning. Words are compared in lower case; none is its own
    /// neighbour. Vectors are as many as words, and no two words are one in lower case.
    pub fn of_neighbours(words: &[String], vectors: &[f32], nearest: usize) -> Self {
        let mut thesaurus = Self::default();
        let width = vectors.len() / words.len().max(1);
        if width == 0 {
            return thesaurus;
        }
        let unit = |vector: &[f32]| -> Vec<f32> {
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            vector.iter().map(|x| x / norm).collect()
        };
        let units: Vec<f32> = vectors.chunks_exact(width).flat_map(unit).collect();
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        for (word, own) in lower.iter().zip(units.chunks_exact(width)) {
            let others = zip(&lower, units.chunks_exact(width)).filter(|(other, _)| *other != word);
            let mut ranked: Vec<(f32, &String)> =
                others.map(|(other, vector)| (dot(own, vector), other)).collect();
            let nearer = |a: &(f32, &String), b: &(f32, &String)| {
                b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1))
            };
            if nearest < ranked.len() {
                ranked.select_nth_unstable_by(nearest, nearer);
                ranked.truncate(nearest);
            }
            ranked.sort_unstable_by(nearer);
            let others = ranked.into_iter().map(|(_, other)| other.clone()).collect();
            thesaurus.0.insert(word.clone(), others);
        }
        thesaurus
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

/// a · b, as eight sums side by side, which one instruction does.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = zip(a.remainder(), b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (a, b) in zip(a, b) {
        for (sum, (a, b)) in zip(&mut sums, zip(a, b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
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

    #[test]
    fn neighbours_point_the_same_way() {
        let words = ["Sea", "ocean", "iron", "steel", "lake"].map(str::to_owned);
        let vectors = [1.0, 0.0, 5.0, 0.5, 0.0, 2.0, 0.1, 1.0, 1.0, 0.3];
        let found = Thesaurus::of_neighbours(&words, &vectors, 2);
        assert_eq!(found.of("SEA").unwrap(), ["ocean", "lake"]);
        assert_eq!(found.of("iron").unwrap(), ["steel", "lake"]);
        assert_eq!(Thesaurus::of_neighbours(&words, &vectors, 9).of("lake").unwrap().len(), 4);
        assert!(Thesaurus::of_neighbours(&[], &[], 2).is_empty());
    }
}
