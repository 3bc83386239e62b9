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
        if let Some(sequence) = sequence {
            self.keep(account, sequence);
        }
    }

    fn keep(&mut self, account: &str, sequence: Sequence) {
        let room = self.shared.rooms.of(sequence.peak());
        if let Some(sequence) = self.idle.keep(account, sequence, room) {
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
    fn take_on(&mut self, mut task: Task) {
        self.reserved += task.reserved();
        match self.reuse(&task.account, &task.prompt, task.room) {
            Ok(sequence) => {
                if let Some(first) = task.writers.first_mut() {
                    first.sequence = sequence;
                }
                self.tasks.push(task);
            }
            Err(error) => self.fail(task, Failure::Model(Arc::new(error))),
        }
    }

    /// Makes room for what is set aside, and gives what an idle sequence has of a prompt: the sequence itself, cut, or a
    /// copy.
    ///
    /// Only of the same account: how soon an answer begins would tell others what was asked before.
    fn reuse(
        &mut self,
        account: &str,
        prompt: &[TokenId],
        room: usize,
    ) -> Result<Option<Sequence>, LmError> {
        let capacity = self.shared.capacity;
        let best = self.idle.longest(account, prompt).filter(|(_, len)| *len >= LEAST_REUSED);
        let found = best.and_then(|(at, len)| Some((at, len, self.idle.get(at)?)));
        let Some((at, len, source)) = found else {
            self.make_room(capacity);
            return Ok(None);
        };
        let (id, takes) = (source.id, self.shared.rooms.of(source.peak()));
        // A copy leaves the rest to others, where there is much of it and room for both.
        let alone = 2 * len >= source.ids.len() || self.reserved + takes > capacity;
        if !alone || takes > room {
            self.idle.touch(at);
            self.make_room(capacity);
            let there = self.idle.has(id);
            return there.then(|| self.copy(id, &prompt[..len])).transpose();
        }
        let sequence = self.idle.take(at);
        self.make_room(capacity);
        self.model.truncate(id, len).inspect_err(|_| self.model.close(id))?;
        Ok(sequence.map(|sequence| sequence.cut(len)))
    }

    /// The sequence that a job's prompt is to be read into, with what is there of it. A running one of the account may
    /// have more of the prompt than there was when the job left the queue.
    pub(super) fn first_sequence(&mut self, at: usize) -> Result<Sequence, LmError> {
        let own = self.tasks[at].writers.first_mut().and_then(|first| first.sequence.take());
        let Task { account, prompt, room, .. } = &self.tasks[at];
        let (account, prompt, room) = (account.clone(), prompt.clone(), *room);
        let have = own.as_ref().map_or(0, |sequence| sequence.ids.len());
        if let Some((len, id)) = self.longest_running(&account, &prompt)
            && len >= have + LEAST_REUSED
        {
            own.into_iter().for_each(|sequence| self.keep(&account, sequence));
            self.make_room(self.shared.capacity);
            return self.copy(id, &prompt[..len]);
        }
        let own = if own.is_none() { self.reuse(&account, &prompt, room)? } else { own };
        own.map_or_else(|| Ok(Sequence::new(self.model.open()?, &[])), Ok)
    }

    /// How much of a prompt a running sequence of its account has at most, and which.
    fn longest_running(&self, account: &str, prompt: &[TokenId]) -> Option<(usize, SeqId)> {
        let own = self.tasks.iter().filter(|task| task.account == account);
        let running = own.flat_map(Task::sequences).map(|it| (it.shared(prompt), it.id));
        running.max_by_key(|(shared, _)| *shared)
    }

    /// A new sequence with the first ids of another one.
    pub(super) fn copy(&mut self, id: SeqId, ids: &[TokenId]) -> Result<Sequence, LmError> {
        Ok(Sequence::new(self.model.fork(id, ids.len())?, ids))
    }
}
