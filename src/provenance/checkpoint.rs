//! Signed statements on how far a ledger has come.
//!
//! A chain shows that nothing in its middle was changed. It cannot show that its end is still there, nor that it was not written
//! anew from some place by who holds the signing key. A checkpoint that was given away shows both, up to its number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::Anchor;
use super::digest::{Digest, LedgerId};
use super::signing::{Envelope, LINK, PublicKey, SecretKey, SignatureError, Statement};

/// The end of a ledger at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The ledger.
    pub ledger: LedgerId,
    /// Link of its last receipt.
    pub link: Digest,
    /// Number of its last receipt; 0 if there was none.
    pub sequence: u64,
    /// When this was signed, by the signer's clock.
    pub time: Timestamp,
}

impl Checkpoint {
    const TYPE: &str = "urn:touchmark:ledger-checkpoint:1";

    /// Signs it.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub fn sign(&self, key: &SecretKey) -> Result<Envelope, SignatureError> {
        let subject = subject(&self.ledger);
        key.sign(&Statement::new(subject, (LINK, self.link), Self::TYPE, self.clone()))
    }

    /// Reads a checkpoint that is signed with a key.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not.
    pub fn open(envelope: &Envelope, key: &PublicKey) -> Result<Self, SignatureError> {
        Ok(envelope.open::<Self>(key, Self::TYPE)?.predicate)
    }
}

/// That receipts up to a place were deleted because they were old. The chain begins there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruning {
    /// Receipts from before this time were to be deleted.
    pub before: Timestamp,
    /// The ledger.
    pub ledger: LedgerId,
    /// Link of the last receipt that was deleted.
    pub link: Digest,
    /// Its number.
    pub sequence: u64,
    /// When they were deleted, by the signer's clock.
    pub time: Timestamp,
}

impl Pruning {
    const TYPE: &str = "urn:touchmark:ledger-pruning:1";

    /// Signs it.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub fn sign(&self, key: &SecretKey) -> Result<Envelope, SignatureError> {
        let subject = subject(&self.ledger);
        key.sign(&Statement::new(subject, (LINK, self.link), Self::TYPE, self.clone()))
    }

    /// Reads one that is signed with a key.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not.
    pub fn open(envelope: &Envelope, key: &PublicKey) -> Result<Self, SignatureError> {
        Ok(envelope.open::<Self>(key, Self::TYPE)?.predicate)
    }

    /// Where the chain begins now.
    pub fn anchor(&self) -> Anchor {
        Anchor { sequence: self.sequence, link: self.link }
    }
}

/// How a ledger stands to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The receipt of the checkpoint is there, with the same link: nothing up to it was changed or cut off.
    Holds,
    /// The receipt of the checkpoint was pruned; that it was the same is what the signed pruning says.
    Pruned,
    /// The ledger ends before the checkpoint: its end was cut off.
    Truncated,
    /// The receipt of the checkpoint is another one: the ledger was written anew.
    Rewritten,
    /// The checkpoint is of another ledger.
    OtherLedger,
}

impl Standing {
    /// Whether the ledger is what the checkpoint says.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Holds | Self::Pruned)
    }

    /// What it means, as a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "The ledger still holds all that the checkpoint covers.",
            Self::Pruned => {
                "What the checkpoint covers was pruned since; only the signed pruning speaks for it."
            }
            Self::Truncated => "The ledger ends before the checkpoint: its end was cut off.",
            Self::Rewritten => {
                "The ledger has another receipt where the checkpoint was made: it was written anew."
            }
            Self::OtherLedger => "The checkpoint is of another ledger.",
        }
    }
}

/// A checkpoint compared with a chain that is walked along.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    checkpoint: &'a Checkpoint,
    standing: Standing,
}

impl<'a> Comparison<'a> {
    /// Begins where the chain does.
    pub fn new(checkpoint: &'a Checkpoint, ledger: &LedgerId, start: Anchor) -> Self {
        let standing = if checkpoint.ledger != *ledger {
            Standing::OtherLedger
        } else if checkpoint.sequence < start.sequence {
            Standing::Pruned
        } else {
            Standing::Truncated
        };
        let mut comparison = Self { checkpoint, standing };
        comparison.pass(start);
        comparison
    }

    /// Looks at the next receipt.
    pub fn pass(&mut self, at: Anchor) {
        if self.standing == Standing::Truncated && at.sequence == self.checkpoint.sequence {
            let same = at.link == self.checkpoint.link;
            self.standing = if same { Standing::Holds } else { Standing::Rewritten };
        }
    }

    /// What all that was looked at says.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

fn subject(ledger: &LedgerId) -> String {
    format!("touchmark ledger {ledger}")
}
