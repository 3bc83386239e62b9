//! The ledger of receipts on SQLite.
//!
//! One process writes, under a lock beside the file; any number read. [`SqliteLedger`] adds receipts from one thread of its own, all that
//! wait in one transaction, so that many answers share one flush to the disk. [`LedgerReader`] looks up and verifies.
//!
//! What the chain covers is only ever added (triggers refuse all else); what redaction deletes lies in tables of its own.

mod reader;
mod schema;
mod secrets;
mod writer;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::keyring::check_mode;
use super::{Access, Store, StoreError, make_folder};
use crate::provenance::LedgerError;

pub use reader::{LedgerReader, Listed, Shown, Verified};
pub use writer::{Pruned, SqliteLedger};

impl Store {
    /// Where the ledger is unless told otherwise.
    pub fn ledger_path(&self) -> PathBuf {
        self.home().join("ledger").join("receipts.sqlite")
    }

    /// Opens a ledger to write, and makes it and its secrets if there is none. Texts are kept as they are only if told so.
    ///
    /// # Errors
    /// [`StoreError::LedgerInUse`] while another process writes it; [`StoreError::Loose`] when others could read it;
    /// [`StoreError::NotLedger`], [`StoreError::NewerLedger`], [`StoreError::LedgerSecrets`]; or it cannot be written.
    pub fn open_ledger(&self, path: &Path, store_text: bool) -> Result<SqliteLedger, StoreError> {
        SqliteLedger::open(self, path, store_text)
    }

    /// Opens a ledger to read.
    ///
    /// # Errors
    /// [`StoreError::NoLedger`], and as [`open_ledger`](Self::open_ledger). Without its secrets a ledger can be verified and
    /// shown, but not searched.
    pub fn read_ledger(&self, path: &Path) -> Result<LedgerReader, StoreError> {
        LedgerReader::open(self, path)
    }
}

/// Refuses a ledger that others could read or change, or that is not there.
fn check_files(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(StoreError::NoLedger { path: path.to_owned() });
    }
    check_mode(folder(path), 0o700)?;
    check_mode(path, 0o600)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes an empty file that only its owner can read; SQLite gives its other files the same mode.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    make_folder(folder(path), Access::Owner).map_err(io)?;
    check_mode(folder(path), 0o700)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(io)?;
    check_mode(path, 0o600)
}

/// An error of SQLite, with what was being done.
fn failed(doing: &str, path: &Path, source: rusqlite::Error) -> LedgerError {
    let doing = format!("cannot {doing} the ledger {}", path.display());
    LedgerError::Storage { doing, source: Box::new(source) }
}

fn millisecond(time: Timestamp) -> i64 {
    time.as_millisecond()
}
