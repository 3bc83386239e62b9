//! A job in the scheduler: its answers, and the sequences of the model that they are written to.

use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::job::{Event, Failure};
use super::prefixes::Sequence;
use crate::generate::{Answer, GenerateError};
use crate::lm::LogitSink;
use crate::sampling::Candidates;
use crate::tokens::TokenId;

/// A job that waits or runs. Nothing that changes is shared with another one.
pub(super) struct Task {
    pub(super) account: String,
    pub(super) prompt: Vec<TokenId>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) submitted: Instant,
    /// When it left the queue.
    pub(super) admitted: Instant,
    pub(super) deadline: Instant,
    /// Positions set aside for each answer.
    pub(super) room: usize,
    /// Answers that are not finished.
    pub(super) writers: Vec<Writer>,
    pub(super) stage: Stage,
    /// What went wrong in the step that is under way.
    pub(super) failed: Option<Failure>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing of the prompt was read.
    New,
    /// The prompt is being read, into the first answer's sequence.
    Prefill,
    /// All answers are being written.
    Decode,
}

/// One answer of a task.
pub(super) struct Writer {
    pub(super) index: usize,
    pub(super) answer: Answer<'static>,
    /// While the prompt is read, only the first answer has one.
    pub(super) sequence: Option<Sequence>,
    /// Chosen, and not yet seen by the model.
    pub(super) next: Option<TokenId>,
    /// Whether the step under way chose a token.
    advanced: bool,
}

impl Task {
    /// Positions set aside for all that is left of it.
    pub(super) fn reserved(&self) -> usize {
        self.room * self.writers.len()
    }

    /// Ids of the prompt that the model has.
    pub(super) fn read(&self) -> usize {
        match self.stage {
            Stage::Decode => self.prompt.len(),
            Stage::New | Stage::Prefill => self
                .writers
                .first()
                .and_then(|first| first.sequence.as_ref())
                .map_or(0, |sequence| sequence.ids.len()),
        }
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.writers.iter().filter_map(|writer| writer.sequence.as_ref())
    }

    pub(super) fn send(&self, event: Event) {
        // Nobody listening any more is noticed at the next step.
        let _ = self.events.send(event);
    }

    /// Tells what the answers that advanced in a step have become, and gives back those that are finished.
    /// `chosen` counts the tokens.
    pub(super) fn report(&mut self, chosen: &mut u64) -> Vec<Writer> {
        for writer in self.writers.iter_mut().filter(|writer| writer.advanced) {
            *chosen += 1;
            let _ = self.events.send(writer.grown());
        }
        self.finished()
    }

    /// Ends all answers.
    pub(super) fn abort(&mut self) -> Result<Vec<Writer>, GenerateError> {
        for writer in &mut self.writers {
            writer.answer.abort()?;
            let text = writer.answer.take_text().to_owned();
            if !text.is_empty() {
                let (index, ids, logprobs) = (writer.index, Vec::new(), Vec::new());
                let marked = writer.answer.marked();
                let _ = self.events.send(Event::Step { index, ids, text, logprobs, marked });
            }
        }
        Ok(self.finished())
    }

    fn finished(&mut self) -> Vec<Writer> {
        let writers = std::mem::take(&mut self.writers).into_iter();
        let (finished, going) = writers.partition(|writer| writer.answer.finish_reason().is_some());
        self.writers = going;
        finished
    }
}

impl Writer {
    pub(super) fn new(index: usize, answer: Answer<'static>) -> Self {
        Self { index, answer, sequence: None, next: None, advanced: false }
    }

    fn advance(&mut self, chosen: Result<Option<TokenId>, GenerateError>) -> Result<(), Failure> {
        self.next = chosen?;
        self.advanced = true;
        Ok(())
    }

    fn grown(&mut self) -> Event {
        self.advanced = false;
        let text = self.answer.take_text().to_owned();
        Event::Step {
            index: self.index,
            ids: self.answer.ids().last().copied().into_iter().collect(),
            text,
            logprobs: self.answer.logprobs().last().cloned().into_iter().collect(),
            marked: self.answer.marked(),
        }
    }
}

/// Which answers a chunk of a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An answer that is being written, by its place among those that are left.
    Writer(usize),
    /// A piece of the prompt.
    Prompt,
}

/// Chooses the next tokens from the rows of a step.
pub(super) struct Rows<'s> {
    pub(super) tasks: &'s mut [Task],
    /// Task and part of every chunk.
    pub(super) parts: &'s [(usize, Part)],
    pub(super) candidates: &'s mut Candidates,
}

impl Rows<'_> {
    fn only(&self, chunk: usize) -> Option<&Answer<'static>> {
        let (task, part) = self.parts[chunk];
        match (part, self.tasks[task].writers.as_slice()) {
            (Part::Writer(at), writers) => writers.get(at).map(|writer| &writer.answer),
            (Part::Prompt, [writer]) => Some(&writer.answer),
            (Part::Prompt, _) => None,
        }
    }
}

impl LogitSink for Rows<'_> {
    fn row(&mut self, chunk: usize, _: usize, logits: &[f32]) {
        let (task, part) = self.parts[chunk];
        let Task { writers, failed, .. } = &mut self.tasks[task];
        let concerned = match part {
            Part::Writer(at) => &mut writers[at..=at],
            // The same row begins every answer to a prompt.
            Part::Prompt => &mut writers[..],
        };
        for writer in concerned {
            let chosen = writer.answer.advance(logits, self.candidates);
            if let Err(failure) = writer.advance(chosen) {
                *failed = Some(failure);
            }
        }
    }

    fn enough(&self, chunk: usize) -> Option<usize> {
        self.only(chunk)?.enough()
    }

    fn highest(&mut self, chunk: usize, _: usize, tokens: &[TokenId], logits: &[f32]) -> bool {
        let (task, part) = self.parts[chunk];
        let Task { writers, failed, .. } = &mut self.tasks[task];
        let at = if let Part::Writer(at) = part { at } else { 0 };
        let Some(writer) = writers.get_mut(at) else { return false };
        let chosen = writer.answer.advance_by_highest(tokens, logits, self.candidates);
        let Some(chosen) = chosen.transpose() else { return false };
        if let Err(failure) = writer.advance(chosen) {
            *failed = Some(failure);
        }
        true
    }
}
