//! Copies that should compute the same, run.

use std::path::{Path, PathBuf};

use touchmark::engine::{Decoder, tensors};
use touchmark::fingerprint::derive::{Half, How, derive};
use touchmark::fingerprint::weights::Sketches;
use touchmark::fingerprint::weights::forensics::{Forensics, Grouping, Shapes, Way};
use touchmark::lm::{LanguageModel, TensorSource, Want};
use touchmark::tokens::TokenId;

use super::{append, argmax, last_row};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn derived(dir: &Path, how: &[&str]) -> Box<dyn TensorSource> {
    let how: Vec<How> = how.iter().map(|how| how.parse().unwrap()).collect();
    let open = &mut |name: &str| Ok(tensors::open(&root(name))?);
    derive(tensors::open(dir).unwrap(), &how, 3, open).unwrap()
}

/// A copy, written and loaded.
fn copy(dir: &Path, how: &[&str]) -> Decoder {
    let copy = derived(dir, how);
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
        &["merge=0.75:models/scribe-16m-chat"],
    ] {
        let written = greedy(&mut copy(&dir, how), 40);
        assert!(written != plain && written.iter().all(|&id| id < 8192 + 64), "{how:?}");
    }
}

/// What was done to a trained model is read from its weights.
#[test]
fn copies_of_the_bundled_model_are_read() {
    let dir = root("models/scribe-16m");
    let (plain, chat) =
        (tensors::open(&dir).unwrap(), tensors::open(&root("models/scribe-16m-chat")).unwrap());
    let read = |suspect: &dyn TensorSource, candidates: &[(&str, &dyn TensorSource)]| {
        let called = |name: &str| Some(name.to_owned());
        let shapes = Shapes::default();
        let found =
            Forensics::of_stored(&*plain, suspect, candidates, &called, &shapes, 2).unwrap();
        found.readings.into_iter().map(|reading| reading.way).collect::<Vec<_>>()
    };
    let of = |how: &[&str]| read(&*derived(&dir, how), &[]);
    let quantised = |bits, group| Way::Quantised { bits, symmetric: true, group };
    assert_eq!(of(&["int8"]), [quantised(8, Grouping::Row)]);
    assert_eq!(of(&["int4=128", "bf16"])[0], quantised(4, Grouping::Of(128)));
    let found = of(&["prune=0.3"]);
    assert!(
        matches!(found[..], [Way::Pruned { share, two_of_four: false, by_size: true }] if (share - 0.3).abs() < 0.01),
        "{found:?}"
    );
    assert!(
        matches!(of(&["noise=0.05"])[..], [Way::White { relative }] if (relative - 0.05).abs() < 0.01)
    );
    let noisy = derived(&dir, &["noise=0.01"]);
    let called = |name: &str| Some(name.to_owned());
    let rounded = derived(&dir, &["noise=0.01", "f16"]);
    let found =
        Forensics::of_stored(&*noisy, &*rounded, &[], &called, &Shapes::default(), 2).unwrap();
    assert_eq!(found.readings[0].way, Way::Rounded { format: Half::F16 });
    // Tuned on conversations.
    let tuned = read(&*chat, &[]);
    assert!(matches!(tuned[..], [Way::FineTuned { .. }]), "{tuned:?}");
    let merged = derived(&dir, &["merge=0.25:models/scribe-16m-chat"]);
    assert_eq!(read(&*merged, &[("chat", &*chat)]), [Way::Merged]);
}

#[test]
fn sketches_tell_copies() {
    let dir = root("models/scribe-16m");
    let chat = tensors::open(&root("models/scribe-16m-chat")).unwrap();
    let (plain, chat) = (
        Sketches::of(&*tensors::open(&dir).unwrap(), 2).unwrap(),
        Sketches::of(&*chat, 2).unwrap(),
    );
    let median = |other: &Sketches| {
        let compared = plain.compare(other, |_| None);
        let matrices = compared.pairs.iter().filter(|pair| pair.reference.contains("proj"));
        let mut bits: Vec<u32> = matrices.map(|pair| pair.bits).collect();
        bits.sort_unstable();
        assert_eq!(bits.len(), 56);
        bits[bits.len() / 2]
    };
    let of = |how: &[&str]| Sketches::of(&*derived(&dir, how), 2).unwrap();
    assert_eq!(median(&plain), 0);
    assert!(median(&of(&["int8"])) <= 2 && median(&of(&["int4=32"])) <= 16);
    assert!(median(&chat) < 40, "{}", median(&chat));
    // Written as f32, the same numbers.
    let stored = plain.compare(&of(&["bf16"]), |_| None);
    assert_eq!((stored.same_values, stored.same_bytes), (plain.tensors.len(), 0));
    let permuted = plain.compare(&of(&["permute"]), |_| None);
    let up = permuted.pairs.iter().find(|pair| pair.reference.contains("layers.3.mlp.up_proj"));
    assert!((80..176).contains(&up.unwrap().bits));
}
