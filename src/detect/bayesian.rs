//! The Bayesian detector of SynthID-Text, with the weights that a user trained.
//!
//! transformers 5.17.0, `BayesianDetectorModel`; Dathathri et al. 2024, supplementary information. Of a token whose layers'
//! bits are g₁ … g_m, with weights β (m) and δ (m × m):
//!
//! ```text
//! P(two different tokens met in layer l) = σ(ψ_l),    ψ_l = β_l + Σ_{j<l} δ_lj g_j
//! P(g_l | marked) / P(g_l | unmarked)    = (g_l + ½)·σ(ψ_l) + 1 − σ(ψ_l)
//! posterior = σ( logit(prior) + Σ ln ratio ),   over layers and the tokens that count;  prior held to [1e-5, 1 − 1e-5]
//! ```
//!
//! Tokens count as the tool has it: their context is not among the last `context_history_size`, and no end-of-text id stands
//! at or before them. The result is a posterior probability under the user's own prior and training texts. It is no p-value:
//! at a prior of ½ nothing bounds how often unmarked text exceeds it, and repeated contexts beyond the memory count again.

use serde::Deserialize;

use crate::schemes::Spec;
use crate::tokens::TokenId;
use crate::watermark::{Text, Watermark};

/// Weights of a trained detector.
///
/// As JSON: the state dictionary of transformers' `BayesianDetectorModel`, each tensor as nested lists.
///
/// ```
/// use touchmark::detect::BayesianDetector;
/// let json = r#"{
///   "prior": [0.5],
///   "likelihood_model_watermarked.beta": [[[-2.5, -2.5]]],
///   "likelihood_model_watermarked.delta": [[[[0.0, 0.0], [0.1, 0.0]]]]
/// }"#;
/// let detector: BayesianDetector = serde_json::from_str(json)?;
/// assert!(detector.posterior(&[0b11; 50]) > 0.5);
/// assert!(detector.posterior(&[0b00; 50]) < 0.5);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "StateDict")]
pub struct BayesianDetector {
    /// β, one for each layer.
    beta: Vec<f64>,
    /// δ, a row for each layer; only what is left of the diagonal is read.
    delta: Vec<Vec<f64>>,
    prior: f64,
}

/// The tensors under their names: shapes (1), (1, 1, m), (1, 1, m, m).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateDict {
    prior: Vec<f64>,
    #[serde(rename = "likelihood_model_watermarked.beta")]
    beta: Vec<Vec<Vec<f64>>>,
    #[serde(rename = "likelihood_model_watermarked.delta")]
    delta: Vec<Vec<Vec<Vec<f64>>>>,
}

impl TryFrom<StateDict> for BayesianDetector {
    type Error = BayesianError;

    fn try_from(tensors: StateDict) -> Result<Self, BayesianError> {
        let shape = |tensor, needed| BayesianError::Shape { tensor, needed };
        let [prior] = tensors.prior[..] else { return Err(shape("prior", "(1)")) };
        let beta = only(tensors.beta).and_then(only).ok_or_else(|| shape(BETA, "(1, 1, depth)"))?;
        let delta = only(tensors.delta)
            .and_then(only)
            .ok_or_else(|| shape(DELTA, "(1, 1, depth, depth)"))?;
        Self::new(beta, delta, prior)
    }
}

/// What a dimension of 1 holds.
fn only<T>(list: Vec<T>) -> Option<T> {
    let mut items = list.into_iter();
    items.next().filter(|_| items.next().is_none())
}

const BETA: &str = "likelihood_model_watermarked.beta";
const DELTA: &str = "likelihood_model_watermarked.delta";

impl BayesianDetector {
    /// From β (m numbers), δ (m rows of m) and the prior probability of a mark.
    ///
    /// # Errors
    /// [`BayesianError`]: no layer, another shape, or a number that is none or no probability.
    pub fn new(beta: Vec<f64>, delta: Vec<Vec<f64>>, prior: f64) -> Result<Self, BayesianError> {
        let depth = beta.len();
        if !(1..=64).contains(&depth) {
            return Err(BayesianError::Shape {
                tensor: BETA,
                needed: "(1, 1, depth), depth 1 to 64",
            });
        }
        if delta.len() != depth || delta.iter().any(|row| row.len() != depth) {
            return Err(BayesianError::Shape { tensor: DELTA, needed: "(1, 1, depth, depth)" });
        }
        let finite = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite());
        if !finite(&beta) {
            return Err(BayesianError::NotFinite { tensor: BETA });
        }
        if !delta.iter().all(|row| finite(row)) {
            return Err(BayesianError::NotFinite { tensor: DELTA });
        }
        if !(0.0..=1.0).contains(&prior) {
            return Err(BayesianError::Prior { got: prior });
        }
        Ok(Self { beta, delta, prior })
    }

    /// Number of layers.
    pub fn depth(&self) -> u32 {
        self.beta.len() as u32
    }

    /// Refuses a mark whose layers these weights are not for.
    ///
    /// # Errors
    /// [`BayesianError::Scheme`], [`BayesianError::Depth`].
    pub fn check(&self, spec: &Spec) -> Result<(), BayesianError> {
        let Spec::SynthIdText(scheme) = spec else {
            return Err(BayesianError::Scheme { got: spec.name() });
        };
        let (weights, profile) = (self.depth(), scheme.depth);
        if weights == profile { Ok(()) } else { Err(BayesianError::Depth { weights, profile }) }
    }

    /// P(marked | bits), given the layers of each token that counts, layer 0 lowest.
    pub fn posterior(&self, tokens: &[u64]) -> f64 {
        let prior = self.prior.clamp(1e-5, 1.0 - 1e-5);
        let log_odds = (prior / (1.0 - prior)).ln();
        sigmoid(tokens.iter().fold(log_odds, |sum, &bits| sum + self.log_ratio(bits)))
    }

    /// ln P(bits | marked) − ln P(bits | unmarked).
    fn log_ratio(&self, bits: u64) -> f64 {
        let layers = self.beta.iter().zip(&self.delta).enumerate();
        layers
            .map(|(layer, (beta, delta))| {
                let earlier = delta.iter().take(layer).enumerate();
                let lit = earlier.filter(|(j, _)| bits >> j & 1 == 1).map(|(_, delta)| delta);
                let two = sigmoid(beta + lit.sum::<f64>());
                let bit = (bits >> layer & 1) as f64;
                ((bit - 0.5) * two).ln_1p()
            })
            .sum()
    }

    /// P(marked | text): the tokens that count are those before the first of `ends` whose contexts are new to the mark's
    /// memory. Where none counts this is the prior.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub fn examine(
        &self,
        watermark: &Watermark,
        tokens: &[TokenId],
        ends: &[TokenId],
    ) -> Result<f64, BayesianError> {
        self.check(watermark.spec())?;
        Ok(self.posterior(&counted_bits(watermark, tokens, ends)))
    }
}

/// The layers of the tokens that the tools count in a text; none for another scheme's mark.
pub fn counted_bits(watermark: &Watermark, tokens: &[TokenId], ends: &[TokenId]) -> Vec<u64> {
    let mut counted = Vec::new();
    let Spec::SynthIdText(scheme) = watermark.spec() else { return counted };
    let end = tokens.iter().position(|token| ends.contains(token)).unwrap_or(tokens.len());
    watermark.replay(&Text::of(&tokens[..end]), |position, repeated, draw| {
        if !repeated {
            counted.push(scheme.bits(draw, tokens[position]));
        }
    });
    counted
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Why weights cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BayesianError {
    /// A tensor of another shape.
    #[error("{tensor} must have the shape {needed}")]
    Shape {
        /// Its name.
        tensor: &'static str,
        /// The shape.
        needed: &'static str,
    },
    /// Infinite, or not a number.
    #[error("{tensor} holds a number that is not finite")]
    NotFinite {
        /// Its name.
        tensor: &'static str,
    },
    /// Not a probability.
    #[error("the prior is {got}, but must be a probability, 0 to 1")]
    Prior {
        /// The value.
        got: f64,
    },
    /// Weights for another number of layers.
    #[error(
        "the weights are for {weights} layers, but the profile has {profile}; train them with the profile's keys"
    )]
    Depth {
        /// Layers of the weights.
        weights: u32,
        /// Layers of the profile.
        profile: u32,
    },
    /// Another scheme's mark.
    #[error("a Bayesian detector reads marks of the scheme \"synthid-text\", not \"{got}\"")]
    Scheme {
        /// The scheme.
        got: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_weights_are_refused() {
        let square = |side: usize| vec![vec![0.0; side]; side];
        let new = |beta: &[f64], delta, prior| BayesianDetector::new(beta.to_vec(), delta, prior);
        assert!(new(&[0.0; 2], square(2), 0.5).is_ok());
        assert!(matches!(new(&[], square(0), 0.5), Err(BayesianError::Shape { tensor: BETA, .. })));
        let ragged = vec![vec![0.0; 2], vec![0.0]];
        for delta in [square(3), ragged] {
            let error = new(&[0.0; 2], delta, 0.5);
            assert!(matches!(error, Err(BayesianError::Shape { tensor: DELTA, .. })));
        }
        let error = new(&[0.0, f64::NAN], square(2), 0.5);
        assert_eq!(error, Err(BayesianError::NotFinite { tensor: BETA }));
        assert_eq!(new(&[0.0], square(1), 1.5), Err(BayesianError::Prior { got: 1.5 }));
        for json in [
            r#"{"prior":[0.5,0.5],"likelihood_model_watermarked.beta":[[[0.0]]],"likelihood_model_watermarked.delta":[[[[0.0]]]]}"#,
            r#"{"prior":[0.5],"likelihood_model_watermarked.beta":[[[0.0],[0.0]]],"likelihood_model_watermarked.delta":[[[[0.0]]]]}"#,
            r#"{"prior":[0.5],"likelihood_model_watermarked.beta":[[[0.0]]],"likelihood_model_watermarked.delta":[[[[0.0]]]],"more":1}"#,
        ] {
            assert!(serde_json::from_str::<BayesianDetector>(json).is_err(), "{json}");
        }
    }
}
