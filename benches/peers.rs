//! Reading marks of other engines whose functions are not made of counters: tokens per second on one core at V = 128,256.
//!
//! "cold" reads 2,048 contexts that were never seen, "cached" the same ones when their lists are kept, "text" Zipf-like ids
//! by a reader that has seen nothing, repeats included. "step" marks one step after a new context, and after a kept one.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use touchmark::keys::Key;
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{SeedingScheme, Spec, TransformersKgw};
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

const V: u32 = 128_256;
const TOKENS: u32 = 2_048;

fn spec(seeding_scheme: SeedingScheme) -> Spec {
    let context_width = if seeding_scheme == SeedingScheme::SelfHash { 4 } else { 1 };
    Spec::TransformersKgw(TransformersKgw {
        seeding_scheme,
        context_width,
        ..TransformersKgw::default()
    })
}

fn mark(spec: &Spec) -> Option<Watermark> {
    let key = Key::of_numbers(vec![15_485_863]).ok()?;
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: V, special: vec![0, 1, 2, 3] };
    Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).ok()
}

/// Every id another one, so that every context is.
fn distinct() -> Vec<TokenId> {
    (1..=TOKENS).map(|i| 4 + i * 61 % (V - 4)).collect()
}

fn zipf() -> Vec<TokenId> {
    let uniform = |i: u32| f64::from(i.wrapping_mul(2_654_435_761)) / 4_294_967_296.0;
    (1..=TOKENS).map(|i| f64::from(V).powf(uniform(i)) as TokenId).collect()
}

fn score(c: &mut Criterion) {
    for (name, scheme) in
        [("lefthash", SeedingScheme::LeftHash), ("selfhash", SeedingScheme::SelfHash)]
    {
        let mut group = c.benchmark_group("transformers-kgw cold");
        group.throughput(Throughput::Elements(u64::from(TOKENS))).sample_size(10);
        let spec = spec(scheme);
        for (kind, ids) in [("", distinct()), (", text", zipf())] {
            group.bench_function(format!("{name}{kind}"), |b| {
                let score = |mark: Option<Watermark>| mark.map(|mark| mark.score(&ids).sum());
                b.iter_batched(|| mark(&spec), score, BatchSize::LargeInput);
            });
        }
        group.finish();
        let mut group = c.benchmark_group("transformers-kgw cached");
        group.throughput(Throughput::Elements(u64::from(TOKENS)));
        let (Some(mark), ids) = (mark(&spec), distinct()) else { return };
        for _sight in 0..9 {
            mark.score(&ids);
        }
        group.bench_function(name, |b| b.iter(|| mark.score(black_box(&ids)).sum()));
        group.finish();
    }
}

fn embed(c: &mut Criterion) {
    let mut group = c.benchmark_group("transformers-kgw step");
    let logits: Vec<f32> =
        (0..V).map(|id| (id.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e6).collect();
    for (name, scheme) in
        [("lefthash", SeedingScheme::LeftHash), ("selfhash", SeedingScheme::SelfHash)]
    {
        let Some(mark) = mark(&spec(scheme)) else { return };
        let (mut candidates, mut noise) = (Candidates::default(), Noise::new(1, 1));
        for (kind, stride) in [("new", 1), ("kept", 0)] {
            let mut number = 4;
            group.bench_function(format!("{name}, {kind} context"), |b| {
                b.iter(|| {
                    number = (number + stride) % V;
                    candidates.load(&logits);
                    let mut embedder = mark.embedder(&[9, 8, 7, number]);
                    embedder.mark(&[], &mut candidates, None, &mut noise)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, score, embed);
criterion_main!(benches);
