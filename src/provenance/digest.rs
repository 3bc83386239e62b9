//! Hashes and names of ledgers, as hexadecimal digits outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::receipt::ReceiptError;

/// A BLAKE3 hash: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// BLAKE3's derive_key of a context and parts, one after the other.
    pub(crate) fn derive(context: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ReceiptError;
    fn from_str(hex: &str) -> Result<Self, ReceiptError> {
        // Upper-case digits would give one hash two forms.
        let lower = !hex.bytes().any(|digit| digit.is_ascii_uppercase());
        match blake3::Hash::from_hex(hex) {
            Ok(hash) if lower => Ok(Self(*hash.as_bytes())),
            _ => Err(ReceiptError::Digest { got: hex.chars().take(80).collect() }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = ReceiptError;
    fn try_from(hex: String) -> Result<Self, ReceiptError> {
        hex.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Random name of a ledger: 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LedgerId(String);

impl LedgerId {
    /// A fresh name.
    ///
    /// # Errors
    /// [`ReceiptError::Randomness`] when the operating system gives none.
    pub fn random() -> Result<Self, ReceiptError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(ReceiptError::Randomness)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LedgerId {
    type Err = ReceiptError;
    fn from_str(id: &str) -> Result<Self, ReceiptError> {
        let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if id.len() == 32 && id.bytes().all(digit) {
            return Ok(Self(id.to_owned()));
        }
        Err(ReceiptError::Ledger { got: id.chars().take(40).collect() })
    }
}

impl TryFrom<String> for LedgerId {
    type Error = ReceiptError;
    fn try_from(id: String) -> Result<Self, ReceiptError> {
        id.parse()
    }
}

impl From<LedgerId> for String {
    fn from(id: LedgerId) -> Self {
        id.0
    }
}
