//! API keys: random, shown once, kept as hashes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{KeyError, Salt};

/// An API key as a client sends it. Wiped on drop, never shown by `Debug`.
pub struct ApiKey(Zeroizing<String>);

/// What is kept of an API key: BLAKE3-derive("touchmark 2026-11 api key v1", its bytes). A key has 256 random bits, so that it cannot be
/// found from the hash by trying.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyHash([u8; 32]);

/// What every key of ours begins with, so that one that leaked is recognised by scanners.
const PREFIX: &str = "tmk-";

impl ApiKey {
    /// A fresh key: `tmk-` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, KeyError> {
        let bits = Zeroizing::new(Salt::generate()?.0);
        let digits = Zeroizing::new(blake3::Hash::from_bytes(*bits).to_hex().to_string());
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", *digits))))
    }

    /// A key as a client sent it, whatever it is.
    pub fn sent(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The key, to be shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash(blake3::derive_key("touchmark 2026-11 api key v1", self.0.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

impl ApiKeyHash {
    /// Whether two hashes are one, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ApiKeyHash {
    type Err = ApiKeyError;
    fn from_str(hex: &str) -> Result<Self, ApiKeyError> {
        let hash = blake3::Hash::from_hex(hex).map_err(|_| ApiKeyError { got: hex.len() })?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl TryFrom<String> for ApiKeyHash {
    type Error = ApiKeyError;
    fn try_from(hex: String) -> Result<Self, ApiKeyError> {
        hex.parse()
    }
}

impl From<ApiKeyHash> for String {
    fn from(hash: ApiKeyHash) -> Self {
        hash.to_string()
    }
}

/// Not the hash of an API key. The text is not shown: it may be a key that was put where its hash belongs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an API key is kept as 64 hexadecimal digits, and {got} characters were given; make a key with `touchmark api-key new`"
)]
pub struct ApiKeyError {
    /// Length of what was given, in bytes.
    pub got: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_hidden() {
        let (a, b) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert!(a.reveal().starts_with(PREFIX) && a.reveal().len() == PREFIX.len() + 64);
        assert!(a.reveal() != b.reveal() && !a.hash().matches(&b.hash()));
        assert_eq!(format!("{a:?}"), "ApiKey(hidden)");
    }

    #[test]
    fn hashes_read_back_and_other_text_is_refused_unseen() {
        let key = ApiKey::generate().unwrap();
        let hash: ApiKeyHash = key.hash().to_string().parse().unwrap();
        assert!(hash.matches(&ApiKey::sent(key.reveal()).hash()));
        let refused = key.reveal().parse::<ApiKeyHash>().unwrap_err();
        assert!(!refused.to_string().contains(key.reveal()));
    }
}
