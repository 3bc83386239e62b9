//! Going through a transcript again, with the rule that made it.

use jiff::Timestamp;

use super::chain::{Entry, Event, Transcript, TranscriptError};
use crate::fingerprint::{ProbeError, Probing};

/// Where a transcript has led.
pub struct Replayed {
    /// The test after all answers.
    pub session: Box<dyn Probing>,
    /// The chain, to be continued.
    pub transcript: Transcript,
    /// The suspect, where one was asked.
    pub suspect: Option<String>,
    /// Answers.
    pub asked: u64,
    /// Places of the probes that were asked, answered or not.
    pub probes: Vec<usize>,
    /// Time of the last entry.
    pub last: Option<Timestamp>,
}

/// Takes a test through a transcript that follows a commitment of which the file and the time are given.
///
/// # Errors
/// [`ReplayError`]: an entry that is not whole or in its place, a query that the rule did not ask for.
pub fn replay(
    session: Box<dyn Probing>,
    commitment_file: &[u8],
    committed: Timestamp,
    text: &str,
) -> Result<Replayed, ReplayError> {
    let mut done = Replayed {
        session,
        transcript: Transcript::new(commitment_file),
        suspect: None,
        asked: 0,
        probes: Vec::new(),
        last: None,
    };
    let mut lines = text.split_inclusive('\n');
    lines.try_for_each(|line| {
        let line = line.strip_suffix('\n').ok_or(ReplayError::Cut)?;
        let entry = done.transcript.read(line)?;
        done.take(entry, committed)
    })?;
    Ok(done)
}

impl Replayed {
    fn take(&mut self, entry: Entry, committed: Timestamp) -> Result<(), ReplayError> {
        let number = entry.number;
        if entry.time < self.last.unwrap_or(committed) {
            return Err(ReplayError::Time { number });
        }
        self.last = Some(entry.time);
        match entry.event {
            Event::Suspect { name, .. } => match &self.suspect {
                Some(first) if *first != name => {
                    return Err(ReplayError::Suspect { number, first: first.clone(), name });
                }
                _ => self.suspect = Some(name),
            },
            Event::Failed { probe, .. } => {
                let due = self.session.next()?.map(|step| step.probe);
                if due != Some(probe) {
                    return Err(ReplayError::Query { number, probe, due });
                }
                self.probes.push(probe);
            }
            Event::Asked { probe, request, answer } => {
                let due = self.session.next()?;
                if due.as_ref().is_none_or(|due| due.probe != probe || due.request != request) {
                    let due = due.map(|due| due.probe);
                    return Err(ReplayError::Query { number, probe, due });
                }
                self.session.observe(&answer)?;
                self.asked += 1;
                self.probes.push(probe);
            }
        }
        Ok(())
    }
}

/// Why a transcript is not the one of its rule and probes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// An entry.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// The last line has no end.
    #[error("the transcript's last entry has been cut")]
    Cut,
    /// A time before that of the entry before, or of the commitment.
    #[error("entry {number} of the transcript is older than what it follows")]
    Time {
        /// Its number.
        number: u64,
    },
    /// Another suspect.
    #[error("entry {number} of the transcript asks {name}, the ones before {first}")]
    Suspect {
        /// Its number.
        number: u64,
        /// The first suspect.
        first: String,
        /// This one.
        name: String,
    },
    /// Another query than the one that was due.
    #[error(
        "entry {number} of the transcript asks probe {probe} in a way that the committed rule does not: {}",
        due.map_or_else(|| "nothing was due".to_owned(), |due| format!("probe {due} was due"))
    )]
    Query {
        /// Its number.
        number: u64,
        /// The probe.
        probe: usize,
        /// The probe that was due.
        due: Option<usize>,
    },
    /// The test refuses.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}
