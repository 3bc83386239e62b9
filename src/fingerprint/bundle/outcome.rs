//! The signed end of a test.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::file_digest;
use super::commitment::Commitment;
use super::replay::Replayed;
use super::signed::Signed;
use crate::fingerprint::Finding;
use crate::provenance::{Digest, PublicKey, SecretKey, SignatureError};

/// What came out, and of which transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Version of this form: 1.
    pub schema: u32,
    /// Merkle root of the commitment.
    pub commitment: Digest,
    /// BLAKE3 of the commitment's file: the same leaves signed anew are another commitment.
    pub commitment_file: Digest,
    /// Entries of the transcript.
    pub entries: u64,
    /// Link of its last entry.
    pub link: Digest,
    /// Why it ended.
    pub ending: Ending,
    /// What the answers show.
    pub finding: Finding,
    /// When it was signed, by the signer's clock.
    pub time: Timestamp,
    /// Version of the program.
    pub version: String,
}

/// Why a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The rule ended it.
    Rule,
    /// The budget was used up, or it was broken off. Only tests that may stop at any time give a p-value then.
    Early,
}

impl Signed for Outcome {
    const TYPE: &'static str = "urn:touchmark:bundle-outcome:1";
    const SUBJECT: &'static str = "touchmarkBundleTranscript";

    fn subject(&self) -> Digest {
        self.link
    }
}

impl Outcome {
    /// Of a test that has come so far.
    pub fn new(
        commitment: &Commitment,
        commitment_file: &[u8],
        replayed: &Replayed,
        ending: Ending,
        time: Timestamp,
    ) -> Self {
        let (entries, link) = replayed.transcript.end();
        Self {
            schema: 1,
            commitment: commitment.root,
            commitment_file: file_digest(commitment_file),
            entries,
            link,
            ending,
            finding: replayed.session.finding(),
            time,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The file, signed.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub fn to_file(&self, key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
        Signed::to_file(self, key)
    }

    /// Reads a file that is signed with a key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn from_file(file: &[u8], key: &PublicKey) -> Result<Self, SignatureError> {
        Ok(<Self as Signed>::from_file(file, Some(key))?.0)
    }
}
