//! The parts of a `tokenizer.json` that a GGUF vocabulary needs.
//!
//! Profiles pin the hash of these bytes, so that every field, its order and its default stay as they are.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::tokens::TokenId;

use super::super::TokenizerError;

/// A `tokenizer.json`.
#[derive(Serialize)]
pub(super) struct File<'a> {
    version: &'static str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Added>,
    normalizer: Option<Step<'a>>,
    pre_tokenizer: Option<Step<'a>>,
    post_processor: (),
    decoder: Step<'a>,
    model: Model<'a>,
}

/// A token that is looked for in the text itself.
#[derive(Serialize)]
pub(super) struct Added {
    id: TokenId,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// A byte-pair encoding.
#[derive(Serialize)]
pub(super) struct Model<'a> {
    r#type: &'static str,
    dropout: (),
    unk_token: Option<&'a str>,
    continuing_subword_prefix: (),
    end_of_word_suffix: (),
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocab<'a>,
    merges: Vec<(&'a str, &'a str)>,
}

/// Tokens by id.
pub(super) struct Vocab<'a>(pub(super) Vec<&'a str>);

/// A step of normalising, cutting or decoding.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
#[allow(clippy::upper_case_acronyms, reason = "the name is the format's")]
pub(super) enum Step<'a> {
    NFC,
    Prepend {
        prepend: &'a str,
    },
    Replace {
        pattern: Pattern<'a>,
        content: &'a str,
    },
    Split {
        pattern: Pattern<'a>,
        behavior: &'a str,
        invert: bool,
    },
    Digits {
        individual_digits: bool,
    },
    ByteLevel {
        add_prefix_space: bool,
        trim_offsets: bool,
        use_regex: bool,
    },
    ByteFallback,
    Fuse,
    Strip {
        content: &'a str,
        start: usize,
        stop: usize,
    },
    Sequence {
        #[serde(flatten)]
        steps: Steps<'a>,
    },
}

/// The members of a sequence, under the name that its place in the file asks for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Steps<'a> {
    Normalizers(Vec<Step<'a>>),
    Pretokenizers(Vec<Step<'a>>),
    Decoders(Vec<Step<'a>>),
}

/// A text, or a regular expression for one.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum Pattern<'a> {
    String(&'a str),
    Regex(&'a str),
}

impl<'a> File<'a> {
    pub(super) fn new(
        added_tokens: Vec<Added>,
        model: Model<'a>,
        normalizer: Option<Step<'a>>,
        pre_tokenizer: Option<Step<'a>>,
        decoder: Step<'a>,
    ) -> Self {
        Self {
            version: "1.0",
            truncation: (),
            padding: (),
            added_tokens,
            normalizer,
            pre_tokenizer,
            post_processor: (),
            decoder,
            model,
        }
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, TokenizerError> {
        serde_json::to_vec(self).map_err(|error| TokenizerError::Parse(error.into()))
    }
}

impl Added {
    pub(super) fn new(id: TokenId, content: String, special: bool, rstrip: bool) -> Self {
        Self { id, content, single_word: false, lstrip: false, rstrip, normalized: false, special }
    }
}

impl<'a> Model<'a> {
    pub(super) fn new(vocab: Vocab<'a>, merges: Vec<(&'a str, &'a str)>) -> Self {
        Self {
            r#type: "BPE",
            dropout: (),
            unk_token: None,
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab,
            merges,
        }
    }

    /// Whether a word that is a token is that token, whatever the merges make of it.
    pub(super) fn ignore_merges(self, ignore_merges: bool) -> Self {
        Self { ignore_merges, ..self }
    }

    /// Characters that are no token become their bytes' tokens, or one `unk_token`.
    pub(super) fn byte_fallback(self, unk_token: Option<&'a str>) -> Self {
        Self { byte_fallback: true, fuse_unk: true, unk_token, ..self }
    }
}

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (id, token) in self.0.iter().enumerate() {
            map.serialize_entry(token, &id)?;
        }
        map.end()
    }
}

impl<'a> Step<'a> {
    /// Bytes to the letters that stand for them, and back.
    pub(super) const BYTE_LEVEL: Self =
        Self::ByteLevel { add_prefix_space: false, trim_offsets: false, use_regex: false };

    /// Cuts at each match, which is a word too.
    pub(super) fn split(regex: &'a str) -> Self {
        Self::Split { pattern: Pattern::Regex(regex), behavior: "Isolated", invert: false }
    }
}

/// `▁` for each space, and one before the text if `prefix`.
pub(super) fn spaces_to_marks(prefix: bool) -> Step<'static> {
    let replace = Step::Replace { pattern: Pattern::String(" "), content: "▁" };
    let steps =
        if prefix { vec![Step::Prepend { prepend: "▁" }, replace] } else { vec![replace] };
    Step::Sequence { steps: Steps::Normalizers(steps) }
}

/// The way back.
pub(super) fn marks_to_spaces(prefix: bool) -> Step<'static> {
    let replace = Step::Replace { pattern: Pattern::String("▁"), content: " " };
    let mut steps = vec![replace, Step::ByteFallback, Step::Fuse];
    if prefix {
        steps.push(Step::Strip { content: " ", start: 1, stop: 0 });
    }
    Step::Sequence { steps: Steps::Decoders(steps) }
}
