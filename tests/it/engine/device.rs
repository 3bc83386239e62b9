//! The form for GPUs, on candle's CPU device: the same numbers as transformers' and as the form for CPUs.

use std::ops::ControlFlow;

use safetensors::tensor::Dtype as FileDtype;
use serde_json::{Value, json};
use touchmark::engine::{Decoder, Device, DeviceDecoder, Dtype, EngineError, Source, load};
use touchmark::generate::{Answer, Ends, Output, Request, generate};
use touchmark::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId, Want};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::tokens::TokenId;
use touchmark::watermark::Repeats;

use super::families::{TOLERANCE, differences};
use super::tiny::{self, HIDDEN, VOCAB};
use super::{append, parity};
use crate::common::{Letters, watermark};

/// Greatest accepted |Δlogit| between a batch and a sequence alone, or between the two forms, in f32.
const NEIGHBOURS: f64 = 1e-4;
/// Greatest accepted |Δlogit| in bf16, whose 8 bits are 0.03 to 0.06 for logits of 4 to 16: against f32 arithmetic on
/// the same weights, from which transformers' bf16 is up to 0.19 away, and against transformers' bf16.
const BF16_ROUNDED: f64 = 0.25;
const BF16_NATIVE: f64 = 0.3;

fn on_cpu(source: &Source<'_>, dtype: Dtype) -> Result<DeviceDecoder, EngineError> {
    DeviceDecoder::load(source, Device::Cpu, dtype)
}

fn scribe() -> DeviceDecoder {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    on_cpu(&Source::Dir(&dir), Dtype::Auto).unwrap()
}

#[test]
fn every_family_agrees_with_transformers() {
    for (name, [prefill, cached, rounded, native]) in differences(on_cpu) {
        let limits = [TOLERANCE, TOLERANCE, BF16_ROUNDED, BF16_NATIVE];
        for (worst, limit) in [prefill, cached, rounded, native].into_iter().zip(limits) {
            assert!(worst <= limit, "{name} is off by {worst:e}");
        }
    }
}

#[test]
fn the_bundled_model_writes_what_transformers_writes() {
    parity::batched_with_the_others(&mut scribe());
}

/// A Mistral with windows of 40 positions and room for two classes of length, in both forms.
struct Pair {
    cpu: Decoder,
    device: DeviceDecoder,
    /// Open sequences in both, and their lengths.
    seqs: Vec<([SeqId; 2], usize)>,
    state: u64,
}

const LONGEST: usize = 1500;

fn windowed() -> Value {
    let mut config = tiny::config();
    config["model_type"] = json!("mistral");
    config["sliding_window"] = json!(40);
    config["max_position_embeddings"] = json!(LONGEST);
    config
}

impl Pair {
    fn new() -> Self {
        let config = serde_json::to_vec(&windowed()).unwrap();
        let file = tiny::file(&tiny::tensors(), FileDtype::F32);
        let source = Source::Bytes { config: &config, safetensors: &file };
        Self {
            cpu: Decoder::load(&source, Dtype::F32).unwrap(),
            device: on_cpu(&source, Dtype::F32).unwrap(),
            seqs: Vec::new(),
            state: 7,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.state >> 33) as usize % below
    }

    fn open(&mut self) {
        let ids = [self.cpu.open().unwrap(), self.device.open().unwrap()];
        self.seqs.push((ids, 0));
    }

    /// One step over some of the sequences; returns the greatest difference of a row.
    fn step(&mut self, longest: usize) -> f64 {
        let mut chosen = Vec::new();
        for i in 0..self.seqs.len() {
            let len = if self.random(3) > 0 { 1 } else { 1 + self.random(longest) };
            let ids: Vec<TokenId> = (0..len).map(|_| self.random(VOCAB) as TokenId).collect();
            let want = [Want::None, Want::Last, Want::Last, Want::All][self.random(4)];
            if self.random(5) > 0 && self.seqs[i].1 + len <= LONGEST {
                chosen.push((i, ids, want));
            }
        }
        // Work lists are in no order of slots.
        let turn = self.random(chosen.len().max(1));
        chosen.rotate_left(turn);
        let rows = [0, 1].map(|form| {
            let work: Vec<Chunk<'_>> = chosen
                .iter()
                .map(|(i, ids, want)| Chunk { seq: self.seqs[*i].0[form], ids, want: *want })
                .collect();
            let mut rows = Vec::new();
            let mut sink = |c: usize, p: usize, row: &[f32]| rows.push(((c, p), row.to_vec()));
            let models: [&mut dyn LanguageModel; 2] = [&mut self.cpu, &mut self.device];
            models[form].step(&work, &mut sink).unwrap();
            rows.sort_by_key(|(at, _)| *at);
            rows
        });
        for (i, ids, _) in &chosen {
            self.seqs[*i].1 += ids.len();
        }
        let [cpu, device] = rows;
        assert_eq!(cpu.len(), device.len());
        let differences = cpu.iter().zip(&device).map(|(a, b)| {
            assert_eq!(a.0, b.0);
            difference(&a.1, &b.1)
        });
        differences.fold(0.0, f64::max)
    }

    /// Forks, cuts, closes or opens a sequence.
    fn change(&mut self) {
        let at = self.random(self.seqs.len());
        let (ids, len) = self.seqs[at];
        let keep = self.random(len + 1);
        match self.random(5) {
            0 => {
                let fork =
                    [self.cpu.fork(ids[0], keep).unwrap(), self.device.fork(ids[1], keep).unwrap()];
                self.seqs.push((fork, keep));
            }
            1 => {
                self.cpu.truncate(ids[0], keep).unwrap();
                self.device.truncate(ids[1], keep).unwrap();
                self.seqs[at].1 = keep;
            }
            2 if self.seqs.len() > 2 => {
                self.cpu.close(ids[0]);
                self.device.close(ids[1]);
                self.seqs.remove(at);
            }
            3 if self.seqs.len() < 9 => self.open(),
            _ => {}
        }
        for (ids, len) in &self.seqs {
            assert_eq!(self.device.len(ids[1]).unwrap(), *len);
        }
    }
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().chain(b).all(|logit| logit.is_finite()), "not numbers");
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

#[test]
fn any_history_gives_the_rows_of_the_form_for_cpus() {
    let mut pair = Pair::new();
    (0..4).for_each(|_| pair.open());
    let mut worst = 0.0_f64;
    for step in 0..120 {
        // Now and then a prompt of several passes, which also leaves the smallest class.
        let longest = if step % 25 == 10 { 1100 } else { 40 };
        worst = worst.max(pair.step(longest));
        pair.change();
    }
    assert!(pair.seqs.iter().any(|(_, len)| *len > 512), "{:?}", pair.seqs);
    assert!(worst < NEIGHBOURS, "off by {worst:e}");
    println!("greatest difference from the form for CPUs: {worst:e}");
}

#[test]
fn errors_leave_everything_as_it_was() {
    let mut model = scribe();
    let [a, b, closed] = [(); 3].map(|()| model.open().unwrap());
    append(&mut model, a, &[1, 2, 3], Want::None);
    let before = append(&mut model, a, &[4], Want::Last);
    model.truncate(a, 3).unwrap();
    model.close(closed);
    let long = vec![0; 1022];
    let good = Chunk { seq: b, ids: &[4, 5], want: Want::All };
    for bad in [
        Chunk { seq: closed, ids: &[1], want: Want::Last },
        Chunk { seq: b, ids: &[1], want: Want::Last },
        Chunk { seq: a, ids: &[], want: Want::Last },
        Chunk { seq: a, ids: &[8192], want: Want::Last },
        Chunk { seq: a, ids: &long, want: Want::Last },
    ] {
        let mut sink = |_: usize, _: usize, _: &[f32]| panic!("no rows");
        assert!(model.step(&[good, bad], &mut sink).is_err());
        assert_eq!((model.len(a).unwrap(), model.len(b).unwrap()), (3, 0));
    }
    assert!(matches!(model.fork(a, 4), Err(LmError::BeyondEnd { len: 3, wanted: 4, .. })));
    assert!(matches!(model.truncate(a, 4), Err(LmError::BeyondEnd { .. })));
    assert!(matches!(model.fork(closed, 0), Err(LmError::UnknownSequence(_))));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model.step(&[good], &mut |_: usize, _: usize, _: &[f32]| panic!("on purpose"))
    }));
    assert!(caught.is_err() && model.len(b).unwrap() == 0);
    let after = append(&mut model, a, &[4], Want::Last);
    assert!(difference(&before[0], &after[0]) < NEIGHBOURS);
}

/// A token whose values overflow spoils its own sequence, and nothing that comes to lie in its place.
#[test]
fn a_spoilt_sequence_spoils_no_other() {
    let mut tensors = tiny::tensors();
    let embedding = &mut tensors.get_mut("model.embed_tokens.weight").unwrap().1;
    for (token, row) in embedding.chunks_exact_mut(HIDDEN).enumerate() {
        row[0] = if token == 7 { 50.0 } else { 0.0 };
    }
    tensors.get_mut("model.layers.0.input_layernorm.weight").unwrap().1[0] = 1.0;
    let values = &mut tensors.get_mut("model.layers.0.self_attn.v_proj.weight").unwrap().1;
    values.iter_mut().step_by(HIDDEN).for_each(|value| *value = 3e38);
    let (config, file) = (tiny::config_bytes(), tiny::file(&tensors, FileDtype::F32));
    let source = Source::Bytes { config: &config, safetensors: &file };
    let mut model = on_cpu(&source, Dtype::F32).unwrap();
    let alone = model.open().unwrap();
    let expected = append(&mut model, alone, &[1, 2, 3], Want::Last).remove(0);
    model.close(alone);
    let long = model.open().unwrap();
    append(&mut model, long, &[5; 30], Want::None);
    let spoilt = model.open().unwrap();
    let row = append(&mut model, spoilt, &[1, 2, 4, 7, 5, 6], Want::Last).remove(0);
    assert!(row.iter().any(|logit| !logit.is_finite()), "the token does not overflow");
    model.close(spoilt);
    let heir = model.open().unwrap();
    append(&mut model, heir, &[1, 2], Want::None);
    let work = [(long, 6), (heir, 3)].map(|(seq, id)| (seq, [id]));
    let work = work.each_ref().map(|(seq, ids)| Chunk { seq: *seq, ids, want: Want::Last });
    let mut rows = Vec::new();
    model.step(&work, &mut |_: usize, _: usize, row: &[f32]| rows.push(row.to_vec())).unwrap();
    assert!(difference(&rows[1], &expected) < NEIGHBOURS);
}

/// Whole rows, always, or a count of those that were not needed.
struct Rows<'a> {
    model: &'a mut dyn LanguageModel,
    whole: bool,
    /// How many choices the highest logits decided, and how many they did not.
    counts: [usize; 2],
}

struct Counting<'s> {
    sink: &'s mut dyn LogitSink,
    whole: bool,
    counts: &'s mut [usize; 2],
}

impl LogitSink for Counting<'_> {
    fn row(&mut self, chunk: usize, position: usize, logits: &[f32]) {
        self.counts[1] += 1;
        self.sink.row(chunk, position, logits);
    }
    fn enough(&self, chunk: usize) -> Option<usize> {
        self.sink.enough(chunk).filter(|_| !self.whole)
    }
    fn highest(&mut self, chunk: usize, at: usize, tokens: &[TokenId], logits: &[f32]) -> bool {
        assert!(tokens.is_sorted() && Some(tokens.len()) == self.enough(chunk));
        let decided = self.sink.highest(chunk, at, tokens, logits);
        self.counts[0] += usize::from(decided);
        decided
    }
}

impl LanguageModel for Rows<'_> {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }
    fn max_positions(&self) -> usize {
        self.model.max_positions()
    }
    fn bytes_per_position(&self) -> u64 {
        self.model.bytes_per_position()
    }
    fn open(&mut self) -> Result<SeqId, LmError> {
        self.model.open()
    }
    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        self.model.fork(seq, len)
    }
    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        self.model.truncate(seq, len)
    }
    fn close(&mut self, seq: SeqId) {
        self.model.close(seq);
    }
    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        self.model.len(seq)
    }
    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        let mut sink = Counting { sink, whole: self.whole, counts: &mut self.counts };
        self.model.step(work, &mut sink)
    }
}

/// Four answers, three at a time, with and without truncation.
fn answers(model: &mut dyn LanguageModel, spec: Option<&Spec>) -> Vec<Output> {
    let mark = spec.map(|spec| watermark(3, spec, 8192, Repeats::ScoreOnce));
    let ends = Ends { end: vec![1], never: vec![2, 300] };
    let request = |(i, (top_k, temperature)): (u64, (usize, f32))| Request {
        prompt: (0..5 + 9 * i as TokenId).map(|id| id * 71 % 8192).collect(),
        max_tokens: 16,
        sampling: Sampling { top_k, temperature, seed: i, ..Sampling::default() },
        stream: i,
        stop: Vec::new(),
    };
    let requests: Vec<Request> =
        (0..).zip([(50, 1.0), (0, 0.0), (5, 0.7), (0, 1.0)]).map(request).collect();
    let begin = |request| Answer::new(request, mark.as_ref(), &Letters, &ends).unwrap();
    let mut outputs = vec![None; requests.len()];
    generate(
        model,
        requests.iter().map(begin).collect(),
        3,
        &mut |_, _| Ok(()),
        &mut |i, output| {
            outputs[i] = Some(output);
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    outputs.into_iter().map(Option::unwrap).collect()
}

#[test]
fn the_highest_logits_choose_as_whole_rows_do() {
    let mut model = scribe();
    for spec in [None, Some("kgw"), Some("gumbel"), Some("synthid")] {
        let spec = spec.map(|name| Spec::usual(name).unwrap());
        let mut by_highest = Rows { model: &mut model, whole: false, counts: [0; 2] };
        let found = answers(&mut by_highest, spec.as_ref());
        let [decided, rest] = by_highest.counts;
        let mut by_rows = Rows { model: &mut model, whole: true, counts: [0; 2] };
        assert_eq!(found, answers(&mut by_rows, spec.as_ref()), "{spec:?}");
        assert_eq!(by_rows.counts, [0, decided + rest]);
        // A quarter of the answers needs whole rows: the one without truncation.
        assert!(2 * decided > decided + rest, "{spec:?}: {decided}, not {rest}");
    }
}

#[test]
fn marked_texts_are_those_of_the_form_for_cpus() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let mut cpu = Decoder::from_dir(&dir).unwrap();
    for scheme in ["kgw", "gumbel", "synthid"] {
        let spec = Spec::usual(scheme).unwrap();
        let expected = answers(&mut cpu, Some(&spec));
        assert_eq!(answers(&mut scribe(), Some(&spec)), expected, "{scheme}");
    }
}

#[test]
fn a_row_that_is_not_numbers_is_handed_over_whole() {
    struct Sink(bool);
    impl LogitSink for Sink {
        fn row(&mut self, _: usize, _: usize, logits: &[f32]) {
            self.0 = logits.iter().any(|logit| logit.is_nan());
        }
        fn enough(&self, _: usize) -> Option<usize> {
            Some(3)
        }
        fn highest(&mut self, _: usize, _: usize, _: &[TokenId], _: &[f32]) -> bool {
            panic!("NaN was hidden")
        }
    }
    let mut tensors = tiny::tensors();
    tensors.get_mut("lm_head.weight").unwrap().1.iter_mut().for_each(|value| *value *= 1e38);
    let norm = &mut tensors.get_mut("model.norm.weight").unwrap().1;
    norm.iter_mut().for_each(|value| *value = 1e38);
    let (config, file) = (tiny::config_bytes(), tiny::file(&tensors, FileDtype::F32));
    let source = Source::Bytes { config: &config, safetensors: &file };
    let mut model = on_cpu(&source, Dtype::F32).unwrap();
    let seq = model.open().unwrap();
    let mut sink = Sink(false);
    model.step(&[Chunk { seq, ids: &[1, 2], want: Want::Last }], &mut sink).unwrap();
    assert!(sink.0);
}

#[test]
fn devices_and_formats_are_chosen_as_asked() {
    let (config, file) = (tiny::config_bytes(), tiny::file(&tiny::tensors(), FileDtype::BF16));
    let source = Source::Bytes { config: &config, safetensors: &file };
    let row = |model: &mut dyn LanguageModel| {
        let seq = model.open().unwrap();
        append(model, seq, &[1, 2, 3], Want::Last).remove(0)
    };
    // The CPU is the form with kernels of its own, to the bit.
    let mut loaded = load(&source, Device::Cpu, Dtype::Auto).unwrap();
    let exact = row(&mut Decoder::load(&source, Dtype::Auto).unwrap());
    assert!(row(&mut *loaded) == exact);
    for (dtype, off) in [(Dtype::Auto, 1e-5), (Dtype::F16, 1e-2), (Dtype::Bf16, 1e-1)] {
        let difference = difference(&row(&mut on_cpu(&source, dtype).unwrap()), &exact);
        assert!(difference < off, "{dtype:?} is off by {difference:e}");
        assert!(dtype == Dtype::Auto || difference > 1e-5, "{dtype:?} is computed in f32");
    }
    // f16 ends at 65,504.
    let mut tensors = tiny::tensors();
    tensors.get_mut("lm_head.weight").unwrap().1[5] = 1e5;
    let file = tiny::file(&tensors, FileDtype::F32);
    let source = Source::Bytes { config: &config, safetensors: &file };
    assert!(matches!(on_cpu(&source, Dtype::F16), Err(EngineError::NotFinite { index: 5, .. })));
    if !cfg!(feature = "cuda") {
        let refused = load(&source, Device::Cuda(0), Dtype::Auto).err().unwrap();
        assert!(matches!(refused, EngineError::DeviceNotBuilt { feature: "cuda", .. }));
    }
}
