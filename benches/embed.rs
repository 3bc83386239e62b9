//! Marking: what one decoding step costs at V = 8,192, 32,000 and 152,000, over all tokens and after top-k 100, beside
//! the same step without a mark.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use touchmark::keys::Key;
use touchmark::sampling::{Candidates, Sampler, Sampling, entropy};
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Pick, Spec, Stage, Sweet, SynthId, Unigram};
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Embedder, Marked, Repeats, Vocabulary, Watermark};

fn step(
    mark: Option<&mut Embedder<&Watermark>>,
    output: &[TokenId],
    logits: &[f32],
    sampler: &mut Sampler,
    candidates: &mut Candidates,
) -> TokenId {
    candidates.load(logits);
    let Some(mark) = mark else {
        sampler.truncate(candidates);
        return sampler.choose(candidates);
    };
    let late = mark.stage() == Stage::AfterTruncation;
    if late {
        sampler.truncate(candidates);
    }
    let nats = mark.needs_entropy().then(|| entropy(logits));
    let marked = mark.mark(output, candidates, nats, sampler.noise());
    if !late {
        sampler.truncate(candidates);
    }
    match marked {
        Marked::Yes(Pick::Token(token)) => token,
        _ => sampler.choose(candidates),
    }
}

fn embed(c: &mut Criterion) {
    let self_seeded =
        Spec::Kgw(Kgw { seeding: KgwSeeding::SelfAnchored, context_width: 4, ..Kgw::default() });
    let schemes = [
        ("none", None),
        ("kgw h=2", Some(Spec::Kgw(Kgw::default()))),
        ("kgw self h=4", Some(self_seeded)),
        ("unigram", Some(Spec::Unigram(Unigram::default()))),
        ("gumbel h=4", Some(Spec::Gumbel(Gumbel::default()))),
        ("synthid m=30", Some(Spec::SynthId(SynthId::default()))),
        ("sweet h=2", Some(Spec::Sweet(Sweet::default()))),
    ];
    for size in [8_192_u32, 32_000, 152_000] {
        // Spread like a model's: a few likely tokens above a wide floor.
        let logits: Vec<f32> = (1..=size)
            .map(|i| 18.0 * (i.wrapping_mul(2_654_435_761) as f32 / 4_294_967_296.0_f32).powi(8))
            .collect();
        for top_k in [0, 100] {
            let mut group = c.benchmark_group(format!("step, V = {size}, top-k {top_k}"));
            for (name, spec) in &schemes {
                let vocabulary =
                    Vocabulary { tokenizer: TokenizerHash([0; 32]), size, special: Vec::new() };
                let key = Key::take(&mut [1; 32]);
                let mark = spec.as_ref().and_then(|spec| {
                    Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).ok()
                });
                let mut embedder = mark.as_ref().map(|mark| mark.embedder(&[]));
                let Ok(mut sampler) = Sampler::new(Sampling { top_k, ..Sampling::default() }, 0)
                else {
                    continue;
                };
                let mut candidates = Candidates::default();
                let mut output: Vec<TokenId> = vec![0, 1, 2, 3];
                group.bench_function(BenchmarkId::from_parameter(name), |b| {
                    b.iter(|| {
                        output[3] = output[3].wrapping_add(1);
                        step(
                            embedder.as_mut(),
                            &output,
                            black_box(&logits),
                            &mut sampler,
                            &mut candidates,
                        )
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, embed);
criterion_main!(benches);
