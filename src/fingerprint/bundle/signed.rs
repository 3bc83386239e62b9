//! Files that are a signed statement, byte for byte.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::provenance::{Digest, Envelope, PublicKey, SecretKey, SignatureError, Statement};

/// What such a file holds.
pub(super) trait Signed: Serialize + DeserializeOwned + Clone {
    /// Type of the statement.
    const TYPE: &'static str;
    /// What the digest is taken of.
    const SUBJECT: &'static str;

    fn subject(&self) -> Digest;

    /// The file's bytes.
    fn to_file(&self, key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
        let name = format!("touchmark {}", Self::SUBJECT);
        let statement =
            Statement::new(name, (Self::SUBJECT, self.subject()), Self::TYPE, self.clone());
        bytes(&key.sign(&statement)?)
    }

    /// Reads a file that is signed with a key, or where none is given with the one that it names.
    ///
    /// # Errors
    /// [`SignatureError`]; [`SignatureError::Invalid`] also where the bytes are not the ones that would be written.
    fn from_file(
        file: &[u8],
        key: Option<&PublicKey>,
    ) -> Result<(Self, PublicKey), SignatureError> {
        let envelope: Envelope = serde_json::from_slice(file).map_err(SignatureError::Json)?;
        if bytes(&envelope)? != file {
            return Err(SignatureError::Invalid);
        }
        let claimed = envelope.claimed_key()?;
        let wanted = *key.unwrap_or(&claimed);
        if claimed != wanted {
            return Err(SignatureError::OtherKey { claimed, wanted });
        }
        Ok((envelope.open::<Self>(&wanted, Self::TYPE)?.predicate, wanted))
    }
}

fn bytes(envelope: &Envelope) -> Result<Vec<u8>, SignatureError> {
    let mut bytes = serde_json::to_vec_pretty(envelope).map_err(SignatureError::Json)?;
    bytes.push(b'\n');
    Ok(bytes)
}
