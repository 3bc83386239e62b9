//! The key that evidence is signed with.

use zeroize::Zeroizing;

use super::keyring::check_mode;
use super::{Access, Store, StoreError, create, read};
use crate::keys::Key;
use crate::provenance::SecretKey;

impl Store {
    /// The user's signing key, `signing.key` in the home folder; made when it is first asked for.
    ///
    /// # Errors
    /// [`StoreError::Loose`] when others can read it, [`StoreError::KeyFile`] when it is not one, [`StoreError::Io`].
    pub fn signing_key(&self) -> Result<SecretKey, StoreError> {
        let path = self.home.join("signing.key");
        if !path.exists() {
            let fresh = Key::generate()?;
            let Some(bytes) = fresh.own() else { return Err(StoreError::KeyFile { path }) };
            let hex = Zeroizing::new(blake3::Hash::from_bytes(*bytes).to_hex().to_string());
            let line = Zeroizing::new(format!("{}\n", hex.as_str()));
            match create(&path, line.as_bytes(), Access::Owner) {
                // Another process was faster: its key is the one.
                Ok(()) | Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        check_mode(&path, 0o600)?;
        let text = Zeroizing::new(read(&path)?);
        match blake3::Hash::from_hex(text.trim_end()) {
            Ok(hash) => Ok(SecretKey::from_bytes(&Zeroizing::new(*hash.as_bytes()))),
            Err(_) => Err(StoreError::KeyFile { path }),
        }
    }
}
