//! Scoring tokens per second on one core, from ids to evidence, for every scheme.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use touchmark::keys::Key;
use touchmark::schemes::{
    Gumbel, Kgw, KgwSeeding, SglangGumbel, Spec, SynthId, SynthIdHash, SynthIdText, Unigram,
    VllmGumbel, Weighting,
};
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

fn score(c: &mut Criterion) {
    // Zipf-like ids, so that some contexts repeat as they do in language.
    let ids: Vec<TokenId> = (1..=2_000_u32)
        .map(|i| {
            let uniform = f64::from(i.wrapping_mul(2_654_435_761)) / 4_294_967_296.0;
            (50_000.0_f64.powf(uniform)) as TokenId
        })
        .collect();
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: 152_000, special: vec![0, 1, 2, 3] };
    let mut group = c.benchmark_group("score");
    group.throughput(Throughput::Elements(ids.len() as u64));
    let kgw = |context_width, seeding| Spec::Kgw(Kgw { context_width, seeding, ..Kgw::default() });
    let text = |hash| Spec::SynthIdText(SynthIdText { hash, ..SynthIdText::default() });
    for (name, spec) in [
        ("kgw left h=2", kgw(2, KgwSeeding::Left)),
        ("kgw min h=4", kgw(4, KgwSeeding::Min)),
        ("kgw self h=4", kgw(4, KgwSeeding::SelfAnchored)),
        ("unigram", Spec::Unigram(Unigram::default())),
        ("gumbel h=4", Spec::Gumbel(Gumbel::default())),
        ("gumbel dual h=4", Spec::Gumbel(Gumbel { alpha: Some(0.1), ..Gumbel::default() })),
        ("synthid-text table m=30", Spec::SynthIdText(SynthIdText::default())),
        ("synthid-text iv m=30", text(SynthIdHash::Iv)),
        ("synthid m=30 mean", Spec::SynthId(SynthId::default())),
        (
            "synthid m=30 weighted",
            Spec::SynthId(SynthId { weighting: Weighting::WeightedMean, ..SynthId::default() }),
        ),
        ("vllm-gumbel h=4", Spec::VllmGumbel(VllmGumbel::default())),
        (
            "vllm-gumbel dual h=4",
            Spec::VllmGumbel(VllmGumbel { alpha: Some(0.1), ..VllmGumbel::default() }),
        ),
        ("sglang-gumbel h=4", Spec::SglangGumbel(SglangGumbel::default())),
        (
            "sglang-gumbel two keys h=4",
            Spec::SglangGumbel(SglangGumbel {
                mixing_probability: Some(0.5),
                ..SglangGumbel::default()
            }),
        ),
    ] {
        let key = match spec.key_numbers() {
            None => Ok(Key::take(&mut [1; 32])),
            Some(count) => Key::of_numbers((100..).take(count).collect()),
        };
        let Ok(key) = key else { continue };
        let mark = Watermark::new(&key, spec.prf(), &spec, &vocabulary, Repeats::ScoreOnce);
        let Ok(mark) = mark else { continue };
        group.bench_function(name, |b| b.iter(|| mark.score(black_box(&ids)).sum()));
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
