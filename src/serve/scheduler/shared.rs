//! What the handles and the engine's thread share: the queue, and a few words.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::job::{Event, Failure, Refused};
use super::queue::FairQueue;
use super::task::Task;
use super::{Load, Settings};
use crate::generate::Ends;
use crate::lm::LanguageModel;
use crate::tokens::Tokenize;

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tokenizer: Arc<dyn Tokenize>,
    pub(super) ends: Arc<Ends>,
    pub(super) vocab_size: usize,
    pub(super) window: usize,
    pub(super) bytes_per_position: u64,
    /// Positions that the memory budget allows.
    pub(super) capacity: usize,
    pub(super) rooms: Rooms,
    state: Mutex<State>,
    wake: Condvar,
    pub(super) idle: watch::Receiver<bool>,
}

/// Positions that sequences take, by length; asked once, since the model lives on its own thread.
pub(super) struct Rooms(Vec<usize>);

impl Rooms {
    pub(super) fn of(&self, len: usize) -> usize {
        self.0.get(len).copied().unwrap_or(len)
    }
}

pub(super) struct State {
    queue: FairQueue<Task>,
    mode: Mode,
    /// Whether running answers are to be ended.
    abort: bool,
    idle: watch::Sender<bool>,
    /// As of the last step.
    pub(super) load: Load,
    /// Mean time of the jobs that finished last, in seconds.
    duration: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    Draining,
    /// The thread ends, or has ended.
    Ended,
}

/// What the engine's thread is to do before the next step.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) admitted: Vec<Task>,
    pub(super) failed: Vec<(Task, Failure)>,
    pub(super) cancelled: usize,
    pub(super) abort: bool,
    pub(super) ended: bool,
}

impl Orders {
    pub(super) fn is_empty(&self) -> bool {
        let Self { admitted, failed, cancelled, abort, ended } = self;
        admitted.is_empty() && failed.is_empty() && *cancelled == 0 && !abort && !ended
    }
}

impl Shared {
    pub(super) fn new(
        model: &dyn LanguageModel,
        tokenizer: Arc<dyn Tokenize>,
        ends: Ends,
        settings: Settings,
    ) -> Self {
        let (window, bytes_per_position) = (model.max_positions(), model.bytes_per_position());
        let capacity = settings.cache_bytes / bytes_per_position.max(1);
        let (sender, idle) = watch::channel(true);
        Self {
            settings,
            tokenizer,
            ends: Arc::new(ends),
            vocab_size: model.vocab_size(),
            window,
            bytes_per_position,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            rooms: Rooms((0..=window).map(|len| model.room(len)).collect()),
            state: Mutex::new(State {
                queue: FairQueue::default(),
                mode: Mode::Open,
                abort: false,
                idle: sender,
                load: Load::default(),
                duration: 0.0,
            }),
            wake: Condvar::new(),
            idle,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job, unless the queue is full or closed.
    pub(super) fn queue(&self, task: Task) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.mode != Mode::Open {
            return Err(Refused::Draining);
        }
        if state.queue.len() >= self.settings.max_queue {
            return Err(Refused::QueueFull { retry_after: state.retry_after() });
        }
        state.queue.push(&task.account.clone(), task);
        state.set_idle(false);
        self.wake.notify_all();
        Ok(())
    }

    /// Refuses new jobs; with `abort`, ends all others too.
    pub(super) fn close(&self, mode: Mode, abort: bool) {
        let mut state = self.lock();
        state.mode = if state.mode == Mode::Ended { Mode::Ended } else { mode };
        state.abort |= abort;
        self.wake.notify_all();
    }

    /// After the thread is gone: nothing will be done any more.
    pub(super) fn bury(&self) {
        self.close(Mode::Ended, false);
        let mut state = self.lock();
        for task in state.queue.take_out(|_| true) {
            task.send(Event::Failed(Failure::Panicked));
        }
        state.load = Load { jobs: 0, running: 0, ..state.load };
        state.set_idle(true);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().mode == Mode::Ended
    }

    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        Load { waiting: state.queue.len(), ..state.load }
    }

    pub(super) fn note_duration(&self, duration: Duration) {
        let mut state = self.lock();
        let weight = if state.duration == 0.0 { 1.0 } else { 0.2 };
        state.duration += weight * (duration.as_secs_f64() - state.duration);
    }
}

impl State {
    /// What there is to do. Jobs leave the queue, accounts in turn, while there is room beside `running` answers and
    /// `reserved` positions.
    pub(super) fn orders(&mut self, shared: &Shared, running: usize, reserved: usize) -> Orders {
        let mut orders = Orders {
            abort: std::mem::take(&mut self.abort),
            ended: self.mode == Mode::Ended,
            ..Orders::default()
        };
        self.take_failed(shared, &mut orders);
        let (mut running, mut reserved) = (running, reserved);
        let settings = &shared.settings;
        let fits = |task: &Task, running: usize, reserved: usize| {
            running + task.writers.len() <= settings.max_running
                && reserved + task.reserved() <= shared.capacity
        };
        while let Some(mut task) = self.queue.pop_if(|task| fits(task, running, reserved)) {
            (running, reserved) = (running + task.writers.len(), reserved + task.reserved());
            task.admitted = Instant::now();
            orders.admitted.push(task);
        }
        orders
    }

    /// Takes those out of the queue who need not wait any longer.
    fn take_failed(&mut self, shared: &Shared, orders: &mut Orders) {
        let now = Instant::now();
        let (closing, timeout) = (orders.abort || orders.ended, shared.settings.queue_timeout);
        let late = |task: &Task| now - task.submitted >= timeout;
        let gone =
            |task: &Task| closing || task.events.is_closed() || now >= task.deadline || late(task);
        for task in self.queue.take_out(gone) {
            if task.events.is_closed() {
                orders.cancelled += 1;
                continue;
            }
            let failure = if closing {
                Failure::Aborted
            } else if now >= task.deadline {
                Failure::Deadline
            } else {
                Failure::QueueTimeout { waited: now - task.submitted }
            };
            orders.failed.push((task, failure));
        }
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.send_if_modified(|before| std::mem::replace(before, idle) != idle);
    }

    /// When the queue will have moved on by one place, were jobs to take as long as lately.
    fn retry_after(&self) -> Duration {
        let seconds = self.duration / self.load.jobs.max(1) as f64;
        Duration::from_secs_f64(seconds.clamp(1.0, 60.0).ceil())
    }
}
