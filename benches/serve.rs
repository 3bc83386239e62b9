//! The scheduler with the bundled model: tokens per second at 1, 4, 16 and 64 jobs at once, marked and unmarked, beside
//! the same jobs one after the other; and the time until every job has its first token.
//!
//! Every job has a prompt of 64 tokens of its own and an answer of 32. Each has an account of its own, so that no prompt is
//! reused.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use touchmark::engine::Decoder;
use touchmark::generate::Ends;
use touchmark::keys::Key;
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::serve::scheduler::{Answers, Event, Job, JobMark, Scheduler, Settings};
use touchmark::tokens::{Encoding, TokenId, Tokenize, TokenizeError, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

const PROMPT: u64 = 64;
const TOKENS: usize = 32;

/// No text: what is measured is the model, the marks and the scheduler.
struct Silent;

impl Tokenize for Silent {
    fn encode(&self, _: &str) -> Result<Encoding, TokenizeError> {
        Ok(Encoding::default())
    }
    fn encode_prompt(&self, _: &str) -> Result<Vec<TokenId>, TokenizeError> {
        Ok(Vec::new())
    }
    fn decode(&self, _: &[TokenId]) -> Result<String, TokenizeError> {
        Ok(String::new())
    }
    fn vocab_size(&self) -> usize {
        8192
    }
    fn special_ids(&self) -> &[TokenId] {
        &[]
    }
    fn hash(&self) -> TokenizerHash {
        TokenizerHash([0; 32])
    }
}

fn start(max_running: usize) -> Option<Scheduler> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let settings = Settings {
        max_running,
        max_queue: 64,
        cache_bytes: 1 << 30,
        prefill_tokens: 256,
        queue_timeout: Duration::from_secs(600),
    };
    let model = Box::new(Decoder::from_dir(&folder).ok()?);
    Scheduler::start(model, Arc::new(Silent), Ends::default(), settings).ok()
}

fn mark(name: &str) -> Option<JobMark> {
    let spec = Spec::usual(name)?;
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: 8192, special: Vec::new() };
    let key = Key::take(&mut [1; 32]);
    let mark = Watermark::new(&key, spec.prf(), &spec, &vocabulary, Repeats::ScoreOnce).ok()?;
    Some(JobMark { watermark: Arc::new(mark), message: None })
}

fn job(number: u64, mark: Option<&JobMark>) -> Job {
    let id = |at: u64| (number * 7919 + at * 17) % 8192;
    Job {
        prompt: (0..PROMPT).map(|at| id(at) as TokenId).collect(),
        n: 1,
        max_tokens: TOKENS,
        sampling: Sampling { seed: number, ..Sampling::default() },
        streams: 0,
        stop: Vec::new(),
        mark: mark.cloned(),
        logprobs: None,
        account: number.to_string(),
        deadline: Instant::now() + Duration::from_secs(600),
        ends: None,
    }
}

/// Submits `count` jobs and reads their events as long as `more` says so.
fn run(
    scheduler: &Scheduler,
    count: u64,
    next: &mut u64,
    mark: Option<&JobMark>,
    more: fn(&Event) -> bool,
) {
    let numbers = *next..*next + count;
    *next += count;
    let answers: Vec<Answers> =
        numbers.filter_map(|number| scheduler.submit(job(number, mark)).ok()).collect();
    for mut answers in answers {
        while answers.blocking_next().is_some_and(|event| more(&event)) {}
    }
}

fn benches(c: &mut Criterion) {
    let marks = [
        ("unmarked", None),
        ("kgw", mark("kgw")),
        ("gumbel", mark("gumbel")),
        ("synthid", mark("synthid")),
    ];
    let mut number = 0;
    for count in [1, 4, 16, 64] {
        let mut group = c.benchmark_group(format!("serve, {count} at once"));
        group.sample_size(10).throughput(Throughput::Elements(count * TOKENS as u64));
        let (Some(batched), Some(single)) = (start(64), start(1)) else { return };
        for (name, mark) in &marks {
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter(|| run(&batched, count, &mut number, mark.as_ref(), |_| true));
            });
        }
        group.bench_function("unmarked, one after the other", |b| {
            b.iter(|| run(&single, count, &mut number, None, |_| true));
        });
        group.finish();
        let mut group = c.benchmark_group("serve, time to the first token of all");
        group.sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let first = |event: &Event| !matches!(event, Event::Step { .. });
                run(&batched, count, &mut number, None, first);
            });
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
