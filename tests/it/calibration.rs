//! Honest nulls: p-values of human text under fresh keys are uniform.
//!
//! Every (window, key) pair has a key of its own, so pairs are independent and, the law being exact, each p-value is
//! uniform: the number of p ≤ level is Binomial(pairs, level). Discrete laws are read through the randomised p,
//! P(X > x) + U·P(X = x); laws that are bounds (gumbel's 2⁻³² steps, lists of fixed size) by their p. Every rate (two-sided) and the
//! Kolmogorov–Smirnov distance of every cell is one test of a family; the whole table fails by chance with probability
//! 0.001 (Bonferroni).

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use touchmark::detect::Law;
use touchmark::sampling::Noise;
use touchmark::schemes::{
    Gumbel, Kgw, KgwSeeding, Null, SglangGumbel, Spec, Sweet, SynthId, SynthIdHash, SynthIdText,
    TextSeal, TextSealMethod, TransformersKgw, Unigram, UnigramWatermark, VllmGumbel, VllmSbw,
    Weighting,
};
use touchmark::stats::{binomial_sf_ge, ks_uniform, ks_valid, randomised_p};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

use crate::common::key_for;

const WINDOW: usize = 200;
const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];
const FAMILY_WISE: f64 = 0.001;

struct Cell {
    name: String,
    spec: Spec,
    repeats: Repeats,
}

fn cells() -> Vec<Cell> {
    let kgw = |context_width, seeding| Spec::Kgw(Kgw { context_width, seeding, ..Kgw::default() });
    let gumbel = |alpha| Spec::Gumbel(Gumbel { alpha, ..Gumbel::default() });
    let synthid =
        |weighting, depth| Spec::SynthId(SynthId { weighting, depth, ..SynthId::default() });
    let text = |hash, weighting, depth| {
        Spec::SynthIdText(SynthIdText { hash, weighting, depth, ..SynthIdText::default() })
    };
    let named = [
        ("kgw left h=1", kgw(1, KgwSeeding::Left)),
        ("kgw left h=2", kgw(2, KgwSeeding::Left)),
        ("kgw left h=4", kgw(4, KgwSeeding::Left)),
        ("kgw min h=4", kgw(4, KgwSeeding::Min)),
        ("kgw self h=4", kgw(4, KgwSeeding::SelfAnchored)),
        ("unigram", Spec::Unigram(Unigram::default())),
        ("unigram-watermark", Spec::UnigramWatermark(UnigramWatermark::default())),
        ("gumbel h=4", gumbel(None)),
        ("gumbel dual α=0.1 h=4", gumbel(Some(0.1))),
        ("synthid m=30 mean", synthid(Weighting::Mean, 30)),
        ("synthid m=30 weighted", synthid(Weighting::WeightedMean, 30)),
        ("sweet h=2", Spec::Sweet(Sweet::default())),
        ("transformers-kgw lefthash", Spec::TransformersKgw(TransformersKgw::default())),
        ("vllm-gumbel h=4", Spec::VllmGumbel(VllmGumbel::default())),
        ("vllm-sbw selfhash h=4", Spec::VllmSbw(VllmSbw::default())),
        ("sglang-gumbel h=4", Spec::SglangGumbel(SglangGumbel::default())),
        (
            "sglang-gumbel two keys h=2",
            Spec::SglangGumbel(SglangGumbel {
                context_window: 2,
                mixing_probability: Some(0.5),
                ..SglangGumbel::default()
            }),
        ),
        ("synthid-text table", text(SynthIdHash::Table, Weighting::Mean, 30)),
        ("synthid-text table weighted", text(SynthIdHash::Table, Weighting::WeightedMean, 9)),
        ("synthid-text iv", text(SynthIdHash::Iv, Weighting::Mean, 30)),
        ("textseal gumbelmax h=1", Spec::TextSeal(TextSeal::default())),
        (
            "textseal greenlist h=2",
            Spec::TextSeal(TextSeal {
                watermark_type: TextSealMethod::Greenlist,
                ngram: 2,
                ..TextSeal::default()
            }),
        ),
    ];
    let cell = |(name, spec): (&str, Spec), repeats| Cell { name: name.to_owned(), spec, repeats };
    let mut cells: Vec<Cell> = named.into_iter().map(|it| cell(it, Repeats::ScoreOnce)).collect();
    cells.push(cell(("kgw left h=2, single-turn", kgw(2, KgwSeeding::Left)), Repeats::SingleTurn));
    cells
}

#[test]
fn human_text_keeps_the_nominal_rates() {
    human_text(40);
}

#[test]
#[ignore = "some minutes; the one above is the same with fewer keys"]
fn human_text_keeps_the_nominal_rates_under_many_keys() {
    human_text(200);
}

/// Under so many keys for each of a thousand windows.
fn human_text(many: usize) {
    let tokenizer = tokenizer();
    let windows = human_windows(&tokenizer);
    assert!(windows.len() >= 4_000, "{} windows", windows.len());
    let tests = 2 * cells().len();
    let mut faults = Vec::new();
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "pairs of text and key", "pairs", "5 %", "1 %", "0.1 %", "KS"
    );
    for (number, cell) in cells().iter().enumerate() {
        // Windows × keys for each window: many texts with few keys, and fewer texts with many keys.
        for (part, (windows, keys)) in
            [(&windows[..], 5), (&windows[..1_000], many)].into_iter().enumerate()
        {
            let first_key = ((number * 2 + part) as u64) << 32;
            let p = p_values(cell, &tokenizer, windows, keys, first_key);
            faults.extend(check(
                &format!("{}, {} x {keys}", cell.name, windows.len()),
                &cell.spec,
                &p,
                tests,
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Lists, boilerplate, a paragraph forty times: what repeats counts once, so rates stay nominal.
#[test]
fn repetitive_text_keeps_the_nominal_rates() {
    let tokenizer = tokenizer();
    let texts = repetitive_texts(&tokenizer);
    let mut faults = Vec::new();
    for (number, cell) in cells().iter().enumerate() {
        let p = p_values(cell, &tokenizer, &texts, 1_000, (1_000 + number as u64) << 32);
        faults.extend(check(&format!("{}, repetitive", cell.name), &cell.spec, &p, cells().len()));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn tokenizer() -> HfTokenizer {
    HfTokenizer::from_bytes(include_bytes!("../../models/scribe-16m/tokenizer.json")).unwrap()
}

fn human_windows(tokenizer: &HfTokenizer) -> Vec<Vec<TokenId>> {
    let documents = include_str!("../data/human.jsonl").lines();
    let texts = documents.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let texts: Vec<String> =
        texts.map(|document| document["text"].as_str().unwrap().to_owned()).collect();
    let ids = parallel(texts.len(), |at| tokenizer.encode(&texts[at]).unwrap().ids);
    ids.iter().flat_map(|ids| ids.chunks_exact(WINDOW).map(<[TokenId]>::to_vec)).collect()
}

fn repetitive_texts(tokenizer: &HfTokenizer) -> Vec<Vec<TokenId>> {
    let paragraph = "The lease begins on the first day of the month and ends when either party gives notice in writing.\n\n";
    let list: String =
        (1..=150).map(|i| format!("- item {i}: in stock, ships in {} days\n", i % 7 + 1)).collect();
    let table: String =
        (0..120).map(|i| format!("| row {} | yes | no | n/a |\n", i % 10)).collect();
    let forms = "Name: ______  Date: ______  Signature: ______\n".repeat(60);
    let words = "very ".repeat(500);
    let texts = [paragraph.repeat(40), list, table, forms, words];
    texts.iter().map(|text| tokenizer.encode(text).unwrap().ids).collect()
}

/// One p-value for each (text, key) pair, every pair with a fresh key.
fn p_values(
    cell: &Cell,
    tokenizer: &HfTokenizer,
    texts: &[Vec<TokenId>],
    keys: usize,
    first_key: u64,
) -> Vec<f64> {
    let vocabulary = Vocabulary {
        tokenizer: tokenizer.hash(),
        size: 8192,
        special: tokenizer.special_ids().to_vec(),
    };
    let rows = parallel(texts.len(), |at| {
        let text = &texts[at];
        // A gate that depends on the text alone, as a model's entropies do.
        let gate: Vec<f64> =
            text.iter().map(|id| f64::from(id.wrapping_mul(2_654_435_761) >> 24) / 100.0).collect();
        let mut noise = Noise::new(first_key, at as u64);
        let p = |k: usize| {
            let key = key_for(first_key + (at * keys + k) as u64, &cell.spec);
            let mark = Watermark::new(&key, cell.spec.prf(), &cell.spec, &vocabulary, cell.repeats)
                .unwrap();
            let evidence = mark.score_text(&Text::gated(text, &gate));
            randomised(mark.null(), evidence.sum(), evidence.scored() as u64, noise.uniform())
        };
        (0..keys).map(p).collect::<Vec<f64>>()
    });
    rows.concat()
}

/// P(X > x) + U·P(X = x) for laws on whole numbers, P(X ≥ x) else. Of a law that is wider than what was measured, the
/// one within: it must hold too.
fn randomised(null: &Null, sum: f64, scored: u64, uniform: f64) -> f64 {
    if let Null::Widened { law, mean, .. } = null {
        let moved = sum - scored as f64 * (mean - law.mean());
        return randomised(law, moved.round(), scored, uniform);
    }
    let law = Law::new(null.clone()).unwrap();
    let at_least = law.tail(sum, scored).unwrap();
    match law.null() {
        Null::Binomial { .. } | Null::WeightedBits { .. } | Null::Hypergeometric { .. } => {
            let above = law.tail(sum + 1.0, scored).unwrap();
            randomised_p(above, at_least, uniform).unwrap().p()
        }
        _ => at_least.p(),
    }
}

/// Faults of one cell, at the family-wise rate shared by `cells` cells of four tests each.
fn check(name: &str, spec: &Spec, p: &[f64], cells: usize) -> Vec<String> {
    let alpha = FAMILY_WISE / (cells as f64 * (LEVELS.len() + 1) as f64);
    let pairs = p.len() as u64;
    let null = spec.scheme().null(8192);
    let bound =
        matches!(null, Null::Exponential | Null::TwoExponentials { .. } | Null::Lists { .. });
    let mut faults = Vec::new();
    let mut rates = Vec::new();
    for level in LEVELS {
        let below = p.iter().filter(|&&p| p <= level).count() as u64;
        rates.push(below as f64 / pairs as f64);
        let many = binomial_sf_ge(below, pairs, level).unwrap().p();
        let few = binomial_sf_ge(pairs - below, pairs, 1.0 - level).unwrap().p();
        if many < alpha / 2.0 || (few < alpha / 2.0 && !bound) {
            faults.push(format!("{name}: rate {} at {level}", rates[rates.len() - 1]));
        }
    }
    // Half of the p-values of lists are 1, so only that they are valid can be asked.
    let ks = if matches!(null, Null::Lists { .. }) { ks_valid(p) } else { ks_uniform(p) }.unwrap();
    if ks.p.p() < alpha {
        faults.push(format!("{name}: KS distance {} has log10 p {}", ks.distance, ks.p));
    }
    println!(
        "{name:<40}{pairs:>9}{:>9.4}{:>9.4}{:>9.5}{:>9.4}",
        rates[0], rates[1], rates[2], ks.distance
    );
    faults
}

/// `f` of 0..count on all cores, in order.
fn parallel<T: Send>(count: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let result = f(at);
                    done.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
