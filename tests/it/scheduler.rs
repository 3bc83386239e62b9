//! The scheduler: every answer is the one that is written alone, whatever runs beside it, and nothing is leaked.

mod bundled;
mod faults;
mod model;
mod order;
mod prefixes;
mod random;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use touchmark::generate::{Answer, Ends, Output, Request, StepLogprobs, generate};
use touchmark::lm::LanguageModel;
use touchmark::sampling::Sampling;
use touchmark::serve::scheduler::{Answers, Event, Failure, Job, Scheduler, Settings};
use touchmark::tokens::{TokenId, Tokenize};

use crate::common::Letters;
use model::{HashModel, Probe, V};

fn settings() -> Settings {
    Settings {
        max_running: 8,
        max_queue: 1000,
        cache_bytes: 10_000,
        prefill_tokens: 16,
        queue_timeout: Duration::from_secs(60),
    }
}

fn start(settings: Settings) -> (Scheduler, Arc<Probe>) {
    let (model, probe) = HashModel::new();
    let scheduler = Scheduler::start(Box::new(model), Arc::new(Letters), ends(), settings);
    (scheduler.unwrap(), probe)
}

fn ends() -> Ends {
    Ends { end: vec![7], never: vec![8, 9] }
}

fn job(prompt: &[TokenId], max_tokens: usize) -> Job {
    Job {
        prompt: prompt.to_vec(),
        n: 1,
        max_tokens,
        sampling: Sampling { seed: 3, ..Sampling::default() },
        streams: 0,
        stop: Vec::new(),
        mark: None,
        logprobs: None,
        account: "a".to_owned(),
        deadline: Instant::now() + Duration::from_secs(120),
        // Only `max_tokens` ends the answer, so that tests know how many steps there are.
        ends: Some(Arc::new(Ends::default())),
    }
}

/// `count` ids that `number` tells apart from the first one on.
fn prompt(number: TokenId, count: usize) -> Vec<TokenId> {
    (0..count as TokenId).map(|at| (number * 31 + at * 7) % V as TokenId).collect()
}

/// The answers that `generate` gives to a job, each alone.
fn alone(
    model: &mut dyn LanguageModel,
    tokenizer: &Arc<dyn Tokenize>,
    job: &Job,
    usual: &Ends,
) -> Vec<Output> {
    let one = |index: usize| {
        let request = Request {
            prompt: job.prompt.clone(),
            max_tokens: job.max_tokens,
            sampling: job.sampling,
            stream: job.streams + index as u64,
            stop: job.stop.clone(),
        };
        let mark = job.mark.as_ref().map(|mark| mark.watermark.clone());
        let ends = job.ends.clone().unwrap_or_else(|| Arc::new(usual.clone()));
        let mut answer = Answer::owned(request, mark, tokenizer.clone(), ends).unwrap();
        if let Some(message) = job.mark.as_ref().and_then(|mark| mark.message) {
            answer = answer.with_message(message).unwrap();
        }
        if let Some(top) = job.logprobs {
            answer = answer.with_logprobs(top).unwrap();
        }
        answer
    };
    let mut outputs = Vec::new();
    for index in 0..job.n {
        generate(model, vec![one(index)], 1, &mut |_, _| Ok(()), &mut |_, output| {
            outputs.push(output);
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    outputs
}

fn expected(job: &Job) -> Vec<Output> {
    let letters: Arc<dyn Tokenize> = Arc::new(Letters);
    alone(&mut HashModel::new().0, &letters, job, &ends())
}

/// All that comes of a job.
#[derive(Default)]
struct Found {
    outputs: Vec<Option<Output>>,
    queued: Option<Duration>,
    reused: Option<usize>,
    failure: Option<Failure>,
    /// What the steps said of each answer.
    pieces: Vec<(Vec<TokenId>, String, Vec<StepLogprobs>)>,
}

impl Found {
    fn add(&mut self, event: Event) {
        match event {
            Event::Began { queued, reused } => {
                assert!(self.reused.is_none(), "began twice");
                (self.queued, self.reused) = (Some(queued), Some(reused));
            }
            Event::Step { index, ids, text, logprobs, .. } => {
                let len = self.pieces.len().max(index + 1);
                self.pieces.resize_with(len, Default::default);
                let piece = &mut self.pieces[index];
                piece.0.extend(ids);
                piece.1 += &text;
                piece.2.extend(logprobs);
            }
            Event::Done { index, output } => {
                let len = self.outputs.len().max(index + 1);
                self.outputs.resize_with(len, Default::default);
                assert!(self.outputs[index].replace(output).is_none(), "done twice");
            }
            Event::Failed(failure) => self.failure = Some(failure),
        }
    }

    fn all(mut answers: Answers) -> Self {
        let mut found = Self::default();
        while let Some(event) = answers.blocking_next() {
            found.add(event);
        }
        found
    }

    /// The answers, which the steps must have told piece by piece.
    fn outputs(self) -> Vec<Output> {
        assert!(self.failure.is_none(), "{:?}", self.failure);
        let outputs: Vec<Output> = self.outputs.into_iter().map(Option::unwrap).collect();
        for (output, (ids, text, logprobs)) in outputs.iter().zip(&self.pieces) {
            assert_eq!((&output.ids, &output.text, &output.logprobs), (ids, text, logprobs));
        }
        outputs
    }
}

/// Reads events until the answer has `count` tokens.
fn until(answers: &mut Answers, count: usize) {
    let mut seen = 0;
    while seen < count {
        match answers.blocking_next().unwrap() {
            Event::Step { ids, .. } => seen += ids.len(),
            Event::Began { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for what the thread is about to do.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_until_idle(scheduler: &Scheduler) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(scheduler.idle());
    assert!(scheduler.is_idle());
}

/// Nothing is set aside any more, the sequences that are open are those kept for their beginnings, and with the
/// scheduler go its thread, its model and all sequences.
fn nothing_is_leaked(scheduler: Scheduler, probe: &Arc<Probe>) {
    wait_until_idle(&scheduler);
    let load = scheduler.load();
    assert_eq!((load.jobs, load.running, load.waiting, load.positions_reserved), (0, 0, 0, 0));
    assert_eq!(load.open_sequences, load.idle_sequences);
    assert_eq!(probe.open(), load.idle_sequences, "sequences that nobody knows of are open");
    assert_eq!(probe.positions(), load.idle_positions);
    drop(scheduler);
    wait_for("the end of the thread", || probe.is_dropped());
    assert_eq!(probe.open(), 0);
}
