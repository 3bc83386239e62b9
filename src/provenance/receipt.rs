//! What is recorded of one answer.
//!
//! The bytes that are hashed and signed are the receipt's JSON in canonical form (RFC 8785): keys in ascending order, no blanks,
//! absent values left out, numbers below 2⁵³. Fields below stand in that order.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::digest::Digest;
use super::sketch::Sketch;

/// A receipt: what is public of one answer, in its place in the chain.
///
/// Redaction does not change it: what it says of text, prompt and sketch are commitments, which say nothing once their
/// [`Seed`] is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Public name of the API key that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The answer's id, such as `chatcmpl-…`.
    pub answer: String,
    /// Whether the answer was written with the mark.
    pub applied: bool,
    /// Which of several choices under one id, from 0.
    pub choice: u32,
    /// What was written, hidden.
    pub commitments: Commitments,
    /// Why the answer ended.
    pub finish_reason: String,
    /// The mark that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Marking>,
    /// What wrote the answer.
    pub model: ModelName,
    /// The link of the receipt before; of the first, [`genesis`](super::genesis).
    pub previous: Digest,
    /// Why there is no mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Version of this format.
    pub schema: u32,
    /// Place in the ledger, from 1.
    pub sequence: u64,
    /// When the answer ended, by the server's clock, in milliseconds.
    pub time: Timestamp,
    /// How long prompt and answer are.
    pub tokens: TokenCounts,
}

impl Receipt {
    /// Version of the format.
    pub const SCHEMA: u32 = 1;

    /// The receipt of a new answer, after the one whose link is `previous`.
    pub fn after(previous: Digest, sequence: u64, facts: Facts, commitments: Commitments) -> Self {
        Self {
            account: facts.account,
            answer: facts.answer,
            applied: facts.applied,
            choice: facts.choice,
            commitments,
            finish_reason: facts.finish_reason,
            mark: facts.mark,
            model: facts.model,
            previous,
            reason: facts.reason,
            schema: Self::SCHEMA,
            sequence,
            time: facts.time,
            tokens: facts.tokens,
        }
    }

    /// The bytes that are hashed and signed: JSON in the canonical form of RFC 8785.
    ///
    /// # Errors
    /// [`ReceiptError::Json`], which does not happen with values that serde_json can write.
    pub fn canonical(&self) -> Result<Vec<u8>, ReceiptError> {
        serde_json::to_vec(self).map_err(ReceiptError::Json)
    }

    /// Reads canonical bytes, and nothing else: one receipt has one form.
    ///
    /// # Errors
    /// [`ReceiptError::Json`] for what is no receipt, [`ReceiptError::NotCanonical`] for one in another form,
    /// [`ReceiptError::Schema`] for one of another version.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self = serde_json::from_slice(bytes).map_err(ReceiptError::Json)?;
        if receipt.schema != Self::SCHEMA {
            return Err(ReceiptError::Schema { got: receipt.schema });
        }
        if receipt.canonical()? != bytes {
            return Err(ReceiptError::NotCanonical);
        }
        Ok(receipt)
    }

    /// What the next receipt holds as `previous`:
    /// BLAKE3-derive_key("touchmark 2026-11 receipt link v1", canonical bytes), which begin with all else that the link covers:
    /// they hold the link before.
    ///
    /// # Errors
    /// As [`canonical`](Self::canonical).
    pub fn link(&self) -> Result<Digest, ReceiptError> {
        Ok(Self::link_of(&self.canonical()?))
    }

    /// The same, of bytes that are known to be canonical.
    pub fn link_of(canonical: &[u8]) -> Digest {
        Digest::derive("touchmark 2026-11 receipt link v1", &[canonical])
    }
}

/// Salted hashes of what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitments {
    /// Of the prompt.
    pub prompt: Digest,
    /// Of the sketch's bytes.
    pub sketch: Digest,
    /// Of the answer's text.
    pub text: Digest,
    /// Of the same without blanks at its ends.
    pub text_trimmed: Digest,
}

impl Commitments {
    /// Commits to what was written.
    pub fn new(seed: &Seed, text: &str, prompt: &str, sketch: &Sketch) -> Self {
        Self {
            prompt: seed.commit(Part::Prompt, prompt.as_bytes()),
            sketch: seed.commit(Part::Sketch, &sketch.to_bytes()),
            text: seed.commit(Part::Text, text.as_bytes()),
            text_trimmed: seed.commit(Part::TextTrimmed, text.trim().as_bytes()),
        }
    }
}

/// What a commitment is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The prompt.
    Prompt,
    /// The sketch.
    Sketch,
    /// The answer's text.
    Text,
    /// The same without blanks at its ends.
    TextTrimmed,
}

impl Part {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Prompt => b"prompt",
            Self::Sketch => b"sketch",
            Self::Text => b"text",
            Self::TextTrimmed => b"text trimmed",
        }
    }
}

/// What the salts of a receipt's commitments are made of. Kept beside the receipt, deleted when it is redacted.
///
/// One seed rather than four salts: whoever verifies the ledger sees from the sketch's commitment that it is whole, while
/// showing one salt says nothing of the others.
///
/// ```text
/// salt       = BLAKE3-keyed( seed, "prompt" | "sketch" | "text" | "text trimmed" )
/// commitment = BLAKE3-derive_key( "touchmark 2026-11 receipt commitment v1", salt ‖ bytes )
/// ```
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A fresh seed.
    ///
    /// # Errors
    /// [`ReceiptError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, ReceiptError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(ReceiptError::Randomness)?;
        Ok(Self(bytes))
    }

    /// A seed that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The salt of one commitment.
    pub fn salt(&self, part: Part) -> Digest {
        Digest(*blake3::keyed_hash(&self.0, part.label()).as_bytes())
    }

    /// Commits to bytes.
    pub fn commit(&self, part: Part, bytes: &[u8]) -> Digest {
        commit(&self.salt(part), bytes)
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// Commits to bytes under a salt.
pub(crate) fn commit(salt: &Digest, bytes: &[u8]) -> Digest {
    Digest::derive("touchmark 2026-11 receipt commitment v1", &[&salt.0, bytes])
}

/// Which mark was asked for. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marking {
    /// Public name of the key.
    pub key_id: String,
    /// The message that the mark carries.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub payload: Option<u64>,
    /// The profile.
    pub profile: String,
    /// The profile's scheme.
    pub scheme: String,
    /// Whose key of the profile's tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A model, and the hash of its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// Hash of the weights, with its algorithm in front where it is not BLAKE3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The name under which the server offers it.
    pub name: String,
}

/// Numbers of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenCounts {
    /// Written with the mark.
    pub marked: u64,
    /// Written.
    pub output: u64,
    /// Of the prompt.
    pub prompt: u64,
    /// Written without the mark, by reason.
    pub skipped: BTreeMap<String, u64>,
}

/// What the server knows of an answer, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// See [`Receipt::answer`].
    pub answer: String,
    /// See [`Receipt::choice`].
    pub choice: u32,
    /// See [`Receipt::time`].
    pub time: Timestamp,
    /// See [`Receipt::account`].
    pub account: Option<String>,
    /// See [`Receipt::mark`].
    pub mark: Option<Marking>,
    /// See [`Receipt::applied`].
    pub applied: bool,
    /// See [`Receipt::reason`].
    pub reason: Option<String>,
    /// See [`Receipt::tokens`].
    pub tokens: TokenCounts,
    /// See [`Receipt::model`].
    pub model: ModelName,
    /// See [`Receipt::finish_reason`].
    pub finish_reason: String,
}

impl Facts {
    /// Most bytes of a name.
    pub const MOST: usize = 512;

    /// The same with its time in whole milliseconds, if all of it can stand in a receipt.
    pub(crate) fn checked(mut self) -> Result<Self, ReceiptError> {
        let mark = self.mark.as_ref();
        let names = [
            ("account", self.account.as_deref()),
            ("answer", Some(self.answer.as_str())),
            ("finish_reason", Some(self.finish_reason.as_str())),
            ("key_id", mark.map(|mark| mark.key_id.as_str())),
            ("model", Some(self.model.name.as_str())),
            ("model hash", self.model.hash.as_deref()),
            ("profile", mark.map(|mark| mark.profile.as_str())),
            ("reason", self.reason.as_deref()),
            ("scheme", mark.map(|mark| mark.scheme.as_str())),
            ("tenant", mark.and_then(|mark| mark.tenant.as_deref())),
        ];
        let given = names.iter().filter_map(|(field, name)| name.map(|name| (*field, name)));
        let reasons = self.tokens.skipped.keys().map(|reason| ("skipped", reason.as_str()));
        for (field, name) in given.chain(reasons) {
            check(field, name)?;
        }
        let counts = [self.tokens.marked, self.tokens.output, self.tokens.prompt];
        if counts.iter().chain(self.tokens.skipped.values()).any(|&count| count >= 1 << 53) {
            return Err(ReceiptError::Count);
        }
        self.time = self.time.round(Unit::Millisecond).map_err(ReceiptError::Time)?;
        Ok(self)
    }
}

fn check(field: &'static str, name: &str) -> Result<(), ReceiptError> {
    // Keys of the canonical form are sorted by UTF-16 units; of ASCII that is the order of bytes.
    let ascii = field != "skipped" || name.is_ascii();
    if (1..=Facts::MOST).contains(&name.len()) && ascii && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ReceiptError::Name { field, got: name.chars().take(80).collect() })
}

/// Numbers that JSON's cannot hold, as `0x` and hexadecimal digits.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<u64>, out: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => out.collect_str(&format_args!("{value:#x}")),
            None => out.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("no 0x"))?;
        u64::from_str_radix(digits, 16).map(Some).map_err(D::Error::custom)
    }
}

/// Why a receipt cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Randomness(#[source] getrandom::Error),
    /// A name that cannot stand in a receipt.
    #[error(
        "\"{got}\" cannot stand in a receipt as {field}: use 1 to {most} bytes without control characters", most = Facts::MOST
    )]
    Name {
        /// Which.
        field: &'static str,
        /// The beginning of what was given.
        got: String,
    },
    /// A number that JSON cannot hold.
    #[error("a receipt holds numbers of tokens below 2^53")]
    Count,
    /// A time that cannot be rounded.
    #[error("the answer's time is at the end of all times")]
    Time(#[source] jiff::Error),
    /// Not a hash.
    #[error("\"{got}\" is not 64 lower-case hexadecimal digits")]
    Digest {
        /// The beginning of what was given.
        got: String,
    },
    /// Not a ledger's name.
    #[error("\"{got}\" is not a ledger's name of 32 lower-case hexadecimal digits")]
    Ledger {
        /// The beginning of what was given.
        got: String,
    },
    /// Bytes that are no receipt.
    #[error("this is not a receipt")]
    Json(#[source] serde_json::Error),
    /// A receipt in another form.
    #[error("the receipt is not in canonical form; it was changed after it was written")]
    NotCanonical,
    /// A receipt of another version.
    #[error("the receipt has schema {got}, and this program reads {schema}; use a newer one", schema = Receipt::SCHEMA)]
    Schema {
        /// Its version.
        got: u32,
    },
    /// Bytes that are no sketch.
    #[error("this is not a sketch of a text; it was changed after it was written")]
    Sketch,
}
