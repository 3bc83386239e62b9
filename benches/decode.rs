//! Decoding with the bundled model, tokens per second: with and without each mark, and for several sequences at once.
//!
//! Every measurement decodes 32 tokens for each sequence from position 64 on, sampler included.

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use touchmark::engine::{Decoder, set_threads};
use touchmark::keys::Key;
use touchmark::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use touchmark::sampling::{Candidates, Sampler, Sampling};
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Pick, Spec, Stage, SynthId, Unigram};
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Marked, Repeats, Vocabulary, Watermark};

const PROMPT: usize = 64;
const TOKENS: usize = 32;

/// Decodes for every sequence from the end of its prompt on.
fn decode(
    model: &mut Decoder,
    seqs: &[SeqId],
    mark: Option<&Watermark>,
    sampling: Sampling,
    candidates: &mut Candidates,
) -> Result<(), LmError> {
    let mut next: Vec<[TokenId; 1]> = vec![[5]; seqs.len()];
    let mut outputs: Vec<Vec<TokenId>> = vec![Vec::with_capacity(TOKENS); seqs.len()];
    let mut embedders: Vec<_> = seqs.iter().map(|_| mark.map(|mark| mark.embedder(&[]))).collect();
    let mut samplers: Vec<Sampler> =
        (0..seqs.len() as u64).filter_map(|s| Sampler::new(sampling, s).ok()).collect();
    for &seq in seqs {
        model.truncate(seq, PROMPT)?;
    }
    for _ in 0..TOKENS {
        let fed = next.clone();
        let work: Vec<Chunk<'_>> =
            seqs.iter().zip(&fed).map(|(&seq, ids)| Chunk { seq, ids, want: Want::Last }).collect();
        model.step(&work, &mut |chunk: usize, _: usize, logits: &[f32]| {
            let (sampler, output) = (&mut samplers[chunk], &mut outputs[chunk]);
            candidates.load(logits);
            let late =
                embedders[chunk].as_ref().is_some_and(|it| it.stage() == Stage::AfterTruncation);
            if late {
                sampler.truncate(candidates);
            }
            let marked = embedders[chunk]
                .as_mut()
                .map(|it| it.mark(output, candidates, None, sampler.noise()));
            if !late {
                sampler.truncate(candidates);
            }
            let token = match marked {
                Some(Marked::Yes(Pick::Token(token))) => token,
                _ => sampler.choose(candidates),
            };
            output.push(token);
            next[chunk] = [token];
        })?;
    }
    Ok(())
}

fn open(model: &mut Decoder, count: usize) -> Result<Vec<SeqId>, LmError> {
    let prompt: Vec<TokenId> = (0..PROMPT as u32).map(|i| 100 + i * 17).collect();
    (0..count)
        .map(|_| {
            let seq = model.open()?;
            model.step(
                &[Chunk { seq, ids: &prompt, want: Want::None }],
                &mut |_: usize, _: usize, _: &[f32]| {},
            )?;
            Ok(seq)
        })
        .collect()
}

fn benches(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let Ok(mut model) = Decoder::from_dir(&folder) else { return };
    let mut candidates = Candidates::default();
    let self_seeded =
        Spec::Kgw(Kgw { seeding: KgwSeeding::SelfAnchored, context_width: 4, ..Kgw::default() });
    let marks = [
        ("none", None),
        ("kgw h=2", Some(Spec::Kgw(Kgw::default()))),
        ("kgw self h=4", Some(self_seeded)),
        ("unigram", Some(Spec::Unigram(Unigram::default()))),
        ("gumbel h=4", Some(Spec::Gumbel(Gumbel::default()))),
        ("synthid m=30", Some(Spec::SynthId(SynthId::default()))),
    ];
    set_threads(1);
    let Ok(one) = open(&mut model, 1) else { return };
    for top_k in [0, 100] {
        let mut group =
            c.benchmark_group(format!("decode, one sequence, one thread, top-k {top_k}"));
        group.throughput(Throughput::Elements(TOKENS as u64));
        for (name, spec) in &marks {
            let vocabulary =
                Vocabulary { tokenizer: TokenizerHash([0; 32]), size: 8192, special: Vec::new() };
            let key = Key::take(&mut [1; 32]);
            let mark = spec.as_ref().and_then(|spec| {
                Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).ok()
            });
            let sampling = Sampling { top_k, ..Sampling::default() };
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter(|| decode(&mut model, &one, mark.as_ref(), sampling, &mut candidates));
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("decode, without a mark");
    group.sample_size(20);
    for (sequences, threads) in [(1, 1), (1, 2), (8, 1), (8, 2), (32, 1), (32, 2)] {
        set_threads(threads);
        let Ok(seqs) = open(&mut model, sequences) else { return };
        group.throughput(Throughput::Elements((TOKENS * sequences) as u64));
        group.bench_function(format!("{sequences} sequences, {threads} threads"), |b| {
            b.iter(|| decode(&mut model, &seqs, None, Sampling::default(), &mut candidates));
        });
        seqs.iter().for_each(|&seq| model.close(seq));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
