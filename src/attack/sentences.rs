//! Edits of sentences.

use super::units::{Chosen, Words, sentences as cut};

pub fn mix(text: &str, other: &str, chosen: &mut Chosen) -> String {
    let (own, other) = (cut(text), cut(other));
    let edited = chosen.among(own.len());
    let mut mixed = String::new();
    for (at, sentence) in own.iter().enumerate() {
        if edited[at] {
            // As far into the other text as into this one, and again from its beginning where it is shorter.
            mixed += other[at % other.len()].trim_end();
            mixed += blanks_after(sentence);
        } else {
            mixed += sentence;
        }
    }
    mixed
}

fn blanks_after(sentence: &str) -> &str {
    &sentence[sentence.trim_end().len()..]
}

pub fn shuffle(text: &str, chosen: &mut Chosen) -> String {
    let own = cut(text);
    let edited = chosen.among(own.len());
    let places: Vec<usize> = (0..own.len()).filter(|&at| edited[at]).collect();
    let mut order: Vec<usize> = (0..own.len()).collect();
    // Each takes the place of some other where there is one: a cycle through the places in an order drawn.
    let drawn = chosen.order(places.len());
    for (at, &from) in drawn.iter().enumerate() {
        order[places[from]] = places[drawn[(at + 1) % drawn.len()]];
    }
    let mut shuffled = String::new();
    for (at, sentence) in own.iter().enumerate() {
        shuffled += own[order[at]].trim_end();
        shuffled += blanks_after(sentence);
    }
    shuffled
}

/// Words of a sentence sorted by their place plus a number uniform on [0, 3): none moves further than three places.
pub fn reorder(text: &str, chosen: &mut Chosen) -> String {
    const REACH: f64 = 3.0;
    let own = cut(text);
    let edited = chosen.among(own.len());
    let moved = |at: usize| {
        let words = Words::of(own[at]);
        let mut noise = chosen.noise_of(at);
        let mut order: Vec<(f64, usize)> = (0..words.words.len())
            .map(|word| (word as f64 + REACH * noise.uniform(), word))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        words.join(|place| words.words[order[place].1].1.to_owned())
    };
    (0..own.len()).map(|at| if edited[at] { moved(at) } else { own[at].to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use crate::attack::{Attack, Materials};

    #[test]
    fn sentences_change_places() {
        let materials = Materials { other: "X y. Z.", ..Materials::default() };
        let apply = |attack: Attack, text| attack.apply(text, 1.0, &materials, 1).unwrap();
        assert_eq!(apply(Attack::Mix, "One. Two.\n\nThree."), "X y. Z.\n\nX y.");
        assert_eq!(apply(Attack::Shuffle, "One. Two."), "Two. One.");
        for seed in 0..50 {
            let text: String = (0..30).map(|n| format!("{n} ")).collect();
            let moved = Attack::Reorder.apply(&text, 1.0, &materials, seed).unwrap();
            for (place, word) in moved.split_whitespace().enumerate() {
                assert!(word.parse::<usize>().unwrap().abs_diff(place) <= 3, "{moved}");
            }
        }
    }
}
