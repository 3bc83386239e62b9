//! The ledger of receipts: whole after anything that is allowed, broken after anything else, and what it recognises.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;
use touchmark::provenance::{
    Checkpoint, Facts, Ledger, LedgerError, Marking, MatchKind, ModelName, Receipt, Standing,
    TokenCounts,
};
use touchmark::store::Store;
use touchmark::store::ledger::{SqliteLedger, Verified};

/// A home with a ledger in it.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub fn store(&self) -> Store {
        Store::at(self.folder.path())
    }

    fn path(&self) -> PathBuf {
        self.store().ledger_path()
    }

    pub fn open(&self, store_text: bool) -> SqliteLedger {
        self.store().open_ledger(&self.path(), store_text).unwrap()
    }

    fn verify(&self, checkpoint: Option<&Checkpoint>) -> Result<Verified, LedgerError> {
        self.store().read_ledger(&self.path()).unwrap().verify(checkpoint)
    }

    fn checkpoint(&self) -> Checkpoint {
        let reader = self.store().read_ledger(&self.path()).unwrap();
        let envelope = reader.checkpoint(time(0)).unwrap();
        Checkpoint::open(&envelope, &reader.head().unwrap().public_key).unwrap()
    }

    /// The file as somebody sees it who keeps to no rule.
    fn raw(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
        let mut statement = connection.prepare(triggers).unwrap();
        let names: Vec<String> =
            statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        drop(statement);
        assert!(names.len() >= 8);
        for name in names {
            connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        connection
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn facts(answer: &str, second: i64) -> Facts {
    Facts {
        answer: answer.to_owned(),
        choice: 0,
        time: time(second),
        account: Some("acme".to_owned()),
        mark: Some(Marking {
            key_id: "k-1".to_owned(),
            payload: Some(u64::MAX - 1),
            profile: "default".to_owned(),
            scheme: "kgw".to_owned(),
            tenant: None,
        }),
        applied: true,
        reason: None,
        tokens: TokenCounts {
            marked: 90,
            output: 100,
            prompt: 12,
            skipped: [("start".to_owned(), 2), ("repeated".to_owned(), 8)].into(),
        },
        model: ModelName { hash: Some("ab".repeat(32)), name: "a \"model\"".to_owned() },
        finish_reason: "stop".to_owned(),
    }
}

fn add(ledger: &SqliteLedger, answer: &str, second: i64, text: &str) -> Receipt {
    let new = ledger.recorder().record(facts(answer, second), text, "Why is it so?").unwrap();
    ledger.append(new).unwrap()
}

fn sentence(number: u64) -> String {
    let words = (0..30).map(|at| format!("w{}", splitmix(number * 100 + at) % 1000));
    format!("{}.\n", words.collect::<Vec<_>>().join(" "))
}

pub fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Redact(u8),
    Prune(u8),
    Reopen,
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u8..6).prop_map(Step::Add),
        2 => any::<u8>().prop_map(Step::Redact),
        1 => (0_u8..30).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
        1 => Just(Step::Checkpoint),
    ];
    prop::collection::vec(step, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_allowed_keeps_the_ledger_whole(steps in steps()) {
        let home = Home::new();
        let mut ledger = home.open(true);
        let (mut added, mut checkpoints) = (Vec::new(), Vec::new());
        let (mut redacted, mut pruned) = (HashSet::new(), 0);
        for step in steps {
            match step {
                Step::Add(count) => for _ in 0..count {
                    let number = added.len() as u64;
                    added.push(add(&ledger, &format!("a{number}"), number as i64, &sentence(number)));
                },
                Step::Redact(_) if added.len() == pruned => {}
                Step::Redact(which) => {
                    let which = pruned + usize::from(which) % (added.len() - pruned);
                    let count = ledger.redact(&format!("a{which}")).unwrap();
                    prop_assert_eq!(count, usize::from(redacted.insert(which)));
                }
                Step::Prune(second) => {
                    let done = ledger.prune(time(second.into()), time(99)).unwrap();
                    pruned = pruned.max(added.len().min(second.into()));
                    prop_assert_eq!(done.through, pruned as u64);
                }
                Step::Reopen => {
                    drop(ledger);
                    ledger = home.open(true);
                }
                Step::Checkpoint => checkpoints.push(home.checkpoint()),
            }
        }
        let verified = home.verify(None).unwrap();
        prop_assert_eq!(verified.receipts, (added.len() - pruned) as u64);
        prop_assert_eq!(verified.redacted, redacted.iter().filter(|&&it| it >= pruned).count() as u64);
        prop_assert_eq!(verified.pruned_through, pruned as u64);
        prop_assert_eq!(verified.head.sequence, added.len() as u64);
        for checkpoint in checkpoints {
            let older = checkpoint.sequence < pruned as u64;
            let wanted = if older { Standing::Pruned } else { Standing::Holds };
            prop_assert_eq!(home.verify(Some(&checkpoint)).unwrap().standing, Some(wanted));
        }
        for (number, receipt) in added.iter().enumerate().skip(pruned) {
            prop_assert_eq!(&ledger.get(&receipt.answer).unwrap()[..], std::slice::from_ref(receipt));
            let found = ledger.find(&sentence(number as u64), 1).unwrap();
            let found = found.matches.first().map(|best| (best.kind, best.receipt.sequence));
            let wanted = (!redacted.contains(&number)).then_some((MatchKind::Exact, receipt.sequence));
            prop_assert_eq!(found, wanted);
        }
    }
}

/// Every byte of every column of a receipt and of what stands beside it, in the middle of a ledger.
#[test]
fn any_changed_byte_is_found() {
    let home = Home::new();
    let ledger = home.open(true);
    for number in 0..3 {
        add(&ledger, &format!("a{number}"), number, &sentence(number as u64));
    }
    drop(ledger);
    let raw = home.raw();
    let mut changes = 0;
    for (table, column, text) in [
        ("receipts", "record", false),
        ("receipts", "link", false),
        ("receipts", "answer", true),
        ("openings", "seed", false),
        ("openings", "sketch", false),
        ("texts", "text", true),
        ("texts", "prompt", true),
    ] {
        let read = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE sequence = 2");
        let whole: Vec<u8> = raw.query_row(&read, (), |row| row.get(0)).unwrap();
        let value = if text { "CAST(?1 AS TEXT)" } else { "?1" };
        let write = format!("UPDATE {table} SET {column} = {value} WHERE sequence = 2");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (splitmix(at as u64) % 8);
            raw.execute(&write, (&changed,)).unwrap();
            let fault = home.verify(None).unwrap_err();
            assert!(fault.is_fault(), "{table}.{column}[{at}]: {fault}");
            changes += 1;
        }
        raw.execute(&write, (&whole,)).unwrap();
    }
    for (table, column) in [("receipts", "choice"), ("receipts", "time"), ("openings", "whole")] {
        for bit in 0..31 {
            let sql = |sign| {
                format!(
                    "UPDATE {table} SET {column} = {column} {sign} (1 << {bit}) WHERE sequence = 2"
                )
            };
            raw.execute(&sql("+"), ()).unwrap();
            assert!(home.verify(None).unwrap_err().is_fault(), "{table}.{column}, bit {bit}");
            raw.execute(&sql("-"), ()).unwrap();
            changes += 1;
        }
    }
    assert!(changes > 1000, "{changes}");
    home.verify(None).unwrap();
}

#[test]
fn what_is_left_out_in_the_middle_is_found() {
    for sql in [
        "DELETE FROM receipts WHERE sequence = 2",
        "DELETE FROM receipts WHERE sequence <= 2",
        "UPDATE receipts SET sequence = 9 WHERE sequence = 2",
        "INSERT INTO openings SELECT 9, whole, seed, sketch FROM openings WHERE sequence = 2",
        "UPDATE openings SET sequence = 9 - sequence WHERE sequence > 1",
        "DELETE FROM openings WHERE sequence = 2",
    ] {
        let home = Home::new();
        let ledger = home.open(true);
        for number in 0..4 {
            add(&ledger, &format!("a{number}"), number, &sentence(number as u64));
        }
        drop(ledger);
        home.raw().execute_batch(sql).unwrap();
        assert!(home.verify(None).unwrap_err().is_fault(), "{sql}");
    }
}

#[test]
fn the_rules_hold_without_the_program() {
    let home = Home::new();
    let ledger = home.open(true);
    add(&ledger, "a", 0, "text");
    drop(ledger);
    let raw = Connection::open(home.path()).unwrap();
    for (sql, why) in [
        ("UPDATE receipts SET time = 0", "receipts do not change"),
        ("DELETE FROM receipts", "only by pruning"),
        ("INSERT INTO receipts SELECT 3, 'b', 0, time, link, record FROM receipts", "follows"),
        ("UPDATE openings SET whole = 0", "not changed"),
        ("UPDATE texts SET text = ''", "not changed"),
        ("UPDATE ledger SET id = ''", "name"),
        ("DELETE FROM ledger", "name"),
    ] {
        let error = raw.execute(sql, ()).unwrap_err().to_string();
        assert!(error.contains(why), "{sql}: {error}");
    }
}

/// A chain alone cannot show that its end is gone; a checkpoint does.
#[test]
fn a_cut_end_is_found_with_a_checkpoint_and_only_with_it() {
    let home = Home::new();
    let ledger = home.open(false);
    for number in 0..5 {
        add(&ledger, &format!("a{number}"), number, &sentence(number as u64));
    }
    drop(ledger);
    let checkpoint = home.checkpoint();
    home.raw()
        .execute_batch(
            "DELETE FROM receipts WHERE sequence > 3; DELETE FROM openings WHERE sequence > 3",
        )
        .unwrap();
    let standing = |checkpoint| home.verify(checkpoint).unwrap().standing;
    assert_eq!(standing(None), None);
    assert_eq!(standing(Some(&checkpoint)), Some(Standing::Truncated));
    // Whoever has the ledger's secrets can write on from there.
    let ledger = home.open(false);
    for number in 0..5 {
        add(&ledger, &format!("b{number}"), number, "another text");
    }
    assert_eq!(standing(Some(&checkpoint)), Some(Standing::Rewritten));
    let other = Checkpoint { ledger: "0".repeat(32).parse().unwrap(), ..checkpoint };
    assert_eq!(standing(Some(&other)), Some(Standing::OtherLedger));
}

#[test]
fn redaction_leaves_nothing_of_the_text_in_the_files() {
    let home = Home::new();
    let ledger = home.open(true);
    let secret = "the quick brown pseudonym jumps over the lazy defendant";
    let read = |name: &str| {
        let mut path = home.path().into_os_string();
        path.push(name);
        std::fs::read(path).unwrap_or_default()
    };
    let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    add(&ledger, "a", 0, secret);
    add(&ledger, "b", 1, "another");
    let link = ledger.head().unwrap().link;
    assert!(has(&read("")) || has(&read("-wal")));
    assert_eq!(ledger.redact("a").unwrap(), 1);
    assert!(!has(&read("")) && !has(&read("-wal")));
    let found = ledger.find(secret, 3).unwrap();
    assert_eq!((found.matches.len(), found.redacted), (0, 1));
    assert!(matches!(ledger.redact("c"), Err(LedgerError::Unknown { .. })));
    let verified = home.verify(None).unwrap();
    assert_eq!((verified.redacted, verified.head.link), (1, link));
}

#[test]
fn many_threads_make_one_chain() {
    const EACH: i64 = 40;
    let home = Home::new();
    let ledger = home.open(false);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0..EACH {
                    let answer = format!("{thread}-{number}");
                    let receipt = add(ledger, &answer, number, &sentence(number as u64));
                    assert_eq!(ledger.get(&answer).unwrap(), [receipt]);
                }
            });
        }
        // A reader sees a whole chain at any moment.
        for _ in 0..10 {
            home.verify(None).unwrap();
        }
    });
    assert_eq!(home.verify(None).unwrap().receipts, 16 * EACH as u64);
}

#[cfg(unix)]
#[test]
fn a_ledger_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    drop(home.open(false));
    let keys = home.store().home().join("ledger-keys");
    let secrets = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
    let folder = home.path().parent().unwrap().to_owned();
    for (path, right, loose) in [
        (home.path(), 0o600, 0o640),
        (folder, 0o700, 0o750),
        (keys, 0o700, 0o755),
        (secrets.clone(), 0o600, 0o604),
    ] {
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, right);
        set(loose);
        for error in [
            home.store().open_ledger(&home.path(), false).unwrap_err(),
            home.store().read_ledger(&home.path()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("chmod"), "{error}");
        }
        set(right);
    }
    std::fs::remove_file(secrets).unwrap();
    let error = home.store().open_ledger(&home.path(), false).unwrap_err().to_string();
    assert!(error.contains("secrets"), "{error}");
    home.verify(None).unwrap();
}

#[test]
fn other_files_and_newer_ledgers_are_refused() {
    let home = Home::new();
    drop(home.open(false));
    Connection::open(home.path()).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = home.store().open_ledger(&home.path(), false).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
    std::fs::write(home.path(), "not a database, but long enough to look like one ".repeat(9))
        .unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut path = home.path().into_os_string();
        path.push(suffix);
        let _ = std::fs::remove_file(path);
    }
    let error = home.store().read_ledger(&home.path()).unwrap_err().to_string();
    assert!(error.contains("is not a ledger"), "{error}");
}

const CHILD: &str = "TOUCHMARK_TEST_LEDGER_HOME";
const KILLS: u64 = 20;

/// A process adds receipts from eight threads and is killed at any moment, again and again: the ledger verifies each time, and
/// each receipt that was acknowledged is there.
#[cfg(unix)]
#[test]
fn no_acknowledged_receipt_is_lost_when_the_process_is_killed() {
    if let Some(home) = std::env::var_os(CHILD) {
        append_until_killed(Path::new(&home));
    }
    let home = Home::new();
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let lines = acknowledged_until_killed(home.folder.path(), round);
        assert!(!lines.is_empty());
        acknowledged += lines.len() as u64;
        let verified = home.verify(None).unwrap();
        assert!(verified.receipts >= acknowledged, "{verified:?}");
        let reader = home.store().read_ledger(&home.path()).unwrap();
        for line in lines {
            let (answer, link) = line.split_once(' ').unwrap();
            let kept = reader.get(answer).unwrap();
            assert_eq!(kept.len(), 1, "{answer}");
            assert_eq!(kept[0].link().unwrap().to_string(), link);
        }
    }
    println!("{acknowledged} receipts acknowledged before {KILLS} kills");
}

/// Starts this test as a child, kills it some time after its first receipt, and gives what it said was kept.
fn acknowledged_until_killed(home: &Path, round: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("ledger::no_acknowledged_receipt_is_lost_when_the_process_is_killed")
        .env(CHILD, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if let Some(kept) = line.strip_prefix("kept ").and_then(|it| it.strip_suffix(" whole"))
            {
                sender.send(kept.to_owned()).unwrap();
            }
        }
    });
    let first = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::sleep(Duration::from_micros(splitmix(round) % 120_000));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    std::iter::once(first).chain(receiver.try_iter()).collect()
}

fn append_until_killed(home: &Path) -> ! {
    let store = Store::at(home);
    let ledger = store.open_ledger(&store.ledger_path(), true).unwrap();
    let process = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0.. {
                    let answer = format!("{process}-{thread}-{number}");
                    let receipt = add(ledger, &answer, 0, &sentence(number));
                    println!("kept {answer} {} whole", receipt.link().unwrap());
                }
            });
        }
    });
    unreachable!("the threads add until the process is killed")
}
