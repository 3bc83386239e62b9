//! Looking for 64 keys with ten profiles each in a text of 1,000 tokens, on one core: 640,000 evaluations; and for 1,000 keys of
//! one profile, a million.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark::detect::{Detector, ManyKeys, Screen, Windows};
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
        None => Some(Key::take(&mut std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8))),
        Some(count) => Key::of_numbers((0..count as u64).map(mixed).collect()).ok(),
    }
}

fn mark(number: u64, spec: &Spec) -> Option<Watermark> {
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: 152_000, special: vec![0, 1, 2, 3] };
    let key = key(number, spec)?;
    Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::SingleTurn).ok()
}

fn detectors() -> Vec<Detector> {
    let pairs = profiles().into_iter().flat_map(|spec| (0..KEYS).map(move |n| (n, spec.clone())));
    let family = Family::one().times("profiles and keys", 10 * KEYS);
    let detector = |(number, spec): (u64, Spec)| {
        Detector::new(mark(number, &spec)?, 1e-6, family.clone(), None).ok()
    };
    pairs.filter_map(detector).collect()
}

/// Zipf-like ids, so that some contexts repeat as they do in language.
fn text() -> Vec<TokenId> {
    let id = |i: u32| {
        let uniform = f64::from(i.wrapping_mul(2_654_435_761)) / 4_294_967_296.0;
        (50_000.0_f64.powf(uniform)) as TokenId
    };
    (1..=1_000).map(id).collect()
}

/// Every key read to the end with windows, without windows, and screened on the first 512 tokens.
fn many_keys(c: &mut Criterion) {
    const KEYS: u64 = 1_000;
    let ids = text();
    let mut group = c.benchmark_group("which of 1,000 keys, 1,000 tokens");
    group.sample_size(10).throughput(Throughput::Elements(KEYS * ids.len() as u64));
    let all = [
        Spec::Kgw(Kgw::default()),
        Spec::Kgw(Kgw { context_width: 4, ..Kgw::default() }),
        Spec::Gumbel(Gumbel::default()),
        Spec::SynthId(SynthId::default()),
        Spec::VllmGumbel(VllmGumbel::default()),
    ];
    for spec in all {
        let width = spec.scheme().seeding().width();
        for (name, windows, screen) in [
            ("windows", Windows::Auto, Screen::Off),
            ("whole", Windows::Off, Screen::Off),
            ("screened", Windows::Auto, Screen::Auto),
        ] {
            let Some(keys) = detectors_of(&spec, KEYS, windows) else { continue };
            let keys = ManyKeys::new(keys, screen);
            group.bench_function(format!("{} h={width}, {name}", spec.name()), |b| {
                b.iter(|| keys.best_of(&[Text::of(black_box(&ids))], 1, 5).ok());
            });
        }
    }
    group.finish();
}

/// Detectors that share what does not depend on the key.
fn detectors_of(spec: &Spec, keys: u64, windows: Windows) -> Option<Vec<Detector>> {
    let family = Family::one().times("profiles and keys", keys);
    let first = Detector::new(mark(0, spec)?, 1e-6, family, None).ok()?.with_windows(windows);
    let others: Option<Vec<Detector>> =
        (1..keys).map(|number| first.under(mark(number, spec)?).ok()).collect();
    Some(std::iter::once(first).chain(others?).collect())
}

fn identify(c: &mut Criterion) {
    let ids = text();
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

criterion_group!(benches, identify, many_keys);
criterion_main!(benches);
