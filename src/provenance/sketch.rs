//! A keyed sketch of a text: enough to recognise it after edits, or a passage of it, and useless without the key.
//!
//! # What is sketched
//!
//! The text is [normalised](crate::normalise), put in lower case and cut into words: runs of letters, digits and marks; in
//! scripts without blanks between words, each character. Every five words in a row make a shingle; a text of fewer makes one of all
//! its words. A shingle's hash is the first eight bytes, little-endian, of
//!
//! ```text
//! BLAKE3-keyed( sketch key, "shingle" ‖ the words, a blank between two )
//! ```
//!
//! its low half is the *value*, the number of leading zero bits of its high half the *rank*. A sketch holds the values of all shingles
//! of rank ≥ ℓ, the smallest ℓ for which there are at most [`Sketch::MOST`].
//!
//! # Why this sketch
//!
//! The question is whether a passage stands in a longer answer, so containment must be estimable between texts of different
//! lengths. A MinHash of fixed size compares the smallest values of the *union*, among which a short passage has next to none;
//! sampling by hash keeps the same share of both, whatever their lengths (FracMinHash: Irber et al. 2022; Hera, Pierce-Ward &
//! Koslicki 2023). Halving the share only when a text is long bounds the size (adaptive sampling, Wegman; Flajolet 1990) and
//! leaves answers of up to some 1,000 words whole: there the count is not an estimate.

use unicode_normalization::char::is_combining_mark;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::receipt::ReceiptError;
use crate::normalise::normalise;

/// Words in a shingle.
pub(crate) const WIDTH: usize = 5;

/// What sketches are keyed with. Texts are compared only under the same key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SketchKey([u8; 32]);

impl SketchKey {
    /// A key from its bytes, which are wiped from the argument.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let key = Self(*bytes);
        bytes.zeroize();
        key
    }

    fn hash(&self, kind: &[u8], text: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(kind).update(text);
        let bytes = *hasher.finalize().as_bytes();
        bytes[..8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

impl std::fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SketchKey(hidden)")
    }
}

/// A text as its shingles' hashes, for looking up.
#[derive(Clone, Debug)]
pub struct Query {
    /// Hash of all words.
    pub whole: u64,
    /// Number of words.
    pub words: usize,
    /// Distinct hashes, ascending by value.
    hashes: Vec<Hash>,
    /// How many hashes have each rank or a higher one.
    of_rank: [u32; RANKS],
    /// Which sixteenth bits the values begin with: most values that are not among them are known so at once.
    beginnings: Vec<u64>,
}

/// A shingle's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hash {
    value: u32,
    rank: u8,
}

const RANKS: usize = 33;

impl Query {
    /// The text's shingles.
    pub fn new(key: &SketchKey, text: &str) -> Self {
        let words = Words::of(text);
        let mut hashes: Vec<Hash> = words
            .shingles()
            .map(|shingle| {
                let hash = key.hash(b"shingle", shingle.as_bytes());
                Hash { value: hash as u32, rank: ((hash >> 32) as u32).leading_zeros() as u8 }
            })
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut of_rank = [0; RANKS];
        let mut beginnings = vec![0; 1 << 10];
        for hash in &hashes {
            of_rank[..=usize::from(hash.rank)].iter_mut().for_each(|count| *count += 1);
            beginnings[hash.value as usize >> 22] |= 1 << (hash.value >> 16 & 63);
        }
        let whole = key.hash(b"whole", words.text.as_bytes());
        Self { whole, words: words.starts.len(), hashes, of_rank, beginnings }
    }

    /// Number of distinct shingles.
    pub fn shingles(&self) -> u32 {
        self.of_rank[0]
    }

    /// How many of the shingles a sketch of a level would hold.
    pub fn sampled(&self, level: u8) -> u32 {
        self.of_rank.get(usize::from(level)).copied().unwrap_or(0)
    }

    /// How many values of a sketch are among the shingles.
    pub fn shared(&self, level: u8, values: impl Iterator<Item = u32>) -> u32 {
        let known = |value: u32| {
            self.beginnings[value as usize >> 22] >> (value >> 16 & 63) & 1 == 1
                && self.has(value, level)
        };
        values.filter(|&value| known(value)).count() as u32
    }

    fn has(&self, value: u32, level: u8) -> bool {
        let first = self.hashes.partition_point(|hash| hash.value < value);
        let equal = self.hashes[first..].iter().take_while(|hash| hash.value == value);
        equal.into_iter().any(|hash| hash.rank >= level)
    }

    /// What is kept of the text.
    pub fn sketch(&self) -> Sketch {
        let fits = |&level: &u8| self.sampled(level) as usize <= Sketch::MOST;
        let level = (0..RANKS as u8 - 1).find(fits).unwrap_or(RANKS as u8 - 1);
        let kept = self.hashes.iter().filter(|hash| hash.rank >= level);
        let mut values: Vec<u32> = kept.map(|hash| hash.value).collect();
        values.dedup();
        Sketch { whole: self.whole, shingles: self.shingles(), level, values }
    }
}

/// What is kept of a text to recognise it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    /// Hash of all words, for texts that differ in no word.
    pub whole: u64,
    /// Number of distinct shingles.
    pub shingles: u32,
    /// ℓ: of the shingles, those of this rank or a higher one are kept, a share of 2^−ℓ.
    pub level: u8,
    /// Their values, ascending.
    pub values: Vec<u32>,
}

impl Sketch {
    /// Most values.
    pub const MOST: usize = 1024;
    const VERSION: u8 = 1;
    const HEADER: usize = 14;

    /// The sketch of a text.
    pub fn new(key: &SketchKey, text: &str) -> Self {
        Query::new(key, text).sketch()
    }

    /// u8 version (1) ‖ u8 ℓ ‖ u32 number of shingles ‖ u64 hash of all words ‖ the values as u32; little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::HEADER + 4 * self.values.len());
        bytes.extend([Self::VERSION, self.level]);
        bytes.extend(self.shingles.to_le_bytes());
        bytes.extend(self.whole.to_le_bytes());
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`ReceiptError::Sketch`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let view = SketchView::of(bytes)?;
        let values = view.values().collect();
        Ok(Self { whole: view.whole, shingles: view.shingles, level: view.level, values })
    }
}

/// A sketch's bytes, read in place: a search looks at very many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SketchView<'a> {
    pub whole: u64,
    pub shingles: u32,
    pub level: u8,
    values: &'a [u8],
}

impl<'a> SketchView<'a> {
    pub fn of(bytes: &'a [u8]) -> Result<Self, ReceiptError> {
        let (header, values) =
            bytes.split_at_checked(Sketch::HEADER).ok_or(ReceiptError::Sketch)?;
        let number = |range: std::ops::Range<usize>| {
            header[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        if header[0] != Sketch::VERSION
            || usize::from(header[1]) >= RANKS
            || !values.len().is_multiple_of(4)
        {
            return Err(ReceiptError::Sketch);
        }
        Ok(Self { whole: number(6..14), shingles: number(2..6) as u32, level: header[1], values })
    }

    pub fn values(self) -> impl Iterator<Item = u32> + 'a {
        self.values.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes))
    }

    pub fn len(self) -> u32 {
        (self.values.len() / 4) as u32
    }
}

/// A text's words, a blank between two.
struct Words {
    text: String,
    /// Where each word begins.
    starts: Vec<usize>,
}

impl Words {
    fn of(text: &str) -> Self {
        let normalised = normalise(text);
        let mut words = Self { text: String::with_capacity(text.len()), starts: Vec::new() };
        let mut inside = false;
        for character in normalised.as_deref().unwrap_or(text).chars() {
            if !character.is_alphanumeric() && !(inside && is_combining_mark(character)) {
                inside = false;
                continue;
            }
            let alone = is_unspaced(character);
            if !inside || alone {
                words.begin();
            }
            words.text.extend(character.to_lowercase());
            inside = !alone;
        }
        // A text without a word is told from others by its characters.
        if words.starts.is_empty() {
            words.text.push_str(text.trim());
        }
        words
    }

    fn begin(&mut self) {
        if !self.starts.is_empty() {
            self.text.push(' ');
        }
        self.starts.push(self.text.len());
    }

    fn shingles(&self) -> impl Iterator<Item = &str> {
        let count = self.starts.len().saturating_sub(WIDTH - 1).max(self.starts.len().min(1));
        (0..count).map(|first| {
            // The blank before the next word is not part of it.
            let end = self.starts.get(first + WIDTH).map_or(self.text.len(), |next| next - 1);
            &self.text[self.starts[first]..end]
        })
    }
}

/// Whether a character's script puts no blanks between words.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::super::receipt::{Part, Seed};
    use super::super::similarity::{Overlap, Similarity};
    use super::*;

    fn key(byte: u8) -> SketchKey {
        SketchKey::take(&mut [byte; 32])
    }

    fn sketch(text: &str) -> Sketch {
        Sketch::new(&key(1), text)
    }

    fn words(text: &str) -> Vec<String> {
        let words = Words::of(text);
        words.text.split(' ').map(str::to_owned).collect()
    }

    /// Words that stand for numbers.
    fn prose(numbers: impl Iterator<Item = u64>) -> String {
        numbers.map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_not_a_word_does_not_count() {
        let plain = sketch("It's five o'clock, \"somewhere\" in the world - or so they say.");
        for same in [
            "it\u{2019}s FIVE o\u{2019}clock \u{201C}somewhere\u{201D} in the world or so they say",
            "It's  five\no'clock, somewhere in the\u{A0}world; or so they say!  ",
        ] {
            assert_eq!(sketch(same), plain, "{same}");
        }
        assert_ne!(sketch("It is five o'clock somewhere in the world or so they say"), plain);
        assert_eq!(words("Caf\u{E9} na\u{308}ive"), ["caf\u{E9}", "n\u{E4}ive"]);
        assert_eq!(words("我们在这里 abc"), ["我", "们", "在", "这", "里", "abc"]);
        assert_eq!(sketch("我们在这里吃饭").values.len(), 3);
    }

    #[test]
    fn short_texts_have_one_shingle_and_texts_without_words_none() {
        for (text, count) in [
            ("one", 1),
            ("one two three four", 1),
            ("a b c d e", 1),
            ("a b c d e f", 2),
            ("", 0),
            ("?!", 0),
        ] {
            assert_eq!(sketch(text).values.len(), count, "{text}");
        }
        assert_ne!(sketch("?!").whole, sketch("!?").whole);
        assert_ne!(sketch("one").whole, sketch("two").whole);
    }

    #[test]
    fn without_the_key_a_sketch_says_nothing() {
        let text = prose(0..100);
        let (ours, theirs) = (sketch(&text), Sketch::new(&key(2), &text));
        assert_ne!(ours.whole, theirs.whole);
        assert!(ours.values.iter().all(|value| !theirs.values.contains(value)));
    }

    #[test]
    fn sketches_are_bounded_and_read_again() {
        for count in [0, 10, 1000, 5000, 50_000] {
            let sketch = sketch(&prose(0..count));
            assert!(sketch.values.len() <= Sketch::MOST);
            assert!(count < 2000 || sketch.values.len() > Sketch::MOST / 3);
            assert_eq!(sketch.level == 0, count <= 1000);
            let bytes = sketch.to_bytes();
            assert_eq!(Sketch::from_bytes(&bytes).unwrap(), sketch);
            assert!(Sketch::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            assert!(Sketch::from_bytes(&[&[2], &bytes[1..]].concat()).is_err());
            let seed = Seed::from_bytes([7; 32]);
            assert_ne!(seed.commit(Part::Sketch, &bytes), seed.commit(Part::Text, &bytes));
        }
    }

    fn similarity(query: &str, answer: &str) -> Similarity {
        let bytes = sketch(answer).to_bytes();
        let overlap = Overlap::of(&Query::new(&key(1), query), SketchView::of(&bytes).unwrap());
        Similarity::of(&overlap, 1).unwrap()
    }

    /// Half of a query stands in a long answer; the interval holds that half as often as it says.
    #[test]
    fn intervals_of_samples_cover() {
        let mut covered = 0;
        for trial in 0..300 {
            let start = 1_000_000 * trial;
            let answer = prose(start..start + 20_000);
            let query = prose((start + 500..start + 604).chain(start + 500_000..start + 500_104));
            let found = similarity(&query, &answer);
            assert!(found.compared < 50, "{found:?}");
            // A query without a shingle of the sample says nothing.
            covered += u32::from(found.containment_interval.contains(100.0 / 204.0));
        }
        assert!(covered >= 280, "{covered} of 300");
    }

    #[test]
    fn whole_sketches_count() {
        let found = similarity(&prose(100..204), &prose(0..500));
        assert_eq!((found.shared, found.compared), (100, 100));
        let interval = found.containment_interval;
        assert_eq!((found.containment, interval.low, interval.high), (1.0, 1.0, 1.0));
        assert_eq!((found.coverage, found.jaccard), (100.0 / 496.0, 100.0 / 496.0));
        assert!(found.log10_hash_chance < -500.0);
        let none = similarity(&prose(1000..1200), &prose(0..500));
        assert_eq!((none.shared, none.log10_hash_chance), (0, 0.0));
    }
}
