//! The detector in SQL: the rows of `detect`, in one process and on a cluster of processes, without a key leaving its home.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests a panic is the failure report"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use touchmark::prf::PrfVariant;
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Pick, Spec};
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Marked, Repeats, Vocabulary, Watermark};

const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/scribe-16m/tokenizer.json");

/// A folder with homes in it.
struct World {
    folder: TempDir,
}

impl World {
    /// With home `home`, which has profile and key `p`.
    fn new() -> Self {
        let world = Self { folder: TempDir::new().unwrap() };
        world.profile("home", "p");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn profile(&self, home: &str, id: &str) {
        self.ok(home, &["key", "new", id]);
        let new = ["profile", "new", id, "--scheme", "gumbel", "--key", id];
        self.ok(home, &[&new[..], &["--tokenizer", TOKENIZER, "--vocab-size", "8192"]].concat());
    }

    /// A home with the same profiles and tokenizers, and no key.
    fn keyless(&self, home: &str) {
        for folder in ["profiles", "tokenizers"] {
            let (from, to) = (self.path("home").join(folder), self.path(home).join(folder));
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    fn command(&self, home: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
        command
            .current_dir(self.folder.path())
            .env("TOUCHMARK_HOME", self.path(home))
            .env("NO_COLOR", "1")
            .args(arguments);
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, home: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(home, arguments).output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(!err.contains("panicked"), "{arguments:?}: {err}");
        (output.status.code().unwrap(), out, err)
    }

    fn ok(&self, home: &str, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(home, arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    }

    /// Exit code 2, nothing on standard output, and a message that holds all of `parts`.
    fn refused(&self, home: &str, arguments: &[&str], parts: &[&str]) {
        let (code, out, err) = self.run(home, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        for part in parts {
            assert!(err.contains(part), "{arguments:?} should speak of \"{part}\": {err}");
        }
    }

    /// The secret of a key, as it stands in its file.
    fn secret(&self, home: &str, key: &str) -> String {
        let file =
            std::fs::read_to_string(self.path(home).join(format!("keys/{key}.toml"))).unwrap();
        let line = file.lines().find(|line| line.starts_with("secret")).unwrap();
        let secret = line.trim_start_matches("secret = ").trim_matches('"').to_owned();
        assert_eq!(secret.len(), 64);
        secret
    }

    /// Texts that are marked with profile `p`, texts that are not, and awkward ones.
    fn documents(&self, count: usize) -> Vec<Value> {
        let tokenizer = HfTokenizer::from_bytes(&std::fs::read(TOKENIZER).unwrap()).unwrap();
        let writer = Writer::new(&Store::at(self.path("home")), tokenizer);
        let mut documents = vec![
            json!({"id": "empty", "text": ""}),
            json!({"id": "null", "text": null}),
            json!({"id": "odd", "text": "a \"quoted\", word;\r\nnext line\t“curly” – 漢字 😀\n"}),
        ];
        for number in 0..count {
            let text = writer.text(number as u64, 60 + 17 * (number % 30), number % 3 == 0);
            documents.push(json!({"id": format!("d{number}"), "text": text}));
        }
        documents
    }

    fn write_lines(&self, name: &str, documents: &[Value]) {
        let mut file = File::create(self.path(name)).unwrap();
        documents.iter().for_each(|document| writeln!(file, "{document}").unwrap());
    }

    /// What `detect` says of the documents that have a text, by id.
    fn detected(&self, name: &str) -> BTreeMap<String, Value> {
        let (code, rows, _) =
            self.run("home", &["detect", name, "--profile", "p", "--format", "jsonl"]);
        // The document without a text cannot be examined.
        assert_eq!(code, 3);
        by_id(&rows)
    }
}

fn by_id(lines: &str) -> BTreeMap<String, Value> {
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
}

/// Writes words of a tokenizer, each likely as any other.
struct Writer {
    watermark: Watermark,
    tokenizer: HfTokenizer,
    words: Vec<TokenId>,
}

impl Writer {
    fn new(store: &Store, tokenizer: HfTokenizer) -> Self {
        let profile = store.profile("p").unwrap();
        let key = store.key(&profile.key_id).unwrap();
        let vocabulary = Vocabulary {
            tokenizer: profile.tokenizer.hash,
            size: profile.tokenizer.vocab_size,
            special: tokenizer.special_ids().to_vec(),
        };
        assert_eq!(profile.repeats, Repeats::ScoreOnce);
        assert!(matches!(profile.scheme, Spec::Gumbel(_)));
        let watermark = Watermark::new(
            &key,
            PrfVariant::TouchmarkV1,
            &profile.scheme,
            &vocabulary,
            profile.repeats,
        )
        .unwrap();
        // Words that stay one token each when the text is read again.
        let is_word = |id: &TokenId| {
            let text = tokenizer.decode(&[*id]).unwrap();
            let word = text.strip_prefix(' ').unwrap_or_default();
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase())
                && tokenizer.encode(&text).unwrap().ids == [*id]
        };
        let words: Vec<TokenId> = (0..8192).filter(is_word).collect();
        assert!(words.len() > 1000, "{} words", words.len());
        Self { watermark, tokenizer, words }
    }

    fn text(&self, seed: u64, tokens: usize, marked: bool) -> String {
        let logits = vec![0.0; self.words.len()];
        let mut noise = Noise::new(seed, 0);
        let mut embedder = self.watermark.embedder(&[]);
        let mut candidates = Candidates::default();
        let mut ids = Vec::new();
        for _ in 0..tokens {
            candidates.load_some(&self.words, &logits);
            let mark = match marked {
                true => embedder.mark(&ids, &mut candidates, None, &mut noise),
                false => Marked::No(touchmark::watermark::Unmarked::NoChoice),
            };
            ids.push(match mark {
                Marked::Yes(Pick::Token(token)) => token,
                _ => self.words[(noise.uniform() * self.words.len() as f64) as usize],
            });
        }
        self.tokenizer.decode(&ids).unwrap()
    }
}

const ROWS: &str =
    "SELECT id, touchmark_log10_p(text, 'p') AS p, touchmark_detect(text, 'p') AS row FROM docs";

/// What a query with these columns gave, held against the rows of `detect`.
fn assert_same(lines: &str, detected: &BTreeMap<String, Value>) {
    let rows = by_id(lines);
    assert_eq!(rows.len(), detected.len() + 1, "{lines}");
    assert!(rows["null"]["p"].is_null() && rows["null"]["row"].is_null());
    for (id, expected) in detected {
        let (row, p) = (&rows[id]["row"], rows[id]["p"].as_f64().unwrap());
        assert_eq!(p.to_bits(), expected["log10_p_corrected"].as_f64().unwrap().to_bits(), "{id}");
        for name in ["log10_p", "log10_p_corrected", "score"] {
            let [got, wanted] = [row, expected].map(|row| row[name].as_f64().unwrap().to_bits());
            assert_eq!(got, wanted, "{id}: {name}");
        }
        for name in ["verdict", "tokens_total", "tokens_scored", "warnings"] {
            assert_eq!(row[name], expected[name], "{id}: {name}");
        }
        let segments = row["segments"].as_array().unwrap();
        assert_eq!(segments.len(), expected["segments"].as_array().unwrap().len());
        for (got, wanted) in segments.iter().zip(expected["segments"].as_array().unwrap()) {
            for name in ["start", "end", "byte_start", "byte_end", "log10_p"] {
                assert_eq!(got[name], wanted[name], "{id}: segment's {name}");
            }
        }
    }
}

/// A process that ends with the test.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(world: &World, home: &str, name: &str, arguments: &[&str]) -> Self {
        let log = world.path(&format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let mut command = world.command(home, arguments);
        command.arg("--verbose").stdout(file.try_clone().unwrap()).stderr(Stdio::from(file));
        Self { child: command.spawn().unwrap(), log }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said this.
    fn says(&mut self, words: &str) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.said().contains(words) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            assert!(Instant::now() < patience, "no \"{words}\" in {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scheduler and executors, each with the home of its own.
struct Cluster {
    address: String,
    scheduler: Process,
    executors: Vec<Process>,
}

impl Cluster {
    fn start(world: &World, homes: &[&str]) -> Self {
        let bind = ["cluster", "scheduler", "--bind", "127.0.0.1:0", "--executor-timeout", "10"];
        // A scheduler has no use for keys.
        let mut scheduler = Process::start(world, "nobody", "scheduler", &bind);
        scheduler.says("Scheduler listens at ");
        let said = scheduler.said();
        let address = said.split_once("listens at ").unwrap().1.lines().next().unwrap().to_owned();
        let executors = homes.iter().enumerate().map(|(number, home)| {
            let name = format!("executor-{number}");
            let start = ["cluster", "executor", "--scheduler", &address, "--bind", "127.0.0.1:0"];
            let more = ["--work-dir", &format!("work-{number}"), "--threads", "1"];
            let mut executor =
                Process::start(world, home, &name, &[&start[..], &more[..]].concat());
            executor.says("arrow flight server listening");
            executor
        });
        let executors = executors.collect();
        Self { address, scheduler, executors }
    }

    fn submit<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["cluster", "submit", "--scheduler", &self.address, "--format", "jsonl"], more].concat()
    }

    fn said(&self) -> String {
        let executors: String = self.executors.iter().map(Process::said).collect();
        self.scheduler.said() + &executors
    }
}

#[test]
fn sql_gives_the_rows_of_detect() {
    let world = World::new();
    let documents = world.documents(60);
    world.write_lines("docs.jsonl", &documents);
    let detected = world.detected("docs.jsonl");
    let verdicts = |wanted: &str| detected.values().filter(|row| row["verdict"] == wanted).count();
    assert_eq!(verdicts("detected"), 20, "the marked third");
    assert!(detected.values().any(|row| !row["segments"].as_array().unwrap().is_empty()));

    let lines = std::fs::read(world.path("docs.jsonl")).unwrap();
    let packed = File::create(world.path("packed.jsonl.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed.write_all(&lines).unwrap();
    packed.finish().unwrap();
    std::fs::write(world.path("packed.ndjson.zst"), zstd::encode_all(&lines[..], 1).unwrap())
        .unwrap();
    let copy = "SELECT id, text FROM 'docs.jsonl'";
    world.ok("home", &["sql", copy, "-o", "docs.parquet"]);
    world.ok("home", &["sql", &format!("{copy} WHERE text <> ''"), "-o", "docs.csv"]);
    for file in ["docs.jsonl", "packed.jsonl.gz", "packed.ndjson.zst", "docs.parquet"] {
        let table = format!("docs={file}");
        assert_same(
            &world.ok("home", &["sql", ROWS, "--table", &table, "--format", "jsonl"]),
            &detected,
        );
    }
    // CSV has no NULL that differs from an empty text, so both were left out.
    let query = ROWS.replace("docs", "'docs.csv'");
    let rows = by_id(&world.ok("home", &["sql", &query, "--format", "jsonl"]));
    assert_eq!(rows.len(), 61);
    for (id, row) in &rows {
        assert_eq!(row["p"], detected[id]["log10_p_corrected"], "{id}");
    }
}

#[test]
fn profiles_may_be_a_column_and_texts_of_any_string_type() {
    let world = World::new();
    world.profile("home", "q");
    world.write_lines("docs.jsonl", &world.documents(4));
    let query = |text: &str, profile: &str| {
        let sql = format!("SELECT id, touchmark_log10_p({text}, {profile}) AS p FROM 'docs.jsonl'");
        by_id(&world.ok("home", &["sql", &sql, "--format", "jsonl"]))
    };
    let [p, q] = ["'p'", "'q'"].map(|profile| query("text", profile));
    assert_ne!(p["d0"], q["d0"]);
    let mixed = query("text", "CASE id WHEN 'd0' THEN 'q' ELSE 'p' END");
    for (id, row) in &mixed {
        assert_eq!(row, if id == "d0" { &q[id] } else { &p[id] });
    }
    for of in ["Utf8", "LargeUtf8", "Utf8View", "Dictionary(Int32, Utf8)"] {
        assert_eq!(query(&format!("arrow_cast(text, '{of}')"), "'p'"), p, "{of}");
    }
    let one = "SELECT touchmark_log10_p(NULL, 'p') AS none, touchmark_log10_p_v1('a b c', 'p') AS p, \
               touchmark_detect('a b c', 'p')['verdict'] AS verdict";
    let row: Value =
        serde_json::from_str(&world.ok("home", &["sql", one, "--format", "jsonl"])).unwrap();
    assert!(row["none"].is_null() && row["p"].is_f64());
    assert_eq!(row["verdict"], "insufficient_evidence");
}

#[test]
fn bad_queries_are_refused_in_words() {
    let world = World::new();
    world.write_lines("docs.jsonl", &world.documents(1));
    std::fs::write(world.path("note.txt"), "text").unwrap();
    let refused = |sql: &str, parts: &[&str]| world.refused("home", &["sql", sql], parts);
    refused("SELEC 1", &["SELEC"]);
    refused("SELECT words FROM 'docs.jsonl'", &["words", "text"]);
    refused("SELECT * FROM 'absent.parquet'", &["absent.parquet"]);
    refused("SELECT * FROM nothing", &["nothing"]);
    refused("SELECT * FROM 'note.txt'", &["note.txt", ".parquet"]);
    refused("SELECT touchmark_log10_p(text) FROM 'docs.jsonl'", &["a text and a profile"]);
    refused("SELECT touchmark_log10_p(1, 'p') FROM 'docs.jsonl'", &["Int64"]);
    refused("SELECT touchmark_log10_p(text, 'x') FROM 'docs.jsonl'", &["no profile \"x\""]);
    refused("SELECT touchmark_log10_p(text, NULL) FROM 'docs.jsonl'", &["NULL"]);
    let csv = ["sql", "SELECT touchmark_detect(text, 'p') FROM 'docs.jsonl'", "--format", "csv"];
    world.refused("home", &csv, &["do not fit into CSV"]);
    let late =
        "SELECT touchmark_log10_p(text, CASE id WHEN 'd0' THEN 'x' ELSE 'p' END) FROM 'docs.jsonl'";
    world.refused("home", &["sql", late, "-o", "out.jsonl"], &["no profile \"x\""]);
    assert!(!world.path("out.jsonl").exists());
}

#[test]
fn a_cluster_gives_the_same_rows_and_keeps_keys_at_home() {
    let world = World::new();
    world.write_lines("docs.jsonl", &world.documents(30));
    world.ok("home", &["sql", "SELECT * FROM 'docs.jsonl'", "-o", "docs.parquet"]);
    let detected = world.detected("docs.jsonl");
    // A key that was carried to another machine is the same key.
    world.keyless("other");
    world.ok("home", &["key", "export", "p", "-o", "p.key"]);
    world.ok("other", &["key", "import", "p.key"]);
    let cluster = Cluster::start(&world, &["home", "other"]);
    for file in ["docs.jsonl", "docs.parquet"] {
        let table = format!("docs={file}");
        let rows = world.ok("home", &cluster.submit(&[ROWS, "--table", &table]));
        assert_same(&rows, &detected);
    }
    let column = "SELECT id, touchmark_log10_p(text, CASE id WHEN '' THEN 'x' ELSE 'p' END) AS p, touchmark_detect(text, 'p') AS row FROM 'docs.parquet'";
    assert_same(&world.ok("home", &cluster.submit(&[column])), &detected);
    let sum = "SELECT count(*) AS n FROM 'docs.parquet' WHERE touchmark_detect(text, 'p')['verdict'] = 'detected'";
    assert_eq!(world.ok("home", &cluster.submit(&[sum])), "{\"n\":10}\n");

    let plan = world.ok(
        "home",
        &cluster.submit(&[&format!("EXPLAIN {}", ROWS.replace("docs", "'docs.parquet'"))]),
    );
    assert!(plan.contains("touchmark_log10_p_v1") && plan.contains("p@"), "{plan}");
    // Who has neither key nor profile can ask with what others were told.
    let (_, pin) = plan.split_once("p@").unwrap();
    let pin: String = pin.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    let asked = ROWS.replace("'p'", &format!("'p@{pin}'"));
    let table = ["--table", "docs=docs.parquet"];
    assert_same(&world.ok("nobody", &[&cluster.submit(&[&asked])[..], &table].concat()), &detected);
    world.refused("nobody", &[&cluster.submit(&[ROWS])[..], &table].concat(), &["profile \"p\""]);
    let bare = "SELECT touchmark_log10_p(text, lower('P')) AS p FROM 'docs.parquet'";
    world.refused(
        "nobody",
        &cluster.submit(&[bare]),
        &["no pinned profile", "executor 127.0.0.1:"],
    );
    let said = cluster.said();
    let key = world.secret("home", "p");
    for text in [&plan, &said] {
        assert!(!text.contains(&key) && !text.contains(&key.to_uppercase()));
    }
    for folder in ["work-0", "work-1"] {
        assert!(!holds(&world.path(folder), key.as_bytes()), "a key in {folder}");
    }
    world.refused("home", &cluster.submit(&["SELECT x FROM 'docs.parquet'"]), &["x"]);
    let settings = cluster.submit(&[ROWS, "--table", "docs=docs.parquet", "--fpr", "1e-3"]);
    world.refused("home", &settings, &["profile \"p\"", "another settings", "127.0.0.1:"]);
}

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        std::fs::read(path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
    })
}

#[test]
fn executors_refuse_what_is_not_the_same() {
    let world = World::new();
    world.write_lines("docs.jsonl", &world.documents(3));
    let refused = |home: &str, parts: &[&str]| {
        let cluster = Cluster::start(&world, &[home]);
        let submit = cluster.submit(&[ROWS, "--table", "docs=docs.jsonl"]);
        world.refused(
            "home",
            &submit,
            &[parts, &["executor 127.0.0.1:", "profile \"p\""]].concat(),
        );
    };
    world.keyless("keyless");
    refused("keyless", &["no key \"p\""]);

    world.keyless("otherkey");
    world.ok("otherkey", &["key", "new", "p"]);
    refused("otherkey", &["another key than"]);

    world.keyless("othertokenizer");
    world.ok("home", &["key", "export", "p", "-o", "p.key"]);
    world.ok("othertokenizer", &["key", "import", "p.key"]);
    let file = std::fs::read_to_string(TOKENIZER).unwrap() + "\n";
    let hash = Store::at(world.path("othertokenizer")).add_tokenizer(file.as_bytes()).unwrap();
    let profile = world.path("othertokenizer/profiles/p.toml");
    let ours = Store::read_profile(&profile).unwrap().tokenizer.hash.to_string();
    let changed = std::fs::read_to_string(&profile).unwrap().replace(&ours, &hash.to_string());
    std::fs::write(&profile, changed).unwrap();
    refused("othertokenizer", &["another tokenizer"]);

    let start = ["cluster", "executor", "--work-dir", "w", "--profile", "p"];
    world.refused("keyless", &start, &["profile \"p\"", "no key \"p\""]);
}

#[test]
fn a_killed_executor_loses_nothing() {
    let world = World::new();
    let documents = world.documents(24);
    std::fs::create_dir(world.path("docs")).unwrap();
    // Sixteen files are sixteen tasks, each long enough to be interrupted.
    for part in 0..16 {
        let copies = documents.iter().flat_map(|document| {
            (0..COPIES).map(move |copy| json!({"id": format!("{}-{part}-{copy}", document["id"].as_str().unwrap()), "text": document["text"]}))
        });
        world.write_lines(&format!("docs/{part:02}.jsonl"), &copies.collect::<Vec<_>>());
    }
    let query = "SELECT id, touchmark_log10_p(text, 'p') AS p FROM docs";
    let table = ["--table", "docs=docs"];
    let expected =
        by_id(&world.ok("home", &[&["sql", query, "--format", "jsonl"][..], &table[..]].concat()));
    assert_eq!(expected.len(), 16 * COPIES * documents.len());
    let mut cluster = Cluster::start(&world, &["home", "home"]);
    let submit = [&cluster.submit(&[query])[..], &table[..]].concat();
    let running = world.command("home", &submit).stdout(Stdio::piped()).spawn().unwrap();
    // It has finished a task, whose rows are lost with it, and works on another.
    let patience = Instant::now() + Duration::from_secs(60);
    while !cluster.executors[1].said().contains("Finished task")
        && !has_files(&world.path("work-1"))
    {
        assert!(Instant::now() < patience, "{}", cluster.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    cluster.executors[1].kill();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", cluster.said());
    assert!(cluster.scheduler.said().contains("heartbeat timed out"), "it was not missed");
    assert_eq!(by_id(&String::from_utf8(output.stdout).unwrap()), expected);
}

/// Of each document in each file.
const COPIES: usize = 24;

fn has_files(folder: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return false };
    entries.any(|entry| {
        let path = entry.unwrap().path();
        path.is_file() || has_files(&path)
    })
}

#[test]
fn addresses_that_cannot_be_used_are_told() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bind = |command: &str| {
        world.refused(
            "home",
            &["cluster", command, "--bind", &address, "--work-dir", "w"],
            &["cannot listen", &address],
        )
    };
    bind("executor");
    world.refused(
        "home",
        &["cluster", "scheduler", "--bind", &address],
        &["cannot listen", &address],
    );
    world.refused("home", &["cluster", "scheduler", "--bind", "here"], &["HOST:PORT"]);
    drop(taken);
    assert!(TcpStream::connect(&address).is_err());
    let nobody = ["cluster", "submit", "--scheduler", &address, "SELECT 1"];
    world.refused("home", &nobody, &["no scheduler answers", &address]);
}
