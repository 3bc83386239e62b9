//! What the server needs of a detector.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::detect::{Row, Shown};
use crate::profile::Profile;

/// Looks for marks in one text at a time. Implementations keep nothing of a text, and their errors hold nothing of it.
pub trait Examine: Send + Sync {
    /// Looks for all marks. It is long work of a processor, and called on threads that may be blocked.
    ///
    /// # Errors
    /// [`ExamineError::Refused`] for a text or a prompt that cannot be read; [`ExamineError::Failed`] for faults.
    fn examine(&self, question: &Question) -> Result<Finding, ExamineError>;

    /// The profiles that are looked for.
    fn profiles(&self) -> Vec<ProfileInfo>;

    /// log₁₀ of the false-alarm rate for all of them together.
    fn threshold_log10_p(&self) -> f64;
}

/// A text to be examined.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// A name for it in rows.
    pub id: String,
    /// The text.
    pub text: String,
    /// What it answers, where that is known.
    pub prompt: Option<String>,
    /// Whether the evidence of its tokens is wanted.
    pub explain: bool,
    /// With fewer tokens than this no mark is read.
    pub min_tokens: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Tokens of the text as it is; the fewest, where several tokenizers read it.
    pub tokens: usize,
    /// A row for each profile and key, as `touchmark detect` writes them; none where the text was too short.
    pub rows: Vec<Row>,
    /// The text with its tokens' evidence for each row, where that was wanted.
    pub shown: Vec<Shown>,
}

/// Why a text was not examined. The words may be logged, so they hold nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// The text or the prompt is at fault.
    #[error("{0}")]
    Refused(String),
    /// The server is.
    #[error("{0}")]
    Failed(String),
}

/// What may be known of a profile by everybody: all but the key.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProfileInfo {
    /// Its name.
    pub id: String,
    /// Always `watermark_profile`.
    pub object: &'static str,
    /// Scheme name.
    pub scheme: String,
    /// The scheme's parameters.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// How (key, context, token) becomes bits.
    pub prf: String,
    /// What counts once.
    pub repeats: String,
    /// The tokenizer it is bound to.
    pub tokenizer: TokenizerInfo,
    /// Public name of the key.
    pub key_id: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When marking with it ended or will end, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<i64>,
}

/// The tokenizer of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenizerInfo {
    /// Its name.
    pub name: String,
    /// BLAKE3 of its file.
    pub hash: String,
    /// The size V of its vocabulary.
    pub vocab_size: u32,
}

impl ProfileInfo {
    /// The public part of a profile.
    pub fn of(profile: &Profile) -> Self {
        let word = |value: serde_json::Result<Value>| match value {
            Ok(Value::String(word)) => word,
            _ => String::new(),
        };
        let mut parameters = serde_json::to_value(&profile.scheme).unwrap_or_default();
        if let Some(fields) = parameters.as_object_mut() {
            fields.remove("scheme");
        }
        let pin = &profile.tokenizer;
        Self {
            id: profile.id.clone(),
            object: "watermark_profile",
            scheme: profile.scheme.name().to_owned(),
            parameters,
            prf: profile.prf.name().to_owned(),
            repeats: word(serde_json::to_value(profile.repeats)),
            tokenizer: TokenizerInfo {
                name: pin.name.clone(),
                hash: pin.hash.to_string(),
                vocab_size: pin.vocab_size,
            },
            key_id: profile.key_id.to_string(),
            created: profile.created.as_second(),
            retired: profile.retired.map(|at| at.as_second()),
        }
    }
}
