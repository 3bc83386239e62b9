//! The p-value, kept as its logarithm.

use std::cmp::Ordering;
use std::f64::consts::LN_10;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{StatsError, probability};

/// A p-value as log₁₀ p, always in [−∞, 0].
///
/// Watermark evidence from one long document passes 10⁻³⁰⁸, the smallest normal `f64`, so p itself is never stored. A smaller value
/// is stronger evidence; the order of `LogP` is the order of p.
///
/// In serialised form it is the number log₁₀ p. JSON has no infinity: [`LogP::ZERO`] is written as the most negative finite `f64`,
/// an (absurdly small) upper bound of zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct LogP(f64);

impl LogP {
    /// p = 1: no evidence.
    pub const ONE: Self = Self(0.0);

    /// p = 0: an event that cannot happen under the null, such as more successes than trials.
    pub const ZERO: Self = Self(f64::NEG_INFINITY);

    /// From log₁₀ p. Values above zero by at most 10⁻⁹ are rounding noise and become zero.
    ///
    /// # Errors
    /// [`StatsError::NotANumber`], or [`StatsError::PositiveLog`] when p would exceed one.
    pub fn new(log10_p: f64) -> Result<Self, StatsError> {
        if log10_p.is_nan() {
            return Err(StatsError::NotANumber { name: "log10_p" });
        }
        if log10_p > NOISE {
            return Err(StatsError::PositiveLog { got: log10_p });
        }
        Ok(Self::clamped(log10_p))
    }

    /// From the natural logarithm of p, with the tolerance of [`LogP::new`].
    ///
    /// # Errors
    /// As [`LogP::new`].
    pub fn from_ln(ln_p: f64) -> Result<Self, StatsError> {
        Self::new(ln_p / LN_10)
    }

    /// From p itself.
    ///
    /// # Errors
    /// [`StatsError::NotProbability`] unless 0 ≤ p ≤ 1.
    pub fn from_p(p: f64) -> Result<Self, StatsError> {
        Ok(Self::clamped(probability("p", p)?.log10()))
    }

    /// log₁₀ p.
    pub fn log10(self) -> f64 {
        self.0
    }

    /// ln p.
    pub fn ln(self) -> f64 {
        self.0 * LN_10
    }

    /// p; zero when it is below the smallest `f64`.
    pub fn p(self) -> f64 {
        10f64.powf(self.0)
    }

    /// min(1, p · count): the union bound over `count` tests. A count below one is taken as one.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        Self::clamped(self.0 + count.max(1.0).log10())
    }

    /// From a tail of this module, where only rounding can lift the logarithm above zero. NaN, which no tail returns, would read as
    /// no evidence: a fault must never accuse.
    pub(super) fn from_tail(ln_p: f64) -> Self {
        debug_assert!(!ln_p.is_nan(), "a tail is never NaN");
        Self::clamped(ln_p / LN_10)
    }

    fn clamped(log10_p: f64) -> Self {
        // `min` also turns NaN into zero; adding zero turns −0.0 into 0.0, so that equality and order agree.
        Self(log10_p.min(0.0) + 0.0)
    }
}

impl Eq for LogP {}

impl Ord for LogP {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for LogP {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<f64> for LogP {
    type Error = StatsError;

    fn try_from(log10_p: f64) -> Result<Self, StatsError> {
        Self::new(log10_p)
    }
}

impl From<LogP> for f64 {
    fn from(p: LogP) -> Self {
        p.0.max(Self::MIN)
    }
}

/// p to two significant digits, such as `0.043` or `3.2e-1047`.
impl fmt::Display for LogP {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == f64::NEG_INFINITY {
            return f.write_str("0");
        }
        if self.0 >= -2.0 {
            return write!(f, "{:.*}", if self.0 >= -1.0 { 2 } else { 3 }, self.p());
        }
        let exponent = self.0.floor();
        let mantissa = (10f64.powf(self.0 - exponent) * 10.0).round() / 10.0;
        if mantissa < 10.0 {
            write!(f, "{mantissa:.1}e{exponent:.0}")
        } else {
            write!(f, "1.0e{:.0}", exponent + 1.0)
        }
    }
}

/// How far above zero a logarithm may lie and still be the rounding of zero.
const NOISE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_clamped_and_nonsense_refused() {
        assert_eq!(LogP::new(1e-12), Ok(LogP::ONE));
        assert_eq!(LogP::new(-0.0).unwrap().cmp(&LogP::ONE), Ordering::Equal);
        assert_eq!(LogP::new(0.1), Err(StatsError::PositiveLog { got: 0.1 }));
        assert_eq!(LogP::new(f64::NAN), Err(StatsError::NotANumber { name: "log10_p" }));
        assert_eq!(LogP::from_p(0.0), Ok(LogP::ZERO));
        assert!(LogP::from_p(1.5).is_err());
    }

    #[test]
    fn smaller_is_stronger() {
        let strong = LogP::new(-400.0).unwrap();
        assert!(strong < LogP::new(-3.0).unwrap());
        assert!(LogP::ZERO < strong && strong < LogP::ONE);
        assert_eq!(strong.p(), 0.0);
    }

    #[test]
    fn display_never_underflows() {
        let shown = |log10_p: f64| LogP::new(log10_p).unwrap().to_string();
        assert_eq!(shown(0.0), "1.00");
        assert_eq!(shown(0.043f64.log10()), "0.043");
        assert_eq!(shown(-1046.5), "3.2e-1047");
        assert_eq!(shown(-44.001), "1.0e-44");
        assert_eq!(LogP::ZERO.to_string(), "0");
    }

    #[test]
    fn serialised_as_a_number() {
        let text = serde_json::to_string(&LogP::new(-12.5).unwrap()).unwrap();
        assert_eq!(text, "-12.5");
        assert_eq!(serde_json::from_str::<LogP>(&text).unwrap().log10(), -12.5);
        let zero = serde_json::to_string(&LogP::ZERO).unwrap();
        assert_eq!(serde_json::from_str::<LogP>(&zero).unwrap().log10(), f64::MIN);
        assert!(serde_json::from_str::<LogP>("0.5").is_err());
    }
}
