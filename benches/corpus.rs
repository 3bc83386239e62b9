//! From text to verdict on one core: what tokenising costs, and scoring and windows beside it.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark::detect::{Detector, Windows};
use touchmark::keys::Key;
use touchmark::schemes::{Gumbel, Kgw, SglangGumbel, Spec, SynthId, VllmGumbel};
use touchmark::stats::Family;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

/// Pieces of human text as long as a page, a chapter's beginning each.
fn texts(root: &Path) -> Option<Vec<String>> {
    let file = std::fs::read_to_string(root.join("tests/data/human.jsonl")).ok()?;
    let text = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(record["text"].as_str()?.chars().take(4000).collect())
    };
    file.lines().take(50).map(text).collect()
}

fn specs() -> Vec<(&'static str, Spec)> {
    vec![
        ("kgw h=2", Spec::Kgw(Kgw::default())),
        ("gumbel h=4", Spec::Gumbel(Gumbel::default())),
        ("synthid m=30", Spec::SynthId(SynthId::default())),
        ("vllm-gumbel h=4", Spec::VllmGumbel(VllmGumbel::default())),
        ("sglang-gumbel h=4", Spec::SglangGumbel(SglangGumbel::default())),
    ]
}

fn detector(spec: &Spec, tokenizer: &HfTokenizer) -> Option<Detector> {
    let key = match spec.key_numbers() {
        None => Key::take(&mut [1; 32]),
        Some(count) => Key::of_numbers((100..).take(count).collect()).ok()?,
    };
    let special = tokenizer.special_ids().to_vec();
    let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special };
    let mark = Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).ok()?;
    Detector::new(mark, 1e-6, Family::one(), None).ok()
}

fn corpus(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(tokenizer) = HfTokenizer::from_path(&root.join("models/scribe-16m")) else { return };
    let Some(texts) = texts(root) else { return };
    let encode = |text: &String| tokenizer.encode(text).map(|encoding| encoding.ids);
    let Ok(ids) = texts.iter().map(encode).collect::<Result<Vec<Vec<TokenId>>, _>>() else {
        return;
    };
    let mut group = c.benchmark_group("corpus");
    group.throughput(Throughput::Elements(ids.iter().map(Vec::len).sum::<usize>() as u64));
    group.bench_function("tokenise", |b| {
        b.iter(|| texts.iter().filter_map(|text| encode(black_box(text)).ok()).count());
    });
    for (name, spec) in specs() {
        let Some(plain) = detector(&spec, &tokenizer) else { continue };
        let score = |ids: &Vec<TokenId>| plain.watermark().score(ids).sum();
        group.bench_function(format!("score, {name}"), |b| {
            b.iter(|| black_box(&ids).iter().map(score).sum::<f64>());
        });
        for (windows, name) in [
            (Windows::Off, format!("detect, {name}")),
            (Windows::Auto, format!("detect with windows, {name}")),
        ] {
            let Some(detector) = detector(&spec, &tokenizer) else { continue };
            let detector = detector.with_windows(windows);
            let detect = |ids: &Vec<TokenId>| detector.detect(&Text::of(ids)).is_ok();
            group.bench_function(name, |b| {
                b.iter(|| black_box(&ids).iter().filter(|ids| detect(ids)).count())
            });
        }
    }
    group.finish();
}

criterion_group!(benches, corpus);
criterion_main!(benches);
