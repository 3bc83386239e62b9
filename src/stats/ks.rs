//! Kolmogorov–Smirnov tests of p-values against uniformity, for calibration.

use super::error::{StatsError, probability};
use super::logp::LogP;

/// A Kolmogorov–Smirnov statistic and an upper bound of its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ks {
    /// The largest distance between the empirical distribution function and that of U(0, 1).
    pub distance: f64,
    /// Upper bound of the p-value.
    pub p: LogP,
}

/// Whether a sample could come from U(0, 1): D = sup |Fₙ(x) − x|, p ≤ min(1, 2 e^{−2nD²}).
///
/// The bound holds for every n and D (Massart 1990, corollary 1) and is within a few per cent of the truth where p is small.
///
/// # Errors
/// [`StatsError::Empty`]; [`StatsError::NotProbability`] for a value outside [0, 1].
pub fn ks_uniform(sample: &[f64]) -> Result<Ks, StatsError> {
    let (above, below) = ks_distances(sample)?;
    let distance = above.max(below);
    Ok(Ks {
        distance,
        p: LogP::from_tail((std::f64::consts::LN_2 + exponent(sample.len(), distance)).min(0.0)),
    })
}

/// Whether a sample of p-values is valid, that is, could come from a law with P(p ≤ x) ≤ x: D⁺ = sup (Fₙ(x) − x), p ≤ e^{−2nD²}.
///
/// For certified bounds and corrected p-values, which may be larger than uniform. The one-sided bound is Massart's (1990, theorem 1),
/// proved where it is at most ½; p is taken as one elsewhere.
///
/// # Errors
/// As [`ks_uniform`].
pub fn ks_valid(sample: &[f64]) -> Result<Ks, StatsError> {
    let distance = ks_distances(sample)?.0.max(0.0);
    let ln_p = exponent(sample.len(), distance);
    Ok(Ks {
        distance,
        p: if ln_p <= -std::f64::consts::LN_2 { LogP::from_tail(ln_p) } else { LogP::ONE },
    })
}

fn exponent(n: usize, distance: f64) -> f64 {
    -2.0 * n as f64 * distance * distance
}

/// D⁺ = sup (Fₙ(x) − x) and D⁻ = sup (x − Fₙ(x)): how far a sample lies below U(0, 1), and how far above.
///
/// # Errors
/// As [`ks_uniform`].
pub fn ks_distances(sample: &[f64]) -> Result<(f64, f64), StatsError> {
    if sample.is_empty() {
        return Err(StatsError::Empty { name: "sample" });
    }
    let mut sorted =
        sample.iter().map(|&x| probability("sample", x)).collect::<Result<Vec<_>, _>>()?;
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mut worst = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for (i, x) in sorted.iter().enumerate() {
        worst = (worst.0.max((i as f64 + 1.0) / n - x), worst.1.max(x - i as f64 / n));
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_is_uniform_and_its_square_is_not_valid() {
        let grid: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        let fit = ks_uniform(&grid).unwrap();
        assert!((fit.distance - 0.0005).abs() < 1e-12);
        assert_eq!(fit.p, LogP::ONE);
        let small: Vec<f64> = grid.iter().map(|x| x * x).collect();
        let large: Vec<f64> = grid.iter().map(|x| x.sqrt()).collect();
        assert!((ks_valid(&small).unwrap().distance - 0.25).abs() < 1e-2);
        assert!(ks_valid(&small).unwrap().p.log10() < -50.0);
        assert_eq!(ks_valid(&large).unwrap().p, LogP::ONE);
        assert!(ks_uniform(&large).unwrap().p.log10() < -50.0);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(ks_uniform(&[]), Err(StatsError::Empty { name: "sample" }));
        assert!(ks_uniform(&[0.2, f64::NAN]).is_err());
        assert!(ks_valid(&[1.2]).is_err());
    }

    /// All ties at one: the step of the empirical function counts from both sides.
    #[test]
    fn ties_count_once() {
        let ones = ks_uniform(&[1.0; 100]).unwrap();
        assert_eq!(ones.distance, 1.0);
        assert_eq!(ks_valid(&[1.0; 100]).unwrap().distance, 0.0);
    }
}
