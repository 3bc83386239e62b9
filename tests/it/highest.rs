//! Choosing from the highest logits alone gives what the whole row gives.

use std::cell::Cell;
use std::ops::ControlFlow;

use touchmark::generate::{Answer, Ends, Output, Request, generate};
use touchmark::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Repeats, Watermark};

use crate::common::{Letters, ToyModel, watermark};

const V: usize = 2048;

/// A model whose logits are rounded to multiples of `step`, and which hands over the highest where they may do.
struct Remote {
    inner: ToyModel,
    step: f32,
    by_highest: bool,
    answered: Cell<usize>,
    refused: Cell<usize>,
}

struct Adapter<'a> {
    remote: &'a Remote,
    sink: &'a mut dyn LogitSink,
}

impl LogitSink for Adapter<'_> {
    fn row(&mut self, chunk: usize, position: usize, logits: &[f32]) {
        let step = self.remote.step;
        let logits: Vec<f32> = logits.iter().map(|logit| (logit / step).round() * step).collect();
        if self.remote.by_highest
            && let Some(enough) = self.sink.enough(chunk)
        {
            let mut order: Vec<TokenId> = (0..logits.len() as TokenId).collect();
            order.sort_by(|&a, &b| {
                logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
            });
            order.truncate(enough);
            order.sort_unstable();
            let highest: Vec<f32> = order.iter().map(|&token| logits[token as usize]).collect();
            let done = self.sink.highest(chunk, position, &order, &highest);
            let count = if done { &self.remote.answered } else { &self.remote.refused };
            count.set(count.get() + 1);
            if done {
                return;
            }
        }
        self.sink.row(chunk, position, &logits);
    }
}

impl LanguageModel for Remote {
    fn vocab_size(&self) -> usize {
        self.inner.vocab_size
    }
    fn max_positions(&self) -> usize {
        self.inner.max_positions()
    }
    fn bytes_per_position(&self) -> u64 {
        self.inner.bytes_per_position()
    }
    fn open(&mut self) -> Result<SeqId, LmError> {
        self.inner.open()
    }
    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        self.inner.fork(seq, len)
    }
    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        self.inner.truncate(seq, len)
    }
    fn close(&mut self, seq: SeqId) {
        self.inner.close(seq);
    }
    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        self.inner.len(seq)
    }
    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        let mut inner = std::mem::replace(&mut self.inner, ToyModel::new(1));
        let result = inner.step(work, &mut Adapter { remote: self, sink });
        self.inner = inner;
        result
    }
}

/// A text, and how often the highest were enough and were not.
fn write(
    mark: Option<&Watermark>,
    sampling: Sampling,
    step: f32,
    never: TokenId,
    by_highest: bool,
) -> (Output, usize, usize) {
    let inner = ToyModel::new(V);
    let (answered, refused) = (Cell::new(0), Cell::new(0));
    let mut model = Remote { inner, step, by_highest, answered, refused };
    let request =
        Request { prompt: vec![1, 2, 3], max_tokens: 60, sampling, stream: 0, stop: Vec::new() };
    let ends = Ends { end: Vec::new(), never: (0..never).collect() };
    let answer = Answer::new(&request, mark, &Letters, &ends).unwrap();
    let mut output = None;
    generate(&mut model, vec![answer], 1, &mut |_, _| Ok(()), &mut |_, answer| {
        output = Some(answer);
        ControlFlow::Continue(())
    })
    .unwrap();
    (output.unwrap(), model.answered.get(), model.refused.get())
}

#[test]
fn the_highest_logits_give_the_same_text() {
    let mut marks: Vec<Option<Watermark>> = vec![None];
    // The last one lifts tokens from so far below that the highest cannot be enough.
    let strong = serde_json::from_str(r#"{"scheme": "kgw", "delta": 13.0}"#).unwrap();
    for spec in Spec::examples().into_iter().chain([strong]) {
        marks.push(Some(watermark(1, &spec, V as u32, Repeats::ScoreOnce)));
    }
    let mut fine = [0, 0];
    let mut coarse = [0, 0];
    for mark in &marks {
        for (top_k, temperature) in [(1, 1.0), (5, 0.7), (50, 1.0), (50, 0.0), (0, 1.0)] {
            for (step, never, counts) in [(1e-6, 0, &mut fine), (0.5, 20, &mut coarse)] {
                let sampling = Sampling { top_k, temperature, seed: 5, ..Sampling::default() };
                let (whole, ..) = write(mark.as_ref(), sampling, step, never, false);
                let (some, answered, refused) = write(mark.as_ref(), sampling, step, never, true);
                assert_eq!(some, whole, "{mark:?} {sampling:?} {step}");
                counts[0] += answered;
                counts[1] += refused;
            }
        }
    }
    println!("enough/not: {fine:?}, with ties {coarse:?}");
    assert!(fine[0] > 5 * fine[1], "the highest were mostly not enough: {fine:?}");
    assert!(coarse[0] > 0 && coarse[1] > 0, "{coarse:?}");
}
