//! Where receipts are kept, as whoever writes and looks up answers sees it.

use std::error::Error;
use std::sync::mpsc;

use serde::Serialize;

use super::chain::ChainError;
use super::digest::{Digest, LedgerId};
use super::receipt::{Commitments, Facts, Receipt, ReceiptError, Seed};
use super::signing::{PublicKey, SignatureError};
use super::similarity::Similarity;
use super::sketch::{Query, Sketch, SketchKey};
use crate::stats::StatsError;

/// Called once with the receipt, when it is durable, or with the reason why there is none. Runs on the ledger's thread, so
/// it must be short.
pub type Done = Box<dyn FnOnce(Result<Receipt, LedgerError>) + Send>;

/// Receipts that are only ever added.
///
/// To record an answer: `ledger.append(ledger.recorder().record(facts, text, prompt)?)`.
pub trait Ledger: Send + Sync {
    /// What makes receipts of answers for this ledger.
    fn recorder(&self) -> &Recorder;

    /// Adds a receipt, and says so once it would outlive a crash. Does not wait.
    fn append_then(&self, new: NewReceipt, done: Done);

    /// Adds a receipt and waits until it would outlive a crash.
    ///
    /// # Errors
    /// [`LedgerError`] when it is not kept.
    fn append(&self, new: NewReceipt) -> Result<Receipt, LedgerError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.append_then(
            new,
            Box::new(move |result| {
                // Nobody waits any more.
                let _ = sender.send(result);
            }),
        );
        receiver.recv().map_err(|_| LedgerError::Closed)?
    }

    /// The receipts of an answer, one for each choice; none if it is not known.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    fn get(&self, answer: &str) -> Result<Vec<Receipt>, LedgerError>;

    /// The answers that a text may come from, the likeliest first, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    fn find(&self, text: &str, limit: usize) -> Result<Found, LedgerError>;

    /// Where the ledger ends.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    fn head(&self) -> Result<Head, LedgerError>;

    /// Deletes for good what receipts of an answer say of text and prompt; how many there were to delete.
    ///
    /// # Errors
    /// [`LedgerError`] when it is not deleted.
    fn redact(&self, answer: &str) -> Result<usize, LedgerError>;
}

/// Makes receipts of answers.
#[derive(Clone, Debug)]
pub struct Recorder {
    key: SketchKey,
    store_text: bool,
}

impl Recorder {
    /// With a ledger's sketch key; texts are kept as they are only if told so.
    pub fn new(key: SketchKey, store_text: bool) -> Self {
        Self { key, store_text }
    }

    /// The receipt of an answer, before it has a place.
    ///
    /// # Errors
    /// [`ReceiptError`] for facts that cannot stand in a receipt.
    pub fn record(
        &self,
        facts: Facts,
        text: &str,
        prompt: &str,
    ) -> Result<NewReceipt, ReceiptError> {
        let facts = facts.checked()?;
        let seed = Seed::generate()?;
        let sketch = Sketch::new(&self.key, text);
        let commitments = Commitments::new(&seed, text, prompt, &sketch);
        let texts =
            self.store_text.then(|| Texts { text: text.to_owned(), prompt: prompt.to_owned() });
        Ok(NewReceipt { facts, commitments, seed, sketch, texts })
    }

    /// A text to be looked up.
    pub fn query(&self, text: &str) -> Query {
        Query::new(&self.key, text)
    }
}

/// A receipt before it has a place, and what goes beside it.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    /// What the server knows of the answer.
    pub facts: Facts,
    /// What was written, hidden.
    pub commitments: Commitments,
    /// What opens the commitments.
    pub seed: Seed,
    /// What the text is recognised by.
    pub sketch: Sketch,
    /// What was written, if it is to be kept.
    pub texts: Option<Texts>,
}

/// What was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts {
    /// The answer.
    pub text: String,
    /// The prompt.
    pub prompt: String,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts(hidden)")
    }
}

/// Where a ledger ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The ledger.
    pub ledger: LedgerId,
    /// What its signatures are checked with.
    pub public_key: PublicKey,
    /// Number of its last receipt; 0 if there is none.
    pub sequence: u64,
    /// Link of its last receipt.
    pub link: Digest,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Words in the text.
    pub words: usize,
    /// Answers that it was compared with.
    pub searched: u64,
    /// Answers that could not be compared: they are redacted.
    pub redacted: u64,
    /// Answers that agree with it, the likeliest first.
    pub matches: Vec<Match>,
}

/// An answer that agrees with a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Match {
    /// How.
    pub kind: MatchKind,
    /// How much.
    pub similarity: Similarity,
    /// The answer's receipt.
    pub receipt: Receipt,
}

/// How an answer agrees with a text, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The same bytes: they open the receipt's commitment.
    Exact,
    /// The same but for blanks at the ends: the same, of the commitment without these.
    Trimmed,
    /// The same words in the same order; letter case, punctuation, blanks and quotes may differ.
    SameWords,
    /// Passages in common.
    Near,
}

impl LedgerError {
    /// Whether it says that what is kept is not what was written, rather than that it could not be read or written.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Chain(_)
                | Self::Changed { .. }
                | Self::Damaged { .. }
                | Self::Signature(_)
                | Self::Receipt(_)
        )
    }
}

/// Why a ledger does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is a receipt for this choice of this answer.
    #[error("there is a receipt of answer \"{answer}\", choice {choice}, already")]
    Known {
        /// The answer.
        answer: String,
        /// The choice.
        choice: u32,
    },
    /// There is none.
    #[error(
        "there is no receipt of an answer \"{answer}\"; `touchmark receipt list` shows those there are"
    )]
    Unknown {
        /// The answer.
        answer: String,
    },
    /// What opens a receipt was deleted.
    #[error("the receipt of answer \"{answer}\" is redacted: what opens it was deleted")]
    Redacted {
        /// The answer.
        answer: String,
    },
    /// Deleted rows are still in the write-ahead file.
    #[error(
        "deleted, but a reader keeps the old bytes in the write-ahead file; do it again when no other process reads the ledger"
    )]
    Lingering,
    /// The ledger is closed.
    #[error("the ledger is closed")]
    Closed,
    /// The chain is broken.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Something beside the chain was changed.
    #[error("receipt {sequence}: {what}")]
    Changed {
        /// Number of the receipt.
        sequence: u64,
        /// What was changed.
        what: &'static str,
    },
    /// What keeps the receipts is not whole.
    #[error("{what} is damaged: {how}")]
    Damaged {
        /// Which ledger.
        what: String,
        /// How.
        how: String,
    },
    /// A signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A receipt.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// A number that a test refuses.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// What keeps the receipts cannot read or write them.
    #[error("{doing}")]
    Storage {
        /// What was being done, and to what.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
