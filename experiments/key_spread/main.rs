//! How far does one key's false-alarm rate stray from the nominal one? See question.md. Writes results.json beside this
//! file and prints the table.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use serde_json::json;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Spec, SynthId, Unigram};
use touchmark::stats::LogP;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

const WINDOW: usize = 200;
const KEYS: u64 = 200;
const NOMINAL: f64 = 0.01;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tokenizer = HfTokenizer::from_path(&root.join("models/scribe-16m")).unwrap();
    let windows = windows(root, &tokenizer);
    println!(
        "{} windows of {WINDOW} tokens, {KEYS} keys, nominal {} %\n",
        windows.len(),
        100.0 * NOMINAL
    );
    println!("| scheme | mean over keys | 95 % of keys | worst key |\n|---|---:|---:|---:|");
    let mut rows = Vec::new();
    for (name, spec) in cells() {
        let mut rates = rates(&spec, &tokenizer, &windows);
        rates.sort_by(f64::total_cmp);
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let quantile = |share: f64| rates[(share * (rates.len() - 1) as f64).round() as usize];
        let (low, high, worst) = (quantile(0.025), quantile(0.975), rates[rates.len() - 1]);
        let [mean_, low_, high_, worst_] = [mean, low, high, worst].map(|rate| 100.0 * rate);
        println!("| {name} | {mean_:.2} % | {low_:.2} to {high_:.2} % | {worst_:.2} % |");
        rows.push(json!({ "scheme": name, "spec": spec, "mean": mean, "low": low, "high": high, "worst": worst }));
    }
    let results = json!({
        "question": "question.md", "windows": windows.len(), "window_tokens": WINDOW, "keys": KEYS, "nominal": NOMINAL,
        "touchmark": env!("CARGO_PKG_VERSION"), "rows": rows,
    });
    let path = root.join("experiments/key_spread/results.json");
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
}

fn cells() -> Vec<(String, Spec)> {
    let kgw = |context_width, seeding| Spec::Kgw(Kgw { context_width, seeding, ..Kgw::default() });
    let mut cells: Vec<(String, Spec)> =
        (1..=4).map(|h| (format!("kgw left h={h}"), kgw(h, KgwSeeding::Left))).collect();
    cells.push(("kgw min h=4".to_owned(), kgw(4, KgwSeeding::Min)));
    cells.push(("kgw self h=4".to_owned(), kgw(4, KgwSeeding::SelfAnchored)));
    for gamma in [0.25, 0.5] {
        cells.push((
            format!("unigram γ={gamma}"),
            Spec::Unigram(Unigram { gamma, ..Unigram::default() }),
        ));
    }
    for context_width in [1, 2, 4] {
        let gumbel = Spec::Gumbel(Gumbel { context_width, alpha: None, payload_bits: None });
        cells.push((format!("gumbel h={context_width}"), gumbel));
    }
    for context_width in [1, 4] {
        let synthid = Spec::SynthId(SynthId { context_width, ..SynthId::default() });
        cells.push((format!("synthid m=30 h={context_width}"), synthid));
    }
    cells
}

fn windows(root: &Path, tokenizer: &HfTokenizer) -> Vec<Vec<TokenId>> {
    let human = std::fs::read_to_string(root.join("tests/data/human.jsonl")).unwrap();
    let texts = human.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ids = texts.map(|text| tokenizer.encode(text["text"].as_str().unwrap()).unwrap().ids);
    ids.flat_map(|ids| ids.chunks_exact(WINDOW).map(<[TokenId]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// Each key's share of windows with p ≤ nominal.
fn rates(spec: &Spec, tokenizer: &HfTokenizer, windows: &[Vec<TokenId>]) -> Vec<f64> {
    let law = Law::new(spec.scheme().null(8192)).unwrap();
    let nominal = LogP::from_p(NOMINAL).unwrap();
    let (next, rates) = (Mutex::new(0), Mutex::new(Vec::new()));
    let work = || {
        // p ≤ nominal exactly when the sum reaches the critical value of so many tokens.
        let mut critical: HashMap<u64, f64> = HashMap::new();
        loop {
            let number = {
                let mut next = next.lock().unwrap();
                *next += 1;
                *next - 1
            };
            if number >= KEYS {
                return;
            }
            let mark = mark(number, spec, tokenizer);
            let alarms = windows.iter().filter(|window| {
                let evidence = mark.score(window);
                let scored = evidence.scored() as u64;
                evidence.sum()
                    >= *critical.entry(scored).or_insert_with(|| law.critical(scored, nominal))
            });
            let rate = alarms.count() as f64 / windows.len() as f64;
            rates.lock().unwrap().push(rate);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    rates.into_inner().unwrap()
}

fn mark(number: u64, spec: &Spec, tokenizer: &HfTokenizer) -> Watermark {
    let mut key = *blake3::hash(&(1 << 40 | number).to_le_bytes()).as_bytes();
    let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special: Vec::new() };
    Watermark::new(&Key::take(&mut key), spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).unwrap()
}
