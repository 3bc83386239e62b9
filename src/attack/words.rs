//! Edits of words.

use super::thesaurus::Thesaurus;
use super::units::{Chosen, Words, bare, below};
use super::{AttackError, Materials};

pub fn delete(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let edited = chosen.among(words.words.len());
    let kept = words.words.iter().zip(edited).filter(|(_, edited)| !edited);
    let text: String = kept.flat_map(|((gap, word), _)| [*gap, *word]).collect();
    text + words.rest
}

pub fn insert(text: &str, other: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let (edited, drawn) = (chosen.among(words.words.len()), words_of(other));
    words.join(|at| {
        let word = words.words[at].1;
        if !edited[at] {
            return word.to_owned();
        }
        format!("{} {word}", drawn[below(&mut chosen.noise_of(at), drawn.len())])
    })
}

pub fn substitute(text: &str, other: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let (edited, drawn) = (chosen.among(words.words.len()), words_of(other));
    words.join(|at| {
        let (before, word, after) = bare(words.words[at].1);
        if !edited[at] {
            return words.words[at].1.to_owned();
        }
        // Some word that it is not, where there is one.
        let mut noise = chosen.noise_of(at);
        let first = below(&mut noise, drawn.len());
        let others = drawn[first..].iter().chain(&drawn[..first]);
        let new = others.copied().find(|new| *new != word).unwrap_or(drawn[first]);
        format!("{before}{new}{after}")
    })
}

/// The words of a text without what stands around them.
fn words_of(text: &str) -> Vec<&str> {
    let bare: Vec<&str> =
        text.split_whitespace().map(|word| bare(word).1).filter(|word| !word.is_empty()).collect();
    // A text of signs alone gives its signs.
    if bare.is_empty() { text.split_whitespace().collect() } else { bare }
}

pub fn swap(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let edited = chosen.among(words.words.len().saturating_sub(1));
    let mut order: Vec<usize> = (0..words.words.len()).collect();
    for (at, _) in edited.into_iter().enumerate().filter(|(_, edited)| *edited) {
        order.swap(at, at + 1);
    }
    words.join(|at| words.words[order[at]].1.to_owned())
}

pub fn synonyms(text: &str, thesaurus: &Thesaurus, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let has: Vec<Option<&[String]>> =
        words.words.iter().map(|(_, word)| thesaurus.of(bare(word).1)).collect();
    let edited = chosen.of_those(&has.iter().map(Option::is_some).collect::<Vec<_>>());
    words.join(|at| match has[at] {
        Some(like) if edited[at] => {
            let (before, word, after) = bare(words.words[at].1);
            let new = &like[below(&mut chosen.noise_of(at), like.len())];
            format!("{before}{}{after}", as_written(word, new))
        }
        _ => words.words[at].1.to_owned(),
    })
}

/// `new` with capitals where `word` has them.
fn as_written(word: &str, new: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    if first && word.chars().count() > 1 && letters.all(char::is_uppercase) {
        return new.to_uppercase();
    }
    let mut new = new.chars();
    match new.next() {
        Some(letter) if first => letter.to_uppercase().chain(new).collect(),
        Some(letter) => std::iter::once(letter).chain(new).collect(),
        None => String::new(),
    }
}

pub fn truncate(text: &str, chosen: &mut Chosen) -> String {
    let words = Words::of(text);
    let left_out = chosen.count(words.words.len());
    if left_out == 0 {
        return text.to_owned();
    }
    let from = (chosen.noise().uniform() * (left_out + 1) as f64) as usize;
    let kept = &words.words[from.min(left_out)..][..words.words.len() - left_out];
    let text: String = kept.iter().flat_map(|(gap, word)| [*gap, *word]).collect();
    text.trim_start().to_owned()
}

/// The strength is the share of the result's words that are of the other text. The pieces of the text are of equal length, and so are
/// those of the other between them, but for where the first begins.
pub fn copy_paste(
    text: &str,
    materials: &Materials<'_>,
    chosen: &mut Chosen,
) -> Result<String, AttackError> {
    let (words, other) = (Words::of(text), Words::of(materials.other));
    let own = words.words.len();
    let strength = chosen.strength();
    let needed = (own as f64 * strength / (1.0 - strength)).round();
    if needed < 1.0 {
        return Ok(text.to_owned());
    }
    let needed = needed.min(1e15) as usize;
    if needed > other.words.len() {
        let (percent, have) = (100.0 * strength, other.words.len());
        return Err(AttackError::OtherTooShort { percent, needed, have });
    }
    let mut noise = chosen.noise();
    let start = below(&mut noise, other.words.len() - needed + 1);
    let foreign = &other.words[start..][..needed];
    let segments = materials.segments.min(own.max(1));
    // Cuts of the other text: one before each piece of the text, a rest after the last.
    let first = noise.uniform();
    let cut =
        |segment: usize| ((segment as f64 + first) * needed as f64 / segments as f64) as usize;
    let mut result = String::new();
    let mut push = |words: &[(&str, &str)]| {
        for (gap, word) in words {
            let gap = if gap.is_empty() && !result.is_empty() { " " } else { gap };
            result += gap;
            result += word;
        }
    };
    let mut from = 0;
    for segment in 0..segments {
        let to = cut(segment).min(needed);
        push(&foreign[from..to]);
        push(&words.words[segment * own / segments..(segment + 1) * own / segments]);
        from = to;
    }
    push(&foreign[from..]);
    Ok(result.trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use crate::attack::{Attack, Materials};

    const TEXT: &str = "one two three four five six seven eight nine ten";

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_share_of_the_words_is_edited() {
        let materials = Materials { other: "alpha beta gamma", ..Materials::default() };
        let apply = |attack: Attack| attack.apply(TEXT, 0.3, &materials, 9).unwrap();
        assert_eq!(words(&apply(Attack::Delete)).len(), 7);
        assert_eq!(words(&apply(Attack::Insert)).len(), 13);
        let substituted = apply(Attack::Substitute);
        assert_eq!(
            words(&substituted).iter().zip(words(TEXT)).filter(|(a, b)| **a != *b).count(),
            3
        );
        let truncated = apply(Attack::Truncate);
        assert!(TEXT.contains(&truncated) && words(&truncated).len() == 7);
        let swapped = apply(Attack::Swap);
        assert_ne!(swapped, TEXT);
        let sorted = |text| words(text).into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(sorted(&swapped), sorted(TEXT));
    }

    #[test]
    fn pieces_are_pasted_whole() {
        let other: String = (0..200).map(|n| format!("w{n} ")).collect();
        for segments in [1, 2, 5] {
            let materials = Materials { other: &other, segments, ..Materials::default() };
            for seed in 0..20 {
                let pasted = Attack::CopyPaste.apply(TEXT, 0.8, &materials, seed).unwrap();
                let pasted = words(&pasted);
                assert_eq!(pasted.len(), 50);
                let is_own: Vec<bool> = pasted.iter().map(|word| TEXT.contains(word)).collect();
                let runs = is_own.windows(2).filter(|pair| !pair[0] && pair[1]).count()
                    + usize::from(is_own[0]);
                assert_eq!(runs, segments);
                let own: Vec<&str> =
                    pasted.into_iter().filter(|word| TEXT.contains(word)).collect();
                assert_eq!(own, words(TEXT));
            }
        }
    }

    #[test]
    fn synonyms_are_written_as_the_word_was() {
        let materials = Materials::default();
        let edited =
            Attack::Synonyms.apply("\"Big!\" he said. BIG boats.", 1.0, &materials, 2).unwrap();
        assert!(edited.starts_with('"') && edited.contains("!\" he"), "{edited}");
        assert!(!edited.to_lowercase().contains("big"), "{edited}");
        assert!(edited.chars().nth(1).is_some_and(char::is_uppercase), "{edited}");
    }
}
