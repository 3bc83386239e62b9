//! Token ids, and the trait between text and ids.
//!
//! Every layer above speaks ids; only adapters know a concrete tokenizer.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Index of a token in a model's vocabulary, `0 ≤ id < V`.
pub type TokenId = u32;

/// Text to ids and back.
///
/// Implementations must be deterministic: detection reads the same ids from the same text on every machine.
pub trait Tokenize: Send + Sync {
    /// Encodes `text` without adding special tokens and without recognising them in the text.
    ///
    /// # Errors
    /// [`TokenizeError::Encode`] when the tokenizer rejects the text.
    fn encode(&self, text: &str) -> Result<Encoding, TokenizeError>;

    /// Encodes a rendered chat prompt: special tokens written out in `text` become their ids.
    ///
    /// # Errors
    /// [`TokenizeError::Encode`] when the tokenizer rejects the text.
    fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError>;

    /// Decodes ids to text, leaving special tokens out.
    ///
    /// # Errors
    /// [`TokenizeError::Decode`] when an id is outside the vocabulary.
    fn decode(&self, ids: &[TokenId]) -> Result<String, TokenizeError>;

    /// Number of entries, added tokens included.
    fn vocab_size(&self) -> usize;

    /// Ids that never carry evidence (end of text, chat markers, padding).
    fn special_ids(&self) -> &[TokenId];

    /// What a profile pins: BLAKE3 of the tokenizer file.
    fn hash(&self) -> TokenizerHash;
}

/// The ids of a text and where each came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids in order.
    pub ids: Vec<TokenId>,
    /// Byte range in the text, one for each id.
    pub bytes: Vec<Range<usize>>,
}

/// BLAKE3 of a tokenizer's definition, the identity a profile pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenizerHash(pub [u8; 32]);

impl TokenizerHash {
    /// Hash of a tokenizer file's bytes.
    pub fn of(file: &[u8]) -> Self {
        Self(*blake3::hash(file).as_bytes())
    }
}

impl fmt::Display for TokenizerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for TokenizerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenizerHash {
    type Err = TokenizeError;
    fn from_str(hex: &str) -> Result<Self, TokenizeError> {
        let hash =
            blake3::Hash::from_hex(hex).map_err(|_| TokenizeError::Hash { got: hex.to_owned() })?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl Serialize for TokenizerHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenizerHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why text could not become ids, or ids text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// The tokenizer rejected the text.
    #[error("the tokenizer could not encode the text")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tokenizer rejected the ids.
    #[error("the tokenizer could not decode the ids")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not a tokenizer hash.
    #[error("\"{got}\" is not a tokenizer hash: 64 hexadecimal digits are expected")]
    Hash {
        /// What was read.
        got: String,
    },
}
