//! A ledger's secrets: in the home folder, not beside the ledger, so that a copy of the ledger carries none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::super::keyring::check_mode;
use super::super::{Access, Store, StoreError, create, read};
use super::schema::Identity;
use crate::provenance::{LedgerError, LedgerId, ReceiptError, SecretKey, Seed, SketchKey};

/// What only a ledger's owner has.
pub struct Secrets {
    /// What its sketches are keyed with.
    pub sketch: SketchKey,
    /// What its checkpoints are signed with.
    pub signing: SecretKey,
}

/// The file's content.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    schema: u32,
    ledger: String,
    sketch_key: String,
    signing_key: String,
}

impl SecretsFile {
    fn secrets(&self, id: &LedgerId) -> Option<Secrets> {
        let bytes = |hex: &str| Some(Zeroizing::new(*blake3::Hash::from_hex(hex).ok()?.as_bytes()));
        if self.schema != 1 || self.ledger != id.as_str() {
            return None;
        }
        let (mut sketch, signing) = (bytes(&self.sketch_key)?, bytes(&self.signing_key)?);
        Some(Secrets {
            sketch: SketchKey::take(&mut sketch),
            signing: SecretKey::from_bytes(&signing),
        })
    }
}

impl Secrets {
    /// Makes a ledger's name and its secrets, and keeps them.
    pub fn generate(store: &Store) -> Result<(Identity, Self), StoreError> {
        let id = LedgerId::random().map_err(LedgerError::from)?;
        let hex = |seed: &Seed| blake3::Hash::from_bytes(*seed.as_bytes()).to_hex().to_string();
        let fresh = || -> Result<Seed, ReceiptError> { Seed::generate() };
        let (sketch, signing) =
            (fresh().map_err(LedgerError::from)?, fresh().map_err(LedgerError::from)?);
        let file = SecretsFile {
            schema: 1,
            ledger: id.to_string(),
            sketch_key: hex(&sketch),
            signing_key: hex(&signing),
        };
        let text =
            Zeroizing::new(toml::to_string(&file).map_err(crate::profile::ProfileError::from)?);
        create(&path_of(store, &id), text.as_bytes(), Access::Owner)?;
        let secrets = Self {
            sketch: SketchKey::take(&mut sketch.as_bytes().clone()),
            signing: SecretKey::from_bytes(signing.as_bytes()),
        };
        Ok((Identity { id, key: secrets.signing.public() }, secrets))
    }

    /// Reads a ledger's secrets; nothing if they are not in this home folder.
    pub fn load(
        store: &Store,
        identity: &Identity,
        ledger: &Path,
    ) -> Result<Option<Self>, StoreError> {
        let path = path_of(store, &identity.id);
        if !path.exists() {
            return Ok(None);
        }
        check_mode(&store.home().join(FOLDER), 0o700)?;
        check_mode(&path, 0o600)?;
        let text = Zeroizing::new(read(&path)?);
        // The parser's own message could quote a secret.
        let secrets =
            toml::from_str::<SecretsFile>(&text).ok().and_then(|file| file.secrets(&identity.id));
        match secrets {
            Some(secrets) if secrets.signing.public() == identity.key => Ok(Some(secrets)),
            _ => Err(missing(store, identity, ledger)),
        }
    }
}

/// That a ledger's secrets are not there.
pub fn missing(store: &Store, identity: &Identity, ledger: &Path) -> StoreError {
    StoreError::LedgerSecrets { path: path_of(store, &identity.id), ledger: ledger.to_owned() }
}

const FOLDER: &str = "ledger-keys";

fn path_of(store: &Store, id: &LedgerId) -> PathBuf {
    store.home().join(FOLDER).join(format!("{id}.toml"))
}
