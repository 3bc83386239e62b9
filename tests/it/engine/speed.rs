//! Figures, not tests: `cargo test --release --test it engine::speed -- --ignored --nocapture`.

use std::time::Instant;

use touchmark::engine::{Llama, set_threads};
use touchmark::lm::{Chunk, LanguageModel, Want};

use super::{argmax, scribe};

/// Decodes 64 tokens for each of `batch` sequences after a prompt of 16; tokens a second in all.
fn decode(model: &mut Llama, batch: usize) -> f64 {
    let seqs: Vec<_> = (0..batch).map(|_| model.open().unwrap()).collect();
    let prompts: Vec<Vec<u32>> = (0..batch as u32)
        .map(|s| (0..16).map(|i| 100 + (s * 31 + i * 17) % 7000).collect())
        .collect();
    let mut ids: Vec<Vec<u32>> = prompts;
    let (rounds, mut start) = (64, Instant::now());
    for round in 0..=rounds {
        let work: Vec<Chunk> =
            seqs.iter().zip(&ids).map(|(&seq, ids)| Chunk { seq, ids, want: Want::Last }).collect();
        let mut next = vec![vec![0]; batch];
        model
            .step(&work, &mut |chunk: usize, _: usize, row: &[f32]| next[chunk][0] = argmax(row))
            .unwrap();
        ids = next;
        if round == 0 {
            start = Instant::now();
        }
    }
    let rate = (rounds * batch) as f64 / start.elapsed().as_secs_f64();
    seqs.into_iter().for_each(|seq| model.close(seq));
    rate
}

fn prefill(model: &mut Llama, len: u32) -> f64 {
    let seq = model.open().unwrap();
    let ids: Vec<u32> = (0..len).map(|i| 100 + i * 17 % 7000).collect();
    let start = Instant::now();
    model
        .step(
            &[Chunk { seq, ids: &ids, want: Want::Last }],
            &mut |_: usize, _: usize, _: &[f32]| {},
        )
        .unwrap();
    let rate = f64::from(len) / start.elapsed().as_secs_f64();
    model.close(seq);
    rate
}

#[test]
#[ignore = "prints figures; asserts nothing"]
fn table() {
    let start = Instant::now();
    let mut model = scribe();
    println!("loaded in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let mut rates = vec![[vec![], vec![]]; 6];
    for _ in 0..7 {
        for threads in [1, 2] {
            set_threads(threads);
            for (i, batch) in [1, 4, 8, 16, 32].into_iter().enumerate() {
                rates[i][threads - 1].push(decode(&mut model, batch));
            }
            rates[5][threads - 1].push(prefill(&mut model, 512));
        }
    }
    println!("tokens/s, median (least–greatest) of 7 interleaved runs: 1 thread | 2 threads");
    for (rates, what) in rates.iter_mut().zip([
        "batch 1",
        "batch 4",
        "batch 8",
        "batch 16",
        "batch 32",
        "prefill 512",
    ]) {
        let shown: Vec<String> = rates
            .iter_mut()
            .map(|r| {
                r.sort_by(f64::total_cmp);
                format!("{:6.0} ({:.0}–{:.0})", r[3], r[0], r[6])
            })
            .collect();
        println!("{what:12} {}", shown.join(" | "));
    }
}
