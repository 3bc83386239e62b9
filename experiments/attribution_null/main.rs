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
use touchmark::attribution::{Chosen, Gatherer, Readers, Speech, Text, Transcript, Way, Weighed};
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::lm::LanguageModel;
use touchmark::prf::Held;
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::stats::binomial_sf_ge;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

const KEYS: u64 = 10_000;
const SEED: u64 = 2026;
const TOP: usize = 128;
const PIECES: usize = 50;
const PIECE: usize = 256;
const ANSWERS: usize = 100;
const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];
const MARKS: [&str; 4] = [
    r#"{"scheme":"kgw","context_width":1}"#,
    r#"{"scheme":"kgw","context_width":2}"#,
    r#"{"scheme":"gumbel","context_width":2}"#,
    r#"{"scheme":"synthid","context_width":4}"#,
];

fn main() {
    let folder = PathBuf::from(std::env::var("TOUCHMARK_MODELS").unwrap());
    let tokenizer = HfTokenizer::from_path(&folder.join("cousin-6m")).unwrap();
    let pieces = pieces(&tokenizer);
    let mut cells = Vec::new();
    for (suspect, base) in [
        ("student-plain", Some("cousin-6m")),
        ("sibling-16m", Some("cousin-6m")),
        ("cousin-6m", None),
    ] {
        let mut model = load(&folder.join(suspect));
        let mut base_model = base.map(|base| load(&folder.join(base)));
        for mark in MARKS {
            let way = way(mark, &tokenizer);
            let read = read(model.as_mut(), base_model.as_deref_mut(), &way, &pieces);
            cells.push(cell("open", suspect, mark, &way, &read.soft));
            if mark == MARKS[0] {
                cells.push(every_position(suspect, mark, &way, &read.likeliest));
            }
        }
        let answers = answers(model.as_mut(), &tokenizer, &pieces);
        for mark in MARKS {
            let way = way(mark, &tokenizer);
            let reach = first(&way).reach().unwrap();
            let mut speech = Speech::new(reach);
            let mut said = Vec::new();
            for (prompt, answer) in &answers {
                speech.hear(prompt, answer);
                said.extend(
                    (reach..answer.len()).map(|at| (answer[at - reach..at].to_vec(), answer[at])),
                );
            }
            cells.push(cell("closed", suspect, mark, &way, &speech.transcript()));
            if mark == MARKS[0] {
                cells.push(every_position(suspect, mark, &way, &said));
            }
        }
    }
    write(cells);
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
    /// Every position with the token that the suspect expects most.
    likeliest: Vec<(Vec<TokenId>, TokenId)>,
}

fn read(
    suspect: &mut dyn LanguageModel,
    base: Option<&mut (dyn LanguageModel + 'static)>,
    way: &Way,
    pieces: &[Vec<TokenId>],
) -> Read {
    let reach = first(way).reach().unwrap();
    let base = base.map(|base| base as &mut dyn LanguageModel);
    let mut readers = Readers::new(suspect, base, &[]).unwrap();
    let (mut soft, mut likeliest, mut weights) =
        (Gatherer::new(reach, TOP), Vec::new(), Vec::new());
    for piece in pieces {
        readers
            .read(&Text::own(piece.clone()), reach, |expected| {
                expected.difference(&mut weights);
                soft.add(expected.context, &weights);
                let context = &expected.context[expected.context.len() - reach..];
                likeliest.push((context.to_vec(), expected.likeliest()));
            })
            .unwrap();
    }
    Read { soft: soft.finish(), likeliest }
}

fn answers(
    model: &mut dyn LanguageModel,
    tokenizer: &HfTokenizer,
    pieces: &[Vec<TokenId>],
) -> Vec<(Vec<TokenId>, Vec<TokenId>)> {
    let ends = Ends { end: Vec::new(), never: (0..4).collect() };
    let sampling = Sampling { seed: SEED, ..Sampling::default() };
    let prompt = |at: usize| pieces[at % pieces.len()][8 * (at / pieces.len())..][..8].to_vec();
    let requests: Vec<Request> = (0..ANSWERS)
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
    let mut answers = vec![Vec::new(); ANSWERS];
    generate(model, waiting.collect(), 16, &mut |_, _| {}, &mut |at, output| {
        answers[at] = output.ids;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    requests.into_iter().map(|request| request.prompt).zip(answers).collect()
}

/// p under each fresh key, on two threads.
fn under_keys(p: impl Fn(u64) -> f64 + Sync) -> Vec<f64> {
    let half = |odd: u64| (0..KEYS / 2).map(|at| p(2 * at + odd)).collect::<Vec<f64>>();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().unwrap()].concat()
    })
}

fn cell(setting: &str, suspect: &str, mark: &str, way: &Way, transcript: &Transcript) -> Value {
    let own = Weighed::new(transcript, &first(way)).unwrap();
    let p = under_keys(|number| {
        let mark = way.under(&way.key(SEED, number).unwrap()).unwrap();
        let (mut held, mut sum) = (Held::default(), 0.0);
        for slot in transcript.slots() {
            mark.each_cell(slot.context, slot.tokens, &mut held, |at, cell| {
                sum += f64::from(slot.weights[at]) * cell.evidence;
            });
        }
        own.p_of(sum).unwrap().log10()
    });
    told(setting, suspect, mark, "as it is", own.cells, &p)
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
        binomial_sf_ge(green, all, 0.25).unwrap().log10()
    });
    told("mistaken", suspect, mark, "every repetition counted", positions.len(), &p)
}

fn told(setting: &str, suspect: &str, mark: &str, how: &str, n: usize, p: &[f64]) -> Value {
    let hits = LEVELS.map(|level| p.iter().filter(|p| **p <= level.log10()).count());
    let least = p.iter().copied().fold(0.0, f64::min);
    println!("{setting} {suspect} {mark} {how}: {n} pairs, hits {hits:?}, least {least:.2}");
    json!({"setting": setting, "suspect": suspect, "mark": mark, "how": how, "pairs": n, "keys": KEYS,
        "hits": hits, "least_log10_p": least})
}

/// The least number of hits that 10,000 keys of rate `level` reach with probability 0.001 / `cells` or less.
fn too_many(level: f64, cells: usize) -> u64 {
    let rare = (0.001 / cells as f64).log10();
    (0..KEYS).find(|&hits| binomial_sf_ge(hits, KEYS, level).unwrap().log10() <= rare).unwrap()
}

fn write(cells: Vec<Value>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/attribution_null");
    let most = LEVELS.map(|level| too_many(level, 3 * cells.len()) - 1);
    let mut table = format!(
        "Of {KEYS} fresh keys so many have p ≤ 5 %, 1 %, 0.1 %. By chance alone at most {}, {} and {} would, but for one in 1,000 over \
         all cells.\n\n| | suspect | mark | counted | pairs | 5 % | 1 % | 0.1 % | least log10 p |\n|---|---|---|---|---:|---:|---:|---:|---:|\n",
        most[0], most[1], most[2]
    );
    for cell in &cells {
        let text = |name: &str| cell[name].as_str().unwrap().to_owned();
        let spec: Value = serde_json::from_str(cell["mark"].as_str().unwrap()).unwrap();
        let _ = writeln!(
            table,
            "| {} | {} | {} h = {} | {} | {} | {} | {} | {} | {:.2} |",
            text("setting"),
            text("suspect"),
            spec["scheme"].as_str().unwrap(),
            spec["context_width"],
            text("how"),
            cell["pairs"],
            cell["hits"][0],
            cell["hits"][1],
            cell["hits"][2],
            cell["least_log10_p"].as_f64().unwrap()
        );
    }
    std::fs::write(folder.join("results.md"), table).unwrap();
    let text =
        serde_json::to_string_pretty(&json!({"seed": SEED, "most": most, "cells": cells})).unwrap();
    std::fs::write(folder.join("results.json"), text + "\n").unwrap();
}
