//! How many questions find a planted model, and does it stay found? See question.md. Writes results.json beside this file.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod int4;
mod suspect;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use suspect::Suspect;
use touchmark::engine::Source;
use touchmark::engine::train::{Plan, Sample, Trainer, Tuning};
use touchmark::fingerprint::planted::{Asking, Kind, PairKey, Planting, Register, Session};
use touchmark::fingerprint::{Probing, Verdict};
use touchmark::keys::{Key, Salt};
use touchmark::stats::{EProcess, EValue, binomial_sf_ge};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;

const PAIRS: u32 = 16;
const KEYS: u64 = 10_000;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut steps = 200;
    if let Some(at) = arguments.iter().position(|one| one == "--steps") {
        steps = arguments[at + 1].parse().unwrap();
        arguments.drain(at..at + 2);
    }
    let [folder, planted, others @ ..] = &arguments[..] else { panic!("see question.md") };
    let secret = std::fs::read_to_string(Path::new(folder).join("planting.json")).unwrap();
    let planting = Planting::from_json(&secret).unwrap();
    let planted = PathBuf::from(planted);
    let (config, weights) = ("config.json", "model.safetensors");
    let [config, weights] =
        [config, weights].map(|name| std::fs::read(planted.join(name)).unwrap());
    let copies = [
        ("planted".to_owned(), weights.clone()),
        ("planted, int4".to_owned(), int4::rounded(&weights)),
        (format!("planted, {steps} steps of ordinary text"), tuned(&planted, steps)),
    ];
    let mut rows = Vec::new();
    for (name, weights) in copies {
        let mut suspect = Suspect::new(&planted, &config, &weights);
        rows.push(row(&name, &planting, &mut suspect));
    }
    for other in others.iter().map(Path::new) {
        let [config, weights] = ["config.json", "model.safetensors"]
            .map(|name| std::fs::read(other.join(name)).unwrap());
        let mut suspect = Suspect::new(other, &config, &weights);
        let name = other.file_name().unwrap().to_string_lossy().into_owned();
        let mut row = row(&name, &planting, &mut suspect);
        row["other_keys"] = other_keys(&planting, &mut suspect);
        println!("  {}", row["other_keys"]);
        rows.push(row);
    }
    let results = json!({
        "question": "question.md", "touchmark": env!("CARGO_PKG_VERSION"), "pairs": planting.commitment().pairs,
        "k": planting.list().k(), "rows": rows,
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/planted_pairs/results.json");
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
}

/// Sessions over all pairs, disjoint.
fn row(name: &str, planting: &Planting, suspect: &mut Suspect) -> Value {
    let mut register = Register::default();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut related, mut counted, mut p, mut hits, mut decided) = (0, vec![], vec![], 0, 0);
    let (mut decoy_hits, mut decoys) = (0, 0);
    for number in 0..planting.commitment().pairs / PAIRS {
        let asking = Asking { pairs: PAIRS, decoys: 8, ..Asking::default() };
        let Ok((rule, probes)) = planting.ask(&asking, &register, &Salt([number as u8; 32])) else {
            break;
        };
        for probe in &probes {
            register.burn(probe.leaf(), now, name);
        }
        let mut session = Session::new(rule, probes.into_iter().map(Some).collect()).unwrap();
        while let Some(step) = session.next().unwrap() {
            session.observe(&suspect.answer(&step.request)).unwrap();
        }
        let finding = session.finding();
        let count = |name: &str| finding.statistics[name].as_u64().unwrap();
        related += u32::from(finding.verdict == Verdict::Related);
        (hits, decided) = (hits + count("hits"), decided + count("decided"));
        (decoy_hits, decoys) = (decoy_hits + count("decoy_hits"), decoys + count("decoys_decided"));
        counted.push(finding.n);
        p.push((finding.log10_p.unwrap() * 100.0).round() / 100.0);
    }
    println!(
        "{name}: RELATED in {related} of {}; counted {counted:?}, log10 p {p:?}, hits {hits} of {decided}, decoys {decoy_hits} of {decoys}",
        counted.len()
    );
    json!({
        "suspect": name, "sessions": counted.len(), "related": related, "counted": counted, "log10_p": p, "hits": hits,
        "decided": decided, "decoy_hits": decoy_hits, "decoys": decoys,
    })
}

/// The answers of an unplanted model under other keys.
fn other_keys(planting: &Planting, suspect: &mut Suspect) -> Value {
    let list = planting.list();
    let pairs = planting.planted(Kind::Pair).unwrap();
    let said: Vec<Option<usize>> = pairs
        .iter()
        .map(|pair| {
            let mut asked = pair.phrasings.iter();
            asked.find_map(|question| list.find(&suspect.say(&planting.form().prompt(question))))
        })
        .collect();
    let (mut fixed, mut sequential) = ([0u64; 2], [0u64; 2]);
    for number in 0..KEYS {
        let mut bytes = [3; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let master = Key::take(&mut bytes);
        let (mut hits, mut process) = (0, EProcess::new());
        for (pair, said) in pairs.iter().zip(&said) {
            let key = PairKey::new(&master, Kind::Pair, pair.index).unwrap();
            let hit = *said == Some(key.answer(list, None, pair.phrasings));
            hits += u64::from(hit);
            let factor: f64 = 1.0 + 0.5 * (list.k() as f64 * f64::from(u8::from(hit)) - 1.0);
            process.push(EValue::from_ln(factor.ln()).unwrap());
        }
        let exact = binomial_sf_ge(hits, pairs.len() as u64, 1.0 / list.k() as f64).unwrap();
        for (at, level) in [0.01f64, 0.001].into_iter().enumerate() {
            fixed[at] += u64::from(exact.log10() <= level.log10());
            sequential[at] += u64::from(process.p_bound().log10() <= level.log10());
        }
    }
    let in_list = said.iter().flatten().count();
    json!({
        "keys": KEYS, "questions": pairs.len(), "answered_from_list": in_list,
        "fixed_at_or_below": { "0.01": fixed[0], "0.001": fixed[1] },
        "sequential_at_or_below": { "0.01": sequential[0], "0.001": sequential[1] },
    })
}

/// The planted model trained further on human text, all weights, four pieces of 64 tokens a step.
fn tuned(planted: &Path, steps: u64) -> Vec<u8> {
    let tokenizer = HfTokenizer::from_path(planted).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let mut pieces = Vec::new();
    for line in lines.lines().step_by(2) {
        let row: Value = serde_json::from_str(line).unwrap();
        let ids = tokenizer.encode(row["text"].as_str().unwrap()).unwrap().ids;
        pieces.extend(ids.chunks_exact(64).take(16).map(<[u32]>::to_vec));
    }
    let plan = Plan { steps, learning_rate: 1e-4, warmup: 10, ..Plan::default() };
    let mut trainer = Trainer::from_model(&Source::Dir(planted), &Tuning::Full, plan, 1).unwrap();
    let mut batch = |step: u64| {
        let piece = |i: u64| {
            Sample::whole(pieces[((4 * step + i) * 37 % pieces.len() as u64) as usize].clone())
        };
        (0..4).map(piece).collect()
    };
    trainer
        .run(&mut batch, &mut |now| {
            if now.step % 20 == 0 {
                println!("  step {}, loss {:.3}", now.step, now.loss);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    trainer.to_safetensors().unwrap()
}
