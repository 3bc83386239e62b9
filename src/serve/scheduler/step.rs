//! One step: which chunks it has, and what follows from it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::engine::Engine;
use super::job::{Event, Failure};
use super::prefixes::{LEAST_REUSED, shared};
use super::task::{Part, Rows, Stage, Task};
use crate::lm::{Chunk, SeqId, Want};
use crate::tokens::TokenId;

/// The chunks of a step.
#[derive(Default)]
struct Plan {
    fed: Vec<TokenId>,
    chunks: Vec<(SeqId, Range<usize>, Want)>,
    /// Task and part of every chunk.
    parts: Vec<(usize, Part)>,
}

impl Plan {
    fn add(&mut self, task: usize, part: Part, seq: SeqId, ids: &[TokenId], want: Want) {
        let from = self.fed.len();
        self.fed.extend_from_slice(ids);
        self.chunks.push((seq, from..self.fed.len(), want));
        self.parts.push((task, part));
    }

    fn work(&self) -> Vec<Chunk<'_>> {
        let chunks = self.chunks.iter();
        chunks
            .map(|(seq, ids, want)| Chunk { seq: *seq, ids: &self.fed[ids.clone()], want: *want })
            .collect()
    }
}

impl Engine {
    /// Computes a step of all jobs: every answer that is written grows by one token, and prompts are read as far as a
    /// step's share of them goes.
    pub(super) fn step(&mut self) {
        let plan = self.plan();
        if plan.chunks.is_empty() {
            return;
        }
        let Self { model, tasks, candidates, .. } = self;
        let mut rows = Rows { tasks, parts: &plan.parts, candidates };
        let work = plan.work();
        let computed = catch_unwind(AssertUnwindSafe(|| model.step(&work, &mut rows)));
        self.load.steps += 1;
        match computed {
            Ok(Ok(())) => self.settle(&plan),
            Ok(Err(error)) => {
                let error = Arc::new(error);
                self.fail_all(&plan, || Failure::Model(error.clone()));
            }
            Err(_) => self.fail_all(&plan, || Failure::Panicked),
        }
    }

    fn fail_all(&mut self, plan: &Plan, failure: impl Fn() -> Failure) {
        for (task, _) in &plan.parts {
            self.tasks[*task].failed = Some(failure());
        }
    }

    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        for (at, task) in self.tasks.iter().enumerate() {
            if task.stage != Stage::Decode {
                continue;
            }
            for (place, writer) in task.writers.iter().enumerate() {
                if let (Some(sequence), Some(next)) = (&writer.sequence, writer.next) {
                    plan.add(at, Part::Writer(place), sequence.id, &[next], Want::Last);
                }
            }
        }
        self.plan_prompts(&mut plan);
        plan
    }

    /// Shares the prompt tokens of a step out among the prompts that are being read: what a short one leaves goes to the
    /// longer ones, so that a long one delays nobody by more than its share.
    fn plan_prompts(&mut self, plan: &mut Plan) {
        let mut budget = self.shared.settings.prefill_tokens;
        let mut reading: Vec<usize> = (0..self.tasks.len())
            .filter(|&at| self.tasks[at].stage != Stage::Decode && !self.waits_for_older(at))
            .take(budget)
            .collect();
        reading.retain(|&at| self.begin(at));
        let left = |task: &Task| task.prompt.len() - task.read();
        reading.sort_by_key(|&at| left(&self.tasks[at]));
        for (done, &at) in reading.iter().enumerate() {
            let task = &self.tasks[at];
            let Some(sequence) = task.sequences().next() else { continue };
            let (read, left) = (task.read(), left(task));
            let count = left.min(budget / (reading.len() - done));
            let want = if count == left { Want::Last } else { Want::None };
            plan.add(at, Part::Prompt, sequence.id, &task.prompt[read..read + count], want);
            budget -= count;
        }
    }

    /// Whether an older job of the account is reading what this one begins with: it is copied when it is there.
    fn waits_for_older(&self, at: usize) -> bool {
        let task = &self.tasks[at];
        let reads = |older: &Task| older.stage != Stage::Decode && older.account == task.account;
        let will_have_more = |older: &Task| {
            let common = shared(&older.prompt, &task.prompt);
            older.read() < common && common >= task.read() + LEAST_REUSED
        };
        task.stage == Stage::New
            && self.tasks[..at].iter().any(|older| reads(older) && will_have_more(older))
    }

    /// Sees to it that a job has a sequence to read its prompt into; false when that failed.
    fn begin(&mut self, at: usize) -> bool {
        if self.tasks[at].stage != Stage::New {
            return true;
        }
        match self.first_sequence(at) {
            Ok(sequence) => {
                let reused = sequence.ids.len();
                let task = &mut self.tasks[at];
                if let Some(first) = task.writers.first_mut() {
                    first.sequence = Some(sequence);
                }
                task.stage = Stage::Prefill;
                task.send(Event::Began { queued: task.admitted - task.submitted, reused });
                self.load.reused_tokens += reused as u64;
                true
            }
            Err(error) => {
                self.tasks[at].failed = Some(Failure::Model(Arc::new(error)));
                false
            }
        }
    }

    /// After a step: notes what the sequences have now, and tells clients what was chosen.
    fn settle(&mut self, plan: &Plan) {
        for ((at, part), (_, ids, want)) in plan.parts.iter().zip(&plan.chunks) {
            let task = &mut self.tasks[*at];
            let place = if let Part::Writer(place) = part { *place } else { 0 };
            if let Some(sequence) = task.writers.get_mut(place).and_then(|it| it.sequence.as_mut())
            {
                sequence.push(&plan.fed[ids.clone()]);
            }
            if *part == Part::Prompt {
                self.load.prefill_tokens += ids.len() as u64;
            }
            if *part == Part::Prompt && *want == Want::Last {
                self.tasks[*at].stage = Stage::Decode;
                self.share_prompt(*at);
            }
        }
        for mut task in std::mem::take(&mut self.tasks) {
            if task.failed.is_none() {
                let finished = task.report(&mut self.load.decoded_tokens);
                self.finish(&task, finished);
            }
            if task.writers.is_empty() {
                self.shared.note_duration(task.admitted.elapsed());
            } else {
                self.tasks.push(task);
            }
        }
    }

    /// Gives every answer a copy of the prompt's sequence.
    fn share_prompt(&mut self, at: usize) {
        let task = &self.tasks[at];
        let Some(first) = task.sequences().next().map(|it| it.id) else { return };
        let prompt = task.prompt.clone();
        for place in 1..task.writers.len() {
            if self.tasks[at].writers[place].next.is_none() {
                continue;
            }
            match self.copy(first, &prompt) {
                Ok(sequence) => self.tasks[at].writers[place].sequence = Some(sequence),
                Err(error) => {
                    self.tasks[at].failed = Some(Failure::Model(Arc::new(error)));
                    return;
                }
            }
        }
    }
}
