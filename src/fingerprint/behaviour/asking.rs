//! What all tests here do with their probes: ask them in their order, and keep what was answered.

use super::protocol::{Counted, PromptCounts};
use crate::fingerprint::{ProbeError, Step};
use crate::lm::{Completion, Request};

/// What a probe asks.
pub(super) trait Question {
    /// The query, and the tokens of its prompt as the reference counted.
    fn question(&self) -> (&Request, Option<u64>);
}

/// Probes, of which some may be hidden, and what a test keeps of the answers so far.
#[derive(Clone, Debug)]
pub(super) struct Asking<P, A> {
    probes: Vec<Option<P>>,
    answers: Vec<A>,
    counts: PromptCounts,
}

impl<P: Question, A> Asking<P, A> {
    /// Before the first query.
    pub(super) fn new(probes: Vec<Option<P>>) -> Self {
        Self { probes, answers: Vec::new(), counts: PromptCounts::default() }
    }

    /// The probe that is due; none after the last.
    pub(super) fn due(&self) -> Result<Option<&P>, ProbeError> {
        match self.probes.get(self.asked()) {
            None => Ok(None),
            Some(None) => Err(ProbeError::Hidden { probe: self.asked() }),
            Some(Some(probe)) => Ok(Some(probe)),
        }
    }

    /// The query that is due.
    pub(super) fn next(&self) -> Result<Option<Step>, ProbeError> {
        let step = |probe: &P| Step { probe: self.asked(), request: probe.question().0.clone() };
        Ok(self.due()?.map(step))
    }

    /// Takes the answer to the query that is due, of which `kept` is kept.
    pub(super) fn take(&mut self, answer: &Completion, kept: A) -> Result<(), ProbeError> {
        let (_, expected) = self.due()?.ok_or(ProbeError::Ended)?.question();
        self.counts.push(expected, answer.prompt_tokens);
        self.answers.push(kept);
        Ok(())
    }

    /// Probes that were asked, each with what was kept of its answer.
    pub(super) fn answered(&self) -> impl Iterator<Item = (&P, &A)> {
        let answered = self.probes.iter().zip(&self.answers);
        answered.filter_map(|(probe, answer)| Some((probe.as_ref()?, answer)))
    }

    /// What was kept of each answer.
    pub(super) fn answers(&self) -> &[A] {
        &self.answers
    }

    /// Queries so far.
    pub(super) fn asked(&self) -> usize {
        self.answers.len()
    }

    /// Queries in all.
    pub(super) fn planned(&self) -> usize {
        self.probes.len()
    }

    /// What the counts of prompts' tokens say.
    pub(super) fn counted(&self) -> Counted {
        self.counts.verdict()
    }

    /// Why a test that looks once, after the last answer, has nothing to say yet.
    pub(super) fn unfinished(&self) -> Option<String> {
        let (asked, planned) = (self.asked(), self.planned());
        (asked < planned).then(|| {
            format!(
                "The test ends after {planned} queries; {asked} were asked, and it is not looked at before."
            )
        })
    }
}
