//! Where does the time of a large run go? See question.md. Writes results.json beside this file.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use touchmark::corpus::{Content, Document, Reading, documents, sources};
use touchmark::detect::{Detector, Windows};
use touchmark::keys::Key;
use touchmark::normalise::normalise;
use touchmark::schemes::{Kgw, Spec};
use touchmark::stats::Family;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<PathBuf> = std::env::args().skip(1).map(Into::into).collect();
    let results: Vec<Value> = files.iter().map(|file| shares(root, file)).collect();
    let path = root.join("experiments/throughput/results.json");
    let results = json!({ "question": "question.md", "touchmark": env!("CARGO_PKG_VERSION"), "files": results });
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
}

/// Seconds of each step on one thread, and of the program on all cores.
fn shares(root: &Path, file: &Path) -> Value {
    let tokenizer = HfTokenizer::from_path(&root.join("models/scribe-16m")).unwrap();
    let detector = detector(&tokenizer);
    let count = |_: &Document| 1;
    let tokens = |document: &Document| encoded(document, &tokenizer)[0].ids.len();
    let verdicts = |document: &Document| examined(document, &tokenizer, &detector);
    let (read, documents) = timed(file, count);
    let (tokenised, tokens) = timed(file, tokens);
    let (examined, _) = timed(file, verdicts);
    let program = program(root, file, 1);
    let all = program["seconds"].as_f64().unwrap();
    let steps = [
        ("reading", read),
        ("normalising and tokenising", tokenised - read),
        ("scoring and windows", examined - tokenised),
        ("writing rows, and the rest", all - examined),
    ];
    println!("{}: {documents} documents, {tokens} tokens", file.display());
    for (name, seconds) in steps {
        println!("  {name}: {seconds:.2} s, {:.1} %", 100.0 * seconds / all);
    }
    let steps: serde_json::Map<String, Value> =
        steps.map(|(name, seconds)| (name.to_owned(), json!(seconds))).into_iter().collect();
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    json!({
        "file": file.file_name().unwrap().to_string_lossy(), "documents": documents, "tokens": tokens, "seconds_of_one_thread": steps,
        "one_thread": program, "all_cores": self::program(root, file, cores),
    })
}

fn timed(file: &Path, mut each: impl FnMut(&Document) -> usize) -> (f64, usize) {
    let began = Instant::now();
    let all = documents(sources(vec![file.to_owned()], None), Reading::default());
    let sum = all.map(|document| each(&document.unwrap())).sum();
    (began.elapsed().as_secs_f64(), sum)
}

/// As it is, and normalised where that is another text.
fn encoded(document: &Document, tokenizer: &HfTokenizer) -> Vec<Encoding> {
    let Content::Text(text) = &document.content else { return Vec::new() };
    let forms = [Some(text.clone()), normalise(text)];
    forms.into_iter().flatten().map(|text| tokenizer.encode(&text).unwrap()).collect()
}

fn examined(document: &Document, tokenizer: &HfTokenizer, detector: &Detector) -> usize {
    let forms = encoded(document, tokenizer);
    let texts: Vec<Text<'_>> = forms.iter().map(|form| Text::of(&form.ids)).collect();
    detector.best_of(&texts, 1).unwrap().evidence.scored()
}

fn detector(tokenizer: &HfTokenizer) -> Detector {
    let spec = Spec::Kgw(Kgw::default());
    let special = tokenizer.special_ids().to_vec();
    let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special };
    let key = Key::take(&mut [1; 32]);
    let mark = Watermark::new(&key, spec.prf(), &spec, &vocabulary, Repeats::ScoreOnce).unwrap();
    Detector::new(mark, 1e-6, Family::one(), None).unwrap().with_windows(Windows::Auto)
}

/// The program on its own, with its peak resident memory in KiB.
fn program(root: &Path, file: &Path, threads: usize) -> Value {
    let home = tempfile::TempDir::new().unwrap();
    let began = Instant::now();
    let mut run = Command::new(root.join("target/release/touchmark"))
        .args(["detect", "--quiet", "--threads", &threads.to_string(), "-o"])
        .arg(home.path().join("rows.jsonl"))
        .arg(file)
        .env("TOUCHMARK_HOME", home.path())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    let code = loop {
        let lines = std::fs::read_to_string(&status).unwrap_or_default();
        let line = lines.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let read = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = read.unwrap_or(0).max(peak);
        match run.try_wait().unwrap() {
            Some(code) => break code,
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    assert!(code.success());
    let seconds = began.elapsed().as_secs_f64();
    json!({ "threads": threads, "seconds": seconds, "peak_kib": peak })
}
