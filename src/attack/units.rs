//! Units of a text, and which of them are edited.

use crate::sampling::Noise;

/// Which units are edited: nested over strengths, and the numbers that edits draw.
pub(super) struct Chosen {
    strength: f64,
    seed: u64,
    stream: u64,
}

impl Chosen {
    pub fn new(strength: f64, seed: u64) -> Self {
        Self { strength, seed, stream: 0 }
    }

    /// The share of units that are edited.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// round(strength · n).
    pub fn count(&self, n: usize) -> usize {
        (self.strength * n as f64).round() as usize
    }

    /// For each of n units, whether it is edited.
    pub fn among(&mut self, n: usize) -> Vec<bool> {
        let mut edited = vec![false; n];
        self.order(n).into_iter().take(self.count(n)).for_each(|at| edited[at] = true);
        edited
    }

    /// For each unit whether it is edited, where only these can be.
    pub fn of_those(&mut self, fit: &[bool]) -> Vec<bool> {
        let mut edited = self.among(fit.iter().filter(|fit| **fit).count()).into_iter();
        fit.iter().map(|fit| *fit && edited.next() == Some(true)).collect()
    }

    /// All of n units in an order that does not depend on the strength.
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut noise = self.noise();
        let mut order: Vec<usize> = (0..n).collect();
        for at in (1..n).rev() {
            order.swap(at, below(&mut noise, at + 1));
        }
        order
    }

    /// Numbers of their own for each unit, so that what happens to one does not depend on how many others are edited.
    pub fn noise_of(&self, unit: usize) -> Noise {
        Noise::new(self.seed, (1 << 32) + unit as u64)
    }

    /// Numbers for one purpose.
    pub fn noise(&mut self) -> Noise {
        self.stream += 1;
        Noise::new(self.seed, self.stream)
    }
}

/// A whole number below `n`, which is at least 1.
pub(super) fn below(noise: &mut Noise, n: usize) -> usize {
    ((noise.uniform() * n as f64) as usize).min(n - 1)
}

/// A text as words, each after the blanks before it; what follows the last is kept.
#[derive(Clone)]
pub(super) struct Words<'a> {
    pub words: Vec<(&'a str, &'a str)>,
    pub rest: &'a str,
}

impl<'a> Words<'a> {
    pub fn of(text: &'a str) -> Self {
        let (mut words, mut rest) = (Vec::new(), text);
        loop {
            let start = rest.find(|c: char| !c.is_whitespace());
            let Some(start) = start else { return Self { words, rest } };
            let (gap, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(char::is_whitespace).unwrap_or(from.len()));
            words.push((gap, word));
            rest = after;
        }
    }

    /// The text of these, each being its number here and what stands there.
    pub fn join(&self, with: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for (at, (gap, _)) in self.words.iter().enumerate() {
            text.push_str(gap);
            text += &with(at);
        }
        text + self.rest
    }
}

/// What stands before a word's letters, they, and what stands after.
pub(super) fn bare(word: &str) -> (&str, &str, &str) {
    let start = word.find(char::is_alphanumeric).unwrap_or(word.len());
    let end = word
        .rfind(char::is_alphanumeric)
        .map_or(start, |at| at + word[at..].chars().next().map_or(0, char::len_utf8));
    (&word[..start], &word[start..end], &word[end..])
}

/// A text as sentences, each with the blanks after it.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let (mut found, mut from, mut ended) = (Vec::new(), 0, false);
    let mut in_gap = false;
    for (at, c) in text.char_indices() {
        if in_gap && !c.is_whitespace() {
            found.push(&text[from..at]);
            (from, ended, in_gap) = (at, false, false);
        }
        match c {
            '.' | '!' | '?' | '…' => ended = true,
            '。' | '！' | '？' => (ended, in_gap) = (true, true),
            '"' | '\'' | ')' | ']' | '”' | '’' | '»' => {}
            '\n' if text[at + 1..].starts_with('\n') => in_gap = true,
            c if c.is_whitespace() => in_gap |= ended,
            _ => ended = false,
        }
    }
    if from < text.len() {
        found.push(&text[from..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_without_loss() {
        for text in ["", "  a b\n", "One. \"Two!\" three?\n\nFour 3.5 e.g. five…", "一。二！三"]
        {
            assert_eq!(sentences(text).concat(), text);
            let words = Words::of(text);
            assert_eq!(words.join(|at| words.words[at].1.to_owned()), text);
        }
        assert_eq!(
            sentences("One. \"Two!\" three? 3.5 too\n\nFour"),
            ["One. ", "\"Two!\" ", "three? ", "3.5 too\n\n", "Four"]
        );
        assert_eq!(bare("\"Tide,\""), ("\"", "Tide", ",\""));
        assert_eq!(bare("..."), ("...", "", ""));
    }

    #[test]
    fn edits_are_nested() {
        let among = |strength| Chosen::new(strength, 5).among(40);
        let [little, much] = [0.2, 0.7].map(among);
        assert_eq!(little.iter().filter(|edited| **edited).count(), 8);
        assert!(little.iter().zip(&much).all(|(little, much)| !little || *much));
    }
}
