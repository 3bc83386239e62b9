//! Where a text comes from: receipts of answers and the chain that they are kept in.
//!
//! A [`Receipt`] says of one answer what was asked for and done, and commits to its text and prompt without showing them. Each
//! receipt names the one before by its [`Receipt::link`], so that none can be changed or left out in the middle unseen; that none
//! is left out at the end shows a signed [`Checkpoint`] that was kept elsewhere. A [`Sketch`] finds the answer that a
//! changed text, or a passage, came from.
//!
//! Nothing here touches a file: a [`Ledger`] is where receipts are kept, and `store::ledger` is the one on SQLite.

mod chain;
mod checkpoint;
mod digest;
mod disclosure;
mod ledger;
mod receipt;
mod search;
mod signing;
mod similarity;
mod sketch;

pub use chain::{Anchor, ChainError, Walk, genesis};
pub use checkpoint::{Checkpoint, Comparison, Pruning, Standing};
pub use digest::{Digest, LedgerId};
pub use disclosure::{Agreement, Disclosure};
pub use ledger::{
    Done, Found, Head, Ledger, LedgerError, Match, MatchKind, NewReceipt, Recorder, Texts,
};
pub use receipt::{
    Commitments, Facts, Marking, ModelName, Part, Receipt, ReceiptError, Seed, TokenCounts,
};
pub use search::Search;
pub(crate) use signing::Statement;
pub use signing::{Envelope, PublicKey, SecretKey, SignatureError};
pub use similarity::Similarity;
pub use sketch::{Query, Sketch, SketchKey};
