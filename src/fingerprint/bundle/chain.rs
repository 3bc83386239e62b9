//! The transcript: what was asked and answered, in a chain of hashes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lm::{Completion, Request};
use crate::provenance::Digest;

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1, 2, 3, …
    pub number: u64,
    /// Link of the entry before; for the first, the commitment's file.
    pub previous: Digest,
    /// When it was written, by the clock of who asked.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The suspect, and what it says of itself before it is asked anything.
    Suspect {
        /// Its address or path.
        name: String,
        /// Pairs of a name and a value.
        about: Vec<(String, String)>,
    },
    /// A query and its answer.
    Asked {
        /// The probe, by its place among the probes.
        probe: usize,
        /// What was asked.
        request: Request,
        /// What it answered.
        answer: Completion,
    },
    /// A query that was not answered. It does not count, and is asked again.
    Failed {
        /// The probe.
        probe: usize,
        /// What went wrong.
        message: String,
    },
}

const LINK: &str = "touchmark 2026-11 bundle transcript v1";

/// A chain that grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    number: u64,
    link: Digest,
}

impl Transcript {
    /// The empty transcript of a commitment, whose file's bytes are the first link.
    pub fn new(commitment_file: &[u8]) -> Self {
        Self { number: 0, link: file_digest(commitment_file) }
    }

    /// Entries so far, and the link of the last.
    pub fn end(&self) -> (u64, Digest) {
        (self.number, self.link)
    }

    /// Adds an event, and returns the line that goes to the file, without its end.
    ///
    /// # Errors
    /// [`TranscriptError::Json`].
    pub fn push(&mut self, event: Event, time: Timestamp) -> Result<String, TranscriptError> {
        let number = self.number + 1;
        let entry = Entry { number, previous: self.link, time, event };
        let line = serde_json::to_string(&entry)
            .map_err(|source| TranscriptError::Json { number, source })?;
        (self.number, self.link) = (number, link(&line));
        Ok(line)
    }

    /// Takes the next line of a file.
    ///
    /// # Errors
    /// [`TranscriptError`]: it is not an entry, or not the one that comes next.
    pub fn read(&mut self, line: &str) -> Result<Entry, TranscriptError> {
        let number = self.number + 1;
        let entry: Entry = serde_json::from_str(line)
            .map_err(|source| TranscriptError::Json { number, source })?;
        if entry.number != number {
            return Err(TranscriptError::Order { wanted: number, got: entry.number });
        }
        if entry.previous != self.link {
            return Err(TranscriptError::Changed { number });
        }
        (self.number, self.link) = (number, link(line));
        Ok(entry)
    }
}

fn link(line: &str) -> Digest {
    Digest::derive(LINK, &[line.as_bytes()])
}

/// Digest of a file of a bundle.
pub(super) fn file_digest(bytes: &[u8]) -> Digest {
    Digest::derive("touchmark 2026-11 bundle file v1", &[bytes])
}

/// Why a transcript is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// Not an entry.
    #[error("entry {number} of the transcript cannot be read")]
    Json {
        /// Its number.
        number: u64,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// Not the next one.
    #[error("entry {got} stands in the transcript where entry {wanted} belongs")]
    Order {
        /// The number that belongs there.
        wanted: u64,
        /// The number that is there.
        got: u64,
    },
    /// The entry before is not the one that was there when this was written.
    #[error(
        "entry {number} of the transcript does not follow the entry before, which has been changed"
    )]
    Changed {
        /// Its number.
        number: u64,
    },
}
