//! What evidence to expect of marked text, without a model: the scheme marks draws from distributions of stated entropy.

use crate::keys::Key;
use crate::profile::Reference;
use crate::sampling::{Candidates, Sampler, Sampling, entropy};
use crate::schemes::{Pick, Spec, SpecError};
use crate::tokens::{TokenId, TokenizerHash};
use crate::watermark::{Marked, Repeats, Text, Vocabulary, Watermark};

/// Mean and standard deviation of one scored token's evidence when `spec` marks text whose next-token distributions are
/// Zipf laws over 1,024 tokens, their entropies exponentially distributed with mean `mean_entropy` nats.
///
/// A model for planning, not a measurement: it decides when a text is called too short, never a p-value.
///
/// # Errors
/// [`SpecError`] for a parameter outside its range.
pub fn expected_evidence(spec: &Spec, mean_entropy: f64) -> Result<Reference, SpecError> {
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: SIZE as u32, special: Vec::new() };
    let key = match spec.key_numbers() {
        None => Key::take(&mut [7; 32]),
        Some(count) => {
            Key::of_numbers((0..count as u64).map(|i| 0x9E37_79B9_7F4A_7C15 ^ i).collect())
                .map_err(|_| SpecError::KeyLength { got: count })?
        }
    };
    let watermark = Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce)?;
    let mut values = Vec::with_capacity(RUNGS * DRAWS);
    for rung in 0..RUNGS {
        let target = -mean_entropy * (1.0 - (rung as f64 + 0.5) / RUNGS as f64).ln();
        let mut logits = zipf(target.min(0.98 * (SIZE as f64).ln()));
        for draw in 0..DRAWS {
            // Another token is the likeliest each time: one list for all positions must not meet the same one again.
            logits.rotate_right(STRIDE);
            values.extend(one_token(&watermark, &logits, (rung * DRAWS + draw) as u32));
        }
    }
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let source =
        format!("simulated, next-token entropies exponential with mean {mean_entropy} nats");
    Ok(Reference { mean, sd: variance.sqrt().max(1e-6), source })
}

/// Evidence of a token marked and chosen from `logits` after a context of its own; `None` where a gate leaves it out.
fn one_token(watermark: &Watermark, logits: &[f32], number: u32) -> Option<f64> {
    let width = watermark.spec().scheme().seeding().width();
    let mut text: Vec<TokenId> = (0..width as u32).map(|i| number.wrapping_mul(64) + i).collect();
    let mut sampler =
        Sampler::new(Sampling { seed: u64::from(number), ..Sampling::default() }, 0).ok()?;
    let mut candidates = Candidates::default();
    candidates.load(logits);
    let nats = entropy(logits);
    let token =
        match watermark.embedder(&[]).mark(&text, &mut candidates, Some(nats), sampler.noise()) {
            Marked::Yes(Pick::Token(token)) => token,
            Marked::Yes(Pick::Sample) | Marked::No(_) => sampler.choose(&mut candidates),
        };
    text.push(token);
    let entropies = vec![nats; text.len()];
    let text = Text::gated(&text, &entropies);
    // Of a mark with messages, message 0 was written, and a message is not looked for in one token.
    let evidence = match watermark.payload_bits() {
        Some(_) => watermark.score_message(&text, 0).ok()?,
        None => watermark.score_text(&text),
    };
    evidence.values.last().copied()
}

/// Logits of p_r ∝ r^−s with s chosen for the entropy.
fn zipf(nats: f64) -> Vec<f32> {
    let logits =
        |s: f64| -> Vec<f32> { (1..=SIZE).map(|rank| (-s * (rank as f64).ln()) as f32).collect() };
    let (mut flat, mut steep) = (0.0, 40.0);
    for _ in 0..40 {
        let middle = 0.5 * (flat + steep);
        if entropy(&logits(middle)) > nats { flat = middle } else { steep = middle }
    }
    logits(steep)
}

/// Nats of entropy a position assumed of a model that nothing is known of.
pub const DEFAULT_ENTROPY: f64 = 2.0;

const SIZE: usize = 1024;
const STRIDE: usize = 389;
const RUNGS: usize = 48;
const DRAWS: usize = 24;
