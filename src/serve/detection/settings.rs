//! What an operator decides of detection.

use serde::{Deserialize, Serialize};

/// Limits of detection. Those named of the public do not bind analysts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionSettings {
    /// Public: a text with fewer tokens, or fewer that count, gets no verdict.
    pub min_tokens: usize,
    /// Public: texts that a client may ask about in a day (of UTC).
    pub texts_a_day: u64,
    /// Public: tokens that a client may have examined in a day. The text that passes the limit is the last.
    pub tokens_a_day: u64,
    /// Public: how many clients' budgets are kept apart. Those beyond share one.
    pub clients: usize,
    /// Public: for how many days a text decides what is said of texts like it; 0 for not at all.
    pub remember_days: u32,
    /// Public: about how many words of texts that were asked about are remembered, as fingerprints of a secret key. The
    /// oldest are forgotten first. A million words need about 4 MB.
    pub remembered_words: usize,
    /// Whether nothing of a question outlives its answer. Texts like earlier ones are then examined anew.
    pub no_retention: bool,
    /// Texts examined at a time; 0 for as many as there are cores.
    pub workers: usize,
    /// Questions that may wait for a worker; the next is refused. The public may use half of the places.
    pub waiting: usize,
    /// Bytes of a text and its prompt together.
    pub text_bytes: usize,
    /// Batches read at a time.
    pub batches: usize,
    /// Lines of a batch.
    pub batch_lines: u64,
    /// Bytes of a batch.
    pub batch_bytes: u64,
}

impl Default for DetectionSettings {
    fn default() -> Self {
        Self {
            min_tokens: 100,
            texts_a_day: 100,
            tokens_a_day: 200_000,
            clients: 100_000,
            remember_days: 7,
            remembered_words: 10_000_000,
            no_retention: false,
            workers: 0,
            waiting: 64,
            text_bytes: 1 << 20,
            batches: 8,
            batch_lines: 100_000,
            batch_bytes: 1 << 30,
        }
    }
}

impl DetectionSettings {
    /// Refuses limits that would let nothing through.
    ///
    /// # Errors
    /// [`DetectionError::Zero`], naming the limit.
    pub fn check(&self) -> Result<(), DetectionError> {
        let limits = [
            ("texts_a_day", self.texts_a_day),
            ("tokens_a_day", self.tokens_a_day),
            ("clients", self.clients as u64),
            ("waiting", self.waiting as u64),
            ("text_bytes", self.text_bytes as u64),
            ("batches", self.batches as u64),
            ("batch_lines", self.batch_lines),
            ("batch_bytes", self.batch_bytes),
        ];
        match limits.into_iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(DetectionError::Zero { name }),
            None => Ok(()),
        }
    }

    /// Whether texts like earlier ones are recognised.
    pub fn remembers(&self) -> bool {
        !self.no_retention && self.remember_days > 0 && self.remembered_words > 0
    }

    /// Most bytes of a question as JSON, in which a character may be longer than in the text.
    pub fn question_bytes(&self) -> usize {
        self.text_bytes.saturating_mul(4).saturating_add(64 << 10)
    }
}

/// Why detection cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectionError {
    /// A limit of nothing.
    #[error("{name} is 0, so that no question could be answered; give a number from 1 on")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// No secret for the memory of texts.
    #[error("the operating system gives no random numbers")]
    Randomness(#[source] getrandom::Error),
}
