//! Exact intervals for a proportion.

use serde::{Deserialize, Serialize};

use super::binomial::binomial_sf_ge;
use super::error::{StatsError, positive, probability};

/// A closed interval, of probabilities or of means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether x lies in the interval, ends included.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }
}

/// The Clopper–Pearson interval for the success probability after k successes in n trials: for every true value it covers with at
/// least the given confidence (Clopper & Pearson 1934).
///
/// ```text
/// P(K ≥ k | low) = (1 − confidence)/2 = P(K ≤ k | high);   low = 0 for k = 0, high = 1 for k = n
/// ```
///
/// Ends are found by bisection and rounded outwards.
///
/// # Errors
/// [`StatsError::NotProbability`] for the confidence, [`StatsError::Empty`] for n = 0, [`StatsError::Exceeds`] when k > n.
pub fn clopper_pearson(k: u64, n: u64, confidence: f64) -> Result<Interval, StatsError> {
    let ln_alpha = (0.5 * (1.0 - probability("confidence", confidence)?)).ln();
    if n == 0 {
        return Err(StatsError::Empty { name: "trials" });
    }
    if k > n {
        return Err(StatsError::Exceeds { name: "successes", got: k, whole: n });
    }
    let failures = n - k;
    // P(K ≤ k | p) = P(n − K ≥ n − k), with n − K ~ Binomial(n, 1 − p): both ends are the same search.
    let low = largest_p_below(k, n, ln_alpha)?;
    let high = 1.0 - largest_p_below(failures, n, ln_alpha)?;
    Ok(Interval { low, high: if failures == 0 { 1.0 } else { high } })
}

/// An interval for the mean expectation of n independent variables that lie between 0 and `most`, from their mean and their sample
/// variance: it covers with at least the given confidence, whatever their laws are (Maurer & Pontil 2009, "Empirical Bernstein
/// bounds and sample-variance penalization", theorem 4, on both sides).
///
/// ```text
/// mean ± ( √(2 variance ln(2/δ) / n)  +  7 most ln(2/δ) / (3 (n − 1)) ),   δ = (1 − confidence)/2
/// ```
///
/// # Errors
/// [`StatsError::NotProbability`] for the confidence, [`StatsError::Empty`] for n < 2, [`StatsError::NotPositive`] for `most`.
pub fn empirical_bernstein(
    mean: f64,
    variance: f64,
    n: u64,
    most: f64,
    confidence: f64,
) -> Result<Interval, StatsError> {
    let delta = 0.5 * (1.0 - probability("confidence", confidence)?);
    let most = positive("most", most)?;
    if n < 2 {
        return Err(StatsError::Empty { name: "sample of two or more" });
    }
    let (n, ln) = (n as f64, (2.0 / delta).ln());
    let off = (2.0 * variance * ln / n).sqrt() + 7.0 * most * ln / (3.0 * (n - 1.0));
    Ok(Interval { low: (mean - off).max(0.0), high: (mean + off).min(most) })
}

/// The p at which P(K ≥ k) is e^ln_alpha, from below; zero for k = 0 or full confidence.
fn largest_p_below(k: u64, n: u64, ln_alpha: f64) -> Result<f64, StatsError> {
    let (mut low, mut high) = (0.0, 1.0);
    if k == 0 || ln_alpha == f64::NEG_INFINITY {
        return Ok(low);
    }
    loop {
        let middle = 0.5 * (low + high);
        if high - low <= 1e-15 * high || middle <= low || middle >= high {
            return Ok(low);
        }
        if binomial_sf_ge(k, n, middle)?.ln() <= ln_alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Closed forms at the edges: (α/2)^(1/n).
    #[test]
    fn edges_have_closed_forms() {
        let none = clopper_pearson(0, 50, 0.95).unwrap();
        assert_eq!(none.low, 0.0);
        assert!((none.high - (1.0 - 0.025f64.powf(0.02))).abs() < 1e-12);
        let all = clopper_pearson(50, 50, 0.95).unwrap();
        assert!((all.low - 0.025f64.powf(0.02)).abs() < 1e-12);
        assert_eq!(all.high, 1.0);
        assert!(clopper_pearson(0, 0, 0.95).is_err());
        assert!(clopper_pearson(2, 1, 0.95).is_err());
        assert!(clopper_pearson(1, 2, 1.5).is_err());
    }

    /// R: binom.test(7, 20)$conf.int gives 0.1539092 0.5921885.
    #[test]
    fn textbook_case() {
        let interval = clopper_pearson(7, 20, 0.95).unwrap();
        assert!(
            (interval.low - 0.153_909_2).abs() < 1e-7 && (interval.high - 0.592_188_5).abs() < 1e-7,
            "{interval:?}"
        );
    }

    /// 2,000 samples of 60 from laws with mean 0.1 and 0.4: the stated 90 % are covered, and the width shrinks with the variance.
    #[test]
    fn means_of_bounded_variables_are_covered() {
        let mut state = 3u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for share in [0.1, 0.4] {
            let mut missed = 0;
            for _ in 0..2_000 {
                let green = (0..60).filter(|_| uniform() < share).count() as f64;
                let (mean, n) = (green / 60.0, 60.0);
                let variance = mean * (1.0 - mean) * n / (n - 1.0);
                let interval = empirical_bernstein(mean, variance, 60, 1.0, 0.9).unwrap();
                missed += usize::from(!interval.contains(share));
            }
            assert!(missed <= 200, "{missed}");
        }
        let width = |variance| {
            let interval = empirical_bernstein(0.5, variance, 10_000, 1.0, 0.95).unwrap();
            interval.high - interval.low
        };
        assert!(width(0.25) < 0.05 && width(0.01) < 0.4 * width(0.25));
        assert!(empirical_bernstein(0.5, 0.1, 1, 1.0, 0.95).is_err());
    }

    #[test]
    fn full_and_no_confidence() {
        assert_eq!(clopper_pearson(3, 9, 1.0), Ok(Interval { low: 0.0, high: 1.0 }));
        assert!(clopper_pearson(3, 9, 0.0).unwrap().contains(1.0 / 3.0));
    }

    proptest! {
        #[test]
        fn ends_solve_their_equations((n, k) in (1u64..2000).prop_flat_map(|n| (Just(n), 0..=n)), confidence in 0.5f64..0.9999) {
            let interval = clopper_pearson(k, n, confidence).unwrap();
            prop_assert!(interval.contains(k as f64 / n as f64));
            let alpha = 0.5 * (1.0 - confidence);
            if k > 0 {
                prop_assert!((binomial_sf_ge(k, n, interval.low).unwrap().p() / alpha - 1.0).abs() < 1e-9);
            }
            if k < n {
                let below = binomial_sf_ge(n - k, n, 1.0 - interval.high).unwrap().p();
                prop_assert!((below / alpha - 1.0).abs() < 1e-9);
            }
        }
    }
}
