//! Long texts in pieces, with the ids that the whole would have.
//!
//! The crate `tokenizers` needs some 160 bytes for each byte of a text. Here a text is cut into pieces that overlap; each begins
//! at a token of the one before, and two pieces are joined where they agree on several tokens in a row.
//!
//! *Why the ids are those of the whole.* A sequence of tokens is the byte-pair encoding of its text if every two neighbours
//! are the encoding of theirs (Berglund & van der Merwe, "Formalizing BPE Tokenization", 2023): neighbours inside a piece are,
//! and those at a join stand side by side in both pieces. Where words are cut first, by an expression that looks at most a
//! character beyond a match and never behind it, two scans that begin a word at one place go on alike: the pieces must agree
//! on where words begin too, as digits in groups of three can give the same tokens at another phase. What an end spoils are the
//! last runs of letters, digits, spaces or signs before it, which are not relied on. A text whose pieces do not agree is read
//! whole, and so is every text where the tokenizer is not byte-pair encoding.

use crate::tokens::{Encoding, TokenizeError};

/// How a long text is cut, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Of a piece.
    pub piece: usize,
    /// That two pieces share, at first.
    pub overlap: usize,
}

impl Cut {
    /// A piece of so many bytes takes some 40 MB.
    pub const USUAL: Self = Self { piece: 1 << 18, overlap: 1 << 11 };
}

/// The tokens of a piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    /// Ids and places.
    pub tokens: Encoding,
    /// Whether a word begins at a token, as the tokenizer cuts words.
    pub begins: Vec<bool>,
}

impl Piece {
    fn truncate(&mut self, keep: usize) {
        self.tokens.ids.truncate(keep);
        self.tokens.bytes.truncate(keep);
        self.begins.truncate(keep);
    }

    fn extend(&mut self, next: &Self, skip: usize) {
        self.tokens.ids.extend_from_slice(&next.tokens.ids[skip..]);
        self.tokens.bytes.extend_from_slice(&next.tokens.bytes[skip..]);
        self.begins.extend_from_slice(&next.begins[skip..]);
    }

    fn same(&self, at: usize, other: &Self, there: usize) -> bool {
        let (a, b) = (&self.tokens, &other.tokens);
        a.ids[at] == b.ids[there]
            && a.bytes[at] == b.bytes[there]
            && self.begins[at] == other.begins[there]
    }
}

/// Tokens in a row that two pieces must agree on.
const AGREE: usize = 8;
/// Runs of characters of one kind at the end of a piece that are not relied on.
const RUNS: usize = 4;
/// Tokens at which a piece may begin, tried one after the other.
const TRIES: usize = 6;

/// The encoding of `text` that `encode` would give of the whole of it.
pub(super) fn encode(
    text: &str,
    cut: Cut,
    encode: impl Fn(&str) -> Result<Piece, TokenizeError>,
) -> Result<Encoding, TokenizeError> {
    let mut all = encode(before(text, cut.piece))?;
    let mut end = before(text, cut.piece).len();
    while end < text.len() {
        let Some(join) = further(text, end, cut, &all, &encode)? else {
            return Ok(encode(text)?.tokens);
        };
        all.truncate(join.keep);
        all.extend(&join.next, join.skip);
        end = join.reached;
    }
    Ok(all.tokens)
}

/// How a piece goes on after those before it.
struct Join {
    /// Tokens of those before to keep.
    keep: usize,
    /// The piece.
    next: Piece,
    /// Its tokens to skip.
    skip: usize,
    /// Where its text ends.
    reached: usize,
}

/// The longest part of `text` of at most `bytes` bytes from its beginning.
fn before(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What follows the tokens of `text[..end]`. None where no piece agrees with them.
fn further(
    text: &str,
    end: usize,
    cut: Cut,
    known: &Piece,
    encode: impl Fn(&str) -> Result<Piece, TokenizeError>,
) -> Result<Option<Join>, TokenizeError> {
    let mut overlap = cut.overlap;
    while overlap <= cut.piece / 2 {
        let settled = settled(&text[..end], overlap / 4);
        for first in beginnings(text, end.saturating_sub(overlap), &known.tokens) {
            let start = known.tokens.bytes[first].start;
            let piece = before(&text[start..], cut.piece);
            let mut next = encode(piece)?;
            for bytes in &mut next.tokens.bytes {
                *bytes = bytes.start + start..bytes.end + start;
            }
            if let Some((keep, skip)) = agreement(known, first, &next, settled) {
                return Ok(Some(Join { keep, next, skip, reached: start + piece.len() }));
            }
        }
        overlap *= 4;
    }
    Ok(None)
}

/// Where the text's words are certainly cut as they would be were it longer: `near` bytes before its end or more, and before its last
/// runs of letters, digits, spaces or signs. An expression that takes back what it matched does so within such a run.
fn settled(text: &str, near: usize) -> usize {
    let kind = |c: char| match c {
        c if c.is_whitespace() => 0,
        c if c.is_uppercase() => 1,
        c if c.is_alphabetic() => 2,
        c if c.is_numeric() => 3,
        _ => 4,
    };
    let (mut runs, mut last) = (0, None);
    for (at, c) in text.char_indices().rev() {
        if last.replace(kind(c)) != Some(kind(c)) {
            runs += 1;
        }
        if runs > RUNS && text.len() - at >= near {
            return at;
        }
    }
    0
}

/// Tokens at or after a byte where a piece can begin: nothing that is not theirs lies before them. Those that begin a word come
/// first.
fn beginnings(text: &str, from: usize, known: &Encoding) -> Vec<usize> {
    let near = known.bytes.partition_point(|bytes| bytes.start < from).max(1);
    let clean = |&at: &usize| {
        let (last, bytes) = (&known.bytes[at - 1], &known.bytes[at]);
        last.end <= bytes.start && text.is_char_boundary(bytes.start)
    };
    let among = near..known.bytes.len().min(near + 16 * TRIES);
    let mut clean: Vec<usize> = among.filter(clean).collect();
    let begins_word = |at: usize| text[known.bytes[at].start..].starts_with(char::is_whitespace);
    clean.sort_by_key(|&at| (!begins_word(at), at));
    clean.truncate(TRIES);
    clean
}

/// Where two pieces agree on tokens that end before `settled`: how many tokens of the first to keep and of the second to skip.
fn agreement(known: &Piece, first: usize, next: &Piece, settled: usize) -> Option<(usize, usize)> {
    let (mut i, mut j, mut row) = (first, 0, 0);
    let (before, after) = (&known.tokens.bytes, &next.tokens.bytes);
    while i < before.len() && j < after.len() && before[i].end <= settled {
        if known.same(i, next, j) {
            (i, j, row) = (i + 1, j + 1, row + 1);
            if row == AGREE {
                return Some((i - AGREE / 2, j - AGREE / 2));
            }
            continue;
        }
        row = 0;
        // The one that ends first is passed by.
        let (a, b) = (&before[i], &after[j]);
        match (a.end, a.start).cmp(&(b.end, b.start)) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j) = (i + 1, j + 1),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::HfTokenizer;
    use crate::tokens::Tokenize;

    const FILE: &str = include_str!("../../models/scribe-16m/tokenizer.json");
    /// The expressions of GPT-4 and of newer models, which group digits and take back what they matched.
    const GPT_4: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// The bundled vocabulary behind several ways of cutting words, and behind none.
    fn tokenizers() -> Vec<HfTokenizer> {
        let level = |regex: bool, prefix: bool| {
            serde_json::json!({
                "type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": regex
            })
        };
        let split = |expression: &str| {
            let split = serde_json::json!({
                "type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false
            });
            serde_json::json!({"type": "Sequence", "pretokenizers": [split, level(false, false)]})
        };
        let words = [
            level(true, false),
            level(true, true),
            level(false, false),
            split(GPT_4),
            split(O200K),
        ];
        let with = |words: serde_json::Value| {
            let mut file: serde_json::Value = serde_json::from_str(FILE).unwrap();
            file["pre_tokenizer"] = words;
            HfTokenizer::from_bytes(file.to_string().as_bytes()).unwrap()
        };
        words.into_iter().map(with).collect()
    }

    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => "[A-Za-z]{1,9}[ ,.'\n]{1,2}",
            2 => "[A-Z]{1,60}",
            1 => "\\PC{1,20}",
            1 => "[0-9]{1,40}",
            1 => "[ \t\n\r]{1,60}",
            1 => "[\u{4e00}-\u{4fff}]{1,30}[\u{3001}\u{3002}]?",
            1 => "[\u{e0}-\u{ff}\u{300}-\u{320}\u{1f600}-\u{1f610}\u{200d}]{1,12}",
            1 => "(don't|we'll|I'M|<\\|im_end\\|>) ?",
            1 => (0..4_usize, 1..400_usize).prop_map(|(which, n)| ["a", " ", "ab", "0"][which].repeat(n)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// The same tokens as of the whole, wherever the cuts fall.
        #[test]
        fn pieces_are_the_whole(parts in prop::collection::vec(part(), 0..400), piece in 200_usize..1500) {
            let text = parts.concat();
            for tokenizer in tokenizers() {
                let whole = tokenizer.encode_whole(&text).unwrap().tokens;
                let cut = Cut { piece, overlap: piece / 8 };
                let joined = encode(&text, cut, |piece| tokenizer.encode_whole(piece)).unwrap();
                prop_assert_eq!(&joined, &whole);
            }
        }
    }

    /// Digits in groups of three: eight tokens of one digit agree whatever the phase of the groups.
    #[test]
    fn groups_of_digits_keep_their_phase() {
        for tokenizer in tokenizers() {
            for lead in 0..3 {
                let text = format!("{}{}{}.", "1".repeat(lead), "13".repeat(100), "0".repeat(300));
                for piece in 200..260 {
                    let cut = Cut { piece, overlap: piece / 8 };
                    let joined = encode(&text, cut, |piece| tokenizer.encode_whole(piece)).unwrap();
                    assert_eq!(joined, tokenizer.encode_whole(&text).unwrap().tokens);
                }
            }
        }
    }

    /// What is read at once stays small where words are words, and a text without any is still read.
    #[test]
    fn long_texts_are_read_in_pieces() {
        let tokenizer = &tokenizers()[0];
        let prose: String =
            (0..40_000).map(|i| format!("word{} of it, and so on. ", i * i % 977)).collect();
        let longest = std::cell::Cell::new(0);
        let noted = |piece: &str| {
            longest.set(longest.get().max(piece.len()));
            tokenizer.encode_whole(piece)
        };
        let joined = encode(&prose, Cut::USUAL, noted).unwrap();
        assert!(longest.get() <= Cut::USUAL.piece);
        assert_eq!(joined, tokenizer.encode_whole(&prose).unwrap().tokens);
        assert_eq!(joined, tokenizer.encode(&prose).unwrap());
        longest.set(0);
        let cut = Cut { piece: 4096, overlap: 512 };
        for text in ["a".repeat(20_000), " ".repeat(20_000), "\u{6f22}".repeat(9_000)] {
            let whole = tokenizer.encode_whole(&text).unwrap().tokens;
            assert_eq!(encode(&text, cut, noted).unwrap(), whole);
        }
        // One run of one kind of characters has no place to be cut at.
        assert_eq!(longest.get(), 27_000);
    }
}
