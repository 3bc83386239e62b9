//! Looking for 64 keys with ten profiles each in a text of 1,000 tokens, on one core: 640,000 evaluations.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark::detect::Detector;
use touchmark::keys::Key;
use touchmark::schemes::{Gumbel, Kgw, SglangGumbel, Spec, SynthId, VllmGumbel};
use touchmark::stats::Family;
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

const KEYS: u64 = 64;

fn profiles() -> Vec<Spec> {
    let vllm = |context_width, alpha| {
        Spec::VllmGumbel(VllmGumbel { context_width, alpha, ..VllmGumbel::default() })
    };
    let sglang = |mixing_probability| {
        Spec::SglangGumbel(SglangGumbel { mixing_probability, ..SglangGumbel::default() })
    };
    vec![
        vllm(4, None),
        vllm(2, None),
        vllm(4, Some(0.1)),
        sglang(None),
        sglang(Some(0.5)),
        Spec::Kgw(Kgw::default()),
        Spec::Kgw(Kgw { context_width: 4, ..Kgw::default() }),
        Spec::Gumbel(Gumbel::default()),
        Spec::Gumbel(Gumbel { context_width: 2, ..Gumbel::default() }),
        Spec::SynthId(SynthId::default()),
    ]
}

fn key(number: u64, spec: &Spec) -> Option<Key> {
    let mixed = |i: u64| (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i;
    match spec.key_numbers() {
        None => Some(Key::take(&mut [number as u8; 32])),
        Some(count) => Key::of_numbers((0..count as u64).map(mixed).collect()).ok(),
    }
}

fn detectors() -> Vec<Detector> {
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: 152_000, special: vec![0, 1, 2, 3] };
    let pairs = profiles().into_iter().flat_map(|spec| (0..KEYS).map(move |n| (n, spec.clone())));
    let family = Family::one().times("profiles and keys", 10 * KEYS);
    let detector = |(number, spec): (u64, Spec)| {
        let key = key(number, &spec)?;
        let mark =
            Watermark::new(&key, spec.prf(), &spec, &vocabulary, Repeats::SingleTurn).ok()?;
        Detector::new(mark, 1e-6, family.clone(), None).ok()
    };
    pairs.filter_map(detector).collect()
}

fn identify(c: &mut Criterion) {
    let ids: Vec<TokenId> = (1..=1_000_u32)
        .map(|i| {
            let uniform = f64::from(i.wrapping_mul(2_654_435_761)) / 4_294_967_296.0;
            (50_000.0_f64.powf(uniform)) as TokenId
        })
        .collect();
    let mut group = c.benchmark_group("identify, 64 keys x 10 profiles, 1,000 tokens");
    group.throughput(Throughput::Elements(10 * KEYS * ids.len() as u64));
    let ready = detectors();
    group.bench_function("detectors made before", |b| {
        b.iter(|| {
            let p = |detector: &Detector| detector.detect(&Text::of(black_box(&ids))).ok();
            ready.iter().filter_map(p).map(|found| found.corrected.log10()).fold(0.0, f64::min)
        });
    });
    group.bench_function("detectors made for it", |b| {
        b.iter(|| {
            let p = |detector: Detector| detector.detect(&Text::of(black_box(&ids))).ok();
            detectors()
                .into_iter()
                .filter_map(p)
                .map(|found| found.corrected.log10())
                .fold(0.0, f64::min)
        });
    });
    group.finish();
}

criterion_group!(benches, identify);
criterion_main!(benches);
