//! A chain of receipts, walked from its beginning.

use super::digest::{Digest, LedgerId};
use super::receipt::{Receipt, ReceiptError};
use super::signing::PublicKey;

/// What the first receipt of a ledger holds as `previous`, so that a chain belongs to one ledger and one key:
/// BLAKE3-derive_key("touchmark 2026-11 ledger genesis v1", the ledger's name ‖ its public key).
pub fn genesis(ledger: &LedgerId, key: &PublicKey) -> Digest {
    Digest::derive("touchmark 2026-11 ledger genesis v1", &[ledger.as_str().as_bytes(), &key.0.0])
}

/// A place in a chain: the receipt of this number has this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the receipt; 0 before the first.
    pub sequence: u64,
    /// Its link.
    pub link: Digest,
}

/// A walk along a chain.
#[derive(Clone, Debug)]
pub struct Walk {
    last: Anchor,
}

impl Walk {
    /// Begins after a place that is known.
    pub fn after(anchor: Anchor) -> Self {
        Self { last: anchor }
    }

    /// Where the walk is.
    pub fn last(&self) -> Anchor {
        self.last
    }

    /// Takes the next receipt, as canonical bytes.
    ///
    /// # Errors
    /// [`ChainError`] when it is no receipt, or not the next one.
    pub fn step(&mut self, canonical: &[u8]) -> Result<Receipt, ChainError> {
        let sequence = self.last.sequence + 1;
        let receipt = Receipt::from_canonical(canonical)
            .map_err(|source| ChainError::Receipt { sequence, source })?;
        if receipt.sequence != sequence {
            return Err(ChainError::Sequence { wanted: sequence, got: receipt.sequence });
        }
        if receipt.previous != self.last.link {
            return Err(ChainError::Link { sequence });
        }
        self.last = Anchor { sequence, link: Receipt::link_of(canonical) };
        Ok(receipt)
    }
}

/// Where a chain is broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Not a receipt.
    #[error("receipt {sequence} was changed")]
    Receipt {
        /// Its number.
        sequence: u64,
        /// What is wrong with it.
        #[source]
        source: ReceiptError,
    },
    /// A receipt is missing, or stands twice.
    #[error("after receipt {before} comes {got}: receipts are missing or out of order", before = wanted - 1)]
    Sequence {
        /// The number that should come.
        wanted: u64,
        /// The number that comes.
        got: u64,
    },
    /// A receipt that does not follow the one before.
    #[error(
        "receipt {sequence} does not follow the one before: one of the two was changed or replaced"
    )]
    Link {
        /// Its number.
        sequence: u64,
    },
}
