//! Looking up and verifying.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use super::super::{Store, StoreError};
use super::schema::{self, Identity};
use super::secrets::{self, Secrets};
use super::{check_files, failed, millisecond};
use crate::provenance::{
    Agreement, Anchor, Checkpoint, Comparison, Digest, Disclosure, Envelope, Found, Head,
    LedgerError, Match, MatchKind, Part, Pruning, Query, Receipt, Search, Seed, SignatureError,
    Similarity, Sketch, Standing, Walk, genesis,
};

/// A ledger that is open to be read.
pub struct LedgerReader {
    connection: Connection,
    store: Store,
    path: PathBuf,
    identity: Identity,
    secrets: Option<Secrets>,
}

/// A receipt as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its link.
    pub link: Digest,
    /// The receipt.
    pub receipt: Receipt,
    /// Whether what opens it was deleted.
    pub redacted: bool,
}

/// All that is kept of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The receipt.
    #[serde(flatten)]
    pub listed: Listed,
    /// The prompt, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The text, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A ledger that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Where it ends.
    pub head: Head,
    /// Receipts there are.
    pub receipts: u64,
    /// Of these, how many are redacted.
    pub redacted: u64,
    /// Number of the last receipt that was pruned; 0 if none was.
    pub pruned_through: u64,
    /// How it stands to the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

impl LedgerReader {
    pub(super) fn open(store: &Store, path: &Path) -> Result<Self, StoreError> {
        check_files(path)?;
        let connection = schema::open_to_read(path)?;
        let identity = schema::identity(&connection, path)?;
        let secrets = Secrets::load(store, &identity, path)?;
        Ok(Self { connection, store: store.clone(), path: path.to_owned(), identity, secrets })
    }

    /// Where the ledger ends.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be read.
    pub fn head(&self) -> Result<Head, LedgerError> {
        let Anchor { sequence, link } = end_of(&self.connection, &self.path, &self.identity)?;
        Ok(self.head_at(Anchor { sequence, link }))
    }

    fn head_at(&self, Anchor { sequence, link }: Anchor) -> Head {
        Head { ledger: self.identity.id.clone(), public_key: self.identity.key, sequence, link }
    }

    /// Signs where the ledger ends.
    ///
    /// # Errors
    /// [`StoreError::LedgerSecrets`] without its secrets, or it cannot be read.
    pub fn checkpoint(&self, time: jiff::Timestamp) -> Result<Envelope, StoreError> {
        let Head { ledger, sequence, link, .. } = self.head()?;
        let checkpoint = Checkpoint { ledger, link, sequence, time };
        Ok(checkpoint.sign(&self.secrets()?.signing).map_err(LedgerError::from)?)
    }

    /// The receipts of an answer.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn get(&self, answer: &str) -> Result<Vec<Receipt>, LedgerError> {
        let sql = "SELECT record FROM receipts WHERE answer = ?1 ORDER BY choice";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map((answer,), |row| row.get::<_, Vec<u8>>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let records = read().map_err(|source| self.failed(source))?;
        records.iter().map(|record| Ok(Receipt::from_canonical(record)?)).collect()
    }

    /// All that is kept of an answer.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`], or the ledger cannot be read.
    pub fn show(&self, answer: &str) -> Result<Vec<Shown>, LedgerError> {
        let sql = "SELECT record, link, openings.sequence IS NULL, text, prompt FROM receipts
            LEFT JOIN openings USING (sequence) LEFT JOIN texts USING (sequence)
            WHERE answer = ?1 ORDER BY choice";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let shown = |row: &Row<'_>| Ok((raw(row)?, row.get("text")?, row.get("prompt")?));
            statement.query_map((answer,), shown)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows: Vec<(Raw, _, _)> = read().map_err(|source| self.failed(source))?;
        if rows.is_empty() {
            return Err(LedgerError::Unknown { answer: answer.to_owned() });
        }
        let shown =
            |(raw, text, prompt): (Raw, _, _)| Ok(Shown { listed: raw.listed()?, text, prompt });
        rows.into_iter().map(shown).collect()
    }

    /// Calls `each` with the receipts of a time and after, oldest first or newest first, until it says no.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read; whatever `each` returns.
    pub fn list<E: From<LedgerError>>(
        &self,
        since: Option<jiff::Timestamp>,
        newest_first: bool,
        mut each: impl FnMut(Listed) -> Result<bool, E>,
    ) -> Result<(), E> {
        let order = if newest_first { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT record, link, openings.sequence IS NULL FROM receipts LEFT JOIN openings USING (sequence)
            WHERE time >= ?1 ORDER BY sequence {order}"
        );
        let failed = |source| E::from(self.failed(source));
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let since = since.map_or(i64::MIN, millisecond);
        let mut rows = statement.query((since,)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !each(raw(row).map_err(failed)?.listed()?)? {
                break;
            }
        }
        Ok(())
    }

    /// A receipt with what opens its commitment to the text, and to the prompt if told so, signed.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`], [`LedgerError::Redacted`], [`StoreError::LedgerSecrets`] without the ledger's secrets.
    pub fn disclose(
        &self,
        answer: &str,
        choice: u32,
        prompt: bool,
    ) -> Result<Envelope, StoreError> {
        let signing = &self.secrets()?.signing;
        let sql = "SELECT record, seed FROM receipts LEFT JOIN openings USING (sequence)
            WHERE answer = ?1 AND choice = ?2";
        let row = self
            .connection
            .query_row(sql, (answer, choice), |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?))
            })
            .optional()
            .map_err(|source| self.failed(source))?;
        let unknown = || LedgerError::Unknown { answer: answer.to_owned() };
        let (record, seed) = row.ok_or_else(unknown)?;
        let redacted = || LedgerError::Redacted { answer: answer.to_owned() };
        let seed = Seed::from_bytes(seed.ok_or_else(redacted)?);
        let receipt = Receipt::from_canonical(&record).map_err(LedgerError::from)?;
        let shown = Disclosure::new(self.identity.id.clone(), receipt, &seed, prompt);
        Ok(shown.and_then(|shown| shown.sign(signing)).map_err(LedgerError::from)?)
    }

    /// The answers that a text may come from, the likeliest first, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger or its secrets cannot be read.
    pub fn find(&self, text: &str, limit: usize) -> Result<Found, LedgerError> {
        let secrets = self.secrets().map_err(|source| LedgerError::Storage {
            doing: "cannot search without the ledger's secrets".to_owned(),
            source: Box::new(source),
        })?;
        let query = Query::new(&secrets.sketch, text);
        // One view of the ledger for all that follows.
        let view = self.connection.unchecked_transaction().map_err(|source| self.failed(source))?;
        let search = self.search(&view, &query, limit)?;
        let searched = search.searched();
        let mut matches = Vec::new();
        for (sequence, kind, similarity) in search.finish()? {
            matches.push(self.matched(sequence, kind, similarity, text)?);
        }
        matches.sort_by_key(|found| found.kind);
        let total: i64 = view
            .query_row("SELECT count(*) FROM receipts", (), |row| row.get(0))
            .map_err(|source| self.failed(source))?;
        let redacted = total.cast_unsigned().saturating_sub(searched);
        Ok(Found { words: query.words, searched, redacted, matches })
    }

    fn search<'a>(
        &self,
        view: &Connection,
        query: &'a Query,
        limit: usize,
    ) -> Result<Search<'a>, LedgerError> {
        let mut search = Search::new(query, limit);
        let failed = |source| self.failed(source);
        let sql = "SELECT sequence, sketch FROM openings";
        let mut statement = view.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(()).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let sequence = row.get::<_, i64>(0).map_err(failed)?.cast_unsigned();
            let sketch = row.get_ref(1).map_err(failed)?;
            let bytes = sketch.as_blob().map_err(|source| failed(source.into()))?;
            search.offer(sequence, bytes)?;
        }
        Ok(search)
    }

    /// A receipt that a search found, and whether its commitment says that the text is the same.
    fn matched(
        &self,
        sequence: u64,
        kind: MatchKind,
        similarity: Similarity,
        text: &str,
    ) -> Result<Match, LedgerError> {
        let sql =
            "SELECT record, seed FROM receipts JOIN openings USING (sequence) WHERE sequence = ?1";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_row((sequence.cast_signed(),), |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 32]>(1)?))
            })
        };
        let (record, seed) = read().map_err(|source| self.failed(source))?;
        let receipt = Receipt::from_canonical(&record)?;
        let kind = match Agreement::of(&receipt, &Seed::from_bytes(seed), text) {
            Agreement::Exact => MatchKind::Exact,
            Agreement::Trimmed => MatchKind::Trimmed,
            Agreement::Different => kind,
        };
        Ok(Match { kind, similarity, receipt })
    }

    /// Walks the whole chain and checks all that is kept beside it.
    ///
    /// # Errors
    /// [`LedgerError`] with what was changed and where; or the ledger cannot be read.
    pub fn verify(&self, checkpoint: Option<&Checkpoint>) -> Result<Verified, LedgerError> {
        let failed = |source| self.failed(source);
        let view = self.connection.unchecked_transaction().map_err(failed)?;
        self.check_integrity(&view)?;
        let anchor = self.anchor(&view)?;
        let mut walk = Walk::after(anchor);
        let mut verified = Verified {
            head: self.head_at(anchor),
            receipts: 0,
            redacted: 0,
            pruned_through: anchor.sequence,
            standing: None,
        };
        let mut place = checkpoint.map(|it| Comparison::new(it, &self.identity.id, anchor));
        let mut statement = view.prepare(EVERYTHING).map_err(failed)?;
        let mut rows = statement.query(()).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let kept = Kept::of(row).map_err(failed)?;
            let receipt = walk.step(&kept.record)?;
            kept.check(&receipt, walk.last())?;
            if let Some(place) = &mut place {
                place.pass(walk.last());
            }
            verified.receipts += 1;
            verified.redacted += u64::from(kept.opening.is_none());
        }
        self.check_orphans(&view)?;
        verified.head = self.head_at(walk.last());
        verified.standing = place.map(|place| place.standing());
        Ok(verified)
    }

    /// SQLite's own look at the file.
    fn check_integrity(&self, view: &Connection) -> Result<(), LedgerError> {
        let said: String = view
            .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
            .map_err(|source| self.failed(source))?;
        if said == "ok" { Ok(()) } else { Err(self.damaged(said)) }
    }

    /// Where the chain begins; all prunings are checked.
    fn anchor(&self, view: &Connection) -> Result<Anchor, LedgerError> {
        prunings(view, &self.path, &self.identity)
    }

    /// What belongs to no receipt.
    fn check_orphans(&self, view: &Connection) -> Result<(), LedgerError> {
        for (table, what) in [
            ("openings", "an opening without its receipt"),
            ("texts", "a text without its receipt"),
        ] {
            let sql = format!(
                "SELECT sequence FROM {table} WHERE sequence NOT IN (SELECT sequence FROM receipts) LIMIT 1"
            );
            let orphan = view.query_row(&sql, (), |row| row.get::<_, i64>(0)).optional();
            if let Some(sequence) = orphan.map_err(|source| self.failed(source))? {
                return Err(LedgerError::Changed { sequence: sequence.cast_unsigned(), what });
            }
        }
        Ok(())
    }

    fn secrets(&self) -> Result<&Secrets, StoreError> {
        let missing = || secrets::missing(&self.store, &self.identity, &self.path);
        self.secrets.as_ref().ok_or_else(missing)
    }

    fn failed(&self, source: rusqlite::Error) -> LedgerError {
        use rusqlite::{Error, ErrorCode};

        let broken = matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        match source {
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => self.damaged(source.to_string()),
            source if broken => self.damaged(source.to_string()),
            source => failed("read", &self.path, source),
        }
    }

    fn damaged(&self, how: String) -> LedgerError {
        LedgerError::Damaged { what: format!("the ledger {}", self.path.display()), how }
    }
}

impl std::fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerReader").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Raw {
    record: Vec<u8>,
    link: [u8; 32],
    redacted: bool,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw { record: row.get(0)?, link: row.get(1)?, redacted: row.get(2)? })
}

impl Raw {
    fn listed(self) -> Result<Listed, LedgerError> {
        let receipt = Receipt::from_canonical(&self.record)?;
        Ok(Listed { link: Digest(self.link), receipt, redacted: self.redacted })
    }
}

const EVERYTHING: &str =
    "SELECT record, answer, choice, time, link, seed, sketch, whole, text, prompt
    FROM receipts LEFT JOIN openings USING (sequence) LEFT JOIN texts USING (sequence)
    ORDER BY sequence";

/// A receipt with all that is kept beside it.
struct Kept {
    record: Vec<u8>,
    answer: String,
    choice: u32,
    time: i64,
    link: [u8; 32],
    opening: Option<Opening>,
    texts: Option<(String, String)>,
}

struct Opening {
    seed: Seed,
    sketch: Vec<u8>,
    whole: i64,
}

impl Kept {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let seed: Option<[u8; 32]> = row.get(5)?;
        let opening = match seed {
            None => None,
            Some(seed) => Some(Opening {
                seed: Seed::from_bytes(seed),
                sketch: row.get(6)?,
                whole: row.get(7)?,
            }),
        };
        let texts = match row.get::<_, Option<String>>(8)? {
            None => None,
            Some(text) => Some((text, row.get(9)?)),
        };
        Ok(Self {
            record: row.get(0)?,
            answer: row.get(1)?,
            choice: row.get(2)?,
            time: row.get(3)?,
            link: row.get(4)?,
            opening,
            texts,
        })
    }

    /// Compares what stands beside a receipt with it.
    fn check(&self, receipt: &Receipt, at: Anchor) -> Result<(), LedgerError> {
        let changed = |what| Err(LedgerError::Changed { sequence: at.sequence, what });
        if self.link != at.link.0 {
            return changed("its link was changed");
        }
        if self.answer != receipt.answer
            || self.choice != receipt.choice
            || self.time != millisecond(receipt.time)
        {
            return changed("what it is looked up by was changed");
        }
        if let Some(opening) = &self.opening {
            let commitment = opening.seed.commit(Part::Sketch, &opening.sketch);
            if commitment != receipt.commitments.sketch {
                return changed("its seed or its sketch was changed");
            }
            if Sketch::from_bytes(&opening.sketch)?.whole.cast_signed() != opening.whole {
                return changed("what its text is looked up by was changed");
            }
        }
        match (&self.texts, &self.opening) {
            (None, _) => Ok(()),
            (Some(_), None) => changed("its text is still there, although it is redacted"),
            (Some((text, prompt)), Some(Opening { seed, .. })) => {
                let prompt = seed.commit(Part::Prompt, prompt.as_bytes());
                if Agreement::of(receipt, seed, text) == Agreement::Exact
                    && prompt == receipt.commitments.prompt
                {
                    return Ok(());
                }
                changed("its text or its prompt was changed")
            }
        }
    }
}

/// Where a ledger ends; the last link is computed again.
pub(super) fn end_of(
    connection: &Connection,
    path: &Path,
    identity: &Identity,
) -> Result<Anchor, LedgerError> {
    let sql = "SELECT sequence, record FROM receipts ORDER BY sequence DESC LIMIT 1";
    let last = connection
        .query_row(sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()
        .map_err(|source| failed("read", path, source))?;
    match last {
        Some((sequence, record)) => {
            let receipt = Receipt::from_canonical(&record)?;
            let sequence = sequence.cast_unsigned();
            if receipt.sequence != sequence {
                return Err(LedgerError::Changed { sequence, what: "its number was changed" });
            }
            Ok(Anchor { sequence, link: receipt.link()? })
        }
        None => prunings(connection, path, identity),
    }
}

/// Where the chain begins: after the last pruning, or at the beginning. Each pruning must be signed.
fn prunings(
    connection: &Connection,
    path: &Path,
    identity: &Identity,
) -> Result<Anchor, LedgerError> {
    let read = || {
        let mut statement = connection
            .prepare_cached("SELECT sequence, envelope FROM prunings ORDER BY sequence")?;
        let rows =
            statement.query_map((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = read().map_err(|source| failed("read", path, source))?;
    let mut anchor = Anchor { sequence: 0, link: genesis(&identity.id, &identity.key) };
    for (sequence, envelope) in rows {
        let sequence = sequence.cast_unsigned();
        let envelope: Envelope = serde_json::from_str(&envelope).map_err(SignatureError::Json)?;
        let pruning = Pruning::open(&envelope, &identity.key)?;
        if pruning.ledger != identity.id || pruning.sequence != sequence {
            let what = "the pruning signed here is of another place";
            return Err(LedgerError::Changed { sequence, what });
        }
        anchor = pruning.anchor();
    }
    Ok(anchor)
}
