//! The HTTP server: writes marked text for many at once, keeps receipts, and says of texts whether they are marked.
//!
//! Works over `dyn` [`LanguageModel`](crate::lm::LanguageModel), [`Tokenize`](crate::tokens::Tokenize) and ledger; the program
//! hands them over.

pub mod detection;
pub mod page;

mod caller;
mod error;

pub use caller::{Caller, Client, Network, Role};
pub use error::{ApiError, ErrorBody, ErrorObject};
