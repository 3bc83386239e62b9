//! E-values: evidence that may be multiplied as it comes and looked at after every step.

use serde::{Deserialize, Serialize};

use super::error::{StatsError, number};
use super::logp::LogP;

/// A non-negative statistic whose expectation under the null is at most one, as its natural logarithm.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct EValue(f64);

impl EValue {
    /// e = 1: no evidence.
    pub const ONE: Self = Self(0.0);

    /// From ln e.
    ///
    /// # Errors
    /// [`StatsError::NotANumber`].
    pub fn from_ln(ln: f64) -> Result<Self, StatsError> {
        Ok(Self(number("ln e", ln)?))
    }

    /// ln e.
    pub fn ln(self) -> f64 {
        self.0
    }

    /// The product, an e-value when `next` is one given everything before it. Zero stays zero, also against infinity.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let ln = self.0 + next.0;
        Self(if ln.is_nan() { f64::NEG_INFINITY } else { ln })
    }

    /// min(1, 1/e), by Markov's inequality an upper bound of a p-value.
    pub fn p_bound(self) -> LogP {
        LogP::from_tail((-self.0).min(0.0))
    }
}

/// The running product of e-values and its largest value so far.
///
/// By Ville's inequality P(sup Mₜ ≥ 1/α) ≤ α for a non-negative supermartingale with M₀ = 1: [`EProcess::p_bound`] is valid
/// whenever one stops, also for having looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EProcess {
    now: EValue,
    largest: EValue,
}

impl EProcess {
    /// Before any evidence.
    pub fn new() -> Self {
        Self { now: EValue::ONE, largest: EValue::ONE }
    }

    /// Multiplies by the next e-value, conditional on the past.
    pub fn push(&mut self, next: EValue) {
        self.now = self.now.and(next);
        if self.now > self.largest {
            self.largest = self.now;
        }
    }

    /// The product so far.
    pub fn now(&self) -> EValue {
        self.now
    }

    /// 1 / max Mₜ, by Ville's inequality.
    pub fn p_bound(&self) -> LogP {
        self.largest.p_bound()
    }
}

impl Default for EProcess {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_is_kept() {
        let mut process = EProcess::new();
        for ln in [5.0, 1000.0, -2000.0, 3.0] {
            process.push(EValue::from_ln(ln).unwrap());
        }
        assert_eq!(process.now().ln(), -992.0);
        assert_eq!(process.now().p_bound(), LogP::ONE);
        assert!((process.p_bound().ln() + 1005.0).abs() < 1e-9);
        assert!(EValue::from_ln(f64::NAN).is_err());
    }

    #[test]
    fn ruin_is_final() {
        let ruined = EValue::from_ln(f64::NEG_INFINITY).unwrap();
        assert_eq!(ruined.and(EValue::from_ln(f64::INFINITY).unwrap()).p_bound(), LogP::ONE);
    }
}
