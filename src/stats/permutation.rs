//! p-values by comparison with draws, and p-values made uniform by a coin.

use super::error::{StatsError, probability};
use super::logp::LogP;
use super::special::ln_add_exp;

/// The permutation (or decoy) p-value (1 + b) / (N + 1), where b of N draws under the null reach the observed statistic.
///
/// Ties count as reaching it, and p is never zero (Phipson & Smyth 2010).
///
/// # Errors
/// [`StatsError::Exceeds`] when b > N.
pub fn permutation_p(at_least_as_large: u64, draws: u64) -> Result<LogP, StatsError> {
    if at_least_as_large > draws {
        return Err(StatsError::Exceeds {
            name: "at_least_as_large",
            got: at_least_as_large,
            whole: draws,
        });
    }
    LogP::new(((at_least_as_large as f64 + 1.0) / (draws as f64 + 1.0)).log10())
}

/// The randomised p-value of a discrete statistic, P(X > x) + u · P(X = x), exactly uniform under the null for u uniform on (0, 1).
///
/// It takes the two tails `gt` = P(X > x) and `ge` = P(X ≥ x), and mixes them as (1−u)·gt + u·ge, where nothing cancels. For
/// calibration only: a report uses `ge`.
///
/// # Errors
/// [`StatsError::NotProbability`] unless 0 ≤ u ≤ 1.
pub fn randomised_p(gt: LogP, ge: LogP, u: f64) -> Result<LogP, StatsError> {
    let u = probability("u", u)?;
    Ok(LogP::from_tail(ln_add_exp(gt.ln() + (-u).ln_1p(), ge.ln() + u.ln())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{binomial_ln_pmf, binomial_sf_ge};

    #[test]
    fn permutation_p_is_never_zero() {
        assert!((permutation_p(0, 999).unwrap().log10() + 3.0).abs() < 1e-15);
        assert_eq!(permutation_p(7, 7), Ok(LogP::ONE));
        assert_eq!(permutation_p(0, 0), Ok(LogP::ONE));
        assert!(permutation_p(8, 7).is_err());
    }

    #[test]
    fn randomised_p_spans_the_mass() {
        let (ge, gt) =
            (binomial_sf_ge(80, 200, 0.25).unwrap(), binomial_sf_ge(81, 200, 0.25).unwrap());
        assert_eq!(randomised_p(gt, ge, 0.0), Ok(gt));
        assert_eq!(randomised_p(gt, ge, 1.0), Ok(ge));
        let plain = gt.p() + 0.3 * binomial_ln_pmf(80, 200, 0.25).unwrap().exp();
        assert!((randomised_p(gt, ge, 0.3).unwrap().p() / plain - 1.0).abs() < 1e-12);
        assert_eq!(randomised_p(LogP::ZERO, LogP::ZERO, 0.5), Ok(LogP::ZERO));
        assert!(randomised_p(gt, ge, -0.1).is_err());
    }
}
