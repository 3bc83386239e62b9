//! Where keys, profiles and their tokenizers live on disk.
//!
//! ```text
//! <home>/keys/<key id>.toml          one secret each; files 0600 in a 0700 folder, looser ones are refused
//! <home>/profiles/<profile id>.toml  public
//! <home>/tokenizers/<hash>.json      public; what profiles pin, so that detection always finds the right one
//! <home>/ledger/receipts.sqlite      receipts of answers; 0600 in a 0700 folder, looser ones are refused
//! <home>/ledger-keys/<ledger>.toml   secrets of a ledger; likewise
//! ```
//!
//! Files are written whole or not at all: to a temporary file beside, flushed, then renamed.

mod keyring;
#[cfg(feature = "ledger")]
pub mod ledger;
mod signing;

use std::io::Write;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::keys::{KeyError, KeyId};
use crate::profile::{Profile, ProfileError};
use crate::tokens::TokenizerHash;

pub use keyring::KeyInfo;

/// A home folder of keys and profiles.
#[derive(Clone, Debug)]
pub struct Store {
    home: PathBuf,
}

impl Store {
    /// The store in a folder, which need not exist yet.
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    /// The user's own store: the platform's data folder.
    ///
    /// # Errors
    /// [`StoreError::NoHome`] when there is no home folder.
    pub fn of_user() -> Result<Self, StoreError> {
        let strategy = etcetera::choose_base_strategy().map_err(|_| StoreError::NoHome)?;
        Ok(Self::at(strategy.data_dir().join("touchmark")))
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// [`StoreError::NoProfile`] with the names there are; or it cannot be read.
    pub fn profile(&self, id: &str) -> Result<Profile, StoreError> {
        if !crate::keys::is_slug(id) {
            return Err(ProfileError::Id { got: id.to_owned() }.into());
        }
        let path = self.profile_path(id);
        if !path.exists() {
            return Err(StoreError::NoProfile {
                id: id.to_owned(),
                known: self.names("profiles", "toml")?,
            });
        }
        Self::read_profile(&path)
    }

    /// Reads a profile from any file.
    ///
    /// # Errors
    /// [`StoreError`] naming the file.
    pub fn read_profile(path: &Path) -> Result<Profile, StoreError> {
        Profile::parse(&read(path)?)
            .map_err(|source| StoreError::Profile { path: path.to_owned(), source })
    }

    /// All profiles, by name.
    ///
    /// # Errors
    /// [`StoreError`] of the first that cannot be read.
    pub fn profiles(&self) -> Result<Vec<Profile>, StoreError> {
        self.names("profiles", "toml")?.iter().map(|id| self.profile(id)).collect()
    }

    /// Writes a new profile.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub fn add_profile(&self, profile: &Profile) -> Result<PathBuf, StoreError> {
        profile.check()?;
        let path = self.profile_path(&profile.id);
        create(&path, profile.to_toml()?.as_bytes(), Access::Public)?;
        Ok(path)
    }

    /// Marks a profile as no longer in use; detection goes on.
    ///
    /// # Errors
    /// [`StoreError::NoProfile`], or it cannot be written.
    pub fn retire_profile(&self, id: &str, when: Timestamp) -> Result<Profile, StoreError> {
        let profile = Profile { retired: Some(when), ..self.profile(id)? };
        replace(&self.profile_path(id), profile.to_toml()?.as_bytes(), Access::Public)?;
        Ok(profile)
    }

    /// Keeps a tokenizer under its hash.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn add_tokenizer(&self, file: &[u8]) -> Result<TokenizerHash, StoreError> {
        let hash = TokenizerHash::of(file);
        match create(&self.tokenizer_path(hash), file, Access::Public) {
            Ok(()) | Err(StoreError::Exists { .. }) => Ok(hash),
            Err(error) => Err(error),
        }
    }

    /// The file of a tokenizer, if it is kept here and is what its name says.
    ///
    /// # Errors
    /// [`StoreError::TokenizerChanged`] when its content has another hash; [`StoreError::Io`].
    pub fn tokenizer(&self, hash: TokenizerHash) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.tokenizer_path(hash);
        if !path.exists() {
            return Ok(None);
        }
        let file =
            std::fs::read(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        if TokenizerHash::of(&file) != hash {
            return Err(StoreError::TokenizerChanged { path });
        }
        Ok(Some(file))
    }

    /// Writes a profile and its tokenizer to a folder, for who shall detect; the key is not among them.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when one of the files exists; [`StoreError::Io`].
    pub fn write_bundle(
        profile: &Profile,
        tokenizer: &[u8],
        folder: &Path,
    ) -> Result<[PathBuf; 2], StoreError> {
        let paths = [format!("{}.toml", profile.id), "tokenizer.json".to_owned()];
        let paths = paths.map(|name| folder.join(name));
        if let Some(taken) = paths.iter().find(|path| path.exists()) {
            return Err(StoreError::Exists { path: taken.clone() });
        }
        create(&paths[0], profile.to_toml()?.as_bytes(), Access::Public)?;
        create(&paths[1], tokenizer, Access::Public)?;
        Ok(paths)
    }

    /// Writes a new file that only its owner can read, for a configuration with a key in it.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one; [`StoreError::Io`].
    pub fn write_secret(to: &Path, content: &[u8]) -> Result<(), StoreError> {
        create(to, content, Access::Owner)
    }

    /// Writes a file that only its owner can read, over the one that may be there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn replace_secret(to: &Path, content: &[u8]) -> Result<(), StoreError> {
        replace(to, content, Access::Owner)
    }

    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// [`StoreError::Loose`] when others could; [`StoreError::Io`].
    pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, StoreError> {
        keyring::check_mode(path, 0o600)?;
        read(path).map(Zeroizing::new)
    }

    fn profile_path(&self, id: &str) -> PathBuf {
        self.home.join("profiles").join(format!("{id}.toml"))
    }

    fn tokenizer_path(&self, hash: TokenizerHash) -> PathBuf {
        self.home.join("tokenizers").join(format!("{hash}.json"))
    }

    /// Names of the files with an extension in a folder of the store, sorted.
    fn names(&self, folder: &str, extension: &str) -> Result<Vec<String>, StoreError> {
        let path = self.home.join(folder);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let files = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
        let mut names: Vec<String> =
            files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Owner,
    Public,
}

fn read(path: &Path) -> Result<String, StoreError> {
    std::fs::read_to_string(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

/// Writes a file that must not exist.
fn create(path: &Path, content: &[u8], access: Access) -> Result<(), StoreError> {
    let temporary = write_beside(path, content, access)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(StoreError::Io { path: path.to_owned(), source: error.error }),
    }
}

/// Writes a file over the one that is there.
fn replace(path: &Path, content: &[u8], access: Access) -> Result<(), StoreError> {
    let temporary = write_beside(path, content, access)?;
    temporary
        .persist(path)
        .map_err(|error| StoreError::Io { path: path.to_owned(), source: error.error })?;
    Ok(())
}

fn write_beside(
    path: &Path,
    content: &[u8],
    access: Access,
) -> Result<tempfile::NamedTempFile, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    make_folder(folder, access).map_err(io)?;
    // A temporary file begins as 0600.
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    temporary.write_all(content).map_err(io)?;
    #[cfg(unix)]
    if access == Access::Public {
        use std::os::unix::fs::PermissionsExt;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(io)?;
    }
    temporary.as_file().sync_all().map_err(io)?;
    Ok(temporary)
}

fn make_folder(folder: &Path, access: Access) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if access == Access::Owner {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Why something kept on disk cannot be read or written. Never carries key bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No home folder.
    #[error(
        "no home folder is known; set TOUCHMARK_HOME to the folder where keys and profiles shall live"
    )]
    NoHome,
    /// A file or folder cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The name is taken.
    #[error("{} exists already; choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A secret that others could read.
    #[error("{} can be read or changed by other users (mode {mode:o}); run: chmod {wanted:o} {}", path.display(), path.display())]
    Loose {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it must have.
        wanted: u32,
    },
    /// A key file that is not one.
    #[error("{} is not a key file of this version; restore it, or move it away", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// No such key.
    #[error("there is no key \"{id}\"; known keys: {}", list(known))]
    NoKey {
        /// What was asked for.
        id: KeyId,
        /// What there is.
        known: Vec<String>,
    },
    /// No such profile.
    #[error("there is no profile \"{id}\"; known profiles: {}", list(known))]
    NoProfile {
        /// What was asked for.
        id: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A tokenizer file was altered.
    #[error("{} is not the file its name says; remove it and import the tokenizer again", path.display())]
    TokenizerChanged {
        /// The file.
        path: PathBuf,
    },
    /// No ledger.
    #[error("there is no ledger {}; `touchmark serve` makes one, or name another with --ledger", path.display())]
    NoLedger {
        /// The file.
        path: PathBuf,
    },
    /// A file that is no ledger.
    #[error("{} is not a ledger of receipts; name another file", path.display())]
    NotLedger {
        /// The file.
        path: PathBuf,
    },
    /// A ledger that a newer program made.
    #[error("{} is a ledger of version {got}, and this program reads version {known}; use a newer one", path.display())]
    NewerLedger {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The version known here.
        known: i64,
    },
    /// Another process writes it.
    #[error("the ledger {} is written by another process; end that first, or ask it", path.display())]
    LedgerInUse {
        /// The file.
        path: PathBuf,
    },
    /// A ledger's secrets are not there, or are not its own.
    #[error("{} does not hold the secrets of the ledger {}; restore it, or give the home folder that it is in", path.display(), ledger.display())]
    LedgerSecrets {
        /// Where they should be.
        path: PathBuf,
        /// The ledger's file.
        ledger: PathBuf,
    },
    /// A ledger.
    #[error(transparent)]
    Ledger(#[from] crate::provenance::LedgerError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A profile file.
    #[error("{}: {source}", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ProfileError,
    },
    /// A profile that is not in a file yet.
    #[error(transparent)]
    NewProfile(#[from] ProfileError),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
