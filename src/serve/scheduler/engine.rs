//! The thread that owns the model: takes jobs on, and computes step after step.

use std::sync::Arc;
use std::time::Instant;

use super::Load;
use super::job::{Event, Failure};
use super::prefixes::{Idle, LEAST_REUSED, Sequence};
use super::shared::{Orders, Shared};
use super::task::{Task, Writer};
use crate::lm::{LanguageModel, LmError, SeqId};
use crate::sampling::Candidates;
use crate::tokens::TokenId;

pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) model: Box<dyn LanguageModel>,
    pub(super) candidates: Candidates,
    /// Jobs that run, the oldest first.
    pub(super) tasks: Vec<Task>,
    idle: Idle,
    /// Positions set aside for the answers that are written. With those of idle sequences never above the capacity.
    reserved: usize,
    pub(super) load: Load,
}

impl Engine {
    pub(super) fn new(shared: Arc<Shared>, model: Box<dyn LanguageModel>) -> Self {
        Self {
            load: Load { positions_capacity: shared.capacity, ..Load::default() },
            shared,
            model,
            candidates: Candidates::default(),
            tasks: Vec::new(),
            idle: Idle::default(),
            reserved: 0,
        }
    }

    /// Runs until the scheduler ends.
    pub(super) fn run(mut self) {
        while self.turn() {
            self.step();
            self.drop_failed();
        }
        self.make_room(0);
    }

    /// Waits for something to do and takes it on; false when the scheduler has ended.
    fn turn(&mut self) -> bool {
        loop {
            self.drop_gone();
            let orders = self.orders();
            for (task, failure) in orders.failed {
                self.load.count(&failure);
                task.send(Event::Failed(failure));
            }
            self.load.cancelled += orders.cancelled as u64;
            if orders.abort {
                self.abort();
            }
            for task in orders.admitted {
                self.take_on(task);
            }
            if orders.ended {
                return false;
            }
            if !self.tasks.is_empty() {
                return true;
            }
        }
    }

    fn orders(&mut self) -> Orders {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            self.count();
            state.load = self.load;
            let orders = state.orders(&shared, self.load.running, self.reserved);
            if !orders.is_empty() || !self.tasks.is_empty() {
                return orders;
            }
            state.set_idle(true);
            state = shared.wait(state);
        }
    }

    fn count(&mut self) {
        let running = || self.tasks.iter().flat_map(Task::sequences);
        self.load.jobs = self.tasks.len();
        self.load.running = self.tasks.iter().map(|task| task.writers.len()).sum();
        self.load.positions_used = running().map(|sequence| sequence.ids.len()).sum();
        self.load.positions_reserved = self.reserved;
        self.load.idle_sequences = self.idle.len();
        self.load.idle_positions = self.idle.positions();
        self.load.open_sequences = running().count() + self.idle.len();
    }

    /// Ends jobs whose clients are gone or whose time is over.
    fn drop_gone(&mut self) {
        let now = Instant::now();
        for at in (0..self.tasks.len()).rev() {
            let task = &self.tasks[at];
            if task.events.is_closed() {
                let task = self.tasks.remove(at);
                self.load.cancelled += 1;
                self.release_all(task);
            } else if now >= task.deadline {
                let task = self.tasks.remove(at);
                self.load.count(&Failure::Deadline);
                task.send(Event::Failed(Failure::Deadline));
                self.release_all(task);
            }
        }
    }

    /// Ends jobs that failed in a step. Others of the step go on.
    fn drop_failed(&mut self) {
        for at in (0..self.tasks.len()).rev() {
            if let Some(failure) = self.tasks[at].failed.take() {
                let task = self.tasks.remove(at);
                self.fail(task, failure);
            }
        }
    }

    /// Ends a job whose sequences are not to be trusted any more.
    fn fail(&mut self, task: Task, failure: Failure) {
        self.reserved -= task.reserved();
        task.sequences().for_each(|sequence| self.model.close(sequence.id));
        self.load.count(&failure);
        task.send(Event::Failed(failure));
    }

    /// Ends all answers where they are.
    fn abort(&mut self) {
        for mut task in std::mem::take(&mut self.tasks) {
            match task.abort() {
                Ok(finished) => self.finish(&task, finished),
                Err(error) => self.fail(task, error.into()),
            }
        }
    }

    /// Gives all that a job holds back; its sequences stay for their beginnings.
    fn release_all(&mut self, task: Task) {
        for writer in task.writers {
            self.release(&task.account, task.room, writer.sequence);
        }
    }

    /// Hands finished answers over.
    pub(super) fn finish(&mut self, task: &Task, finished: Vec<Writer>) {
        for Writer { index, answer, sequence, .. } in finished {
            self.load.finished += 1;
            task.send(Event::Done { index, output: answer.into_output() });
            self.release(&task.account, task.room, sequence);
        }
    }

    fn release(&mut self, account: &str, room: usize, sequence: Option<Sequence>) {
        self.reserved -= room;
        let Some(sequence) = sequence else { return };
        let kept = self.shared.rooms.of(sequence.peak());
        if let Some(sequence) = self.idle.keep(account, sequence, kept) {
            self.model.close(sequence.id);
        }
    }

    /// Closes idle sequences, those unused for longest first, until no more than `capacity` positions are taken.
    fn make_room(&mut self, capacity: usize) {
        while self.reserved + self.idle.positions() > capacity {
            let Some(sequence) = self.idle.evict() else { return };
            self.load.evicted += 1;
            self.model.close(sequence.id);
        }
    }

    /// Begins a job from the queue, for which there is room when idle sequences make way.
    fn take_on(&mut self, task: Task) {
        self.reserved += task.reserved();
        match self.reuse(&task.account, &task.prompt, task.room) {
            Ok(sequence) => {
                let mut task = task;
                if let Some(first) = task.writers.first_mut() {
                    first.sequence = sequence;
                }
                self.tasks.push(task);
            }
            Err(error) => self.fail(task, Failure::Model(Arc::new(error))),
        }
    }

    /// The sequence that has most of a prompt, cut to what it has of it: an idle one, or a copy.
    ///
    /// Only of the same account: how soon an answer begins would tell others what was asked before.
    pub(super) fn reuse(
        &mut self,
        account: &str,
        prompt: &[TokenId],
        room: usize,
    ) -> Result<Option<Sequence>, LmError> {
        let capacity = self.shared.capacity;
        let own = self.tasks.iter().filter(|task| task.account == account);
        let running = own.flat_map(Task::sequences).map(|it| (it.shared(prompt), it.id));
        let running = running.max_by_key(|(shared, _)| *shared);
        let idle = self.idle.longest(account, prompt);
        let (at, len) = match (idle, running) {
            (Some((at, len)), running) if running.is_none_or(|(other, _)| len >= other) => {
                (at, len)
            }
            (_, Some((len, id))) if len >= LEAST_REUSED => {
                self.make_room(capacity);
                return self.copy(id, &prompt[..len]).map(Some);
            }
            _ => (0, 0),
        };
        let Some(source) = self.idle.get(at).filter(|_| len >= LEAST_REUSED) else {
            self.make_room(capacity);
            return Ok(None);
        };
        let (id, takes) = (source.id, self.shared.rooms.of(source.peak()));
        // A copy leaves the rest to others, where there is much of it and room for both.
        let alone = 2 * len >= source.ids.len() || self.reserved + takes > capacity;
        if alone && takes <= room {
            let Some(mut sequence) = self.idle.take(at) else { return Ok(None) };
            self.make_room(capacity);
            return match self.model.truncate(id, len) {
                Ok(()) => {
                    sequence.truncate(len);
                    Ok(Some(sequence))
                }
                Err(error) => {
                    self.model.close(id);
                    Err(error)
                }
            };
        }
        self.idle.touch(at);
        self.make_room(capacity);
        if self.idle.has(id) { self.copy(id, &prompt[..len]).map(Some) } else { Ok(None) }
    }

    /// A new sequence with the first ids of another one.
    pub(super) fn copy(&mut self, id: SeqId, ids: &[TokenId]) -> Result<Sequence, LmError> {
        Ok(Sequence::new(self.model.fork(id, ids.len())?, ids))
    }
}
