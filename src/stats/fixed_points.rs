//! Fixed points of maps between labels that carry no information.

use std::f64::consts::TAU;

use super::logp::LogP;
use super::special::stirling_error;

/// An upper bound of P(X ≥ k), where X counts the labels that a map sends to themselves, summed over `strata` sets of labels, when
/// the labels of the targets are in uniformly random order, independently in each stratum.
///
/// The map may be any function of the unlabelled targets, injective or not, and there may be more targets than sources. j given
/// sources of one stratum are all fixed with probability at most (n−j)!/n!, so E\[C(X, j)\] ≤ 1/j! in one stratum and, by
/// Vandermonde's identity, at most Lʲ/j! in L of them. Markov's inequality for C(X, j) gives, for every j ≤ k,
///
/// ```text
/// P(X ≥ k) ≤ Lʲ / (j! C(k, j)) = Lʲ (k−j)! / k!,   least at j = k − L:   L^(k−L) L! / k!   (1 for k ≤ L)
/// ```
///
/// which is at most Lᵏ/k!. Zero strata have no labels: the bound is 1 for k = 0 and 0 beyond.
pub fn fixed_points_sf_ge(k: u64, strata: u64) -> LogP {
    if k <= strata {
        return LogP::ONE;
    }
    if strata == 0 {
        return LogP::ZERO;
    }
    let (k, l) = (k as f64, strata as f64);
    LogP::from_tail((k - l) * l.ln() + ln_factorial(l) - ln_factorial(k))
}

/// ln n! for a whole n ≥ 0.
fn ln_factorial(n: f64) -> f64 {
    if n < 1.0 { 0.0 } else { n * n.ln() - n + 0.5 * (TAU * n).ln() + stirling_error(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stratum_is_one_over_the_factorial() {
        assert_eq!(fixed_points_sf_ge(0, 1), LogP::ONE);
        assert_eq!(fixed_points_sf_ge(1, 1), LogP::ONE);
        let mut factorial = 1.0f64;
        for k in 2..20u64 {
            factorial *= k as f64;
            let got = fixed_points_sf_ge(k, 1).log10();
            assert!((got + factorial.log10()).abs() < 1e-12 * factorial.log10(), "{k}: {got}");
        }
        // 384! has 828 digits.
        assert_eq!(fixed_points_sf_ge(384, 1).log10().floor(), -828.0);
    }

    #[test]
    fn never_above_the_simple_bound() {
        for strata in 1..30u64 {
            for k in 0..200u64 {
                let simple = k as f64 * (strata as f64).ln() - ln_factorial(k as f64);
                let got = fixed_points_sf_ge(k, strata).ln();
                assert!(got <= simple.min(0.0) + 1e-9, "{k} in {strata}: {got} above {simple}");
            }
        }
        assert_eq!(fixed_points_sf_ge(3, 0), LogP::ZERO);
    }
}
