//! A known answer: what a mark writes, its detector must find.

use std::sync::Arc;

use crate::detect::{DetectError, Detector};
use crate::sampling::{Candidates, Sampler, Sampling};
use crate::schemes::Pick;
use crate::tokens::TokenId;
use crate::watermark::{Embedder, Marked, Text, Watermark};

/// Writes 200 tokens of a model to which every token is equally likely, marked, and reads them back. Gives log₁₀ p.
///
/// Key, profile, vocabulary and detector belong together if that is small: of tokens marked with another key it is below
/// 10⁻⁴ once in ten thousand times.
///
/// # Errors
/// [`KnownAnswerError`] when it is not.
pub fn known_answer(
    watermark: &Arc<Watermark>,
    detector: &Detector,
    message: Option<u64>,
) -> Result<f64, KnownAnswerError> {
    let ids = written(watermark, message)?;
    let entropies = vec![f64::from(watermark.vocab_size()).ln(); ids.len()];
    let p = detector.p_of_wholes(&[Text::gated(&ids, &entropies)])?.log10();
    if p > THRESHOLD { Err(KnownAnswerError::Missed { log10_p: p }) } else { Ok(p) }
}

fn written(
    watermark: &Arc<Watermark>,
    message: Option<u64>,
) -> Result<Vec<TokenId>, KnownAnswerError> {
    let vocab_size = watermark.vocab_size();
    let logits = vec![0.0; vocab_size as usize];
    let nats = f64::from(vocab_size).ln();
    let sampling = Sampling { seed: 1, ..Sampling::default() };
    let mut sampler = Sampler::new(sampling, 0).map_err(|_| KnownAnswerError::Sampling)?;
    let mut embedder = Embedder::new(Arc::clone(watermark), &[]);
    if let Some(message) = message {
        embedder = embedder.with_message(message)?;
    }
    let (mut ids, mut candidates) = (Vec::new(), Candidates::default());
    while ids.len() < TOKENS {
        candidates.load(&logits);
        // Nothing is truncated, so both stages see the same.
        let marked = embedder.mark(&ids, &mut candidates, Some(nats), sampler.noise());
        ids.push(match marked {
            Marked::Yes(Pick::Token(token)) => token,
            _ => sampler.choose(&mut candidates),
        });
    }
    Ok(ids)
}

/// Tokens of a known answer.
pub const TOKENS: usize = 200;
/// log₁₀ p that it must reach.
pub const THRESHOLD: f64 = -4.0;

/// Why a mark is not fit to be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownAnswerError {
    /// The detector does not find what was written.
    #[error(
        "the self-test failed: of a text written with the mark, the detector says log10 p = {log10_p:.1}; key, profile and tokenizer \
         do not belong together, or the scheme's parameters are too weak to be found in {TOKENS} tokens"
    )]
    Missed {
        /// What it says.
        log10_p: f64,
    },
    /// The sampler's own parameters.
    #[error("internal fault: the self-test could not choose tokens")]
    Sampling,
    /// The message.
    #[error(transparent)]
    Message(#[from] crate::schemes::SpecError),
    /// The detector.
    #[error(transparent)]
    Detect(#[from] DetectError),
}
