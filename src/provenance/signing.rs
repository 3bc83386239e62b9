//! Signed statements: in-toto statements in DSSE envelopes, Ed25519.
//!
//! The bytes that are signed are those of DSSE, version 1: `DSSEv1 LEN(type) type LEN(payload) payload`, lengths in decimal.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::receipt::ReceiptError;

/// A signing key. Wiped on drop.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// What signatures are checked with.
    pub fn public(&self) -> PublicKey {
        PublicKey(Digest(self.0.verifying_key().to_bytes()))
    }

    /// Signs a statement.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub(crate) fn sign<P: Serialize>(
        &self,
        statement: &Statement<P>,
    ) -> Result<Envelope, SignatureError> {
        let payload = serde_json::to_vec(statement).map_err(SignatureError::Json)?;
        let signature = self.0.sign(&signed_bytes(&payload));
        Ok(Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![EnvelopeSignature {
                keyid: self.public().to_string(),
                sig: STANDARD.encode(signature.to_bytes()),
            }],
        })
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(hidden)")
    }
}

/// What signatures are checked with: 64 hexadecimal digits. Public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub Digest);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for PublicKey {
    type Err = ReceiptError;
    fn from_str(hex: &str) -> Result<Self, ReceiptError> {
        hex.parse().map(Self)
    }
}

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A DSSE envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// `application/vnd.in-toto+json`.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The statement's JSON in Base64.
    pub payload: String,
    /// One signature; its `keyid` is the public key.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature in an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// The public key, 64 hexadecimal digits.
    pub keyid: String,
    /// 64 bytes in Base64.
    pub sig: String,
}

impl Envelope {
    /// The public key that the envelope says it is signed with; nothing is checked.
    ///
    /// # Errors
    /// [`SignatureError::Unsigned`].
    pub fn claimed_key(&self) -> Result<PublicKey, SignatureError> {
        let first = self.signatures.first().ok_or(SignatureError::Unsigned)?;
        first.keyid.parse().map_err(|_| SignatureError::Unsigned)
    }

    /// The statement, if it is signed with the key and of the type asked for.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub(crate) fn open<P: DeserializeOwned>(
        &self,
        key: &PublicKey,
        predicate_type: &'static str,
    ) -> Result<Statement<P>, SignatureError> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(SignatureError::PayloadType { got: self.payload_type.clone() });
        }
        let payload = STANDARD.decode(&self.payload).map_err(|_| SignatureError::Base64)?;
        let verifier = VerifyingKey::from_bytes(&key.0.0).map_err(|_| SignatureError::Key)?;
        let valid = |signature: &EnvelopeSignature| {
            let bytes = STANDARD.decode(&signature.sig).ok()?;
            let signature = Signature::from_slice(&bytes).ok()?;
            verifier.verify_strict(&signed_bytes(&payload), &signature).ok()
        };
        if self.signatures.iter().find_map(valid).is_none() {
            return Err(match self.claimed_key() {
                Ok(claimed) if claimed != *key => {
                    SignatureError::OtherKey { claimed, wanted: *key }
                }
                _ => SignatureError::Invalid,
            });
        }
        let statement: Statement<P> =
            serde_json::from_slice(&payload).map_err(SignatureError::Json)?;
        if statement.kind != STATEMENT || statement.predicate_type != predicate_type {
            return Err(SignatureError::Type {
                got: statement.predicate_type,
                wanted: predicate_type,
            });
        }
        Ok(statement)
    }
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What the digest in a statement about a ledger is: the link of a receipt.
pub(super) const LINK: &str = "touchmarkReceiptLink";

/// An in-toto statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statement<P> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    pub predicate: P,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, Digest>,
}

impl<P> Statement<P> {
    /// A statement about what has a name and a digest; `kind` says what the digest is taken of.
    pub fn new(
        name: String,
        (kind, digest): (&str, Digest),
        predicate_type: &str,
        predicate: P,
    ) -> Self {
        Self {
            kind: STATEMENT.to_owned(),
            subject: vec![Subject { name, digest: BTreeMap::from([(kind.to_owned(), digest)]) }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }
}

/// Why a signed statement is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// No signature, or none that names a key.
    #[error("the envelope has no signature that names a public key")]
    Unsigned,
    /// Another payload.
    #[error("the envelope holds \"{got}\", not an in-toto statement")]
    PayloadType {
        /// What it says it holds.
        got: String,
    },
    /// Not Base64.
    #[error("the envelope's payload is not Base64")]
    Base64,
    /// Not a public key.
    #[error("this is not an Ed25519 public key")]
    Key,
    /// Signed with another key.
    #[error("it is signed with the key {claimed}, not with {wanted}")]
    OtherKey {
        /// The key that the envelope names.
        claimed: PublicKey,
        /// The key that it should be signed with.
        wanted: PublicKey,
    },
    /// The signature does not fit.
    #[error("the signature is not valid: what was signed has been changed")]
    Invalid,
    /// Not the statement's JSON.
    #[error("this is not a signed statement of the kind that is wanted")]
    Json(#[source] serde_json::Error),
    /// A statement about something else.
    #[error("the statement is of type {got}, not {wanted}")]
    Type {
        /// Its type.
        got: String,
        /// The type asked for.
        wanted: &'static str,
    },
    /// What was signed contradicts itself.
    #[error("the signed receipt has not the link that is signed with it")]
    Link,
    /// A receipt.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}
