//! Large runs: forms of output, attribute files, filters, shares of ranks, and that a run which was killed goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::cli::Home;

/// Human texts of some sixty words, and one that is marked.
fn texts(home: &Home) -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let data = fs::read_to_string(data).unwrap();
    let mut texts = Vec::new();
    for line in data.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let words: Vec<&str> = record["text"].as_str().unwrap().split_whitespace().collect();
        texts.extend(words.chunks(60).map(|words| words.join(" ")));
    }
    texts.truncate(299);
    let marked = [
        "generate",
        "-p",
        "The ship",
        "--max-tokens",
        "150",
        "--ignore-eos",
        "--seed",
        "1",
        "--profile",
        "house",
    ];
    texts.insert(7, home.ok(&marked));
    texts
}

fn parquet(texts: &[String]) -> Vec<u8> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(30)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// 300 documents in a folder: JSON lines, the same packed, Parquet, a text, and two records that are bad.
fn corpus() -> Home {
    let home = Home::new();
    home.profile("house", "gumbel", &[]);
    let texts = texts(&home);
    let record = |(at, text): (usize, &String)| {
        json!({"id": format!("d{at}"), "text": text}).to_string() + "\n"
    };
    let lines: Vec<String> = texts.iter().enumerate().map(record).collect();
    fs::create_dir_all(home.path("in/deep")).unwrap();
    home.write("in/a.jsonl", lines[..90].concat() + "no json\n" + &lines[90]);
    home.write(
        "in/deep/b.jsonl.zst",
        zstd::encode_all(lines[91..199].concat().as_bytes(), 3).unwrap(),
    );
    home.write("in/deep/c.parquet", parquet(&texts[199..299]));
    home.write("in/d.txt", &texts[299]);
    home.write("in/e.csv", "text,id\na row that is short,1\nno second cell\n");
    home
}

const DETECT: [&str; 4] = ["detect", "in", "--profile", "house"];

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs with exit code 3: the corpus has two bad records.
fn partial(home: &Home, arguments: &[&str]) -> (String, String) {
    let (code, out, err) = home.run(&[&DETECT[..], arguments].concat());
    assert_eq!(code, 3, "{arguments:?}: {err}");
    assert!(err.contains("line 91: not JSON") && err.contains("row 2: 1 cells"), "{err}");
    assert!(err.contains("2 of 303 documents could not be examined"), "{err}");
    (out, err)
}

fn read(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path(name)).unwrap()
}

#[test]
fn forms_hold_the_same_rows() {
    let home = corpus();
    let (lines, err) = partial(&home, &["--format", "jsonl"]);
    assert!(err.contains("301 documents, ") && err.contains("False alarms to expect"), "{err}");
    let rows = rows(&lines);
    assert_eq!(rows.len(), 301);
    for name in ["rows.jsonl", "rows.csv", "rows.parquet"] {
        assert_eq!(partial(&home, &["-o", name, "-q"]).0, "");
    }
    assert_eq!(read(&home, "rows.jsonl"), lines);
    let file = fs::File::open(home.path("rows.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut at = 0;
    for batch in batches.map(Result::unwrap) {
        let p = batch["log10_p_corrected"].as_primitive::<Float64Type>();
        let segments = batch["segments"].as_list::<i32>();
        for row in 0..batch.num_rows() {
            assert_eq!(batch["id"].as_string::<i32>().value(row), rows[at]["id"]);
            assert_eq!(p.value(row), rows[at]["log10_p_corrected"].as_f64().unwrap());
            assert_eq!(segments.value(row).len(), rows[at]["segments"].as_array().unwrap().len());
            let offset = batch["offset"].as_primitive::<UInt64Type>().value(row);
            assert_eq!(offset, rows[at]["offset"].as_u64().unwrap());
            assert!(batch["payload"].is_null(row));
            at += 1;
        }
    }
    assert_eq!(at, 301);
    let csv = read(&home, "rows.csv");
    assert_eq!(csv.lines().count(), 302);
    assert!(csv.starts_with("schema,id,source,offset,profile,"), "{csv}");
    let written = fs::read_dir(home.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!written.into_iter().any(|name| name.to_string_lossy().starts_with(".touchmark")));
    home.refused(&["detect", "--finish", "rows.csv"], &["JSON lines only"]);
    home.refused(&["detect", "--finish", "rows.parquet"], &["JSON lines only"]);
}

#[test]
fn filters_pass_documents_on_as_they_are() {
    let home = corpus();
    let (keep, _) = partial(&home, &["--filter", "keep"]);
    let (drop, _) = partial(&home, &["--filter", "drop", "--threads", "3"]);
    let lines = read(&home, "in/a.jsonl");
    let marked = lines.lines().nth(7).unwrap();
    assert_eq!(keep, format!("{marked}\n"));
    assert_eq!(drop.lines().count(), 300);
    let unmarked = lines.lines().filter(|line| *line != marked && *line != "no json");
    assert!(unmarked.eq(drop.lines().take(90)));
    let last: Value = serde_json::from_str(drop.lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({"id": "1", "text": "a row that is short", "source": "in/e.csv"}));
    home.refused(&["detect", "in", "--filter", "keep", "--format", "csv"], &["--format"]);
}

/// Lines of every attribute file, by its name.
fn attributes(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut files = BTreeMap::new();
    for name in
        ["a.jsonl", "deep/b.jsonl.zst", "deep/c.parquet.jsonl", "d.txt.jsonl", "e.csv.jsonl"]
    {
        let mut bytes = fs::read(folder.join(name)).unwrap();
        if name.ends_with("zst") {
            bytes = zstd::decode_all(&bytes[..]).unwrap();
        }
        files.insert(name.to_owned(), rows(&String::from_utf8(bytes).unwrap()));
    }
    files
}

#[test]
fn attribute_files_line_up_with_documents() {
    let home = corpus();
    let text = "Zwölf 船 sailed. ".repeat(3);
    home.write("in/f.jsonl", json!({"id": 5, "text": text}).to_string());
    let (out, _) = {
        let (code, out, err) =
            home.run(&[&DETECT[..], &["--attributes", "att", "--format", "jsonl"]].concat());
        assert_eq!(code, 3, "{err}");
        (out, err)
    };
    let files = attributes(&home.path("att"));
    assert_eq!(files.values().map(Vec::len).collect::<Vec<_>>(), [92, 1, 108, 100, 2]);
    assert_eq!(files["a.jsonl"][90], json!({"id": null, "attributes": {}}));
    let of_rows = rows(&out);
    for (line, row) in files["deep/b.jsonl.zst"].iter().zip(&of_rows[92..]) {
        assert_eq!(line["id"], row["id"]);
        let spans = &line["attributes"]["touchmark__house__log10_p"];
        assert_eq!(spans[0][2], row["log10_p_corrected"]);
        assert_eq!(line["attributes"]["touchmark__house__segment"], json!([]));
    }
    let line: Value = serde_json::from_str(&read(&home, "att/f.jsonl")).unwrap();
    let span = &line["attributes"]["touchmark__house__log10_p"][0];
    assert_eq!(
        (&line["id"], &span[0], &span[1]),
        (&json!("5"), &json!(0), &json!(text.chars().count()))
    );
    home.refused(&["detect", "-", "--attributes", "other"], &["standard input has no name"]);
    home.refused(
        &["detect", "in", "--attributes", "in/att"],
        &["lies in in, where it would be read"],
    );
    home.refused(
        &["detect", "in/d.txt", "in/f.jsonl", "--attributes", "."],
        &["in/f.jsonl would be written over"],
    );
    home.refused(&["detect", "in/f.jsonl", "-o", "in/../in/f.jsonl"], &["would be written over"]);
    let few = [&DETECT[..], &["--attributes", "few", "--rank", "1", "--world-size", "9"]].concat();
    home.refused(&few, &["as many files as there are ranks"]);
}

#[test]
fn ranks_share_files_or_records_of_few_files() {
    let home = corpus();
    let (all, _) = partial(&home, &["--format", "jsonl"]);
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    for (world, shard) in [("3", "4096"), ("7", "10")] {
        let mut shared = String::new();
        for rank in 0..world.parse().unwrap() {
            let rank = format!("{rank}");
            let share = [
                "--rank",
                &rank,
                "--world-size",
                world,
                "--shard-documents",
                shard,
                "--format",
                "jsonl",
            ];
            let (code, out, err) = home.run(&[&DETECT[..], &share].concat());
            assert!(code == 0 || code == 3, "{err}");
            assert!(out.lines().count() < 200, "rank {rank} has {}", out.lines().count());
            shared += &out;
        }
        let mut shared: Vec<&str> = shared.lines().collect();
        shared.sort_unstable();
        assert_eq!(shared, all, "{world} ranks");
    }
    home.refused(&["detect", "in", "--rank", "3", "--world-size", "3"], &["the last is 2"]);
    home.refused(&["detect", "-", "--world-size", "2"], &["standard input cannot be shared"]);
}

#[test]
fn ranks_that_resume_are_finished_together() {
    let home = corpus();
    partial(&home, &["-o", "all.jsonl"]);
    let rank = |rank: &str, more: &[&str]| {
        let share =
            ["--rank", rank, "--world-size", "3", "--resume", "run", "--shard-documents", "16"];
        home.run(&[&DETECT[..], &share, more].concat())
    };
    let (code, out, err) = rank("0", &[]);
    assert!(
        code == 3 && out.is_empty() && err.contains("Rank 0 of 3 has finished"),
        "{code} {err}"
    );
    rank("1", &[]);
    let (code, _, err) = rank("1", &["--filter", "keep"]);
    assert!(code == 2 && err.contains("name a file with -o"), "{err}");
    home.refused(&["detect", "--finish", "run"], &["rank 2 of 3", "has not finished"]);
    rank("2", &[]);
    let (code, out, err) = home.run(&["detect", "--finish", "run", "-o", "done.jsonl"]);
    assert!(code == 3 && out.is_empty(), "{err}");
    assert!(err.contains("2 documents could not be examined") && err.contains("line 91"), "{err}");
    let (_, direct, _) = home.run(&["detect", "--finish", "all.jsonl"]);
    let done = read(&home, "done.jsonl");
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&done), sorted(&direct));
}

/// The generator of Steele, Lea & Flood (2014), for moments that are the same each time.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        limit.mul_f64((z ^ (z >> 31)) as f64 / 2f64.powi(64))
    }
}

fn start(home: &Home, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.args(arguments).current_dir(home.path(".")).env("TOUCHMARK_HOME", home.path("home"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a process that failed on two records, and gives what it said.
fn ended(mut child: Child) -> String {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{err}");
    err
}

#[test]
fn a_run_that_is_killed_at_any_moment_goes_on() {
    let home = corpus();
    partial(&home, &["-o", "plain.jsonl", "--attributes", "plain"]);
    let resume = |folder: &'static str, out: &'static str| {
        let more = ["--resume", folder, "-o", out, "--attributes", "att", "--shard-documents", "8"];
        [&DETECT[..], &more].concat()
    };
    let began = Instant::now();
    ended(start(&home, &resume("whole", "whole.jsonl")));
    let whole = began.elapsed();
    assert_eq!(read(&home, "whole.jsonl"), read(&home, "plain.jsonl"));
    let (mut moments, mut kills, mut went_on) = (SplitMix(5), 0, 0);
    while kills < 20 {
        let _ = fs::remove_dir_all(home.path("run"));
        let _ = fs::remove_dir_all(home.path("att"));
        let _ = fs::remove_file(home.path("rows.jsonl"));
        let at_once = kills + 5;
        while kills < at_once {
            let mut child = start(&home, &resume("run", "rows.jsonl"));
            std::thread::sleep(moments.below(whole));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(
                !home.path("rows.jsonl").exists()
                    || read(&home, "rows.jsonl") == read(&home, "plain.jsonl")
            );
            kills += 1;
        }
        let err = ended(start(&home, &resume("run", "rows.jsonl")));
        went_on += usize::from(err.contains("are finished already"));
        assert!(err.contains("line 91: not JSON") && err.contains("2 of 303 documents"), "{err}");
        assert_eq!(read(&home, "rows.jsonl"), read(&home, "plain.jsonl"));
        assert_eq!(attributes(&home.path("att")), attributes(&home.path("plain")));
    }
    assert!(went_on > 0);
    // The parts hold for every form and number of threads.
    for (form, threads) in [("rows.csv", "1"), ("rows.parquet", "3")] {
        partial(&home, &["-o", form, "--threads", threads]);
        let plain = fs::read(home.path(form)).unwrap();
        let again =
            ["--resume", "run", "-o", form, "--attributes", "att", "--shard-documents", "8"];
        partial(&home, &again);
        assert!(fs::read(home.path(form)).unwrap() == plain, "{form}");
    }
}

#[test]
fn other_settings_and_damage_are_refused() {
    let home = corpus();
    let resumed = |more: &[&str]| {
        home.run(
            &[
                &DETECT[..],
                &["--resume", "run", "-o", "rows.jsonl", "--shard-documents", "50"],
                more,
            ]
            .concat(),
        )
    };
    let refused = |more: &[&str], parts: &[&str]| {
        let (code, _, err) = resumed(more);
        assert_eq!(code, 2, "{more:?}: {err}");
        parts.iter().for_each(|part| assert!(err.contains(part), "{part}: {err}"));
    };
    assert_eq!(resumed(&[]).0, 3);
    let rows = read(&home, "rows.jsonl");
    let key = read(&home, "home/keys/house.toml");
    let field =
        |name: &str| key.lines().find_map(|line| line.strip_prefix(name)?.split('"').nth(1));
    let (secret, commitment) = (field("secret = ").unwrap(), field("commitment = ").unwrap());
    let manifest = read(&home, "run/manifest.json");
    assert!(!manifest.contains(secret) && manifest.contains(commitment));
    refused(&["--fpr", "1e-9"], &["holds another run", "settings.fpr was 1e-6 and is 1e-9"]);
    refused(&["--segments", "64"], &["settings.segments", "AtLeast(64)"]);
    refused(&["--world-size", "2"], &["world_size was 1 and is 2"]);
    refused(&["--filter", "drop"], &["settings.writes"]);
    refused(&["in/d.txt"], &["sources: 5 then, 6 now"]);
    let part = home.path("run/rank-00000/part-00000002");
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    refused(&[], &["part-00000002 is damaged; remove it"]);
    let mut changed = whole.clone();
    changed[100] ^= 1;
    fs::write(&part, &changed).unwrap();
    refused(&[], &["part-00000002 is damaged", "checksum"]);
    assert_eq!(read(&home, "rows.jsonl"), rows);
    fs::remove_file(&part).unwrap();
    assert_eq!(resumed(&[]).0, 3);
    assert_eq!(read(&home, "rows.jsonl"), rows);
    assert_eq!(fs::read(&part).unwrap(), whole);
    let text = read(&home, "in/a.jsonl");
    home.write("in/a.jsonl", text + "\n");
    refused(&[], &["in/a.jsonl: sources[0].bytes was"]);
    home.write("run/manifest.json", "{\"touch");
    refused(&[], &["manifest.json is damaged"]);
    home.write("busy", "a file");
    home.refused(
        &["detect", "in", "--profile", "house", "--resume", "busy"],
        &["cannot write to busy"],
    );
    home.refused(&["detect", "in", "--profile", "house", "--resume", "in"], &["holds other files"]);
    home.refused(&["detect", "-", "--profile", "house", "--resume", "new"], &["standard input"]);
    home.refused(&["detect", "--finish", "in"], &["is a folder, but not one of --resume"]);
}

#[test]
fn two_processes_never_work_on_one_rank() {
    let home = corpus();
    let resume = [&DETECT[..], &["--resume", "run", "-o", "rows.jsonl"]].concat();
    assert_eq!(home.run(&resume).0, 3);
    let lock = fs::File::options().write(true).open(home.path("run/rank-00000/lock")).unwrap();
    lock.try_lock().unwrap();
    home.refused(&resume, &["being worked on by another process"]);
    drop(lock);
    assert_eq!(home.run(&resume).0, 3);
}

#[test]
fn a_full_disk_loses_nothing() {
    let home = corpus();
    home.refused(
        &[&DETECT[..], &["-o", "/dev/full", "--format", "jsonl"]].concat(),
        &["No space left"],
    );
    home.write("rows.jsonl", "before");
    // A limit of 16 blocks of 512 or 1024 bytes for every file; a program that ignores the signal gets an error.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {} detect in --profile house --resume run -o rows.jsonl --shard-documents 100",
        env!("CARGO_BIN_EXE_touchmark")
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(home.path("."))
        .env("TOUCHMARK_HOME", home.path("home"));
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.contains("cannot write to run/rank-00000; shards that are finished are kept"),
        "{err}"
    );
    assert_eq!(read(&home, "rows.jsonl"), "before");
    let (_, plain, _) = home.run(&[&DETECT[..], &["--format", "jsonl"]].concat());
    partial(&home, &["--resume", "run", "-o", "rows.jsonl", "--shard-documents", "100"]);
    assert_eq!(read(&home, "rows.jsonl"), plain);
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let home = corpus();
    let fifo = home.path("in.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // A file that never ends, so that the run is at work when the signal comes.
    let child = start(&home, &["detect", "in.jsonl", "--profile", "house", "-o", "rows.jsonl"]);
    let writer = fs::File::options().write(true).open(&fifo).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(writer);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("interrupted; with --resume DIR a run can go on"), "{err}");
    let left: Vec<_> =
        fs::read_dir(home.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("touchmark-")), "{left:?}");
    assert!(!home.path("rows.jsonl").exists());
}
