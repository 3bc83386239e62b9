//! How byte-level vocabularies cut text into words, by the names that GGUF files have for it (`tokenizer.ggml.pre`).
//!
//! The expressions are those of the published `tokenizer.json` files of the families. `default` is what llama.cpp does
//! with a file whose converter did not know the family.

use super::form::{Step, Steps};

/// A rule for words.
#[derive(Clone, Copy)]
pub(super) struct Words {
    names: &'static [&'static str],
    cuts: &'static [Cut],
    /// Whether text is put into Unicode's normal form C first.
    pub(super) nfc: bool,
    /// Whether a word that is a token is that token, whatever the merges make of it.
    pub(super) ignore_merges: bool,
    /// Whether a text begins with the token for that where the file does not say.
    pub(super) add_bos: bool,
}

/// One cut into smaller pieces.
#[derive(Clone, Copy)]
enum Cut {
    /// Matches and what lies between them are pieces.
    At(&'static str),
    /// Each digit is a piece.
    Digits,
}

/// GPT-2.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// cl100k_base: numbers in threes.
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// o200k_base: words change where capitals begin.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same without contractions and with single digits (Mistral NeMo).
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const PLAIN: Words =
    Words { names: &[], cuts: &[], nfc: false, ignore_merges: false, add_bos: false };

const TABLE: [Words; 10] = [
    Words {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2"],
        cuts: &[Cut::At(CL100K)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    Words { names: &["dbrx", "smaug-bpe"], cuts: &[Cut::At(CL100K)], ..PLAIN },
    Words { names: &["qwen2"], cuts: &[Cut::At(QWEN2)], nfc: true, ..PLAIN },
    Words { names: &["deepseek-r1-qwen", "stablelm2"], cuts: &[Cut::At(QWEN2)], ..PLAIN },
    Words { names: &["gpt-2"], cuts: &[Cut::At(GPT2)], ..PLAIN },
    Words { names: &["olmo"], cuts: &[Cut::At(GPT2)], nfc: true, ..PLAIN },
    Words {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b"],
        cuts: &[Cut::Digits, Cut::At(GPT2)],
        ..PLAIN
    },
    Words {
        names: &["tekken"],
        cuts: &[Cut::At(TEKKEN)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    Words { names: &["gpt-4o", "llama4", "kanana2"], cuts: &[Cut::At(O200K)], ..PLAIN },
    Words {
        names: &["default"],
        cuts: &[
            Cut::At(r"[\p{P}\$\+<=>\^~\|]+"),
            Cut::At(GPT2),
            Cut::At(r"\p{N}+"),
            Cut::At("[0-9][0-9][0-9]"),
        ],
        ..PLAIN
    },
];

/// The rule of a name.
pub(super) fn of(name: &str) -> Option<Words> {
    TABLE.into_iter().find(|words| words.names.contains(&name))
}

/// Every name that is known.
pub(super) fn names() -> String {
    let names: Vec<&str> = TABLE.iter().flat_map(|words| words.names).copied().collect();
    names.join(", ")
}

impl Words {
    pub(super) fn steps(&self) -> Steps<'static> {
        let cuts = self.cuts.iter().map(|cut| match cut {
            Cut::At(regex) => Step::split(regex),
            Cut::Digits => Step::Digits { individual_digits: true },
        });
        Steps::Pretokenizers(cuts.chain([Step::BYTE_LEVEL]).collect())
    }
}
