//! The signed commitment to a plan.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::leaf::{Leaves, root};
use super::signed::Signed;
use crate::provenance::{Digest, PublicKey, SecretKey, SignatureError};

/// That a plan was fixed. Tells nothing of it but how many probes there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Version of this form: 1.
    pub schema: u32,
    /// When it was signed, by the signer's clock.
    pub time: Timestamp,
    /// Merkle root over the leaves: what is published or time-stamped.
    pub root: Digest,
    /// Digests of the leaves, the head's first.
    pub leaves: Vec<Digest>,
    /// Version of the program.
    pub version: String,
}

impl Signed for Commitment {
    const TYPE: &'static str = "urn:touchmark:bundle-commitment:1";
    const SUBJECT: &'static str = "touchmarkBundleRoot";

    fn subject(&self) -> Digest {
        self.root
    }
}

impl Commitment {
    /// To these leaves.
    pub fn new(leaves: &Leaves, time: Timestamp) -> Self {
        let leaves = leaves.digests();
        let root = root(&leaves);
        Self { schema: 1, time, root, leaves, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// The file, signed.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub fn to_file(&self, key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
        Signed::to_file(self, key)
    }

    /// Reads a signed file; without a key, it is checked with the one that it names, which is returned.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn from_file(
        file: &[u8],
        key: Option<&PublicKey>,
    ) -> Result<(Self, PublicKey), SignatureError> {
        Signed::from_file(file, key)
    }

    /// Whether the root is the one of the leaves.
    pub fn is_whole(&self) -> bool {
        self.root == root(&self.leaves)
    }

    /// Places of leaves that are not the ones committed to; those that are too many or missing among them.
    pub fn differing(&self, leaves: &Leaves) -> Vec<usize> {
        let found = leaves.digests();
        let most = found.len().max(self.leaves.len());
        (0..most).filter(|&at| found.get(at) != self.leaves.get(at)).collect()
    }
}
