//! What must agree between who asks and who examines.

use std::fmt;
use std::str::FromStr;

use super::ClusterError;
use crate::keys::{Commitment, is_slug};
use crate::profile::{Profile, ProfileError};

/// Public hashes of what a result depends on, 16 hexadecimal digits each. Equal ones mean the same numbers; they protect
/// from mistakes, not from an executor that lies.
///
/// Each is the beginning of BLAKE3-derive("touchmark 2026-11 cluster fingerprint v1", name ‖ 0 ‖ content). Nothing of the key
/// goes in but its commitment, whose salt stays in the keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    profile: String,
    key: String,
    tokenizer: String,
    settings: String,
}

impl Fingerprint {
    /// Of a profile, its key's commitment, and in words how texts are examined.
    ///
    /// # Errors
    /// [`ProfileError`] when the profile cannot be written.
    pub fn new(
        profile: &Profile,
        commitment: &Commitment,
        settings: &str,
    ) -> Result<Self, ProfileError> {
        // A retired profile detects as before.
        let public = Profile { retired: None, ..profile.clone() }.to_toml()?;
        Ok(Self {
            profile: short("profile", public.as_bytes()),
            key: short("key", commitment.0.as_bytes()),
            tokenizer: short("tokenizer", &profile.tokenizer.hash.0),
            settings: short("settings", settings.as_bytes()),
        })
    }

    /// What differs, in words; none where all agrees.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("tokenizer", &self.tokenizer, &other.tokenizer),
            ("key", &self.key, &other.key),
            ("profile", &self.profile, &other.profile),
            ("settings or version", &self.settings, &other.settings),
        ];
        let differing = parts.iter().filter(|(_, a, b)| a != b);
        let names: Vec<&str> = differing.map(|(name, ..)| *name).collect();
        (!names.is_empty()).then(|| names.join(" and another "))
    }
}

fn short(name: &str, content: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 cluster fingerprint v1");
    hasher.update(name.as_bytes()).update(&[0]).update(content);
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

const DIGITS: usize = 16;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, key, tokenizer, settings } = self;
        write!(f, "{profile}-{key}-{tokenizer}-{settings}")
    }
}

/// A profile's id with its fingerprint, as it stands in a plan: `id@profile-key-tokenizer-settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The profile.
    pub id: String,
    /// What must agree.
    pub fingerprint: Fingerprint,
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.fingerprint)
    }
}

impl FromStr for Pinned {
    type Err = ClusterError;

    fn from_str(text: &str) -> Result<Self, ClusterError> {
        let wrong = || ClusterError::Pin { got: text.to_owned() };
        let (id, hashes) = text.split_once('@').ok_or_else(wrong)?;
        let is_hash = |part: &&str| {
            part.len() == DIGITS && part.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let parts: Vec<&str> = hashes.split('-').filter(is_hash).collect();
        let [profile, key, tokenizer, settings] = parts[..] else { return Err(wrong()) };
        let [profile, key, tokenizer, settings] =
            [profile, key, tokenizer, settings].map(str::to_owned);
        let pinned = Self {
            id: id.to_owned(),
            fingerprint: Fingerprint { profile, key, tokenizer, settings },
        };
        // Whatever else stands in the text would be lost.
        if is_slug(id) && pinned.to_string() == text { Ok(pinned) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(key: &str) -> Fingerprint {
        Fingerprint {
            profile: short("profile", b"a"),
            key: short("key", key.as_bytes()),
            tokenizer: short("tokenizer", b"a"),
            settings: short("settings", b"a"),
        }
    }

    #[test]
    fn pinned_profiles_are_read_as_written() {
        let pinned = Pinned { id: "default".to_owned(), fingerprint: print("a") };
        assert_eq!(pinned.to_string().parse::<Pinned>().unwrap(), pinned);
        let text = pinned.to_string();
        for wrong in
            ["default", "default@", "@1-2-3-4", &text[..text.len() - 1], &format!("{text}-0")]
        {
            assert!(wrong.parse::<Pinned>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_difference_is_named() {
        assert_eq!(print("a").difference(&print("a")), None);
        assert_eq!(print("a").difference(&print("b")).unwrap(), "key");
    }
}
