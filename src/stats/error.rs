//! What the functions of this module refuse.

use thiserror::Error;

/// Input for which a p-value would be nonsense, or a computation that cannot be carried out to full accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StatsError {
    /// A probability, level or confidence outside its range.
    #[error("{name} must be a probability, got {got}")]
    NotProbability {
        /// Which argument.
        name: &'static str,
        /// Its value.
        got: f64,
    },
    /// A real argument that is NaN.
    #[error("{name} is not a number")]
    NotANumber {
        /// Which argument.
        name: &'static str,
    },
    /// A real argument that must be positive and finite.
    #[error("{name} must be positive and finite, got {got}")]
    NotPositive {
        /// Which argument.
        name: &'static str,
        /// Its value.
        got: f64,
    },
    /// A logarithm of a probability that lies above zero by more than rounding noise.
    #[error("the logarithm of a probability cannot be {got}")]
    PositiveLog {
        /// The value, base 10.
        got: f64,
    },
    /// A part that is larger than its whole, such as more draws than the population has members.
    #[error("{name} = {got} exceeds {whole}")]
    Exceeds {
        /// Which argument.
        name: &'static str,
        /// Its value.
        got: u64,
        /// The largest value that makes sense.
        whole: u64,
    },
    /// A sample without observations.
    #[error("{name} is empty")]
    Empty {
        /// Which argument.
        name: &'static str,
    },
    /// A layer weight that is negative, NaN or infinite.
    #[error("weight {index} must be finite and not negative, got {got}")]
    BadWeight {
        /// Position in the list.
        index: usize,
        /// Its value.
        got: f64,
    },
    /// Weights that are all zero (or none at all).
    #[error("no weight is positive")]
    NoWeight,
    /// A series that would need too many terms to be useful.
    #[error("the tail needs {terms:e} terms, which is more than {limit:e}")]
    TooManyTerms {
        /// How many it would need.
        terms: f64,
        /// How many are allowed.
        limit: f64,
    },
    /// A numerical inversion whose own error bound is too wide to vouch for its result.
    #[error("the tail could not be resolved: relative error bound {relative_error:e}")]
    Unresolved {
        /// Bound on the relative error of p.
        relative_error: f64,
    },
}

/// Passes a probability in [0, 1] through.
pub(super) fn probability(name: &'static str, got: f64) -> Result<f64, StatsError> {
    if (0.0..=1.0).contains(&got) { Ok(got) } else { Err(StatsError::NotProbability { name, got }) }
}

/// Passes anything but NaN through.
pub(super) fn number(name: &'static str, got: f64) -> Result<f64, StatsError> {
    if got.is_nan() { Err(StatsError::NotANumber { name }) } else { Ok(got) }
}

/// Passes a positive finite number through.
pub(super) fn positive(name: &'static str, got: f64) -> Result<f64, StatsError> {
    if got > 0.0 && got.is_finite() { Ok(got) } else { Err(StatsError::NotPositive { name, got }) }
}

/// Refuses a sum whose terms, about as many as ten standard deviations span, would take more than a second or so.
pub(super) fn affordable(standard_deviation: f64) -> Result<(), StatsError> {
    let terms = 10.0 * standard_deviation;
    if terms <= MAX_TERMS {
        Ok(())
    } else {
        Err(StatsError::TooManyTerms { terms, limit: MAX_TERMS })
    }
}

/// Terms that a single tail may take.
pub(super) const MAX_TERMS: f64 = 1e8;
