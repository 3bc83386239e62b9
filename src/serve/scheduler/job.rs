//! What is asked of the scheduler, and what comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::generate::{Ends, GenerateError, Output, StepLogprobs};
use crate::lm::LmError;
use crate::sampling::Sampling;
use crate::tokens::TokenId;
use crate::watermark::Watermark;

/// A prompt and how it shall be answered.
#[derive(Clone, Debug)]
pub struct Job {
    /// The prompt, at least one id.
    pub prompt: Vec<TokenId>,
    /// Number of answers, at least 1. The prompt is read once for all of them.
    pub n: usize,
    /// Most tokens of each answer. Memory for all of them is set aside before the job begins.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Stream of the first answer's choices; the next ones have the next streams (see [`Request::stream`]).
    ///
    /// [`Request::stream`]: crate::generate::Request::stream
    pub streams: u64,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// The mark that the answers shall carry.
    pub mark: Option<JobMark>,
    /// How many log-probabilities of each step are wanted, beside that of the token chosen.
    pub logprobs: Option<usize>,
    /// Who asks. Accounts take turns, and prefixes are reused within an account only.
    pub account: String,
    /// When the job fails, finished or not.
    pub deadline: Instant,
    /// Ends of these answers instead of the model's.
    pub ends: Option<Arc<Ends>>,
}

/// The mark of a job's answers.
#[derive(Clone, Debug)]
pub struct JobMark {
    /// The mark.
    pub watermark: Arc<Watermark>,
    /// The message, for a mark that carries one.
    pub message: Option<u64>,
}

/// What becomes of a job, in order. Of answers in one job, each has its own order.
#[derive(Debug)]
pub enum Event {
    /// The job left the queue, and its prompt is being read.
    Began {
        /// How long it waited.
        queued: Duration,
        /// Ids of the prompt that need not be read, since a sequence that begins with them was there.
        reused: usize,
    },
    /// An answer grew.
    Step {
        /// Which answer, from 0 on.
        index: usize,
        /// The ids chosen: one, or none where an answer that is aborted gives out text that was held back.
        ids: Vec<TokenId>,
        /// Text that became certain, may be empty. All of an answer's pieces together are its text.
        text: String,
        /// One for each id, if they are wanted.
        logprobs: Vec<StepLogprobs>,
        /// Steps of the answer so far that carry the mark.
        marked: usize,
    },
    /// An answer is complete.
    Done {
        /// Which answer, from 0 on.
        index: usize,
        /// The answer.
        output: Output,
    },
    /// The job failed; no event follows.
    Failed(Failure),
}

/// Why a job that was taken on has no answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It was not finished in time.
    #[error("the answer was not finished in time; ask for fewer tokens, or allow more time")]
    Deadline,
    /// It waited too long.
    #[error("the server was too busy to begin within {} s; try again later", waited.as_secs())]
    QueueTimeout {
        /// How long it waited.
        waited: Duration,
    },
    /// The server was shut down before it began.
    #[error("the server is shutting down; try again later")]
    Aborted,
    /// The model could not compute a step; every job of that step has this failure.
    #[error(transparent)]
    Model(Arc<LmError>),
    /// The answer could not be continued.
    #[error(transparent)]
    Answer(#[from] GenerateError),
    /// The model, or what chooses from its logits, has a fault.
    #[error("the model stopped by an internal fault; please report it")]
    Panicked,
}

/// Why a job was not taken on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The queue is full.
    #[error("too many requests are waiting; try again in {} s", retry_after.as_secs())]
    QueueFull {
        /// When a place may be free, estimated from how long jobs took lately.
        retry_after: Duration,
    },
    /// Prompt and answer are longer than the model's window.
    #[error(
        "prompt and max_tokens together are {wanted} tokens, the model's window is {window}; shorten the prompt or ask for fewer tokens"
    )]
    TooLong {
        /// Tokens of prompt and answer.
        wanted: usize,
        /// The model's window.
        window: usize,
    },
    /// The answers would take more memory than all of them may have.
    #[error(
        "these answers need {needs_bytes} bytes of memory, this server has {budget_bytes} for all; shorten the prompt, or ask for fewer tokens or answers"
    )]
    NeverFits {
        /// What they would need.
        needs_bytes: u64,
        /// What there is.
        budget_bytes: u64,
    },
    /// More answers than may be written at once.
    #[error("n is {wanted}, this server writes at most {most} answers at once; ask for fewer")]
    TooMany {
        /// Answers asked for.
        wanted: usize,
        /// Most answers.
        most: usize,
    },
    /// No answer is asked for.
    #[error("n is 0; ask for at least one answer")]
    NoAnswers,
    /// The server is shutting down.
    #[error("the server is shutting down; try again later")]
    Draining,
    /// The job makes no sense.
    #[error(transparent)]
    Invalid(#[from] GenerateError),
}

/// Receives a job's events. Dropping it cancels the job.
#[derive(Debug)]
pub struct Answers {
    events: UnboundedReceiver<Event>,
    /// Answers that are not complete.
    left: usize,
}

impl Answers {
    pub(super) fn new(events: UnboundedReceiver<Event>, n: usize) -> Self {
        Self { events, left: n }
    }

    /// The next event; `None` after the last answer, or after a failure.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// As [`next`](Self::next), for a thread without an executor, which it blocks.
    pub fn blocking_next(&mut self) -> Option<Event> {
        if self.left == 0 {
            return None;
        }
        let event = self.events.blocking_recv();
        Some(self.noted(event))
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.events.poll_recv(context).map(|event| Some(self.noted(event)))
    }

    /// Counts what is left. A channel that ends too early was dropped by a thread that panicked.
    fn noted(&mut self, event: Option<Event>) -> Event {
        let event = event.unwrap_or(Event::Failed(Failure::Panicked));
        match event {
            Event::Done { .. } => self.left -= 1,
            Event::Failed(_) => self.left = 0,
            Event::Began { .. } | Event::Step { .. } => {}
        }
        event
    }
}

impl Stream for Answers {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(context)
    }
}
