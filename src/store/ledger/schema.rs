//! The ledger's tables.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::super::StoreError;
use super::failed;
use crate::provenance::{Digest, LedgerId, PublicKey};

/// "Tmrk", so that `file` and this program know the file.
const APPLICATION_ID: i64 = 0x546d_726b;
/// Version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = r"
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    public_key BLOB NOT NULL
) STRICT;

-- What the chain covers: `record` holds the canonical bytes, the other columns repeat parts of them for looking up.
CREATE TABLE receipts (
    sequence INTEGER PRIMARY KEY,
    answer TEXT NOT NULL,
    choice INTEGER NOT NULL,
    time INTEGER NOT NULL,
    link BLOB NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (answer, choice)
) STRICT;

-- What redaction deletes.
CREATE TABLE openings (
    sequence INTEGER PRIMARY KEY,
    whole INTEGER NOT NULL,
    seed BLOB NOT NULL,
    sketch BLOB NOT NULL
) STRICT;

CREATE TABLE texts (
    sequence INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    prompt TEXT NOT NULL
) STRICT;

-- Signed statements on where the chain begins after old receipts were deleted.
CREATE TABLE prunings (
    sequence INTEGER PRIMARY KEY,
    envelope TEXT NOT NULL
) STRICT;

CREATE TRIGGER ledger_is_fixed BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'a ledger does not change its name'); END;
CREATE TRIGGER ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'a ledger does not lose its name'); END;
CREATE TRIGGER receipts_are_fixed BEFORE UPDATE ON receipts BEGIN SELECT RAISE(ABORT, 'receipts do not change'); END;
CREATE TRIGGER receipts_stay BEFORE DELETE ON receipts
WHEN OLD.sequence > (SELECT coalesce(max(sequence), 0) FROM prunings)
BEGIN SELECT RAISE(ABORT, 'receipts are deleted only by pruning'); END;
CREATE TRIGGER receipts_follow BEFORE INSERT ON receipts
WHEN NEW.sequence <> 1 + max(
    (SELECT coalesce(max(sequence), 0) FROM receipts), (SELECT coalesce(max(sequence), 0) FROM prunings))
BEGIN SELECT RAISE(ABORT, 'a receipt follows the last one'); END;
CREATE TRIGGER openings_are_fixed BEFORE UPDATE ON openings BEGIN SELECT RAISE(ABORT, 'openings are deleted, not changed'); END;
CREATE TRIGGER openings_follow BEFORE INSERT ON openings
WHEN NEW.sequence <> (SELECT max(sequence) FROM receipts)
BEGIN SELECT RAISE(ABORT, 'an opening comes with its receipt'); END;
CREATE TRIGGER texts_are_fixed BEFORE UPDATE ON texts BEGIN SELECT RAISE(ABORT, 'texts are deleted, not changed'); END;
CREATE TRIGGER prunings_are_fixed BEFORE UPDATE ON prunings BEGIN SELECT RAISE(ABORT, 'prunings do not change'); END;
CREATE TRIGGER prunings_stay BEFORE DELETE ON prunings BEGIN SELECT RAISE(ABORT, 'prunings stay'); END;
";

/// Who a ledger is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: LedgerId,
    pub key: PublicKey,
}

/// Opens the file to write. It is flushed at every commit, and what is deleted is overwritten.
pub fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    let set = || {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", true)
    };
    set().map_err(|source| failed("open", path, source))?;
    Ok(connection)
}

/// Opens the file to read.
pub fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    check_version(&connection, path)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| failed("open", path, source))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(|source| failed("open", path, source))?;
    Ok(connection)
}

/// Makes the tables in an empty file.
pub fn create(
    connection: &mut Connection,
    path: &Path,
    identity: &Identity,
) -> Result<(), StoreError> {
    let mut make = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute(
            "INSERT INTO ledger (one, id, public_key) VALUES (1, ?1, ?2)",
            (identity.id.as_str(), &identity.key.0.0),
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    };
    Ok(make().map_err(|source| failed("make", path, source))?)
}

/// Whether nothing was written to the file yet.
pub fn is_empty(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let count = connection
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))
        .map_err(|source| not_ledger(path, source))?;
    Ok(count == 0)
}

/// Refuses files of other programs and of newer versions.
pub fn check_version(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(|source| not_ledger(path, source))?;
    let version = pragma("user_version").map_err(|source| not_ledger(path, source))?;
    if application != APPLICATION_ID || version < 1 {
        return Err(StoreError::NotLedger { path: path.to_owned() });
    }
    if version > VERSION {
        return Err(StoreError::NewerLedger {
            path: path.to_owned(),
            got: version,
            known: VERSION,
        });
    }
    Ok(())
}

fn not_ledger(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotLedger { path: path.to_owned() },
        _ => failed("read", path, source).into(),
    }
}

/// Who the ledger is.
pub fn identity(connection: &Connection, path: &Path) -> Result<Identity, StoreError> {
    let row = connection
        .query_row("SELECT id, public_key FROM ledger", (), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()
        .map_err(|source| failed("read", path, source))?;
    let broken = || StoreError::NotLedger { path: path.to_owned() };
    let (id, key) = row.ok_or_else(broken)?;
    Ok(Identity { id: id.parse().map_err(|_| broken())?, key: PublicKey(Digest(key)) })
}
