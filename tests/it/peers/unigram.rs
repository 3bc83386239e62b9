//! Unigram-Watermark.

use serde_json::Value;
use sha2::{Digest, Sha256};
use touchmark::detect::Law;
use touchmark::prf::Start;
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Spec, UnigramWatermark};
use touchmark::tokens::TokenId;
use touchmark::watermark::Repeats;

use super::{assert_near, golden, ids, list, mark, number};

fn cases() -> Vec<Value> {
    list(&golden(include_str!("../golden/peers/unigram.json"))["cases"]).to_vec()
}

fn watermark(case: &Value) -> (touchmark::watermark::Watermark, f64, u32) {
    let fraction = case["fraction"].as_f64().unwrap();
    let spec = Spec::UnigramWatermark(UnigramWatermark { fraction, strength: 2.0 });
    let size = number(&case["vocab_size"]);
    (mark(vec![number(&case["key"])], &spec, size, Repeats::ScoreOnce), fraction, size as u32)
}

/// 1 for each green token of the vocabulary, from the evidence of texts of one token.
fn mask(watermark: &touchmark::watermark::Watermark, size: u32) -> Vec<u8> {
    let all: Vec<TokenId> = (0..size).collect();
    watermark.score(&all).values.iter().map(|&value| value as u8).collect()
}

#[test]
fn the_lists_are_the_tools() {
    for case in cases() {
        let (watermark, _, size) = watermark(&case);
        let mask = mask(&watermark, size);
        let first: String = mask.iter().take(64).map(u8::to_string).collect();
        assert_eq!(first, case["first"].as_str().unwrap(), "{}", case["key"]);
        let digest: String = Sha256::digest(&mask).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(digest, case["mask_sha256"].as_str().unwrap(), "{}", case["key"]);
        assert_eq!(mask.iter().map(|&bit| u64::from(bit)).sum::<u64>(), number(&case["greens"]));
        if let Some(hex) = case["mask"].as_str() {
            let bytes = mask.chunks(8).map(|bits| {
                bits.iter().enumerate().fold(0, |byte, (at, &bit)| byte | bit << (7 - at))
            });
            assert_eq!(bytes.map(|byte| format!("{byte:02x}")).collect::<String>(), hex);
        }
    }
}

/// z of the tool over distinct tokens, from our counts; our p is the hypergeometric tail of the same counts.
#[test]
fn counts_give_the_tools_scores() {
    for case in cases() {
        let (watermark, fraction, size) = watermark(&case);
        let tokens = ids(&case["tokens"]);
        let evidence = watermark.score(&tokens);
        assert_eq!(evidence.scored() as u64, number(&case["distinct"]));
        assert_eq!(evidence.sum() as u64, number(&case["distinct_greens"]));
        let z = |greens: f64, count: f64| {
            (greens - fraction * count) / (fraction * (1.0 - fraction) * count).sqrt()
        };
        let distinct = z(evidence.sum(), evidence.scored() as f64);
        assert_near(distinct, case["z_distinct"].as_f64().unwrap(), 1e-9);
        let mask = mask(&watermark, size);
        let greens: u32 = tokens.iter().map(|&id| u32::from(mask[id as usize])).sum();
        assert_near(z(f64::from(greens), tokens.len() as f64), case["z"].as_f64().unwrap(), 1e-9);
        let law = Law::new(watermark.null().clone()).unwrap();
        let p = law.tail(evidence.sum(), evidence.scored() as u64).unwrap();
        assert_eq!(p, hypergeometric(&evidence, size, number(&case["greens"])));
    }
}

fn hypergeometric(
    evidence: &touchmark::watermark::Evidence,
    size: u32,
    greens: u64,
) -> touchmark::stats::LogP {
    let (sum, scored) = (evidence.sum() as u64, evidence.scored() as u64);
    touchmark::stats::hypergeometric_sf_ge(sum, u64::from(size), greens, scored).unwrap()
}

#[test]
fn the_bias_is_the_tools() {
    for case in cases() {
        let (watermark, _, size) = watermark(&case);
        let mut candidates = Candidates::default();
        let step = 6.0 / (size - 1) as f32;
        candidates.load(&(0..size).map(|id| step * id as f32 - 3.0).collect::<Vec<f32>>());
        watermark.embedder(&[]).mark(&[], &mut candidates, None, &mut Noise::new(1, 1));
        let biased = list(&case["biased_first"]);
        for (found, expected) in candidates.logits_mut().iter().zip(biased) {
            assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-5);
        }
        assert_eq!(biased.len(), 16.min(size as usize));
    }
}

/// Ids outside the vocabulary are red, however many there are.
#[test]
fn strange_ids_never_help() {
    let spec = Spec::UnigramWatermark(UnigramWatermark::default());
    let watermark = mark(vec![3], &spec, 10, Repeats::ScoreOnce);
    let tokens: Vec<TokenId> = (0..40).collect();
    let evidence = watermark.score_text(&touchmark::watermark::Text {
        ids: &tokens,
        start: Start::Fragment,
        entropies: &[],
    });
    assert_eq!(evidence.sum(), 5.0);
    let law = Law::new(watermark.null().clone()).unwrap();
    assert_eq!(law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p(), 1.0);
}
