//! Continuous batching: one thread owns the model and writes the answers of many jobs at once.
//!
//! Answers join and leave at any step. Reading order: `job` (what is asked and what comes back), `queue`, `shared` (the
//! queue and the handles), `task` (a job that runs), `prefixes`, `engine` (who runs, and in what memory), `step`.
//!
//! # What a step has
//! One token of every answer that is being written, always, and up to [`Settings::prefill_tokens`] of prompts: so a long
//! prompt delays the others' next token by a bounded time. Prompts that are being read at once share these evenly.
//!
//! # An answer does not depend on its neighbours
//! Its sampler, what its mark remembers and its text are its own; it shares weights and marks, which nobody changes. Its
//! logits are those of the single run: to the last bit on the CPU, up to rounding on a device (see
//! [`engine`](crate::engine)).
//!
//! # Memory
//! A job leaves the queue when the worst case of all its answers, prompt and `max_tokens` each, fits beside what the others
//! have set aside. So an answer never stops for want of memory. Sequences of ended answers stay open in what is left, and
//! those unused for longest make way.
//!
//! # Prefix reuse
//! A new prompt takes the longest beginning that it has in common with an open sequence *of its account*: it copies it, or
//! goes on in it when it is most of an idle one. Across accounts nothing is reused. Otherwise the time to the first token
//! would tell an account what another one asked. What accounts do notice of each other is load.
//!
//! # Fairness
//! Each account has a line of its own, and lines take turns. A job that does not fit yet is not passed by.

mod engine;
mod job;
mod prefixes;
mod queue;
mod shared;
mod step;
mod task;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

pub use job::{Answers, Event, Failure, Job, JobMark, Refused};

use crate::generate::{Answer, Ends, GenerateError, Request};
use crate::lm::{LanguageModel, LmError};
use crate::tokens::Tokenize;
use engine::Engine;
use shared::{Mode, Shared};
use task::{Stage, Task, Writer};

/// How much is done at once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most answers that are written at once, at least 1.
    pub max_running: usize,
    /// Most jobs that wait, at least 1: every job passes through the queue.
    pub max_queue: usize,
    /// Memory for keys and values of all sequences, in bytes, counted by [`LanguageModel::room`].
    pub cache_bytes: u64,
    /// Most tokens of prompts in a step, at least 1. More read prompts sooner, fewer disturb the answers less.
    pub prefill_tokens: usize,
    /// How long a job may wait.
    pub queue_timeout: Duration,
}

impl Settings {
    fn check(&self) -> Result<(), SchedulerError> {
        let Self { max_running, max_queue, prefill_tokens, .. } = *self;
        let counts = [
            ("max_running", max_running),
            ("max_queue", max_queue),
            ("prefill_tokens", prefill_tokens),
        ];
        let zero = counts.into_iter().find(|(_, count)| *count == 0);
        zero.map_or(Ok(()), |(name, _)| Err(SchedulerError::Zero { name }))
    }
}

/// What the scheduler does, as of the last step, and has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that left the queue and are not finished.
    pub jobs: usize,
    /// Their answers that are not finished.
    pub running: usize,
    /// Jobs in the queue.
    pub waiting: usize,
    /// Positions that running answers have in memory.
    pub positions_used: usize,
    /// Positions that are set aside for running answers.
    pub positions_reserved: usize,
    /// Positions that the memory budget allows.
    pub positions_capacity: usize,
    /// Sequences of ended answers that are kept for their beginnings.
    pub idle_sequences: usize,
    /// Positions that they take.
    pub idle_positions: usize,
    /// Sequences that are open in the model.
    pub open_sequences: usize,
    /// Steps of the model.
    pub steps: u64,
    /// Tokens of prompts that were read.
    pub prefill_tokens: u64,
    /// Tokens of prompts that need not be read, their sequence being there.
    pub reused_tokens: u64,
    /// Tokens that were chosen.
    pub decoded_tokens: u64,
    /// Answers that were finished or aborted.
    pub finished: u64,
    /// Jobs whose clients went away.
    pub cancelled: u64,
    /// Jobs that were not begun or not finished in time.
    pub timed_out: u64,
    /// Jobs that failed otherwise.
    pub failed: u64,
    /// Idle sequences that made way.
    pub evicted: u64,
}

impl Load {
    fn count(&mut self, failure: &Failure) {
        match failure {
            Failure::Deadline | Failure::QueueTimeout { .. } => self.timed_out += 1,
            _ => self.failed += 1,
        }
    }
}

/// A handle to the thread that writes. When the last one is dropped, running answers are aborted and the thread ends.
#[derive(Clone)]
pub struct Scheduler(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(Mode::Ended, true);
    }
}

impl Scheduler {
    /// Starts the thread. Answers end at `ends`, unless their job says otherwise.
    ///
    /// # Errors
    /// [`SchedulerError`]: settings with which nothing could run, or no thread to be had.
    pub fn start(
        model: Box<dyn LanguageModel>,
        tokenizer: Arc<dyn Tokenize>,
        ends: Ends,
        settings: Settings,
    ) -> Result<Self, SchedulerError> {
        settings.check()?;
        let shared = Arc::new(Shared::new(model.as_ref(), tokenizer, ends, settings));
        let least = 2 * shared.bytes_per_position;
        if shared.capacity < 2 {
            return Err(SchedulerError::Budget { given: shared.settings.cache_bytes, least });
        }
        let own = shared.clone();
        let run = move || {
            let engine = Engine::new(own.clone(), model);
            // Whoever waits is told, come what may; the panic itself was reported by its hook.
            let _ = catch_unwind(AssertUnwindSafe(|| engine.run()));
            own.bury();
        };
        std::thread::Builder::new().name("scheduler".to_owned()).spawn(run)?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Queues a job. Never waits for the model.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn submit(&self, job: Job) -> Result<Answers, Refused> {
        let shared = &self.0.0;
        self.check(&job)?;
        let total = job.prompt.len() + job.max_tokens;
        let writers = (0..job.n)
            .map(|index| Ok(Writer::new(index, self.answer(&job, index)?)))
            .collect::<Result<_, GenerateError>>()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let now = Instant::now();
        shared.queue(Task {
            account: job.account,
            prompt: job.prompt,
            events: sender,
            submitted: now,
            admitted: now,
            deadline: job.deadline,
            room: shared.rooms.of(total),
            writers,
            stage: Stage::New,
            failed: None,
        })?;
        Ok(Answers::new(receiver, job.n))
    }

    /// Refuses what can never run.
    fn check(&self, job: &Job) -> Result<(), Refused> {
        let shared = &self.0.0;
        let (most, window) = (shared.settings.max_running, shared.window);
        if job.n == 0 {
            return Err(Refused::NoAnswers);
        }
        if job.n > most {
            return Err(Refused::TooMany { wanted: job.n, most });
        }
        let wanted = job.prompt.len().saturating_add(job.max_tokens);
        if wanted > window {
            return Err(Refused::TooLong { wanted, window });
        }
        let positions = (job.n as u64).saturating_mul(shared.rooms.of(wanted) as u64);
        if positions > shared.capacity as u64 {
            return Err(Refused::NeverFits {
                needs_bytes: positions.saturating_mul(shared.bytes_per_position),
                budget_bytes: shared.settings.cache_bytes,
            });
        }
        // In a step it would fail all the others.
        let vocab_size = shared.vocab_size;
        match job.prompt.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(GenerateError::from(LmError::IdOutOfRange { id, vocab_size }).into()),
            None => Ok(()),
        }
    }

    fn answer(&self, job: &Job, index: usize) -> Result<Answer<'static>, GenerateError> {
        let shared = &self.0.0;
        let request = Request {
            prompt: job.prompt.clone(),
            max_tokens: job.max_tokens,
            sampling: job.sampling,
            stream: job.streams.wrapping_add(index as u64),
            stop: job.stop.clone(),
        };
        let watermark = job.mark.as_ref().map(|mark| mark.watermark.clone());
        let ends = job.ends.as_ref().unwrap_or(&shared.ends).clone();
        let mut answer = Answer::owned(request, watermark, shared.tokenizer.clone(), ends)?;
        if let Some(message) = job.mark.as_ref().and_then(|mark| mark.message) {
            answer = answer.with_message(message)?;
        }
        match job.logprobs {
            Some(top) => answer.with_logprobs(top),
            None => Ok(answer),
        }
    }

    /// What the scheduler does, as of the last step.
    pub fn load(&self) -> Load {
        self.0.0.load()
    }

    /// Greatest length of prompt and answer together.
    pub fn window(&self) -> usize {
        self.0.0.window
    }

    /// Refuses new jobs. Those that wait or run go on.
    pub fn drain(&self) {
        self.0.0.close(Mode::Draining, false);
    }

    /// Refuses new jobs, ends running answers with [`FinishReason::Abort`] and what they have, and fails waiting jobs with
    /// [`Failure::Aborted`], before the next step.
    ///
    /// [`FinishReason::Abort`]: crate::generate::FinishReason::Abort
    pub fn abort(&self) {
        self.0.0.close(Mode::Draining, true);
    }

    /// Whether the thread has ended: by a fault of the model, since this handle is still there.
    pub fn has_ended(&self) -> bool {
        self.0.0.has_ended()
    }

    /// Whether no job waits or runs.
    pub fn is_idle(&self) -> bool {
        *self.0.0.idle.borrow()
    }

    /// Waits until no job waits or runs.
    pub async fn idle(&self) {
        // The sender lives in what this handle holds, so the channel is open.
        let _ = self.0.0.idle.clone().wait_for(|idle| *idle).await;
    }
}

/// Why the scheduler did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// A setting with which nothing would ever run.
    #[error("{name} is 0; give at least 1")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// Memory for less than one token of prompt and answer.
    #[error(
        "{given} bytes are too little memory for sequences; this model needs {least} for the shortest"
    )]
    Budget {
        /// The budget in bytes.
        given: u64,
        /// The least that is of use.
        least: u64,
    },
    /// No thread.
    #[error("cannot start the scheduler's thread")]
    Thread(#[from] std::io::Error),
}
