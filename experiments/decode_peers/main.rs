//! Decodes greedily with this engine and prints tokens a second as JSON, for `run.py`.
//!
//! `decode_peers MODEL THREADS BATCH PROMPT TOKENS`, MODEL a folder or a GGUF file; `decode_peers bandwidth THREADS` reads memory instead
//! and prints bytes a second.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::Path;
use std::time::Instant;

use touchmark::engine::{Decoder, Dtype, Source, set_threads};
use touchmark::lm::{Chunk, LanguageModel, SeqId, Want};
use touchmark::tokens::TokenId;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, numbers @ ..] = arguments.as_slice() else {
        return Err("a model is missing".into());
    };
    let numbers = numbers.iter().map(|n| n.parse()).collect::<Result<Vec<usize>, _>>()?;
    if let ("bandwidth", &[threads]) = (model.as_str(), numbers.as_slice()) {
        println!("{}", serde_json::json!({ "bytes_per_s": bandwidth(threads) }));
        return Ok(());
    }
    let [threads, batch, prompt, tokens] = numbers[..] else {
        return Err("threads, batch, prompt and tokens are missing".into());
    };
    set_threads(threads);
    let path = Path::new(model);
    let source = if path.is_dir() { Source::Dir(path) } else { Source::Gguf(path) };
    let began = Instant::now();
    let mut model = Decoder::load(&source, Dtype::Auto)?;
    let load_s = began.elapsed().as_secs_f64();
    let seqs = (0..batch).map(|_| model.open()).collect::<Result<Vec<_>, _>>()?;
    let mut next: Vec<Vec<TokenId>> = (0..batch)
        .map(|b| (0..prompt).map(|i| ((b * prompt + i) % 1000) as TokenId).collect())
        .collect();
    step(&mut model, &seqs, &mut next)?;
    let began = Instant::now();
    for _ in 0..tokens {
        step(&mut model, &seqs, &mut next)?;
    }
    let rate = (batch * tokens) as f64 / began.elapsed().as_secs_f64();
    let row = serde_json::json!({"tokens_per_s": rate, "load_s": load_s, "peak_mib": peak_mib()});
    println!("{row}");
    Ok(())
}

/// Bytes a second that so many threads read of 2 GiB, which no cache holds: the best of five times.
fn bandwidth(threads: usize) -> f64 {
    let words = vec![1_u64; (2 << 30) / 8];
    let read = || {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for part in words.chunks(words.len().div_ceil(threads.max(1))) {
                scope.spawn(move || std::hint::black_box(sum(part)));
            }
        });
        (8 * words.len()) as f64 / began.elapsed().as_secs_f64()
    };
    (0..5).map(|_| read()).fold(0.0, f64::max)
}

/// Eight sums side by side, so that it is memory that is waited for.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0_u64; 8];
    for eight in words.chunks_exact(8) {
        for (sum, word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// Feeds each sequence its tokens and takes the likeliest one next.
fn step(
    model: &mut Decoder,
    seqs: &[SeqId],
    next: &mut [Vec<TokenId>],
) -> Result<(), Box<dyn std::error::Error>> {
    let fed: Vec<Vec<TokenId>> = next.iter_mut().map(std::mem::take).collect();
    let work: Vec<Chunk<'_>> =
        seqs.iter().zip(&fed).map(|(&seq, ids)| Chunk { seq, ids, want: Want::Last }).collect();
    model.step(&work, &mut |chunk: usize, _: usize, logits: &[f32]| {
        let mut best = 0;
        for (id, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = id;
            }
        }
        next[chunk] = vec![best as TokenId];
    })?;
    Ok(())
}

/// Greatest memory that this process had, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
