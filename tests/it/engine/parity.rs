//! Agreement with transformers on the bundled model, whichever way the ids reach the cache.

use serde_json::Value;
use touchmark::engine::Decoder;
use touchmark::lm::{Chunk, LanguageModel, Want};
use touchmark::tokens::TokenId;

use super::{append, argmax, last_row, scribe};

/// Greatest accepted |Δlogit| and |Δlogsumexp|, natural-log units. Logits reach 20; the golden file has 7 digits.
const LOGIT_TOLERANCE: f64 = 1e-4;
/// Greatest accepted difference of a mean negative log-likelihood, nats a token.
const NLL_TOLERANCE: f64 = 1e-5;

struct Case {
    prompt: Vec<TokenId>,
    top: Vec<(TokenId, f64)>,
    logsumexp: f64,
    mean_nll: Option<f64>,
    greedy: Vec<TokenId>,
}

fn ids(value: &Value) -> Vec<TokenId> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as TokenId).collect()
}

fn cases() -> Vec<Case> {
    let golden: Value =
        serde_json::from_str(include_str!("../golden/scribe-16m.parity.json")).unwrap();
    let fixed = ids(&golden["fixed_ids"]);
    let pairs = |ids: Vec<TokenId>, logits: &Value| -> Vec<(TokenId, f64)> {
        ids.into_iter()
            .zip(logits.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()))
            .collect()
    };
    golden["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let last = &case["last_logits"];
            let mut top = pairs(ids(&last["top64"]["ids"]), &last["top64"]["logits"]);
            top.extend(pairs(fixed.clone(), &last["fixed_ids_logits"]));
            Case {
                prompt: ids(&case["prompt_ids"]),
                top,
                logsumexp: last["logsumexp"].as_f64().unwrap(),
                mean_nll: case["mean_nll_nats"].as_f64(),
                greedy: ids(&case["greedy64"]),
            }
        })
        .collect()
}

fn logsumexp(row: &[f32]) -> f64 {
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + row.iter().map(|&v| (f64::from(v) - max).exp()).sum::<f64>().ln()
}

/// Greatest difference from the golden numbers.
fn difference(case: &Case, row: &[f32]) -> f64 {
    assert_eq!(row.len(), 8192);
    let logits = case.top.iter().map(|&(id, logit)| (f64::from(row[id as usize]) - logit).abs());
    logits.fold((logsumexp(row) - case.logsumexp).abs(), f64::max)
}

fn assert_close(case: &Case, row: &[f32], how: &str) {
    let difference = difference(case, row);
    assert!(
        difference < LOGIT_TOLERANCE,
        "{how}, {} ids: off by {difference:e}",
        case.prompt.len()
    );
}

fn assert_greedy(
    model: &mut Decoder,
    seq: touchmark::lm::SeqId,
    mut row: Vec<f32>,
    case: &Case,
    how: &str,
) {
    for (i, &expected) in case.greedy.iter().enumerate() {
        let id = argmax(&row);
        assert_eq!(id, expected, "{how}, {} ids: greedy token {i}", case.prompt.len());
        row = append(model, seq, &[id], Want::Last).remove(0);
    }
}

#[test]
fn one_prefill() {
    let mut model = scribe();
    let mut worst = 0.0;
    for case in &cases() {
        let seq = model.open().unwrap();
        let row = append(&mut model, seq, &case.prompt, Want::Last).remove(0);
        worst = difference(case, &row).max(worst);
        assert_close(case, &row, "one prefill");
        assert_greedy(&mut model, seq, row, case, "one prefill");
        assert_eq!(model.len(seq).unwrap(), case.prompt.len() + 64);
    }
    println!("greatest difference from transformers: {worst:e}");
}

#[test]
fn token_by_token() {
    let mut model = scribe();
    for case in &cases() {
        let seq = model.open().unwrap();
        let mut row = Vec::new();
        for id in &case.prompt {
            row = append(&mut model, seq, std::slice::from_ref(id), Want::Last).remove(0);
        }
        assert_close(case, &row, "token by token");
        assert_greedy(&mut model, seq, row, case, "token by token");
    }
}

#[test]
fn odd_chunks() {
    let mut model = scribe();
    for (case, size) in cases().iter().zip([1, 5, 33, 129]) {
        let seq = model.open().unwrap();
        let mut row = Vec::new();
        for ids in case.prompt.chunks(size) {
            row = append(&mut model, seq, ids, Want::Last).remove(0);
        }
        assert_close(case, &row, "odd chunks");
        assert_greedy(&mut model, seq, row, case, "odd chunks");
    }
}

#[test]
fn batched() {
    batched_with_the_others(&mut scribe());
}

/// All prompts in one batch, and 64 greedy tokens of each.
pub fn batched_with_the_others(model: &mut dyn LanguageModel) {
    let cases = cases();
    let seqs: Vec<_> = cases.iter().map(|_| model.open().unwrap()).collect();
    // The longest prompt is half-way in when the others arrive; then all decode together.
    let half = cases[3].prompt.len() / 2;
    append(model, seqs[3], &cases[3].prompt[..half], Want::None);
    let mut rows = vec![Vec::new(); cases.len()];
    let mut pending: Vec<Vec<TokenId>> = cases.iter().map(|case| case.prompt.clone()).collect();
    pending[3].drain(..half);
    for round in 0..=64 {
        let work: Vec<Chunk> = seqs
            .iter()
            .zip(&pending)
            .map(|(&seq, ids)| Chunk { seq, ids, want: Want::Last })
            .collect();
        model
            .step(&work, &mut |chunk: usize, _: usize, row: &[f32]| rows[chunk] = row.to_vec())
            .unwrap();
        for (i, case) in cases.iter().enumerate() {
            if round == 0 {
                assert_close(case, &rows[i], "batched");
            }
            pending[i] = vec![argmax(&rows[i])];
            if round < 64 {
                assert_eq!(pending[i][0], case.greedy[round], "batched, greedy token {round}");
            }
        }
    }
}

#[test]
fn after_fork_and_truncate() {
    let mut model = scribe();
    for case in &cases() {
        let wrong_way: Vec<TokenId> = case.prompt.iter().rev().copied().cycle().take(70).collect();
        let keep = case.prompt.len() / 2;
        let seq = model.open().unwrap();
        if keep > 0 {
            append(&mut model, seq, &case.prompt[..keep], Want::None);
        }
        append(&mut model, seq, &wrong_way, Want::None);
        let fork = model.fork(seq, keep).unwrap();
        model.truncate(seq, keep).unwrap();
        for (seq, how) in [(fork, "after fork"), (seq, "after truncate")] {
            let row = append(&mut model, seq, &case.prompt[keep..], Want::Last).remove(0);
            assert_close(case, &row, how);
            assert_greedy(&mut model, seq, row, case, how);
        }
    }
}

#[test]
fn perplexity_through_every_row() {
    let mut model = scribe();
    for case in &cases() {
        let Some(expected) = case.mean_nll else { continue };
        let seq = model.open().unwrap();
        let mut nll = Vec::new();
        let mut sink = |_: usize, position: usize, row: &[f32]| {
            assert_eq!(position, nll.len());
            let next = case.prompt.get(position + 1).map(|&id| f64::from(row[id as usize]));
            nll.push(next.map(|logit| logsumexp(row) - logit));
        };
        model.step(&[Chunk { seq, ids: &case.prompt, want: Want::All }], &mut sink).unwrap();
        assert_eq!(nll.len(), case.prompt.len());
        let nll: Vec<f64> = nll.into_iter().flatten().collect();
        let mean = nll.iter().sum::<f64>() / nll.len() as f64;
        assert!((mean - expected).abs() < NLL_TOLERANCE, "mean {mean}, expected {expected}");
    }
}

#[test]
fn bytes_and_directory_give_one_model() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let read = |name| std::fs::read(dir.join(name)).unwrap();
    let mut from_bytes =
        Decoder::from_bytes(&read("config.json"), &read("model.safetensors")).unwrap();
    assert_eq!(last_row(&mut from_bytes, &[0, 5, 9]), last_row(&mut scribe(), &[0, 5, 9]));
}

#[test]
fn the_chat_model_loads_and_is_another() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m-chat");
    let mut chat = Decoder::from_dir(&dir).unwrap();
    assert_eq!(chat.config(), scribe().config());
    let row = last_row(&mut chat, &[0, 5, 9]);
    assert!(row.iter().all(|v| v.is_finite()) && row != last_row(&mut scribe(), &[0, 5, 9]));
}
