//! Every family against transformers: tiny random checkpoints in `tests/it/golden/families`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use touchmark::engine::{Config, Decoder, Dtype, EngineError, Source};
use touchmark::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use touchmark::tokens::TokenId;

use super::{append, argmax};

/// Greatest accepted |Δlogit| against transformers in f32, natural-log units: the files have 7 digits of logits up to
/// some tens, and sums of a hundred terms are added in another order.
pub const TOLERANCE: f64 = 2e-4;

/// Its prompts are longer than the first training, where LongRoPE's frequencies change under keys already cached.
const BEYOND: &str = "phi3-longrope-long";

/// One checkpoint with transformers' numbers.
pub struct Case {
    pub name: String,
    pub dir: PathBuf,
    reference: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/families")
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|dir| dir.is_dir())
        .map(|dir| Case::read(dir.file_name().unwrap().to_str().unwrap(), &dir, "reference.json"))
        .filter(|case| case.name != BEYOND)
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 20, "only {} checkpoints", cases.len());
    cases
}

fn ids(value: &Value) -> Vec<TokenId> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as TokenId).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Greatest |Δlogit|.
fn difference(row: &[f32], reference: &Value) -> f64 {
    let reference = list(reference);
    assert_eq!(row.len(), reference.len());
    assert!(row.iter().all(|logit| logit.is_finite()), "not numbers");
    let pairs = row.iter().zip(reference);
    pairs.map(|(&a, b)| (f64::from(a) - b.as_f64().unwrap()).abs()).fold(0.0, f64::max)
}

impl Case {
    pub fn read(name: &str, dir: &Path, reference: &str) -> Self {
        let text = std::fs::read_to_string(dir.join(reference)).unwrap();
        let reference = serde_json::from_str(&text).unwrap();
        Self { name: name.to_owned(), dir: dir.to_owned(), reference }
    }

    pub fn prompts(&self) -> Vec<Vec<TokenId>> {
        list(&self.reference["prompts"]).iter().map(ids).collect()
    }

    pub fn greedy(&self) -> Vec<Vec<TokenId>> {
        list(&self.reference["greedy"]).iter().map(ids).collect()
    }

    /// Greatest difference over one prefill of each prompt.
    pub fn prefill(&self, model: &mut dyn LanguageModel) -> f64 {
        let mut worst = 0.0;
        for (prompt, expected) in self.prompts().iter().zip(list(&self.reference["prefill"])) {
            let seq = model.open().unwrap();
            let rows = append(model, seq, prompt, Want::All);
            let last = prompt.len() - 1;
            for (position, expected) in [0, prompt.len() / 2, last].into_iter().zip(list(expected))
            {
                worst = f64::max(worst, difference(&rows[position], expected));
            }
            model.close(seq);
        }
        worst
    }

    /// Greatest difference over the first steps with a cache, all prompts in one batch of mixed lengths; then greedy to
    /// the end of the reference, every token equal.
    pub fn batched(&self, model: &mut dyn LanguageModel) -> f64 {
        let (prompts, greedy) = (self.prompts(), self.greedy());
        let seqs: Vec<SeqId> = prompts.iter().map(|_| model.open().unwrap()).collect();
        let step = |model: &mut dyn LanguageModel, ids: Vec<&[TokenId]>| {
            let mut rows = vec![Vec::new(); ids.len()];
            let work: Vec<Chunk<'_>> = seqs
                .iter()
                .zip(&ids)
                .map(|(&seq, &ids)| Chunk { seq, ids, want: Want::Last })
                .collect();
            model
                .step(&work, &mut |chunk: usize, _: usize, row: &[f32]| rows[chunk] = row.to_vec())
                .unwrap();
            rows
        };
        let mut rows = step(model, prompts.iter().map(Vec::as_slice).collect());
        let mut worst = 0.0;
        let steps = greedy.iter().map(Vec::len).max().unwrap();
        for at in 0..steps {
            for (i, row) in rows.iter().enumerate() {
                assert_eq!(argmax(row), greedy[i][at], "{}: prompt {i}, step {at}", self.name);
            }
            if at + 1 == steps {
                break;
            }
            rows = step(model, greedy.iter().map(|ids| &ids[at..=at]).collect());
            for (row, cached) in rows.iter().zip(list(&self.reference["cached"])) {
                if let Some(expected) = list(cached).get(at) {
                    worst = f64::max(worst, difference(row, expected));
                }
            }
        }
        seqs.into_iter().for_each(|seq| model.close(seq));
        worst
    }

    /// Greatest differences of last positions from `rounded` (bf16 weights, f32 arithmetic) and `native` (all bf16).
    pub fn bf16(&self, model: &mut dyn LanguageModel) -> [f64; 2] {
        let mut worst = [0.0; 2];
        let bf16 = &self.reference["bf16"];
        for (i, prompt) in self.prompts().iter().enumerate() {
            let seq = model.open().unwrap();
            let row = append(model, seq, prompt, Want::Last).remove(0);
            model.close(seq);
            for (worst, how) in worst.iter_mut().zip(["rounded", "native"]) {
                *worst = f64::max(*worst, difference(&row, &bf16[how][i]));
            }
        }
        worst
    }
}

/// Greatest differences of every checkpoint: f32 in one prefill and with a cache, bf16 from `rounded` and `native`.
pub fn differences<M: LanguageModel>(
    load: impl Fn(&Source<'_>, Dtype) -> Result<M, EngineError>,
) -> Vec<(String, [f64; 4])> {
    println!(
        "{:<16}{:>10}{:>10}{:>14}{:>13}",
        "checkpoint", "prefill", "cached", "bf16 rounded", "bf16 native"
    );
    let of_case = |case: Case| {
        let source = Source::Dir(&case.dir);
        let load = |dtype| load(&source, dtype).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let mut model = load(Dtype::F32);
        let (prefill, cached) = (case.prefill(&mut model), case.batched(&mut model));
        let [rounded, native] = case.bf16(&mut load(Dtype::Bf16));
        println!("{:<16}{prefill:>10.1e}{cached:>10.1e}{rounded:>14.1e}{native:>13.1e}", case.name);
        (case.name, [prefill, cached, rounded, native])
    };
    cases().into_iter().map(of_case).collect()
}

#[test]
fn every_family_agrees_with_transformers() {
    for (name, [prefill, cached, rounded, _]) in differences(Decoder::load) {
        for worst in [prefill, cached, rounded] {
            assert!(worst <= TOLERANCE, "{name} is off by {worst:e}");
        }
    }
}

#[test]
fn longrope_ends_where_its_frequencies_would_change() {
    let case = Case::read(BEYOND, &folder().join(BEYOND), "reference.json");
    let mut model = Decoder::from_dir(&case.dir).unwrap();
    assert_eq!(model.max_positions(), 32);
    for prompt in case.prompts() {
        let seq = model.open().unwrap();
        let work = [Chunk { seq, ids: &prompt, want: Want::Last }];
        let error = model.step(&work, &mut |_: usize, _: usize, _: &[f32]| ()).unwrap_err();
        assert!(matches!(error, LmError::TooLong { max_positions: 32, .. }), "{error:?}");
    }
}

#[test]
fn configurations_from_before_transformers_5_say_the_same() {
    for case in cases() {
        let new = Source::Dir(&case.dir).config().unwrap();
        let old = serde_json::to_vec(&case.reference["old_config"]).unwrap();
        assert_eq!(Config::parse(&old).unwrap(), new, "{}", case.name);
    }
}
