//! Long texts in pieces, with the ids that the whole would have.
//!
//! The crate `tokenizers` needs some 160 bytes for each byte of a text. Here a text is cut into pieces that overlap; each begins
//! at a token of the one before, and two pieces are joined where they agree on several tokens in a row.
//!
//! *Why the ids are those of the whole.* A sequence of tokens is the byte-pair encoding of its text if every two neighbours
//! are the encoding of theirs (Berglund & van der Merwe, "Formalizing BPE Tokenization", 2023): neighbours inside a piece are,
//! and those at a join stand side by side in both pieces. Where words are cut first, by an expression that looks at most a
//! character beyond a match and never behind it, two scans that begin a word at one place go on alike. What an end spoils are the
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
    encode: impl Fn(&str) -> Result<Encoding, TokenizeError>,
) -> Result<Encoding, TokenizeError> {
    let mut all = encode(before(text, cut.piece))?;
    let mut end = before(text, cut.piece).len();
    while end < text.len() {
        match further(text, end, cut, &all, &encode)? {
            Some((keep, next, reached)) => {
                all.ids.truncate(keep);
                all.bytes.truncate(keep);
                all.ids.extend(next.ids);
                all.bytes.extend(next.bytes);
                end = reached;
            }
            None => return encode(text),
        }
    }
    Ok(all)
}

/// The longest part of `text` of at most `bytes` bytes from its beginning.
fn before(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What follows the tokens of `text[..end]`: how many of them to keep, the tokens after those, and where the text that they come from
/// ends. None where no piece agrees with them.
fn further(
    text: &str,
    end: usize,
    cut: Cut,
    known: &Encoding,
    encode: impl Fn(&str) -> Result<Encoding, TokenizeError>,
) -> Result<Option<(usize, Encoding, usize)>, TokenizeError> {
    let mut overlap = cut.overlap;
    while overlap <= cut.piece / 2 {
        let settled = settled(&text[..end], overlap / 4);
        for first in beginnings(text, end.saturating_sub(overlap), known) {
            let start = known.bytes[first].start;
            let piece = before(&text[start..], cut.piece);
            let mut next = encode(piece)?;
            next.bytes.iter_mut().for_each(|bytes| *bytes = bytes.start + start..bytes.end + start);
            if let Some((keep, skip)) = agreement(known, first, &next, settled) {
                next.ids.drain(..skip);
                next.bytes.drain(..skip);
                return Ok(Some((keep, next, start + piece.len())));
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
fn agreement(
    known: &Encoding,
    first: usize,
    next: &Encoding,
    settled: usize,
) -> Option<(usize, usize)> {
    let (mut i, mut j, mut row) = (first, 0, 0);
    while i < known.ids.len() && j < next.ids.len() && known.bytes[i].end <= settled {
        let (a, b) = (&known.bytes[i], &next.bytes[j]);
        if a == b && known.ids[i] == next.ids[j] {
            (i, j, row) = (i + 1, j + 1, row + 1);
            if row == AGREE {
                return Some((i - AGREE / 2, j - AGREE / 2));
            }
            continue;
        }
        row = 0;
        // The one that ends first is passed by.
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
                let whole = tokenizer.encode_whole(&text).unwrap();
                let cut = Cut { piece, overlap: piece / 8 };
                let joined = encode(&text, cut, |piece| tokenizer.encode_whole(piece)).unwrap();
                prop_assert_eq!(&joined, &whole);
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
        assert_eq!(joined, tokenizer.encode_whole(&prose).unwrap());
        assert_eq!(joined, tokenizer.encode(&prose).unwrap());
        let cut = Cut { piece: 4096, overlap: 512 };
        for text in ["a".repeat(20_000), " ".repeat(20_000), "\u{6f22}".repeat(9_000)] {
            assert_eq!(encode(&text, cut, noted).unwrap(), tokenizer.encode_whole(&text).unwrap());
        }
        assert_eq!(longest.get(), 27_000);
    }
}
