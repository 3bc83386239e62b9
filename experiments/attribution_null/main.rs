//! Fresh keys on models that no key had a part in. See question.md. Writes results.json and results.md beside this file.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use touchmark::attribution::{
    Chosen, Expected, Gatherer, Readers, Speech, Text, Transcript, Way, Weighed,
};
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::lm::LanguageModel;
use touchmark::prf::Held;
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::stats::{binomial_sf_ge, normal_sf_ge};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

mod marked;

const KEYS: u64 = 10_000;
const SEED: u64 = 2026;
const PIECES: usize = 20;
const PIECE: usize = 256;
const ANSWERS: usize = 10;
const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];

/// A way of marking, and how much is read and said under it: 10,000 keys take long where a key is asked for much.
struct Case {
    mark: &'static str,
    pieces: usize,
    top: usize,
    answers: usize,
}

const CASES: [Case; 4] = [
    Case { mark: KGW, pieces: PIECES, top: 8, answers: ANSWERS },
    Case { mark: r#"{"scheme":"kgw","context_width":2}"#, pieces: 4, top: 8, answers: ANSWERS },
    Case { mark: r#"{"scheme":"gumbel","context_width":2}"#, pieces: 4, top: 8, answers: ANSWERS },
    // A token's evidence takes thirty numbers.
    Case { mark: r#"{"scheme":"synthid","context_width":4}"#, pieces: 1, top: 2, answers: 1 },
];
/// The one with which mistakes are made.
const KGW: &str = r#"{"scheme":"kgw","context_width":1}"#;
/// Share of a list.
const GAMMA: f64 = 0.25;

/// Models that no key had a part in, with what is taken off.
const SUSPECTS: [(&str, Option<&str>); 3] =
    [("student-plain", Some("cousin-6m")), ("sibling-16m", Some("cousin-6m")), ("cousin-6m", None)];

fn main() {
    let folder = PathBuf::from(std::env::var("TOUCHMARK_MODELS").unwrap());
    touchmark::engine::set_threads(threads());
    let tokenizer = HfTokenizer::from_path(&folder.join("cousin-6m")).unwrap();
    let pieces = pieces(&tokenizer);
    let mut cells = before();
    for (case, (suspect, base)) in
        CASES.iter().flat_map(|case| SUSPECTS.map(|suspect| (case, suspect)))
    {
        // A run that was broken off goes on from what it has.
        let told = |cell: &Value| cell["setting"] == "open" && cell["suspect"] == suspect;
        if cells.iter().any(|cell| told(cell) && cell["mark"] == case.mark) {
            continue;
        }
        let mut model = load(&folder.join(suspect));
        let mut base = base.map(|base| load(&folder.join(base)));
        let open = open(suspect, model.as_mut(), base.as_deref_mut(), case, &tokenizer, &pieces);
        cells.extend(open);
        let answers = answers(model.as_mut(), &tokenizer, &pieces, case.answers);
        cells.extend(closed(suspect, case, &tokenizer, &answers));
        write(&cells);
    }
    if cells.iter().all(|cell| cell["setting"] != marked::SETTING) {
        cells.extend(marked::cells(&folder, &tokenizer, &pieces));
        write(&cells);
    }
}

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/attribution_null")
}

fn before() -> Vec<Value> {
    let path = results().join("results.json");
    if !path.exists() {
        return Vec::new();
    }
    let mut all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(all["cells"].take()).unwrap()
}

fn threads() -> usize {
    let given = std::env::var("THREADS").ok().and_then(|threads| threads.parse().ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
}

/// What a suspect expects, under every key; and the same with mistakes.
fn open(
    suspect: &str,
    model: &mut dyn LanguageModel,
    base: Option<&mut (dyn LanguageModel + 'static)>,
    case: &Case,
    tokenizer: &HfTokenizer,
    pieces: &[Vec<TokenId>],
) -> Vec<Value> {
    let way = way(case.mark, tokenizer);
    let read = read(model, base, &way, case.top, &pieces[..case.pieces]);
    let sums = under_keys(|number| sum(&read.soft, &way, number));
    let mut cells = vec![cell("open", suspect, case.mark, &way, &read.soft, &sums)];
    if case.mark == KGW {
        cells.push(without_aggregation(suspect, &read, &sums));
        cells.push(every_position(suspect, case.mark, &way, &read.likeliest));
    }
    cells
}

/// What it says.
fn closed(
    suspect: &str,
    case: &Case,
    tokenizer: &HfTokenizer,
    answers: &[(Vec<TokenId>, Vec<TokenId>)],
) -> Vec<Value> {
    let way = way(case.mark, tokenizer);
    let reach = first(&way).reach().unwrap();
    let (mut speech, mut said) = (Speech::new(reach), Vec::new());
    for (prompt, answer) in answers {
        speech.hear(prompt, answer);
        said.extend((reach..answer.len()).map(|at| (answer[at - reach..at].to_vec(), answer[at])));
    }
    let transcript = speech.transcript();
    let sums = under_keys(|number| sum(&transcript, &way, number));
    let mut cells = vec![cell("closed", suspect, case.mark, &way, &transcript, &sums)];
    if case.mark == KGW {
        cells.push(every_position(suspect, case.mark, &way, &said));
    }
    cells
}

fn load(path: &Path) -> Box<dyn LanguageModel> {
    Box::new(Decoder::from_dir(path).unwrap())
}

fn way(mark: &str, tokenizer: &HfTokenizer) -> Way {
    let spec: Spec = serde_json::from_str(mark).unwrap();
    let special = tokenizer.special_ids().to_vec();
    let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special };
    Way { spec, vocabulary, repeats: Repeats::ScoreOnce }
}

fn first(way: &Way) -> Watermark {
    way.under(&way.key(SEED, KEYS).unwrap()).unwrap()
}

fn pieces(tokenizer: &HfTokenizer) -> Vec<Vec<TokenId>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let texts = lines.lines().map(|line| {
        let text: Value = serde_json::from_str(line).unwrap();
        tokenizer.encode(text["text"].as_str().unwrap()).unwrap().ids
    });
    texts.filter(|ids| ids.len() >= PIECE).map(|ids| ids[..PIECE].to_vec()).take(PIECES).collect()
}

struct Read {
    soft: Transcript,
    /// Σ of the squares of all positions' weights.
    squares: f64,
    /// Every position with the token that the suspect expects most.
    likeliest: Vec<(Vec<TokenId>, TokenId)>,
}

fn read(
    suspect: &mut dyn LanguageModel,
    base: Option<&mut (dyn LanguageModel + 'static)>,
    way: &Way,
    top: usize,
    pieces: &[Vec<TokenId>],
) -> Read {
    let reach = first(way).reach().unwrap();
    let base = base.map(|base| base as &mut dyn LanguageModel);
    let mut readers = Readers::new(suspect, base, &[]).unwrap();
    let mut soft = Gatherer::new(reach, top);
    let (mut likeliest, mut weights, mut squares) = (Vec::new(), Vec::new(), 0.0);
    for piece in pieces {
        let visit = |expected: &Expected<'_>| {
            expected.difference(&mut weights);
            soft.add(expected.context, &weights);
            squares += greatest(&mut weights, top);
            let context = &expected.context[expected.context.len() - reach..];
            likeliest.push((context.to_vec(), expected.likeliest()));
        };
        readers.read(&Text::own(piece.clone()), reach, visit).unwrap();
    }
    Read { soft: soft.finish(), squares, likeliest }
}

/// Σ of the squares of the `top` weights of greatest size.
fn greatest(weights: &mut [f32], top: usize) -> f64 {
    weights.select_nth_unstable_by(top - 1, |a, b| b.abs().total_cmp(&a.abs()));
    weights[..top].iter().map(|weight| f64::from(*weight).powi(2)).sum()
}

fn answers(
    model: &mut dyn LanguageModel,
    tokenizer: &HfTokenizer,
    pieces: &[Vec<TokenId>],
    count: usize,
) -> Vec<(Vec<TokenId>, Vec<TokenId>)> {
    let ends = Ends { end: Vec::new(), never: (0..4).collect() };
    let sampling = Sampling { seed: SEED, ..Sampling::default() };
    let prompt = |at: usize| pieces[at % pieces.len()][8 * (at / pieces.len())..][..8].to_vec();
    let requests: Vec<Request> = (0..count)
        .map(|at| Request {
            prompt: prompt(at),
            max_tokens: 248,
            sampling,
            stream: at as u64,
            stop: Vec::new(),
        })
        .collect();
    let waiting =
        requests.iter().map(|request| Answer::new(request, None, tokenizer, &ends).unwrap());
    let mut answers = vec![Vec::new(); count];
    generate(model, waiting.collect(), 16, &mut |_, _| Ok(()), &mut |at, output| {
        answers[at] = output.ids;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    requests.into_iter().map(|request| request.prompt).zip(answers).collect()
}

/// p under each fresh key.
fn under_keys(p: impl Fn(u64) -> f64 + Sync) -> Vec<f64> {
    let threads = threads() as u64;
    let p = &p;
    let part = |thread: u64| (thread..KEYS).step_by(threads as usize).map(p).collect::<Vec<f64>>();
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn cell(
    setting: &str,
    suspect: &str,
    mark: &str,
    way: &Way,
    transcript: &Transcript,
    sums: &[f64],
) -> Value {
    let own = Weighed::new(transcript, &first(way)).unwrap();
    let p: Vec<f64> = sums.iter().map(|sum| own.p_of(*sum).unwrap().log10()).collect();
    told(setting, suspect, mark, "as it is", own.cells, &p)
}

/// Σ weight · evidence under a key.
fn sum(transcript: &Transcript, way: &Way, number: u64) -> f64 {
    let mark = way.under(&way.key(SEED, number).unwrap()).unwrap();
    let (mut held, mut sum) = (Held::default(), 0.0);
    for slot in transcript.slots() {
        mark.each_cell(slot.context, slot.tokens, &mut held, |at, cell| {
            sum += f64::from(slot.weights[at]) * cell.evidence;
        });
    }
    sum
}

/// The soft sum with the variance that it would have if every position had a list of its own, and a normal tail.
fn without_aggregation(suspect: &str, read: &Read, sums: &[f64]) -> Value {
    let soft = &read.soft;
    let all: f64 = soft.slots().flat_map(|slot| slot.weights).map(|&w| f64::from(w)).sum();
    let deviation = (GAMMA * (1.0 - GAMMA) * read.squares).sqrt() / soft.unit();
    let p = |sum: &f64| normal_sf_ge((sum - GAMMA * all) / deviation).unwrap().log10();
    let p: Vec<f64> = sums.iter().map(p).collect();
    told("mistaken", suspect, KGW, "soft, every position its own list", soft.cells(), &p)
}

/// Every position counted as if its pair were new.
fn every_position(
    suspect: &str,
    mark: &str,
    way: &Way,
    positions: &[(Vec<TokenId>, TokenId)],
) -> Value {
    let reach = first(way).reach().unwrap();
    let mut counts: HashMap<(&[TokenId], TokenId), u64> = HashMap::new();
    let mut pairs = Chosen::new(reach, false);
    for (context, token) in positions {
        *counts.entry((context, *token)).or_default() += 1;
        pairs.note(context, *token);
    }
    let transcript = pairs.transcript();
    let p = under_keys(|number| {
        let mark = way.under(&way.key(SEED, number).unwrap()).unwrap();
        let (mut held, mut green, mut all) = (Held::default(), 0, 0);
        for slot in transcript.slots() {
            mark.each_cell(slot.context, slot.tokens, &mut held, |at, cell| {
                let count = counts[&(slot.context, slot.tokens[at])];
                all += count;
                green += if cell.evidence > 0.5 { count } else { 0 };
            });
        }
        binomial_sf_ge(green, all, GAMMA).unwrap().log10()
    });
    told(
        "mistaken",
        suspect,
        mark,
        "likeliest or said, every repetition counted",
        positions.len(),
        &p,
    )
}

fn told(setting: &str, suspect: &str, mark: &str, how: &str, n: usize, p: &[f64]) -> Value {
    let hits = LEVELS.map(|level| p.iter().filter(|p| **p <= level.log10()).count());
    let least = p.iter().copied().fold(0.0, f64::min);
    println!("{setting} {suspect} {mark} {how}: {n} pairs, hits {hits:?}, least {least:.2}");
    json!({"setting": setting, "suspect": suspect, "mark": mark, "how": how, "pairs": n, "keys": p.len(),
        "hits": hits, "least_log10_p": least})
}

/// The least number of hits that `keys` keys of rate `level` reach with probability 0.001 / `cells` or less.
fn too_many(level: f64, keys: u64, cells: usize) -> u64 {
    let rare = (0.001 / cells as f64).log10();
    (0..=keys).find(|&hits| binomial_sf_ge(hits, keys, level).unwrap().log10() <= rare).unwrap()
}

fn write(cells: &[Value]) {
    let folder = results();
    let most = |keys| LEVELS.map(|level| too_many(level, keys, 3 * cells.len()) - 1);
    let (most, few) = (most(KEYS), most(marked::KEYS));
    let mut table = format!(
        "Of the fresh keys so many have p ≤ 5 %, 1 %, 0.1 %. By chance alone at most {most:?} of {KEYS} would, and {few:?} of {}, but for \
         one in 1,000 over all cells.\n\n| | suspect | mark | counted | pairs | keys | 5 % | 1 % | 0.1 % | least log10 p |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|---:|\n",
        marked::KEYS
    );
    for cell in cells {
        let text = |name: &str| cell[name].as_str().unwrap().to_owned();
        let spec: Value = serde_json::from_str(cell["mark"].as_str().unwrap()).unwrap();
        let _ = writeln!(
            table,
            "| {} | {} | {} h = {} | {} | {} | {} | {} | {} | {} | {:.2} |",
            text("setting"),
            text("suspect"),
            spec["scheme"].as_str().unwrap(),
            spec["context_width"],
            text("how"),
            cell["pairs"],
            cell["keys"],
            cell["hits"][0],
            cell["hits"][1],
            cell["hits"][2],
            cell["least_log10_p"].as_f64().unwrap()
        );
    }
    std::fs::write(folder.join("results.md"), table).unwrap();
    let text = serde_json::to_string_pretty(
        &json!({"seed": SEED, "most": most, "most_marked": few, "cells": cells}),
    )
    .unwrap();
    std::fs::write(folder.join("results.json"), text + "\n").unwrap();
}
