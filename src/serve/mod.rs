//! The HTTP server: writes marked text for many at once, keeps receipts, and says of texts whether they are marked.
//!
//! Works over `dyn` [`LanguageModel`](crate::lm::LanguageModel), [`Tokenize`](crate::tokens::Tokenize) and ledger; the program
//! hands them over.

pub mod policy;

mod app;
mod auth;
mod body;
mod budget;
mod caller;
mod error;
mod log;
mod metrics;
mod net;
pub mod openai;
mod routes;
pub mod scheduler;
mod writer;

pub use app::{App, ReceiptsTold, Reload, Settings};
pub use budget::Budgets;
pub use caller::{Caller, Client, Network, Role};
pub use error::{ApiError, ErrorBody, ErrorObject};
pub use log::{Log, RequestLine};
pub use metrics::{EngineLoad, Metrics};
pub use net::{NetSettings, serve};
pub use routes::router;
pub use writer::{Chat, PromptRead, Writer};
