//! The HTTP server: writes marked text for many at once, keeps receipts, and says of texts whether they are marked.
//!
//! Works over `dyn` [`LanguageModel`](crate::lm::LanguageModel), [`Tokenize`](crate::tokens::Tokenize) and ledger; the program
//! hands them over. Reading order: `app` (what all routes share), [`policy`], [`scheduler`], [`openai`], [`detection`], `net`.

pub mod detection;
pub mod openai;
pub mod page;
pub mod policy;
pub mod scheduler;

mod app;
mod auth;
mod body;
mod budget;
mod caller;
mod error;
mod logging;
mod metrics;
mod net;
mod openapi;
mod receipts;
mod routes;
mod server;
mod writer;

pub use app::{App, Opened, ReceiptsTold, Reload, Reloaded, Settings};
pub use budget::Budgets;
pub use caller::{Caller, Client, Network, Role};
pub use error::{ApiError, ErrorBody, ErrorObject};
pub use logging::{Log, RequestLine};
pub use metrics::{EngineLoad, Metrics};
pub use net::NetSettings;
pub use openapi::openapi;
pub use server::Server;
pub use writer::{Chat, PromptRead, Writer};
