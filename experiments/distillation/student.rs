//! Models trained on it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use touchmark::engine::Source;
use touchmark::engine::train::{Plan, Progress, Sample, Trainer, Tuning};
use touchmark::sampling::Noise;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::TokenId;

use super::text::{ROW, pieces};
use super::{Flags, lines};

/// Rows of each file that are never trained on: its last ones.
const HELD_OUT: usize = 16;

/// A file of rows and its share of the mixture.
struct Part {
    path: PathBuf,
    share: f64,
    rows: Vec<Vec<TokenId>>,
    taken: usize,
}

/// Trains a student into `folder`, unless there is one.
pub fn train(folder: &Path, flags: &Flags) {
    if folder.join("training.json").exists() {
        return println!("{} exists", folder.display());
    }
    let (base, seed) = (base(flags), flags.number("seed", 1));
    let (batch, length) = (flags.number("batch", 4), flags.number("length", ROW));
    let plan = Plan {
        steps: flags.number("steps", 200),
        learning_rate: flags.number("rate", 6e-4),
        warmup: flags.number("warmup", 20),
        ..Plan::default()
    };
    let mut parts: Vec<Part> = flags.all("text").map(part).collect();
    let rows = mixture(&mut parts, flags.number("rows", 512), seed);
    let mut trainer =
        Trainer::from_model(&Source::Dir(&base), &Tuning::Full, plan.clone(), seed).unwrap();
    let tests = tests(flags, &base, &parts);
    let before = losses(&trainer, &tests);
    let began = Instant::now();
    run(&mut trainer, &rows, (batch, length), seed);
    let seconds = began.elapsed().as_secs_f64();
    let tokens = plan.steps as usize * batch * length;
    let report = json!({
        "base": name(&base), "seed": seed, "rows": rows.len(), "tokens": tokens, "steps": plan.steps,
        "batch": batch, "length": length, "learning_rate": plan.learning_rate, "warmup": plan.warmup,
        "last": plan.last, "betas": plan.betas, "weight_decay": plan.weight_decay, "clip": plan.clip,
        "text": parts.iter().map(described).collect::<Vec<_>>(),
        "loss_before": before, "loss_after": losses(&trainer, &tests), "seconds": seconds.round(),
    });
    save(&trainer, &base, folder, &report);
    println!("{} {:.0} tokens/s {report}", folder.display(), tokens as f64 / seconds);
}

/// A folder, or a model of the folder that `TOUCHMARK_MODELS` names.
pub fn base(flags: &Flags) -> PathBuf {
    let models = || std::env::var_os("TOUCHMARK_MODELS").map(PathBuf::from);
    let usual = || models().map(|models| models.join("cousin-6m"));
    let given = flags.text("base").map(PathBuf::from).or_else(usual);
    given.unwrap_or_else(|| panic!("name a --base, or a folder of models in TOUCHMARK_MODELS"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// `SHARE=FILE`.
fn part(text: &str) -> Part {
    let (share, path) = text.split_once('=').unwrap_or_else(|| panic!("{text}: SHARE=FILE"));
    let ids = |row: &Value, field: &str| {
        serde_json::from_value::<Vec<TokenId>>(row[field].clone()).unwrap()
    };
    let row = |row: Value| [ids(&row, "prompt_ids"), ids(&row, "ids")].concat();
    let path = PathBuf::from(path);
    let rows = lines(&path).into_iter().map(row).collect();
    Part { path, share: share.parse().unwrap(), rows, taken: 0 }
}

fn described(part: &Part) -> Value {
    let settings = std::fs::read(part.path.with_extension("json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    json!({ "file": name(&part.path), "share": part.share, "rows": part.taken, "written": settings })
}

/// So many rows, of each part its share to the nearest row, in an order drawn from the seed.
fn mixture(parts: &mut [Part], count: usize, seed: u64) -> Vec<Vec<TokenId>> {
    let total: f64 = parts.iter().map(|part| part.share).sum();
    let (mut rows, mut share) = (Vec::new(), 0.0);
    for part in parts {
        share += part.share / total;
        part.taken = (share * count as f64).round() as usize - rows.len();
        let usable = part.rows.len().saturating_sub(HELD_OUT);
        assert!(part.taken <= usable, "{} has {usable} rows to learn", part.path.display());
        rows.extend_from_slice(&part.rows[..part.taken]);
    }
    shuffled(rows.len(), seed, 0).map(|at| rows[at].clone()).collect()
}

/// 0..count in an order that is a function of the other two: Fisher and Yates.
fn shuffled(count: usize, seed: u64, stream: u64) -> impl Iterator<Item = usize> {
    let mut noise = Noise::new(seed, stream);
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, (noise.uniform() * (at + 1) as f64) as usize);
    }
    order.into_iter()
}

/// Rows end to end, pass after pass in new orders, cut to sequences.
fn run(trainer: &mut Trainer, rows: &[Vec<TokenId>], (batch, length): (usize, usize), seed: u64) {
    let passes = (1..).flat_map(|pass| shuffled(rows.len(), seed, pass));
    let mut stream = passes.flat_map(|row| rows[row].iter().copied());
    let mut sample = |_| Sample::whole(stream.by_ref().take(length).collect());
    let mut batch = |_: u64| (0..batch).map(&mut sample).collect();
    let mut report = |now: Progress| {
        if now.step.is_multiple_of(25) {
            println!("  step {} of {}, loss {:.3}", now.step, now.steps, now.loss);
        }
        ControlFlow::Continue(())
    };
    trainer.run(&mut batch, &mut report).unwrap();
}

/// Rows of each file, and pieces of human text, that were not trained on.
fn tests(flags: &Flags, base: &Path, parts: &[Part]) -> Vec<(String, Vec<Vec<TokenId>>)> {
    let tokenizer = HfTokenizer::from_path(base).unwrap();
    let people: Vec<_> = pieces(flags, &tokenizer).step_by(64).take(HELD_OUT).collect();
    let held_out = |part: &Part| {
        let from = part.rows.len() - HELD_OUT;
        (name(&part.path), part.rows[from..].to_vec())
    };
    parts.iter().map(held_out).chain([("human".to_owned(), people)]).collect()
}

/// Nats a token.
fn losses(trainer: &Trainer, tests: &[(String, Vec<Vec<TokenId>>)]) -> Value {
    let loss = |rows: &[Vec<TokenId>]| {
        trainer.loss(&rows.iter().cloned().map(Sample::whole).collect::<Vec<_>>()).unwrap()
    };
    let mean = |rows: &Vec<Vec<TokenId>>| {
        let sum: f64 = rows.chunks(8).map(|rows| rows.len() as f64 * loss(rows)).sum();
        (1e4 * sum / rows.len() as f64).round() / 1e4
    };
    tests.iter().map(|(name, rows)| (name.clone(), json!(mean(rows)))).collect()
}

/// The report comes last: a folder that has it is complete.
fn save(trainer: &Trainer, base: &Path, folder: &Path, report: &Value) {
    trainer.save(folder).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        if base.join(file).exists() {
            std::fs::copy(base.join(file), folder.join(file)).unwrap();
        }
    }
    std::fs::write(folder.join("training.json"), format!("{report:#}\n")).unwrap();
}
