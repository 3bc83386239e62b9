//! Words of the native PRF: the defining crates one position at a time, the lanes, and a whole keystream.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, Prf, Purpose, Seeding, Start};
use touchmark::tokens::TokenizerHash;

fn words(c: &mut Criterion) {
    let purpose = Purpose {
        scheme: "bench",
        parameters: "",
        tokenizer: TokenizerHash([0; 32]),
        vocab_size: 152_000,
    };
    let tokens: Vec<u32> = (0..4096_u32).map(|i| i.wrapping_mul(2_654_435_761) % 152_000).collect();
    let mut group = c.benchmark_group("prf");
    for (name, seeding) in [
        ("left h=2", Seeding::Left { width: 2 }),
        ("min h=4", Seeding::Min { width: 4 }),
        ("self h=4", Seeding::SelfAnchored { width: 4 }),
    ] {
        let Ok(prf) = Prf::new(&Key::take(&mut [1; 32]), &purpose, seeding) else { return };
        group.throughput(Throughput::Elements(tokens.len() as u64));
        group.bench_function(format!("{name}, crates, one position at a time"), |b| {
            b.iter(|| {
                (4..tokens.len()).fold(0, |sum: u32, t| {
                    let draw = prf.at(&tokens[..t]);
                    sum.wrapping_add(draw.map_or(0, |draw| draw.word(tokens[t], KEY_A)))
                })
            });
        });
        group.bench_function(format!("{name}, lanes"), |b| {
            b.iter(|| {
                let mut sum = 0_u32;
                prf.walk(Start::Fragment, black_box(&tokens), &[KEY_A], |t, draw| {
                    sum = sum.wrapping_add(draw.word(tokens[t], KEY_A))
                });
                sum
            });
        });
    }
    for size in [8_192, 32_000, 152_000] {
        let seeding = Seeding::Left { width: 2 };
        let Ok(prf) = Prf::new(&Key::take(&mut [1; 32]), &purpose, seeding) else { return };
        let mut out = vec![0; size];
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("keystream of V = {size}"), |b| {
            b.iter(|| prf.at(&[1, 2]).map(|draw| draw.words(None, KEY_A, &mut out)));
        });
    }
    group.finish();
}

criterion_group!(benches, words);
criterion_main!(benches);
