//! One receipt shown to somebody, with what opens its commitment to a text.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::digest::{Digest, LedgerId};
use super::receipt::{Part, Receipt, Seed, commit};
use super::signing::{Envelope, LINK, PublicKey, SecretKey, SignatureError, Statement};

/// A receipt and the salts that a text is checked with. It says nothing of the text to who does not have it.
///
/// Who is given it can check any guess at the text. The prompt's salt is left out unless it is to be shown too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// The ledger.
    pub ledger: LedgerId,
    /// The receipt's link.
    pub link: Digest,
    /// Salt of the prompt's commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_salt: Option<Digest>,
    /// The receipt.
    pub receipt: Receipt,
    /// Salt of the text's commitment.
    pub text_salt: Digest,
    /// Salt of the commitment to the text without blanks at its ends.
    pub text_trimmed_salt: Digest,
}

/// How a text agrees with a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same bytes.
    Exact,
    /// The same but for blanks at the ends.
    Trimmed,
    /// Another text.
    Different,
}

impl Agreement {
    /// Compares a text with a receipt whose seed is kept.
    pub fn of(receipt: &Receipt, seed: &Seed, text: &str) -> Self {
        let salts = [seed.salt(Part::Text), seed.salt(Part::TextTrimmed)];
        Self::by_salts(receipt, &salts[0], &salts[1], text)
    }

    fn by_salts(receipt: &Receipt, text_salt: &Digest, trimmed_salt: &Digest, text: &str) -> Self {
        let same = |a: &Digest, b: &Digest| bool::from(a.0.ct_eq(&b.0));
        let wanted = &receipt.commitments;
        if same(&commit(text_salt, text.as_bytes()), &wanted.text) {
            Self::Exact
        } else if same(&commit(trimmed_salt, text.trim().as_bytes()), &wanted.text_trimmed) {
            Self::Trimmed
        } else {
            Self::Different
        }
    }
}

impl Disclosure {
    const TYPE: &str = "urn:touchmark:receipt-disclosure:1";

    /// Shows a receipt, and with it the prompt's commitment if told so.
    ///
    /// # Errors
    /// [`SignatureError::Receipt`].
    pub fn new(
        ledger: LedgerId,
        receipt: Receipt,
        seed: &Seed,
        prompt: bool,
    ) -> Result<Self, SignatureError> {
        Ok(Self {
            ledger,
            link: receipt.link()?,
            prompt_salt: prompt.then(|| seed.salt(Part::Prompt)),
            receipt,
            text_salt: seed.salt(Part::Text),
            text_trimmed_salt: seed.salt(Part::TextTrimmed),
        })
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`SignatureError::Json`].
    pub fn sign(&self, key: &SecretKey) -> Result<Envelope, SignatureError> {
        let name = format!("touchmark answer {}", self.receipt.answer);
        key.sign(&Statement::new(name, (LINK, self.link), Self::TYPE, self.clone()))
    }

    /// Reads one that is signed with a key.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not, or its receipt has not its link.
    pub fn open(envelope: &Envelope, key: &PublicKey) -> Result<Self, SignatureError> {
        let shown: Self = envelope.open(key, Self::TYPE)?.predicate;
        if shown.receipt.link()? != shown.link {
            return Err(SignatureError::Link);
        }
        Ok(shown)
    }

    /// Compares a text with the answer.
    pub fn text(&self, text: &str) -> Agreement {
        Agreement::by_salts(&self.receipt, &self.text_salt, &self.text_trimmed_salt, text)
    }

    /// Whether a text is the prompt; nothing if the prompt's salt was not shown.
    pub fn is_prompt(&self, prompt: &str) -> Option<bool> {
        let salt = self.prompt_salt.as_ref()?;
        Some(commit(salt, prompt.as_bytes()) == self.receipt.commitments.prompt)
    }
}
