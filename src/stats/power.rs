//! Power: how likely a marked text of a given length is to be found, and how long it has to be.

use super::error::{StatsError, number};
use super::normal::normal_sf_ge;

/// Evidence per token under the alternative: its mean and standard deviation, tokens taken as independent.
///
/// The only place where a normal approximation is used: power is a forecast, not a p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alternative {
    mean: f64,
    sd: f64,
}

impl Alternative {
    /// From the mean and standard deviation of one token's evidence.
    ///
    /// # Errors
    /// [`StatsError::NotANumber`] for the mean, [`StatsError::NotPositive`] unless 0 ≤ sd < ∞.
    pub fn new(mean: f64, sd: f64) -> Result<Self, StatsError> {
        let mean = number("mean", mean)?;
        if !(sd >= 0.0 && sd.is_finite()) {
            return Err(StatsError::NotPositive { name: "sd", got: sd });
        }
        Ok(Self { mean, sd })
    }

    /// P(total ≥ critical) for n tokens, Φ((n·mean − critical) / (sd √n)).
    ///
    /// `critical` is the smallest total that is significant with n tokens, `f64::INFINITY` if none is. NaN gives zero.
    pub fn power(&self, n: u64, critical: f64) -> f64 {
        let n = n as f64;
        let ahead = n * self.mean - critical;
        let spread = self.sd * n.sqrt();
        if spread == 0.0 {
            return if ahead >= 0.0 { 1.0 } else { 0.0 };
        }
        normal_sf_ge(-ahead / spread).map_or(0.0, |p| p.p())
    }

    /// The smallest n ≤ `max` at which the power is at least `target`; `None` if there is none.
    ///
    /// `critical(n)` is as in [`Alternative::power`]. Discrete nulls make power a saw-tooth in n: it drops by one lattice step where
    /// the critical value jumps. The search doubles n, bisects, and then looks back, n by n, over 64 + 8√n lengths, which spans the
    /// teeth of a lattice whose step is near the sd of one token; the answer always reaches the target itself.
    pub fn tokens_needed(
        &self,
        target: f64,
        max: u64,
        critical: impl Fn(u64) -> f64,
    ) -> Option<u64> {
        let reaches = |n: u64| self.power(n, critical(n)) >= target;
        let (mut short, mut enough) = (0, 1.min(max));
        while !(enough > 0 && reaches(enough)) {
            if enough >= max {
                return None;
            }
            short = enough;
            enough = enough.saturating_mul(2).min(max);
        }
        while enough - short > 1 {
            let middle = short + (enough - short) / 2;
            if reaches(middle) { enough = middle } else { short = middle }
        }
        let back = 64 + 8 * (enough as f64).sqrt() as u64;
        (enough.saturating_sub(back).max(1)..=enough).find(|&n| reaches(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{LogP, binomial_sf_ge};

    /// The smallest count with P(K ≥ k) ≤ 10⁻⁵ at γ = ¼.
    fn critical(n: u64) -> f64 {
        let threshold = LogP::new(-5.0).unwrap();
        (0..=n)
            .find(|&k| binomial_sf_ge(k, n, 0.25).unwrap() <= threshold)
            .map_or(f64::INFINITY, |k| k as f64)
    }

    #[test]
    fn tokens_needed_is_the_first_length_in_spite_of_the_saw_tooth() {
        for (mean, target) in [(0.45, 0.5), (0.45, 0.9), (0.6, 0.99), (0.9, 0.5)] {
            let alternative = Alternative::new(mean, (mean * (1.0 - mean)).sqrt()).unwrap();
            let plain = (1..400).find(|&n| alternative.power(n, critical(n)) >= target);
            assert!(plain.is_some());
            assert_eq!(alternative.tokens_needed(target, 100_000, critical), plain);
        }
    }

    #[test]
    fn hopeless_alternatives_have_no_length() {
        let null = Alternative::new(0.25, 0.43).unwrap();
        assert_eq!(null.tokens_needed(0.5, 300, critical), None);
        assert_eq!(null.tokens_needed(0.5, 0, critical), None);
        assert_eq!(null.power(3, f64::INFINITY), 0.0);
        assert!(Alternative::new(f64::NAN, 1.0).is_err());
        assert!(Alternative::new(1.0, -1.0).is_err());
    }

    #[test]
    fn certain_evidence_is_a_step() {
        let always = Alternative::new(1.0, 0.0).unwrap();
        assert_eq!(always.power(8, 9.0), 0.0);
        assert_eq!(
            always.tokens_needed(0.5, 100, critical),
            (1..100).find(|&n| n as f64 >= critical(n))
        );
    }
}
