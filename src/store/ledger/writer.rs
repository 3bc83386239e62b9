//! The one writer: a thread that adds what waits in one transaction.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};
use serde::Serialize;

use super::super::{Store, StoreError};
use super::reader::{LedgerReader, end_of};
use super::schema::{self, Identity};
use super::secrets::{self, Secrets};
use super::{failed, make_file, millisecond};
use crate::provenance::{
    Anchor, Done, Found, Head, Ledger, LedgerError, NewReceipt, Pruning, Receipt, Recorder,
    SecretKey,
};

/// A ledger that is open to be written.
pub struct SqliteLedger {
    store: Store,
    path: PathBuf,
    recorder: Recorder,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    readers: Mutex<Vec<LedgerReader>>,
    /// Held as long as this lives.
    _lock: Lock,
}

enum Job {
    Append(Box<NewReceipt>, Done),
    Other(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// What pruning did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Receipts that were deleted.
    pub receipts: u64,
    /// Number of the last that was ever deleted.
    pub through: u64,
}

impl SqliteLedger {
    pub(super) fn open(store: &Store, path: &Path, store_text: bool) -> Result<Self, StoreError> {
        make_file(path)?;
        let lock = lock(path)?;
        let mut connection = schema::open_to_write(path)?;
        let (identity, secrets) = if schema::is_empty(&connection, path)? {
            let (identity, secrets) = Secrets::generate(store)?;
            schema::create(&mut connection, path, &identity)?;
            (identity, secrets)
        } else {
            schema::check_version(&connection, path)?;
            let identity = schema::identity(&connection, path)?;
            let secrets = Secrets::load(store, &identity, path)?;
            let missing = || secrets::missing(store, &identity, path);
            (identity.clone(), secrets.ok_or_else(missing)?)
        };
        let Secrets { sketch, signing } = secrets;
        let last = end_of(&connection, path, &identity)?;
        let writer = Writer { connection, path: path.to_owned(), identity, signing, last };
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        Ok(Self {
            store: store.clone(),
            path: path.to_owned(),
            recorder: Recorder::new(sketch, store_text),
            jobs: Some(jobs),
            thread: Some(thread),
            readers: Mutex::new(Vec::new()),
            _lock: lock,
        })
    }

    /// Deletes the oldest receipts, up to the first that is not from before a time, and leaves a signed statement of where the
    /// chain begins now.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing is deleted.
    pub fn prune(&self, before: Timestamp, now: Timestamp) -> Result<Pruned, LedgerError> {
        self.ask(move |writer| writer.prune(before, now))
    }

    /// Where the ledger's file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has something done on the writer's thread and waits for it.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let job = Job::Other(Box::new(move |writer| {
            // Nobody waits any more.
            let _ = sender.send(work(writer));
        }));
        self.jobs
            .as_ref()
            .ok_or(LedgerError::Closed)?
            .send(job)
            .map_err(|_| LedgerError::Closed)?;
        receiver.recv().map_err(|_| LedgerError::Closed)?
    }

    /// Reads with a connection that is free, or a new one.
    fn read<T>(
        &self,
        work: impl FnOnce(&LedgerReader) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let free = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match free {
            Some(reader) => reader,
            None => LedgerReader::open(&self.store, &self.path).map_err(|source| {
                let doing = format!("cannot read the ledger {}", self.path.display());
                LedgerError::Storage { doing, source: Box::new(source) }
            })?,
        };
        let result = work(&reader);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        result
    }
}

impl Ledger for SqliteLedger {
    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn append_then(&self, new: NewReceipt, done: Done) {
        let Some(jobs) = &self.jobs else { return done(Err(LedgerError::Closed)) };
        if let Err(mpsc::SendError(Job::Append(_, done))) =
            jobs.send(Job::Append(Box::new(new), done))
        {
            done(Err(LedgerError::Closed));
        }
    }

    fn get(&self, answer: &str) -> Result<Vec<Receipt>, LedgerError> {
        self.read(|reader| reader.get(answer))
    }

    fn find(&self, text: &str, limit: usize) -> Result<Found, LedgerError> {
        self.read(|reader| reader.find(text, limit))
    }

    fn head(&self) -> Result<Head, LedgerError> {
        self.read(LedgerReader::head)
    }

    fn redact(&self, answer: &str) -> Result<usize, LedgerError> {
        let answer = answer.to_owned();
        self.ask(move |writer| writer.redact(&answer))
    }
}

impl Drop for SqliteLedger {
    /// Waits until all that was given is kept.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLedger").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file that one process holds. It is let go when this is dropped, even while a process that is just being started has a copy of it,
/// and by the system when this process ends, however it ends.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be unlocked is when it is closed.
        let _ = self.0.unlock();
    }
}

/// Lets no other process write.
fn lock(path: &Path) -> Result<Lock, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    make_file(&lock_path)?;
    let io = |source| StoreError::Io { path: lock_path.clone(), source };
    let file = OpenOptions::new().write(true).open(&lock_path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::LedgerInUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

struct Writer {
    connection: Connection,
    path: PathBuf,
    identity: Identity,
    signing: SecretKey,
    last: Anchor,
}

/// Most receipts in one transaction.
const MOST_AT_ONCE: usize = 256;

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(mut job) = queue.recv() {
            let mut batch = Vec::new();
            let other = loop {
                match job {
                    Job::Append(new, done) => batch.push((new, done)),
                    Job::Other(work) => break Some(work),
                }
                match queue.try_recv() {
                    Ok(next) if batch.len() < MOST_AT_ONCE => job = next,
                    Ok(next) => {
                        self.append(std::mem::take(&mut batch));
                        job = next;
                    }
                    Err(_) => break None,
                }
            };
            self.append(batch);
            if let Some(work) = other {
                work(&mut self);
            }
        }
    }

    /// Adds receipts in one transaction, and answers once it is on the disk.
    fn append(&mut self, batch: Vec<(Box<NewReceipt>, Done)>) {
        if batch.is_empty() {
            return;
        }
        let (news, dones): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match self.insert_all(&news) {
            Ok(results) => {
                for (done, result) in dones.into_iter().zip(results) {
                    done(result);
                }
            }
            Err(source) => {
                for done in dones {
                    done(Err(self.failed("add to", source.to_string())));
                }
            }
        }
    }

    /// What became of each receipt, or why none of them was kept.
    fn insert_all(
        &mut self,
        news: &[Box<NewReceipt>],
    ) -> rusqlite::Result<Vec<Result<Receipt, LedgerError>>> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut last = self.last;
        let mut results = Vec::with_capacity(news.len());
        for new in news {
            results.push(insert(&transaction, &mut last, new)?);
        }
        transaction.commit()?;
        self.last = last;
        Ok(results)
    }

    fn redact(&mut self, answer: &str) -> Result<usize, LedgerError> {
        let path = self.path.clone();
        let failed = |source| failed("redact a receipt in", &path, source);
        let known = "SELECT 1 FROM receipts WHERE answer = ?1";
        let known = self.connection.prepare_cached(known).and_then(|mut it| it.exists((answer,)));
        if !known.map_err(failed)? {
            return Err(LedgerError::Unknown { answer: answer.to_owned() });
        }
        let delete = |transaction: &Transaction<'_>, table: &str| {
            let sql = format!(
                "DELETE FROM {table} WHERE sequence IN (SELECT sequence FROM receipts WHERE answer = ?1)"
            );
            transaction.execute(&sql, (answer,))
        };
        let mut work = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            delete(&transaction, "texts")?;
            let count = delete(&transaction, "openings")?;
            transaction.commit().map(|()| count)
        };
        let count = work().map_err(failed)?;
        self.forget()?;
        Ok(count)
    }

    fn prune(&mut self, before: Timestamp, now: Timestamp) -> Result<Pruned, LedgerError> {
        let path = self.path.clone();
        let failed = |source| failed("prune", &path, source);
        let Some(anchor) = self.prunable(before).map_err(failed)? else {
            let sql = "SELECT coalesce(max(sequence), 0) FROM prunings";
            let through = self.connection.query_row(sql, (), |row| row.get::<_, i64>(0));
            return Ok(Pruned { receipts: 0, through: through.map_err(failed)?.cast_unsigned() });
        };
        let pruning = Pruning {
            before,
            ledger: self.identity.id.clone(),
            link: anchor.link,
            sequence: anchor.sequence,
            time: now,
        };
        let envelope = serde_json::to_string(&pruning.sign(&self.signing)?)
            .map_err(crate::provenance::SignatureError::Json)?;
        let receipts = self.delete_through(anchor.sequence, &envelope).map_err(failed)?;
        self.forget()?;
        Ok(Pruned { receipts, through: anchor.sequence })
    }

    /// The last receipt before which, and with which, all are older than a time.
    fn prunable(&self, before: Timestamp) -> rusqlite::Result<Option<Anchor>> {
        let sql = "SELECT sequence, link FROM receipts
            WHERE sequence < coalesce((SELECT min(sequence) FROM receipts WHERE time >= ?1), ?2)
            ORDER BY sequence DESC LIMIT 1";
        let past = self.last.sequence.cast_signed() + 1;
        self.connection
            .query_row(sql, (millisecond(before), past), |row| {
                let link = crate::provenance::Digest(row.get(1)?);
                Ok(Anchor { sequence: row.get::<_, i64>(0)?.cast_unsigned(), link })
            })
            .optional()
    }

    fn delete_through(&mut self, sequence: u64, envelope: &str) -> rusqlite::Result<u64> {
        let sequence = sequence.cast_signed();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let insert = "INSERT INTO prunings (sequence, envelope) VALUES (?1, ?2)";
        transaction.execute(insert, (sequence, envelope))?;
        transaction.execute("DELETE FROM texts WHERE sequence <= ?1", (sequence,))?;
        transaction.execute("DELETE FROM openings WHERE sequence <= ?1", (sequence,))?;
        let count =
            transaction.execute("DELETE FROM receipts WHERE sequence <= ?1", (sequence,))?;
        transaction.commit()?;
        Ok(count as u64)
    }

    /// Overwrites what the write-ahead file still holds of deleted rows.
    fn forget(&self) -> Result<(), LedgerError> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.connection.query_row(sql, (), |row| row.get::<_, i64>(0));
        match busy.map_err(|source| failed("flush", &self.path, source))? {
            0 => Ok(()),
            _ => Err(LedgerError::Lingering),
        }
    }

    fn failed(&self, doing: &str, why: String) -> LedgerError {
        let doing = format!("cannot {doing} the ledger {}", self.path.display());
        LedgerError::Storage { doing, source: why.into() }
    }
}

/// Adds one receipt after `last`. The outer error ends the transaction: SQLite may have undone it by itself.
fn insert(
    transaction: &Transaction<'_>,
    last: &mut Anchor,
    new: &NewReceipt,
) -> rusqlite::Result<Result<Receipt, LedgerError>> {
    let sequence = last.sequence + 1;
    let receipt = Receipt::after(last.link, sequence, new.facts.clone(), new.commitments);
    let record = match receipt.canonical() {
        Ok(record) => record,
        Err(error) => return Ok(Err(error.into())),
    };
    let link = Receipt::link_of(&record);
    let sql = "INSERT INTO receipts (sequence, answer, choice, time, link, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let inserted = transaction.prepare_cached(sql)?.execute((
        sequence.cast_signed(),
        &receipt.answer,
        receipt.choice,
        millisecond(receipt.time),
        link.0,
        record,
    ));
    match inserted {
        Err(error) if is_taken(&error) => {
            let (answer, choice) = (receipt.answer, receipt.choice);
            return Ok(Err(LedgerError::Known { answer, choice }));
        }
        inserted => inserted?,
    };
    let sql = "INSERT INTO openings (sequence, whole, seed, sketch) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute((
        sequence.cast_signed(),
        new.sketch.whole.cast_signed(),
        new.seed.as_bytes(),
        new.sketch.to_bytes(),
    ))?;
    if let Some(texts) = &new.texts {
        let sql = "INSERT INTO texts (sequence, text, prompt) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute((
            sequence.cast_signed(),
            &texts.text,
            &texts.prompt,
        ))?;
    }
    *last = Anchor { sequence, link };
    Ok(Ok(receipt))
}

/// Whether the answer's name is taken; the statement alone was undone.
fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::ConstraintViolation
            && error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::{Facts, ModelName, TokenCounts};

    fn facts(answer: &str) -> Facts {
        Facts {
            answer: answer.to_owned(),
            choice: 0,
            time: Timestamp::UNIX_EPOCH,
            account: None,
            mark: None,
            applied: false,
            reason: Some("off".to_owned()),
            tokens: TokenCounts::default(),
            model: ModelName { hash: None, name: "toy".to_owned() },
            finish_reason: "stop".to_owned(),
        }
    }

    /// A process that is being started has a copy of every open file for a moment.
    #[test]
    fn a_lock_is_let_go_though_a_copy_of_its_file_is_open() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let path = store.ledger_path();
        drop(store.open_ledger(&path, false).unwrap());
        let held = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(StoreError::LedgerInUse { .. })));
        let copy = held.0.try_clone().unwrap();
        drop(held);
        lock(&path).unwrap();
        drop(copy);
    }

    #[test]
    fn an_answer_has_one_receipt_and_one_process_writes() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let path = store.ledger_path();
        let ledger = store.open_ledger(&path, false).unwrap();
        let add = |answer: &str| {
            let new = ledger.recorder().record(facts(answer), "a text of some words", "why?");
            ledger.append(new.unwrap())
        };
        let first = add("a").unwrap();
        assert!(matches!(add("a"), Err(LedgerError::Known { .. })));
        let second = add("b").unwrap();
        assert_eq!((second.sequence, second.previous), (2, first.link().unwrap()));
        assert_eq!(ledger.get("a").unwrap(), [first]);
        let found = ledger.find("a text of some words", 5).unwrap();
        assert_eq!(found.matches.len(), 2);
        assert!(matches!(store.open_ledger(&path, false), Err(StoreError::LedgerInUse { .. })));
        drop(ledger);
        let verified = store.read_ledger(&path).unwrap().verify(None).unwrap();
        assert_eq!((verified.receipts, verified.head.sequence), (2, 2));
        assert_eq!(store.open_ledger(&path, false).unwrap().head().unwrap(), verified.head);
    }

    /// What a full disk does is tried with a limit on the file's size.
    #[test]
    fn what_cannot_be_written_is_said_and_harms_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let ledger = store.open_ledger(&store.ledger_path(), true).unwrap();
        let set = |pragma: &'static str, value: i64| {
            ledger.ask(move |writer| {
                // The pragma answers with a row.
                let _ = writer.connection.pragma_update(None, pragma, value);
                Ok(())
            })
        };
        let long = "many words in a row ".repeat(2000);
        let add = |answer: &str| {
            let new = ledger.recorder().record(facts(answer), &long, "why?");
            ledger
                .append(new.unwrap())
                .map_err(|error| format!("{error}: {}", std::error::Error::source(&error).unwrap()))
        };
        add("a").unwrap();
        for (pragma, value, usual, words) in [
            ("max_page_count", 1, 1 << 30, "database or disk is full"),
            ("query_only", 1, 0, "readonly database"),
        ] {
            set(pragma, value).unwrap();
            // The last pages may have room for one more.
            let refused = (0..4).find_map(|at| add(&format!("{pragma}-{at}")).err()).unwrap();
            assert!(
                refused.contains("cannot add to the ledger") && refused.contains(words),
                "{refused}"
            );
            set(pragma, usual).unwrap();
            add(pragma).unwrap();
        }
        let head = ledger.head().unwrap();
        drop(ledger);
        let verified = store.read_ledger(&store.ledger_path()).unwrap().verify(None).unwrap();
        assert_eq!((verified.head, verified.receipts >= 3), (head, true));
    }
}
