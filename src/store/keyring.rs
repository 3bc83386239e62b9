//! Key files: one secret each, readable by their owner only.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Access, Store, StoreError, create, replace};
use crate::keys::{Commitment, Key, KeyId, Salt};

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its public name.
    pub id: KeyId,
    /// When it was made or imported.
    pub created: Timestamp,
    /// From when on nothing is marked with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
    /// How many 64-bit numbers it has; none for a key of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<usize>,
    /// Salted hash, to be published or time-stamped.
    pub commitment: Commitment,
}

/// A key file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    schema: u32,
    id: KeyId,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<Timestamp>,
    commitment: Commitment,
    salt: String,
    secret: Secret,
}

/// A key as text, wiped and never shown: 64 hexadecimal digits, or another engine's numbers in decimal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Secret {
    Own(String),
    Numbers(Vec<String>),
}

impl Secret {
    fn of(key: &Key) -> Self {
        match (key.own(), key.numbers()) {
            (Some(bytes), _) => Self::Own(blake3::Hash::from_bytes(*bytes).to_hex().to_string()),
            (None, numbers) => {
                Self::Numbers(numbers.unwrap_or_default().iter().map(u64::to_string).collect())
            }
        }
    }

    fn numbers(&self) -> Option<usize> {
        match self {
            Self::Own(_) => None,
            Self::Numbers(numbers) => Some(numbers.len()),
        }
    }

    fn key(&self) -> Option<Key> {
        match self {
            Self::Own(hex) => Key::from_hex(hex).ok(),
            Self::Numbers(numbers) => {
                let numbers = numbers.iter().map(|number| number.parse().ok());
                Key::of_numbers(numbers.collect::<Option<_>>()?).ok()
            }
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        match self {
            Self::Own(hex) => hex.zeroize(),
            Self::Numbers(numbers) => numbers.zeroize(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl KeyFile {
    /// Whether it holds a key, and the commitment is that of key and salt.
    fn is_whole(&self) -> bool {
        let salt = blake3::Hash::from_hex(&self.salt).map(|salt| Salt(*salt.as_bytes()));
        match (self.secret.key(), salt) {
            (Some(key), Ok(salt)) => key.commitment(&salt) == self.commitment,
            _ => false,
        }
    }

    fn info(&self) -> KeyInfo {
        KeyInfo {
            id: self.id.clone(),
            created: self.created,
            retired: self.retired,
            numbers: self.secret.numbers(),
            commitment: self.commitment.clone(),
        }
    }
}

impl Store {
    /// Makes and keeps a fresh key, under a random name if none is given.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken; no randomness; or it cannot be written.
    pub fn new_key(&self, id: Option<KeyId>, now: Timestamp) -> Result<KeyInfo, StoreError> {
        self.add_key(id, &Key::generate()?, now)
    }

    /// Keeps a key read from a file that holds its 64 hexadecimal digits, or from an exported key file. The latter's
    /// commitment stays the key's: it may have been published, and it tells machines that they have the same key.
    ///
    /// # Errors
    /// [`StoreError::Loose`] when others can read the file; it holds no key; or the name is taken.
    pub fn import_key(
        &self,
        id: Option<KeyId>,
        file: &Path,
        now: Timestamp,
    ) -> Result<KeyInfo, StoreError> {
        check_mode(file, 0o600)?;
        let text = Zeroizing::new(super::read(file)?);
        let Ok(exported) = toml::from_str::<KeyFile>(&text) else {
            return self.add_key(id, &Key::from_hex(text.trim())?, now);
        };
        if !exported.is_whole() {
            return Err(StoreError::KeyFile { path: file.to_owned() });
        }
        let id = id.unwrap_or_else(|| exported.id.clone());
        self.keep(&KeyFile { id, retired: None, ..exported })
    }

    /// Keeps a key, under a random name if none is given.
    ///
    /// # Errors
    /// As [`new_key`](Self::new_key).
    pub fn add_key(
        &self,
        id: Option<KeyId>,
        key: &Key,
        now: Timestamp,
    ) -> Result<KeyInfo, StoreError> {
        let salt = Salt::generate()?;
        let file = KeyFile {
            schema: 1,
            id: id.map_or_else(KeyId::random, Ok)?,
            created: now,
            retired: None,
            commitment: key.commitment(&salt),
            salt: blake3::Hash::from_bytes(salt.0).to_hex().to_string(),
            secret: Secret::of(key),
        };
        self.keep(&file)
    }

    fn keep(&self, file: &KeyFile) -> Result<KeyInfo, StoreError> {
        self.check_keyring()?;
        create(&self.key_path(&file.id), Self::key_text(file)?.as_bytes(), Access::Owner)?;
        Ok(file.info())
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`StoreError::NoKey`] with the names there are; [`StoreError::Loose`] when others could read it.
    pub fn key(&self, id: &KeyId) -> Result<Key, StoreError> {
        let (path, file) = self.key_file(id)?;
        file.secret.key().ok_or(StoreError::KeyFile { path })
    }

    /// What may be shown of a key.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub fn key_info(&self, id: &KeyId) -> Result<KeyInfo, StoreError> {
        Ok(self.key_file(id)?.1.info())
    }

    /// What may be shown of all keys, by name.
    ///
    /// # Errors
    /// As [`key`](Self::key), for the first that fails.
    pub fn keys(&self) -> Result<Vec<KeyInfo>, StoreError> {
        let names = self.names("keys", "toml")?;
        names.into_iter().map(|id| self.key_info(&KeyId::try_from(id)?)).collect()
    }

    /// A key with what may be shown of it, from one reading of its file.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub fn open_key(&self, id: &KeyId) -> Result<(KeyInfo, Key), StoreError> {
        let (path, file) = self.key_file(id)?;
        let key = file.secret.key().ok_or(StoreError::KeyFile { path })?;
        Ok((file.info(), key))
    }

    /// All keys, by name.
    ///
    /// # Errors
    /// As [`key`](Self::key), for the first that fails.
    pub fn open_keys(&self) -> Result<Vec<(KeyInfo, Key)>, StoreError> {
        let names = self.names("keys", "toml")?;
        names.into_iter().map(|id| self.open_key(&KeyId::try_from(id)?)).collect()
    }

    /// Marks a key as no longer in use; detection goes on.
    ///
    /// # Errors
    /// As [`key`](Self::key), or it cannot be written.
    pub fn retire_key(&self, id: &KeyId, when: Timestamp) -> Result<KeyInfo, StoreError> {
        let (path, mut file) = self.key_file(id)?;
        file.retired = Some(when);
        replace(&path, Self::key_text(&file)?.as_bytes(), Access::Owner)?;
        Ok(file.info())
    }

    /// Copies a key file, secret and salt, to a new file that only its owner can read.
    ///
    /// # Errors
    /// As [`key`](Self::key); [`StoreError::Exists`] when `to` exists.
    pub fn export_key(&self, id: &KeyId, to: &Path) -> Result<KeyInfo, StoreError> {
        let (_, file) = self.key_file(id)?;
        create(to, Self::key_text(&file)?.as_bytes(), Access::Owner)?;
        Ok(file.info())
    }

    fn key_file(&self, id: &KeyId) -> Result<(PathBuf, KeyFile), StoreError> {
        self.check_keyring()?;
        let path = self.key_path(id);
        if !path.exists() {
            return Err(StoreError::NoKey { id: id.clone(), known: self.names("keys", "toml")? });
        }
        check_mode(&path, 0o600)?;
        let text = Zeroizing::new(super::read(&path)?);
        // The parser's own message could quote the secret.
        match toml::from_str::<KeyFile>(&text) {
            Ok(file) if file.schema == 1 && file.id == *id => Ok((path, file)),
            _ => Err(StoreError::KeyFile { path }),
        }
    }

    fn key_text(file: &KeyFile) -> Result<Zeroizing<String>, StoreError> {
        Ok(Zeroizing::new(toml::to_string(file).map_err(crate::profile::ProfileError::from)?))
    }

    fn key_path(&self, id: &KeyId) -> PathBuf {
        self.home.join("keys").join(format!("{id}.toml"))
    }

    fn check_keyring(&self) -> Result<(), StoreError> {
        let folder = self.home.join("keys");
        if folder.exists() { check_mode(&folder, 0o700) } else { Ok(()) }
    }
}

/// Refuses a file or folder that anyone but its owner can read or change.
#[cfg(unix)]
pub(super) fn check_mode(path: &Path, wanted: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(StoreError::Loose { path: path.to_owned(), mode, wanted })
    }
}

/// Other systems keep a user's folders to the user.
#[cfg(not(unix))]
pub(super) fn check_mode(_: &Path, _: u32) -> Result<(), StoreError> {
    Ok(())
}
