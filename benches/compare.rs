//! Comparing the weights of two models on one core: all hidden units, and a sample of them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use touchmark::fingerprint::weights::{Memory, Settings, compare};

const WIDTH: usize = 384;
const UNITS: usize = 1024;
const LAYERS: usize = 2;

/// Feed-forward layers of a model like `scribe-16m`. Values repeat after a long while, which no test minds here.
fn model(seed: usize) -> Memory {
    let mut model = Memory::new(Some(json!({"model_type": "llama"})));
    for layer in 0..LAYERS {
        for (at, (leaf, shape)) in [
            ("gate_proj", [UNITS, WIDTH]),
            ("up_proj", [UNITS, WIDTH]),
            ("down_proj", [WIDTH, UNITS]),
        ]
        .into_iter()
        .enumerate()
        {
            let start = seed + 1_000_003 * (3 * layer + at);
            let value =
                |i: usize| ((start + i).wrapping_mul(2_654_435_761) % 1_000_003) as f32 / 5e5 - 1.0;
            let name = format!("model.layers.{layer}.mlp.{leaf}.weight");
            model.put(&name, &shape, (0..UNITS * WIDTH).map(value).collect());
        }
    }
    model
}

fn comparing(c: &mut Criterion) {
    let (one, other) = (model(1), model(77_777));
    let mut group = c.benchmark_group("compare");
    // Every unit with every other: multiplications and additions of three features each.
    group.throughput(Throughput::Elements((LAYERS * UNITS * UNITS * 3 * WIDTH) as u64));
    group.sample_size(10);
    for (name, units) in [("all units", UNITS), ("256 units", 256)] {
        let settings = Settings { units, draws: 9_999, ..Settings::default() };
        group.bench_function(name, |b| {
            b.iter(|| compare(black_box(&one), black_box(&other), &settings, &|_, _| {}));
        });
    }
    group.finish();
}

criterion_group!(benches, comparing);
criterion_main!(benches);
