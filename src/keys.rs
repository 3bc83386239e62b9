//! Secret keys and their public names.
//!
//! A [`Key`] decides every mark made with it: 256 bits of our own, or the 64-bit numbers that another engine's keys are
//! made of, which are far weaker (many engines use 32 bits of them or fewer). It is wiped on drop, compared in constant time, and has
//! no `Display`, no `Serialize` and a `Debug` that shows nothing. What may be shown is the [`KeyId`], which is random
//! and so says nothing about the key, and the [`Commitment`], which binds its owner to the key without showing it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A watermark key: 256 bits of our own, or the numbers of another engine.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key(Material);

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
enum Material {
    Own([u8; Key::LEN]),
    Numbers(Vec<u64>),
}

impl Key {
    /// Length in bytes of a key of our own.
    pub const LEN: usize = 32;
    /// Most numbers that a key of another engine may have.
    pub const MOST_NUMBERS: usize = 256;

    /// A fresh key from the operating system's generator.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
        Ok(Self::take(&mut bytes))
    }

    /// A fresh key of `count` 64-bit numbers, for the scheme of another engine.
    ///
    /// # Errors
    /// [`KeyError::Randomness`]; [`KeyError::Numbers`] for a count of 0 or above [`MOST_NUMBERS`](Self::MOST_NUMBERS).
    pub fn generate_numbers(count: usize) -> Result<Self, KeyError> {
        let mut numbers = Vec::with_capacity(count.min(Self::MOST_NUMBERS));
        for _ in 0..count.min(Self::MOST_NUMBERS + 1) {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
            numbers.push(u64::from_le_bytes(bytes));
            bytes.zeroize();
        }
        Self::of_numbers(numbers)
    }

    /// A key from its bytes, which are wiped from the argument.
    pub fn take(bytes: &mut [u8; Self::LEN]) -> Self {
        let key = Self(Material::Own(*bytes));
        bytes.zeroize();
        key
    }

    /// A key of another engine: its numbers in the engine's order, negative ones in two's complement.
    ///
    /// # Errors
    /// [`KeyError::Numbers`] for none or more than [`MOST_NUMBERS`](Self::MOST_NUMBERS).
    pub fn of_numbers(numbers: Vec<u64>) -> Result<Self, KeyError> {
        if (1..=Self::MOST_NUMBERS).contains(&numbers.len()) {
            return Ok(Self(Material::Numbers(numbers)));
        }
        let got = numbers.len();
        drop(zeroize::Zeroizing::new(numbers));
        Err(KeyError::Numbers { got })
    }

    /// A key from 64 hexadecimal digits, as key files hold it.
    ///
    /// # Errors
    /// [`KeyError::Hex`], without the digits, when they are not 64 hexadecimal ones.
    pub fn from_hex(hex: &str) -> Result<Self, KeyError> {
        let hash = blake3::Hash::from_hex(hex).map_err(|_| KeyError::Hex { got: hex.len() })?;
        Ok(Self(Material::Own(*hash.as_bytes())))
    }

    /// How many numbers the key has; `None` for a key of our own.
    pub fn count(&self) -> Option<usize> {
        match &self.0 {
            Material::Own(_) => None,
            Material::Numbers(numbers) => Some(numbers.len()),
        }
    }

    /// The bytes of a key of our own. For the PRF and the keyring only.
    pub(crate) fn own(&self) -> Option<&[u8; Self::LEN]> {
        match &self.0 {
            Material::Own(bytes) => Some(bytes),
            Material::Numbers(_) => None,
        }
    }

    /// The numbers of a key of another engine. For the PRF, the keyring and its engine's configuration only.
    pub(crate) fn numbers(&self) -> Option<&[u64]> {
        match &self.0 {
            Material::Own(_) => None,
            Material::Numbers(numbers) => Some(numbers),
        }
    }

    /// Whether the key is these numbers.
    pub(crate) fn is_numbers(&self, known: &[u64]) -> bool {
        self.numbers().is_some_and(|numbers| bool::from(numbers.ct_eq(known)))
    }

    /// Whether each of its numbers has 32 bits or fewer, negative ones counted without their sign.
    pub(crate) fn is_small(&self) -> bool {
        let small = |number: &u64| number.cast_signed().unsigned_abs() <= u64::from(u32::MAX);
        self.numbers().is_some_and(|numbers| numbers.iter().all(small))
    }

    /// The key of a tenant, a customer or account whose texts carry a mark of their own:
    ///
    /// ```text
    /// subkey = BLAKE3-derive("touchmark 2026-11 tenant keys v1", key)
    /// tenant's key = BLAKE3-keyed(subkey, the name's bytes)
    /// ```
    ///
    /// Who holds it learns neither the key it comes from nor those of other tenants, and it is not kept: the name is enough
    /// to make it again.
    ///
    /// # Errors
    /// [`KeyError::NoTenants`] for the key of another engine.
    pub fn tenant(&self, name: &TenantName) -> Result<Self, KeyError> {
        let own = self.own().ok_or(KeyError::NoTenants)?;
        let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 tenant keys v1");
        hasher.update(own);
        let subkey = Zeroizing::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        let mut bytes = *blake3::keyed_hash(&subkey, name.as_str().as_bytes()).as_bytes();
        Ok(Self::take(&mut bytes))
    }

    /// What can be published when the key is made, to show later that it was fixed before a text:
    /// BLAKE3-derive("touchmark 2026-11 key commitment v1", salt ‖ key), a key of numbers being u32 count ‖ the numbers
    /// as u64, all little-endian.
    pub fn commitment(&self, salt: &Salt) -> Commitment {
        let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 key commitment v1");
        hasher.update(&salt.0);
        match &self.0 {
            Material::Own(bytes) => {
                hasher.update(bytes);
            }
            Material::Numbers(numbers) => {
                hasher.update(&(numbers.len() as u32).to_le_bytes());
                for number in numbers {
                    hasher.update(&number.to_le_bytes());
                }
            }
        }
        let commitment = Commitment(hasher.finalize().to_hex().to_string());
        hasher.zeroize();
        commitment
    }
}

impl ConstantTimeEq for Key {
    fn ct_eq(&self, other: &Self) -> Choice {
        match (&self.0, &other.0) {
            (Material::Own(a), Material::Own(b)) => a.ct_eq(b),
            // Slices of different lengths are unequal; how many numbers a key has is no secret.
            (Material::Numbers(a), Material::Numbers(b)) => a.ct_eq(b),
            _ => Choice::from(0),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// Random bytes that keep a [`Commitment`] from being searched. Kept with the key, shown when the commitment is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// A fresh salt from the operating system's generator.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
        Ok(Self(bytes))
    }
}

/// A salted hash of a key, 64 hexadecimal digits. Public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitment(pub String);

/// Public name of a key: 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter or digit.
///
/// Never a function of the key: short keys of other tools would be found from it by brute force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// A random id, `k-` and 12 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when the operating system gives none.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
        Ok(Self(format!("k-{:012x}", u64::from_le_bytes(bytes) >> 16)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyError;
    fn from_str(id: &str) -> Result<Self, KeyError> {
        if is_slug(id) { Ok(Self(id.to_owned())) } else { Err(KeyError::Id { got: id.to_owned() }) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;
    fn try_from(id: String) -> Result<Self, KeyError> {
        id.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a tenant: 1 to 128 visible ASCII characters, so that what looks the same is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

impl TenantName {
    /// Most characters.
    pub const MOST: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantName {
    type Err = KeyError;
    fn from_str(name: &str) -> Result<Self, KeyError> {
        let visible = name.bytes().all(|c| c.is_ascii_graphic());
        if visible && (1..=Self::MOST).contains(&name.len()) {
            return Ok(Self(name.to_owned()));
        }
        Err(KeyError::Tenant { got: name.chars().take(Self::MOST).collect() })
    }
}

impl TryFrom<String> for TenantName {
    type Error = KeyError;
    fn try_from(name: String) -> Result<Self, KeyError> {
        name.parse()
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can name a key or a profile: safe in a file name, a URL and a shell.
pub fn is_slug(text: &str) -> bool {
    let body =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len())
        && text.bytes().all(body)
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && !text.contains("..")
}

/// Why a key could not be made or read. Never carries key bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Randomness(#[source] getrandom::Error),
    /// Not 64 hexadecimal digits.
    #[error(
        "a key is 64 hexadecimal digits; {got} characters were given, or some are not hexadecimal"
    )]
    Hex {
        /// Number of bytes given.
        got: usize,
    },
    /// No number, or too many.
    #[error("a key of another engine has 1 to {most} numbers, not {got}", most = Key::MOST_NUMBERS)]
    Numbers {
        /// How many there were.
        got: usize,
    },
    /// Tenants of a key that has none.
    #[error(
        "keys of other engines have no tenants; use a profile of a scheme with a 256-bit key (kgw, unigram, gumbel, synthid, sweet)"
    )]
    NoTenants,
    /// Not a tenant's name.
    #[error(
        "\"{got}\" cannot name a tenant: use 1 to {most} visible ASCII characters, without spaces", most = TenantName::MOST
    )]
    Tenant {
        /// The beginning of what was given.
        got: String,
    },
    /// Not a valid name.
    #[error(
        "\"{got}\" cannot name a key: use 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit"
    )]
    Id {
        /// What was given.
        got: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_errors_hide_the_key() {
        let hex = "ab".repeat(32);
        let key = Key::from_hex(&hex).unwrap();
        assert_eq!(format!("{key:?}"), "Key(hidden)");
        let error = Key::from_hex(&format!("{}zz", &hex[..62])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("abab"));
    }

    #[test]
    fn take_wipes_its_argument() {
        let mut bytes = [7; 32];
        let key = Key::take(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(key.own(), Some(&[7; 32]));
    }

    /// Against vectors of another implementation: `tests/it/golden/tenants.py`.
    #[test]
    fn tenants_have_the_keys_of_the_format() {
        #[derive(Deserialize)]
        struct Golden {
            cases: Vec<Case>,
        }
        #[derive(Deserialize)]
        struct Case {
            key: String,
            tenant: TenantName,
            tenant_key: String,
        }
        let golden = include_str!("../tests/it/golden/tenants.json");
        let cases = serde_json::from_str::<Golden>(golden).unwrap().cases;
        assert_eq!(cases.len(), 6);
        for Case { key, tenant, tenant_key } in cases {
            let made = Key::from_hex(&key).unwrap().tenant(&tenant).unwrap();
            assert!(bool::from(made.ct_eq(&Key::from_hex(&tenant_key).unwrap())), "{tenant}");
        }
    }

    #[test]
    fn what_is_no_tenant_is_refused() {
        let name = |text: &str| text.parse::<TenantName>();
        assert!(name("Acme/eu-1:42").is_ok() && name(&"a".repeat(TenantName::MOST)).is_ok());
        for bad in ["", " ", "a b", "a\n", "caf\u{e9}", "a\u{200b}", &"a".repeat(129)] {
            assert!(matches!(name(bad), Err(KeyError::Tenant { .. })), "{bad}");
        }
        let peer = Key::of_numbers(vec![42]).unwrap();
        assert!(matches!(peer.tenant(&name("a").unwrap()), Err(KeyError::NoTenants)));
    }

    #[test]
    fn commitment_depends_on_key_and_salt() {
        let (a, b) = (Key::take(&mut [1; 32]), Key::take(&mut [2; 32]));
        let (s, t) = (Salt([3; 32]), Salt([4; 32]));
        assert_eq!(a.commitment(&s), a.commitment(&s));
        assert_ne!(a.commitment(&s), b.commitment(&s));
        assert_ne!(a.commitment(&s), a.commitment(&t));
    }

    #[test]
    fn ids_are_random_slugs() {
        let id = KeyId::random().unwrap();
        assert!(is_slug(id.as_str()) && id != KeyId::random().unwrap());
        for bad in ["", "-a", "A", "a b", "../x", "a/b", "a..b", &"a".repeat(65)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }
}
