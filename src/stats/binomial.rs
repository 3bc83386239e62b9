//! Binomial law: the null of green-list counts.

use std::f64::consts::TAU;

use super::error::{StatsError, affordable, probability};
use super::logp::LogP;
use super::special::{deviance, ln_1m_exp, stirling_error, sum_of_products};

/// P(K ≥ k) for K ~ Binomial(n, p).
///
/// ```text
/// P(K ≥ k) = Σ_{i=k}^{n} C(n,i) pⁱ (1−p)ⁿ⁻ⁱ
/// ```
///
/// The smaller tail is summed outwards from k, positive terms only, after Loader's saddle-point form of the first one; the other tail
/// follows by `ln_1p`. So log₁₀ p keeps its relative accuracy both far out and next to p = 1. Time grows with the standard deviation:
/// about 1 µs at n = 1,000, at most a millisecond at n = 10⁹.
///
/// `k > n` gives [`LogP::ZERO`], `k = 0` gives [`LogP::ONE`].
///
/// # Errors
/// [`StatsError::NotProbability`] unless 0 ≤ p ≤ 1; [`StatsError::TooManyTerms`] where √(np(1−p)) passes 10⁷.
///
/// ```
/// use touchmark::stats::binomial_sf_ge;
///
/// let p = binomial_sf_ge(650, 1000, 0.5)?;
/// assert!((p.log10() + 21.0927).abs() < 1e-3);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
pub fn binomial_sf_ge(k: u64, n: u64, p: f64) -> Result<LogP, StatsError> {
    let p = probability("p", p)?;
    if k == 0 || (p == 1.0 && k <= n) {
        return Ok(LogP::ONE);
    }
    if k > n || p == 0.0 {
        return Ok(LogP::ZERO);
    }
    let q = 1.0 - p;
    affordable((n as f64 * p * q).sqrt())?;
    Ok(LogP::from_tail(if k as f64 > n as f64 * p {
        ln_sum_up(k, n, p, q)
    } else {
        ln_1m_exp(ln_sum_down(k - 1, n, p, q))
    }))
}

/// ln P(K = k) for K ~ Binomial(n, p), by Loader's saddle-point form (2000, eq. 5); −∞ where the mass is zero.
///
/// # Errors
/// [`StatsError::NotProbability`] unless 0 ≤ p ≤ 1.
pub fn binomial_ln_pmf(k: u64, n: u64, p: f64) -> Result<f64, StatsError> {
    let p = probability("p", p)?;
    if k > n || (p == 0.0 && k > 0) || (p == 1.0 && k < n) {
        return Ok(f64::NEG_INFINITY);
    }
    if p == 0.0 || p == 1.0 {
        return Ok(0.0);
    }
    Ok(ln_pmf(k as f64, n as f64, p, 1.0 - p))
}

/// ln C(n,k) pᵏ qⁿ⁻ᵏ for 0 ≤ k ≤ n and p + q = 1, both positive. Taking q from the caller keeps its digits when p is near one.
pub(super) fn ln_pmf(k: f64, n: f64, p: f64, q: f64) -> f64 {
    let rest = n - k;
    if k == 0.0 {
        return n * (if p < 0.5 { (-p).ln_1p() } else { q.ln() });
    }
    if rest == 0.0 {
        return n * (if q < 0.5 { (-q).ln_1p() } else { p.ln() });
    }
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, n * p)
        - deviance(rest, n * q)
        + 0.5 * (n / (TAU * k * rest)).ln()
}

/// ln P(K ≥ k), for k above the mean.
fn ln_sum_up(k: u64, n: u64, p: f64, q: f64) -> f64 {
    let odds = p / q;
    let (start, n) = (k as f64, n as f64);
    let mut i = start;
    let sum = sum_of_products(|| {
        let ratio = (n - i) / (i + 1.0) * odds;
        i += 1.0;
        ratio
    });
    ln_pmf(start, n, p, q) + sum.ln()
}

/// ln P(K ≤ k), for k below the mean.
fn ln_sum_down(k: u64, n: u64, p: f64, q: f64) -> f64 {
    let odds = q / p;
    let (start, n) = (k as f64, n as f64);
    let mut i = start;
    let sum = sum_of_products(|| {
        let ratio = i / (n - i + 1.0) * odds;
        i -= 1.0;
        ratio
    });
    ln_pmf(start, n, p, q) + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::special::ln_add_exp;

    fn plain_sf(k: u64, n: u64, p: f64) -> f64 {
        (k..=n).map(|i| binomial_ln_pmf(i, n, p).unwrap().exp()).sum()
    }

    #[test]
    fn edges_are_defined() {
        assert_eq!(binomial_sf_ge(0, 10, 0.3), Ok(LogP::ONE));
        assert_eq!(binomial_sf_ge(11, 10, 0.3), Ok(LogP::ZERO));
        assert_eq!(binomial_sf_ge(3, 10, 0.0), Ok(LogP::ZERO));
        assert_eq!(binomial_sf_ge(10, 10, 1.0), Ok(LogP::ONE));
        assert_eq!(binomial_sf_ge(0, 0, 0.5), Ok(LogP::ONE));
        assert_eq!(binomial_sf_ge(1, 0, 0.5), Ok(LogP::ZERO));
        assert_eq!(binomial_ln_pmf(2, 1, 0.5), Ok(f64::NEG_INFINITY));
        assert_eq!(binomial_ln_pmf(1, 1, 1.0), Ok(0.0));
        assert!(matches!(
            binomial_sf_ge(1, 2, f64::NAN),
            Err(StatsError::NotProbability { name: "p", .. })
        ));
        assert!(binomial_sf_ge(1, 2, 1.0 + 1e-9).is_err());
    }

    #[test]
    fn all_successes_is_a_power() {
        let p = binomial_sf_ge(1000, 1000, 0.25).unwrap();
        assert!((p.log10() / (1000.0 * 0.25f64.log10()) - 1.0).abs() < 1e-14);
    }

    proptest! {
        #[test]
        fn sums_the_mass((n, k) in (1u64..300).prop_flat_map(|n| (Just(n), 0..=n)), p in 0.001f64..0.999) {
            let sf = binomial_sf_ge(k, n, p).unwrap().p();
            prop_assert!((sf - plain_sf(k, n, p)).abs() <= 1e-12 * sf.max(1e-12));
        }

        #[test]
        fn falls_with_k_by_the_mass((n, k) in (1u64..100_000).prop_flat_map(|n| (Just(n), 0..=n)), p in 0.001f64..0.999) {
            let (ge, gt) = (binomial_sf_ge(k, n, p).unwrap(), binomial_sf_ge(k + 1, n, p).unwrap());
            prop_assert!(gt <= ge);
            let together = ln_add_exp(gt.ln(), binomial_ln_pmf(k, n, p).unwrap());
            prop_assert!((together - ge.ln()).abs() < 1e-10 * (1.0 + ge.ln().abs()));
        }

        #[test]
        fn complements_its_mirror((n, k) in (1u64..100_000).prop_flat_map(|n| (Just(n), 1..=n)), p in 0.001f64..0.999) {
            let upper = binomial_sf_ge(k, n, p).unwrap().p();
            let lower = binomial_sf_ge(n - k + 1, n, 1.0 - p).unwrap().p();
            prop_assert!((upper + lower - 1.0).abs() < 1e-10);
        }
    }
}
