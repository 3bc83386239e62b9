//! Edits of letters and blanks.

use super::units::{Chosen, Words, bare, below};
use crate::sampling::Noise;

/// Words shorter than this are not mistyped.
const LETTERS: usize = 4;

pub fn typos(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let long = |word: &str| bare(word).1.chars().count() >= LETTERS;
    let fit: Vec<bool> = words.words.iter().map(|(_, word)| long(word)).collect();
    let edited = chosen.of_those(&fit);
    words.join(|at| {
        let (before, word, after) = bare(words.words[at].1);
        if !edited[at] {
            return words.words[at].1.to_owned();
        }
        format!("{before}{}{after}", mistyped(word, &mut chosen.noise_of(at)))
    })
}

/// A word with one slip after its first letter: transposed where neighbours differ, lost, doubled, or the key beside.
fn mistyped(word: &str, noise: &mut Noise) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = 1 + below(noise, letters.len() - 2);
    match below(noise, 4) {
        0 if letters[at] != letters[at + 1] => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        2 => letters.insert(at, letters[at]),
        _ => match beside(letters[at], noise) {
            Some(letter) => letters[at] = letter,
            None => drop(letters.remove(at)),
        },
    }
    letters.into_iter().collect()
}

/// A key next to this one in its row of a QWERTY keyboard.
fn beside(letter: char, noise: &mut Noise) -> Option<char> {
    const ROWS: [&str; 4] = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890"];
    let lower = letter.to_ascii_lowercase();
    let row = ROWS.iter().find(|row| row.contains(lower))?;
    let at = row.find(lower)?;
    let right = at == 0 || (at + 1 < row.len() && noise.uniform() < 0.5);
    let key = char::from(row.as_bytes()[if right { at + 1 } else { at - 1 }]);
    Some(if letter.is_ascii_uppercase() { key.to_ascii_uppercase() } else { key })
}

/// Latin letters and letters of the Cyrillic and Greek alphabets that look the same in most type (Unicode Technical Standard 39,
/// confusables).
const ALIKE: [(char, char); 25] = [
    ('a', 'а'),
    ('c', 'с'),
    ('e', 'е'),
    ('i', 'і'),
    ('j', 'ј'),
    ('o', 'о'),
    ('p', 'р'),
    ('s', 'ѕ'),
    ('x', 'х'),
    ('y', 'у'),
    ('A', 'А'),
    ('B', 'В'),
    ('C', 'С'),
    ('E', 'Е'),
    ('H', 'Н'),
    ('I', 'І'),
    ('J', 'Ј'),
    ('K', 'К'),
    ('M', 'М'),
    ('O', 'О'),
    ('P', 'Р'),
    ('S', 'Ѕ'),
    ('T', 'Т'),
    ('X', 'Х'),
    ('N', 'Ν'),
];

pub fn homoglyphs(text: &str, chosen: &mut Chosen) -> String {
    let alike = |letter: char| ALIKE.iter().find(|(latin, _)| *latin == letter).map(|pair| pair.1);
    let fit: Vec<bool> = text.chars().map(|letter| alike(letter).is_some()).collect();
    let edited = chosen.of_those(&fit);
    let letter = |(letter, edited)| if edited { alike(letter).unwrap_or(letter) } else { letter };
    text.chars().zip(edited).map(letter).collect()
}

pub fn invisible(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let edited = chosen.among(words.words.len());
    words.join(|at| {
        let mut letters: Vec<char> = words.words[at].1.chars().collect();
        if edited[at] {
            letters.insert(1 + below(&mut chosen.noise_of(at), letters.len()), '\u{200B}');
        }
        letters.into_iter().collect()
    })
}

pub fn case(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let fit: Vec<bool> =
        words.words.iter().map(|(_, word)| word.contains(char::is_alphabetic)).collect();
    let edited = chosen.of_those(&fit);
    words.join(|at| {
        let word = words.words[at].1;
        match edited[at] {
            true if word.chars().any(char::is_lowercase) => word.to_uppercase(),
            true => word.to_lowercase(),
            false => word.to_owned(),
        }
    })
}

pub fn whitespace(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let edited = chosen.among(words.words.len().saturating_sub(1));
    let mut result = String::new();
    for (at, (gap, word)) in words.words.iter().enumerate() {
        if at > 0 && edited[at - 1] {
            let others = ["  ", "\t", "\n"].into_iter().filter(|other| other != gap);
            let others: Vec<&str> = others.collect();
            result += others[below(&mut chosen.noise_of(at), others.len())];
        } else {
            result += gap;
        }
        result += word;
    }
    result + words.rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{Attack, Materials};

    #[test]
    fn slips_are_one_letter_long() {
        for seed in 0..500 {
            let mut noise = Noise::new(seed, 0);
            let slip = mistyped("Tower", &mut noise);
            assert!(slip.starts_with('T'), "{slip}");
            assert!((4..=6).contains(&slip.len()), "{slip}");
            assert_ne!(slip, "Tower");
        }
    }

    #[test]
    fn letters_that_look_the_same_are_other_letters() {
        assert!(ALIKE.iter().all(|(latin, other)| latin.is_ascii() && !other.is_ascii()));
        let apply =
            |attack: Attack, text| attack.apply(text, 1.0, &Materials::default(), 1).unwrap();
        assert!(!apply(Attack::Homoglyphs, "scope").is_ascii());
        assert_eq!(apply(Attack::Invisible, "ab cd").replace('\u{200B}', ""), "ab cd");
        assert_eq!(apply(Attack::Case, "The END, 1."), "THE end, 1.");
        let spaced = apply(Attack::Whitespace, "a b\tc\nd");
        assert_eq!(spaced.split_whitespace().collect::<String>(), "abcd");
    }
}
