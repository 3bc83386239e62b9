//! Copies that should compute the same, run.

use std::path::{Path, PathBuf};

use touchmark::engine::{Decoder, tensors};
use touchmark::fingerprint::derive::{How, derive};
use touchmark::lm::{LanguageModel, Want};
use touchmark::tokens::TokenId;

use super::{append, argmax, last_row};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A copy, written and loaded.
fn copy(dir: &Path, how: &[&str]) -> Decoder {
    let how: Vec<How> = how.iter().map(|how| how.parse().unwrap()).collect();
    let copy =
        derive(tensors::open(dir).unwrap(), &how, 3, &mut |name| Ok(tensors::open(&root(name))?))
            .unwrap();
    let stored = tensors::Stored::F32;
    let file = tensors::write_safetensors(&*copy, Vec::new(), stored, &[], &mut |_| {}).unwrap();
    let config = serde_json::to_vec(copy.config().unwrap()).unwrap();
    Decoder::from_bytes(&config, &file).unwrap()
}

const SAME: [&str; 5] = ["permute", "permute-heads", "rescale", "signs", "rotate"];

/// With biases everywhere, with biases of queries, with normalised queries, with and without an output layer of its own.
#[test]
fn symmetries_keep_what_a_model_computes() {
    let ids: Vec<TokenId> = (0..24).map(|i| (i * 7 + 3) % 90).collect();
    for family in ["llama1", "llama-bias", "llama3", "mistral", "qwen2", "qwen3", "smollm"] {
        let dir = root("tests/it/golden/families").join(family);
        let plain = last_row(&mut Decoder::from_dir(&dir).unwrap(), &ids);
        let spread = plain.iter().fold(0f32, |most, logit| most.max(logit.abs()));
        for how in SAME.iter().map(std::slice::from_ref).chain([&SAME[..]]) {
            let copied = last_row(&mut copy(&dir, how), &ids);
            let off = plain.iter().zip(&copied).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-3 * spread, "{family} {how:?}: {off} of {spread}");
        }
        // The measure sees a change.
        let noisy = last_row(&mut copy(&dir, &["noise=0.05"]), &ids);
        let off = plain.iter().zip(&noisy).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off > 3e-3 * spread, "{family}: {off} of {spread}");
    }
}

fn greedy(model: &mut Decoder, tokens: usize) -> Vec<TokenId> {
    let seq = model.open().unwrap();
    let mut row = append(model, seq, &[0, 391, 268, 1032], Want::Last).remove(0);
    let mut ids = Vec::new();
    for _ in 0..tokens {
        ids.push(argmax(&row));
        row = append(model, seq, &ids[ids.len() - 1..], Want::Last).remove(0);
    }
    ids
}

#[test]
fn copies_of_the_bundled_model_write_the_same() {
    let dir = root("models/scribe-16m");
    let plain = greedy(&mut Decoder::from_dir(&dir).unwrap(), 40);
    assert_eq!(greedy(&mut copy(&dir, &SAME), 40), plain);
    // Others run, and differ in the end.
    for how in [
        &["int4=32"][..],
        &["prune=0.5", "f16"],
        &["drop=3"],
        &["extend=64", "prune=2:4"],
        &["merge=0.25:models/scribe-16m-chat"],
    ] {
        let written = greedy(&mut copy(&dir, how), 40);
        assert!(written != plain && written.iter().all(|&id| id < 8192 + 64), "{how:?}");
    }
}
