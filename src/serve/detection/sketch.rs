//! Fingerprints of a text's wording under a secret key.
//!
//! The text is repaired as [`normalise`] does and read as words: runs of letters and digits in lower case, or single
//! characters of scripts without blanks. Every three words in a row are hashed with the key, and of every four hashes in a row
//! the smallest is kept (winnowing: Schleimer, Wilkerson, Aiken, SIGMOD 2003), about 0.4 a word. Without the key nobody can say
//! which words decide, so nobody can choose edits that leave few fingerprints alike.

use crate::normalise::normalise;

/// Words that are hashed together.
const SHINGLE: usize = 3;
/// Hashes of which the smallest is kept.
const WINDOW: usize = 4;
/// Fingerprints of a word, about: 2 / (WINDOW + 1).
pub(super) const PRINTS_PER_WORD: f64 = 0.4;
/// One fingerprint of so many finds texts in the index.
const SAMPLED: u32 = 4;

/// The distinct fingerprints of a text, in order of their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sketch(Box<[u32]>);

/// How two texts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// At most a few words differ: fewer than carry a mark.
    Same,
    /// A large part of the longer is in the other.
    Alike,
    /// Neither.
    Other,
}

impl Likeness {
    /// Fingerprints of either text that may be missing in the other when they are the same: those of about two words changed
    /// here and there, or of ten in a row. A text is not [`Same`](Self::Same) when more than an eighth differs.
    const SLACK: usize = 5;
    /// Part of the longer text's fingerprints that alike texts share, in hundredths. One word in seven changed leaves about this.
    const SHARED: usize = 40;
}

impl Sketch {
    /// The fingerprints of a text.
    pub fn new(text: &str, key: &[u8; 32]) -> Self {
        let words: Vec<u64> = words(text).iter().map(|word| hash(key, word.as_bytes())).collect();
        let of = |words: &[u64]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            hash(key, &bytes) as u32
        };
        let hashes: Vec<u32> = match words.len() {
            0 => Vec::new(),
            1..SHINGLE => vec![of(&words)],
            _ => words.windows(SHINGLE).map(of).collect(),
        };
        let window = WINDOW.min(hashes.len()).max(1);
        let mut prints: Vec<u32> =
            hashes.windows(window).filter_map(|window| window.iter().min().copied()).collect();
        prints.sort_unstable();
        prints.dedup();
        Self(prints.into())
    }

    /// How many fingerprints there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that find the text in the index: a fixed part of them, whichever text they are in, and the smallest.
    pub fn sampled(&self) -> impl Iterator<Item = u32> {
        let smallest = self.0.first().filter(|print| !print.is_multiple_of(SAMPLED));
        smallest
            .into_iter()
            .chain(self.0.iter().filter(|print| print.is_multiple_of(SAMPLED)))
            .copied()
    }

    /// How this text compares with another.
    pub fn likeness(&self, other: &Self) -> Likeness {
        let shared = self.shared(other);
        let longer = self.len().max(other.len());
        let few = |text: &Self| text.len() - shared <= Likeness::SLACK.min(text.len() / 8);
        if shared > 0 && few(self) && few(other) {
            Likeness::Same
        } else if shared > 0 && 100 * shared >= Likeness::SHARED * longer {
            Likeness::Alike
        } else {
            Likeness::Other
        }
    }

    fn shared(&self, other: &Self) -> usize {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0;
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                std::cmp::Ordering::Less => drop(a.next()),
                std::cmp::Ordering::Greater => drop(b.next()),
                std::cmp::Ordering::Equal => {
                    shared += 1;
                    a.next();
                    b.next();
                }
            }
        }
        shared
    }
}

fn hash(key: &[u8; 32], bytes: &[u8]) -> u64 {
    let hash = blake3::keyed_hash(key, bytes);
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The words of a text; all its characters but blanks, where fewer than half of them are in words.
fn words(text: &str) -> Vec<String> {
    let repaired = normalise(text);
    let text = repaired.as_deref().unwrap_or(text).to_lowercase();
    let (mut words, mut word, mut in_words, mut all) = (Vec::new(), String::new(), 0, 0);
    for c in text.chars() {
        all += usize::from(!c.is_whitespace());
        in_words += usize::from(c.is_alphanumeric());
        if c.is_alphanumeric() && !is_unspaced(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            words.push(c.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    if 2 * in_words >= all {
        return words;
    }
    text.chars().filter(|c| !c.is_whitespace()).map(String::from).collect()
}

/// Whether a letter is of a script that puts no blanks between words: Thai, Lao, Tibetan, Burmese, Khmer, and those of East Asia but
/// Hangul.
fn is_unspaced(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0E00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0xABFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    /// Text of so many words of a small language, by a seed.
    pub fn prose(words: usize, seed: u64) -> Vec<String> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 33
        };
        (0..words).map(|_| format!("w{}", next() % 2_000)).collect()
    }

    fn sketch(words: &[String]) -> Sketch {
        Sketch::new(&words.join(" "), &KEY)
    }

    #[test]
    fn looks_and_order_of_marks_do_not_matter_and_the_key_does() {
        let plain = Sketch::new("It's a fine day, isn't it? We could walk to the lake.", &KEY);
        let dressed =
            Sketch::new("  It’s A FINE day — isn’t it!\nWe could wa\u{200b}lk to the lake", &KEY);
        assert_eq!(plain, dressed);
        assert_ne!(
            plain,
            Sketch::new("It's a fine day, isn't it? We could walk to the lake.", &[8; 32])
        );
        assert_eq!(Sketch::new(" \n", &KEY).len(), 0);
        assert!(Sketch::new("∑∫∂ ∇≈≠ ∀∃∈", &KEY).len() > 1);
        assert!(Sketch::new("今天天气很好我们去湖边散步吧", &KEY).len() > 3);
    }

    #[test]
    fn a_few_words_are_the_same_and_a_passage_is_not() {
        for (length, seed) in [(150, 1), (400, 2), (3_000, 3)] {
            let text = prose(length, seed);
            let own = sketch(&text);
            assert_eq!(own.likeness(&own), Likeness::Same);
            for at in [0, length / 3, length - 1] {
                let mut one = text.clone();
                one[at] = "other".to_owned();
                assert_eq!(own.likeness(&sketch(&one)), Likeness::Same, "{length} words, {at}");
            }
            // Enough words in a row for a strong mark, inside or behind.
            let passage = prose(40, 99);
            let mut inside = text.clone();
            inside.splice(length / 2..length / 2 + 40, passage.iter().cloned());
            assert_eq!(own.likeness(&sketch(&inside)), Likeness::Alike, "{length} words");
            let behind = [&text[..], &passage[..]].concat();
            assert_eq!(own.likeness(&sketch(&behind)), Likeness::Alike, "{length} words");
        }
    }

    #[test]
    fn alike_are_edits_and_large_excerpts_and_others_are_not() {
        let text = prose(1_000, 5);
        let own = sketch(&text);
        let every = |step: usize| {
            let change = |(at, word): (usize, &String)| {
                if at % step == 0 { format!("x{at}") } else { word.clone() }
            };
            sketch(&text.iter().enumerate().map(change).collect::<Vec<_>>())
        };
        assert_eq!(own.likeness(&every(10)), Likeness::Alike);
        assert_eq!(own.likeness(&every(3)), Likeness::Other);
        assert_eq!(own.likeness(&sketch(&text[..500])), Likeness::Alike);
        assert_eq!(own.likeness(&sketch(&text[400..700])), Likeness::Other);
        assert_eq!(own.likeness(&sketch(&prose(1_000, 6))), Likeness::Other);
    }
}
