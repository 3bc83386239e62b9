//! Trains many small independent models, and copies of some. See question.md.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod tokenizer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};
use touchmark::engine::Source;
use touchmark::engine::train::{Plan, Sample, Shape, Trainer, Tuning};

const CONTEXT: usize = 64;
const BATCH: usize = 8;

/// One model to be trained.
struct Job {
    name: String,
    /// The model that it starts from.
    from: Option<String>,
    shape: Shape,
    /// Its share of the documents: every `of`-th, beginning with `first`.
    documents: (usize, usize),
    seed: u64,
    steps: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().unwrap_or_else(|| panic!("name a folder")));
    let [mut same, mut other, mut tuned, mut steps, mut jobs] = [24u64, 24, 4, 300, 2];
    while let (Some(flag), Some(value)) = (arguments.next(), arguments.next()) {
        let number = value.parse().unwrap();
        match flag.as_str() {
            "--same" => same = number,
            "--other" => other = number,
            "--tuned" => tuned = number,
            "--steps" => steps = number,
            "--jobs" => jobs = number,
            unknown => panic!("{unknown}"),
        }
    }
    let texts = texts();
    let first =
        (0..same).map(|n| same_job(n, steps)).chain((0..other).map(|n| other_job(n, steps)));
    let rows = Mutex::new(Vec::new());
    work(&out, &texts, first.collect(), jobs, &rows);
    work(&out, &texts, (0..tuned.min(same)).map(|n| tuned_job(n, steps)).collect(), jobs, &rows);
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row: &Value| row["name"].to_string());
    let text = serde_json::to_string_pretty(&json!({ "steps": steps, "models": rows })).unwrap();
    std::fs::write(out.join("manifest.json"), text + "\n").unwrap();
}

fn same_job(number: u64, steps: u64) -> Job {
    Job {
        name: format!("same-{number:02}"),
        from: None,
        shape: Shape { end: tokenizer::END, ..Shape::tiny(tokenizer::VOCABULARY) },
        documents: (0, 2),
        seed: 1_000 + number,
        steps,
    }
}

fn other_job(number: u64, steps: u64) -> Job {
    let kind = number as usize;
    let heads = [2, 4, 4, 6][kind % 4];
    let shape = Shape {
        hidden_size: 16 * heads * [1, 2][kind / 4 % 2].max(if heads == 2 { 2 } else { 1 }),
        layers: 2 + kind % 3,
        heads,
        kv_heads: [2, 4, 1, 3][kind % 4],
        intermediate_size: 128 + 32 * (kind % 5),
        tied: kind % 2 == 0,
        end: tokenizer::END,
        ..Shape::tiny(tokenizer::VOCABULARY)
    };
    let documents = (1 + 2 * (kind % 8), 16);
    Job {
        name: format!("other-{number:02}"),
        from: None,
        shape,
        documents,
        seed: 5_000 + number,
        steps,
    }
}

fn tuned_job(number: u64, steps: u64) -> Job {
    let base = same_job(number, steps);
    let (from, name) = (Some(base.name.clone()), format!("tuned-{number:02}"));
    Job { name, from, documents: (3, 4), seed: 9_000 + number, steps: steps / 2, ..base }
}

/// The human text as bytes, a document each.
fn texts() -> Vec<Vec<u32>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let text = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned()
    };
    lines.lines().map(|line| text(line).bytes().map(u32::from).collect()).collect()
}

fn work(out: &Path, texts: &[Vec<u32>], queue: Vec<Job>, threads: u64, rows: &Mutex<Vec<Value>>) {
    let queue = Mutex::new(queue.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(job) = queue.lock().unwrap().next() else { break };
                    rows.lock().unwrap().push(train(out, texts, &job));
                }
            });
        }
    });
}

fn train(out: &Path, texts: &[Vec<u32>], job: &Job) -> Value {
    let began = Instant::now();
    let plan = Plan {
        steps: job.steps,
        learning_rate: if job.from.is_some() { 1e-3 } else { 4e-3 },
        warmup: 20,
        weight_decay: 0.01,
        ..Plan::default()
    };
    let mut trainer = match &job.from {
        None => Trainer::from_nothing(&job.shape, plan, job.seed).unwrap(),
        Some(base) => {
            let base = out.join(base);
            Trainer::from_model(&Source::Dir(&base), &Tuning::Full, plan, job.seed).unwrap()
        }
    };
    let (first, of) = job.documents;
    let stream: Vec<u32> = texts.iter().skip(first).step_by(of).flatten().copied().collect();
    let mut loss = f64::NAN;
    // The order of batches depends on the text alone: models of one set see the same.
    let mut batch = |step: u64| {
        let piece = |i: usize| {
            let number = step.wrapping_mul(BATCH as u64).wrapping_add(i as u64);
            let at = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (stream.len() - CONTEXT) as u64;
            Sample::whole(stream[at as usize..at as usize + CONTEXT].to_vec())
        };
        (0..BATCH).map(piece).collect()
    };
    trainer
        .run(&mut batch, &mut |now| {
            loss = if loss.is_nan() { now.loss } else { 0.95 * loss + 0.05 * now.loss };
            ControlFlow::Continue(())
        })
        .unwrap();
    let folder = out.join(&job.name);
    trainer.save(&folder).unwrap();
    tokenizer::write(&folder);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} {} weights, loss {loss:.3}, {seconds:.1} s",
        job.name,
        trainer.config().parameters()
    );
    json!({
        "name": job.name, "from": job.from, "seed": job.seed, "steps": job.steps, "documents": [first, of],
        "parameters": trainer.config().parameters(), "loss": (loss * 1000.0).round() / 1000.0,
    })
}
