//! The detector as functions of SQL: in one process (DataFusion) and on many machines (Ballista).
//!
//! | function | gives |
//! |---|---|
//! | `touchmark_log10_p_v1(text, profile)` | `log10_p_corrected` of the row that `detect` writes, a Float64 |
//! | `touchmark_detect_v1(text, profile)` | the row's main fields, a struct ([`row_type`]) |
//!
//! Without `_v1` they mean the same. What examines a text is handed in as [`Detectors`], so this module knows neither
//! keyring nor tokenizers.
//!
//! # What travels
//!
//! A plan names functions, files, columns and profiles; never a key. Each executor opens profiles with its own keyring. So
//! that all of them mean the same, a plan names a profile together with a [`Fingerprint`]: public hashes of the profile, of
//! the key's commitment, of the tokenizer and of the settings. An executor that has another of these refuses.
//!
//! The name of a function carries a version, because a name is all that a plan says of it: executors that only know other
//! versions fail rather than compute something else.

mod columns;
mod error;
mod executor;
mod files;
mod fingerprint;
mod function;
mod opened;
mod output;
mod paths;
mod pins;
mod scheduler;
mod session;

pub use columns::row_type;
pub use error::ClusterError;
pub use executor::{Executor, run_executor};
pub use files::Table;
pub use fingerprint::{Fingerprint, Pinned};
pub use opened::{Detectors, Examine, ExamineError};
pub use output::{RowFormat, TABLE_ROWS, Written};
pub use scheduler::{Scheduler, run_scheduler};
pub use session::{Query, run_here, submit};
