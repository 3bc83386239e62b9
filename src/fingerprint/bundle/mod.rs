//! Evidence that others can check: what was fixed before the first query, what was asked and answered, and what it shows.
//!
//! | file | what | signed |
//! |---|---|---|
//! | `commitment.json` | a [`Commitment`]: the digests of all leaves and their Merkle root, time, who signs | yes |
//! | `secret/leaves.jsonl` | the [leaves](Leaves): the head (hypothesis, test, rule) and every probe, each with a salt of its own | no |
//! | `leaves.jsonl` | the same after `reveal`, where leaves that stay secret are digests | no |
//! | `transcript.jsonl` | [entries](Entry), each naming the one before by a hash | by its end |
//! | `outcome.json` | an [`Outcome`]: the commitment, the transcript's end, the finding | yes |
//!
//! [`verify`] replays the transcript through the rule: each query must be the one that was due, and the finding the one that
//! follows. All digests are taken of the bytes as they stand in the files: a file that was only written in another way is no
//! longer the file that was signed.
//!
//! What a bundle shows is that rule and probes were fixed when the commitment was signed, at a time that only a token of a time
//! stamping service or a publication can show; and that the finding follows from the transcript. It does not show that the
//! suspect gave these answers: for that, somebody else must ask again, with the probes that are left.

mod chain;
mod commitment;
mod leaf;
mod outcome;
mod pack;
mod plan;
mod replay;
mod signed;
#[cfg(test)]
mod tests;
mod verify;

pub use chain::{Entry, Event, Transcript, TranscriptError};
pub use commitment::Commitment;
pub use leaf::{Head, LeafError, Leaves};
pub use outcome::{Ending, Outcome};
pub use pack::{PackError, Packed};
pub use plan::{Plan, PlanError, start};
pub use replay::{ReplayError, Replayed, replay};
pub use verify::{Check, Files, Verified, verify};
