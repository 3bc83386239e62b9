//! The form for other devices, on the CPU: sequences, and texts written with the highest logits alone.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use touchmark::engine::{Decoder, DeviceDecoder, Dtype, Source};
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::tokens::TokenId;
use touchmark::watermark::Repeats;

use super::append;
use crate::common::{Letters, watermark};

/// Products of other shapes add in another order.
const TOLERANCE: f32 = 1e-4;

fn family(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/families").join(name)
}

fn load(name: &str) -> DeviceDecoder {
    DeviceDecoder::on_cpu(&Source::Dir(&family(name)), Dtype::F32).unwrap()
}

fn assert_close(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() < TOLERANCE, "{a} {b}");
    }
}

#[test]
fn any_history_equals_a_fresh_run() {
    // A window, a rotary embedding of its own for it, soft caps elsewhere.
    for name in ["gemma3", "gemma2", "qwen2"] {
        let mut model = load(name);
        let ids: Vec<TokenId> = (0..70).map(|i| (i * 37 + 5) % 90).collect();
        let fresh = model.open().unwrap();
        let expected = append(&mut model, fresh, &ids, Want::All);
        // In pieces, beside a neighbour, after a fork and a cut.
        let (a, b) = (model.open().unwrap(), model.open().unwrap());
        append(&mut model, a, &ids[..30], Want::None);
        append(&mut model, b, &ids[40..], Want::None);
        let fork = model.fork(a, 20).unwrap();
        model.close(a);
        append(&mut model, fork, &ids[50..], Want::None);
        model.truncate(fork, 20).unwrap();
        let mut rows = append(&mut model, fork, &ids[20..40], Want::All);
        for (at, id) in ids.iter().enumerate().skip(40) {
            let work = [
                Chunk { seq: b, ids: &ids[at..=at], want: Want::None },
                Chunk { seq: fork, ids: std::slice::from_ref(id), want: Want::Last },
            ];
            model
                .step(&work, &mut |_: usize, _: usize, row: &[f32]| rows.push(row.to_vec()))
                .unwrap();
        }
        assert_close(&rows, &expected[20..]);
        // The slot that was given back is used again, with nothing left in it.
        let again = model.open().unwrap();
        assert_close(&append(&mut model, again, &ids, Want::All), &expected);
    }
}

#[test]
fn errors_leave_lengths_alone() {
    let mut model = load("llama2");
    let seq = model.open().unwrap();
    append(&mut model, seq, &[1, 2, 3], Want::None);
    let mut refused = |ids: &[TokenId], seq: SeqId| {
        let work = [Chunk { seq, ids, want: Want::None }];
        model.step(&work, &mut |_: usize, _: usize, _: &[f32]| ()).unwrap_err()
    };
    assert!(matches!(refused(&[97], seq), LmError::IdOutOfRange { .. }));
    assert!(matches!(refused(&[1; 200], seq), LmError::TooLong { .. }));
    assert!(matches!(refused(&[1], SeqId(99)), LmError::UnknownSequence(_)));
    assert_eq!(model.len(seq).unwrap(), 3);
}

/// What a model writes: three answers at once, marked.
fn texts(model: &mut dyn LanguageModel, spec: &Spec, top_k: usize) -> Vec<Vec<TokenId>> {
    let mark = watermark(3, spec, 8192, Repeats::ScoreOnce);
    let requests: Vec<Request> = (0..3)
        .map(|i| Request {
            prompt: (1..5 + i as TokenId).collect(),
            max_tokens: 24,
            sampling: Sampling { top_k, seed: 9, ..Sampling::default() },
            stream: i,
            stop: Vec::new(),
        })
        .collect();
    let ends = Ends::default();
    let answers = requests.iter().map(|r| Answer::new(r, Some(&mark), &Letters, &ends).unwrap());
    let mut texts = vec![Vec::new(); 3];
    generate(model, answers.collect(), 3, &mut |_, _| {}, &mut |index, output| {
        texts[index] = output.ids;
        ControlFlow::Continue(())
    })
    .unwrap();
    texts
}

#[test]
fn marked_texts_are_those_of_the_cpu_form() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    for scheme in ["kgw", "gumbel", "synthid"] {
        let spec = Spec::usual(scheme).unwrap();
        for top_k in [1, 20] {
            let expected = texts(&mut Decoder::from_dir(&dir).unwrap(), &spec, top_k);
            let mut device = DeviceDecoder::on_cpu(&Source::Dir(&dir), Dtype::F32).unwrap();
            assert_eq!(texts(&mut device, &spec, top_k), expected, "{scheme}, top-k {top_k}");
        }
    }
}
