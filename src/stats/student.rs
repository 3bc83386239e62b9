//! Student's t: the law of a new member of a panel that is normal with unknown mean and variance.

use std::f64::consts::{LN_2, PI};

use super::error::{StatsError, number, positive};
use super::logp::LogP;
use super::special::{HALF_ULP, ln_1m_exp, stirling_error};

/// P(T ≥ t) for Student's T with `df` > 0 degrees of freedom, whole or not.
///
/// With a = df/2 and x = df/(df + t²), for t ≥ 0 (DLMF 8.17.4, 8.17.8)
/// ```text
/// P(T ≥ t) = ½ I_x(a, ½) = x^a √(1−x) Γ(a+½) / (2 √π Γ(a+1)) · Σₙ Πᵢ₌₁ⁿ (a−½+i)/(a+i) x
/// ```
/// whose terms are positive. Near t = 0, where the sum is slow, ½ minus the like sum of I_{1−x}(½, a), which is then well below ½.
///
/// # Errors
/// [`StatsError::NotANumber`] for a NaN, [`StatsError::NotPositive`] unless 0 < `df` < ∞, [`StatsError::TooManyTerms`] where `df`
/// passes 10⁷: the normal law is then as good.
///
/// ```
/// use touchmark::stats::student_t_sf_ge;
///
/// assert!((student_t_sf_ge(2.821, 9.0)?.p() - 0.01).abs() < 1e-4);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
pub fn student_t_sf_ge(t: f64, df: f64) -> Result<LogP, StatsError> {
    let (t, df) = (number("t", t)?, positive("df", df)?);
    if df > MAX_DF {
        return Err(StatsError::TooManyTerms { terms: df, limit: MAX_DF });
    }
    let above = if t.abs() >= 1.0 { ln_far(t.abs(), df) } else { ln_near(t.abs(), df) };
    Ok(LogP::from_tail(if t >= 0.0 { above } else { ln_1m_exp(above) }))
}

/// About 40 · df terms are summed.
const MAX_DF: f64 = 1e7;

/// ln P(T ≥ t) for t ≥ 1.
fn ln_far(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let a = 0.5 * df;
    // t² may overflow; its logarithm does not.
    let ln_rest = 2.0 * t.ln() - df.ln();
    let ln_1p = if ln_rest > 40.0 { ln_rest } else { ln_rest.exp().ln_1p() };
    let x = (-ln_1p).exp();
    let sum = sum_with_limit(x, |n| (a + 0.5 + n) / (a + 1.0 + n));
    -a * ln_1p + 0.5 * (ln_rest - ln_1p) + ln_gamma_ratio(a) - 0.5 * PI.ln() - LN_2 + sum.ln()
}

/// ln P(T ≥ t) for 0 ≤ t < 1.
fn ln_near(t: f64, df: f64) -> f64 {
    let a = 0.5 * df;
    let y = t * t / (df + t * t);
    let sum = sum_with_limit(y, |n| (a + 0.5 + n) / (1.5 + n));
    let ln_front = 0.5 * y.ln() + a * (-y).ln_1p() + ln_gamma_ratio(a) + df.ln() - 0.5 * PI.ln();
    (0.5 - 0.5 * ln_front.exp() * sum).ln()
}

/// ln Γ(a+½) − ln Γ(a+1).
fn ln_gamma_ratio(a: f64) -> f64 {
    a * (0.5 / a).ln_1p() - 0.5 * a.ln() - 0.5 + stirling_error(a + 0.5) - stirling_error(a)
}

/// Σₙ Πᵢ₌₀ⁿ⁻¹ f(i) x, for factors f that tend to one from either side.
fn sum_with_limit(x: f64, factor: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 0.0);
    loop {
        let ratio = factor(n) * x;
        term *= ratio;
        sum += term;
        n += 1.0;
        // The rest is below a geometric series of the larger of this ratio and the last.
        let largest = ratio.max(x);
        if largest < 1.0 && term * largest <= HALF_ULP * sum * (1.0 - largest) {
            return sum;
        }
        if term.is_nan() {
            return term;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_are_defined() {
        for df in [0.1, 1.0, 30.0, 1e6] {
            assert!((student_t_sf_ge(0.0, df).unwrap().p() - 0.5).abs() < 1e-14);
            assert_eq!(student_t_sf_ge(f64::INFINITY, df), Ok(LogP::ZERO));
            assert_eq!(student_t_sf_ge(f64::NEG_INFINITY, df), Ok(LogP::ONE));
        }
        for (t, df) in [(f64::NAN, 3.0), (1.0, f64::NAN), (1.0, 0.0), (1.0, -2.0), (1.0, 1e9)] {
            assert!(student_t_sf_ge(t, df).is_err(), "{t} {df}");
        }
    }

    proptest! {
        #[test]
        fn one_degree_is_cauchy_and_the_halves_meet(t in -50.0f64..50.0, df in 0.2f64..300.0) {
            // atan(1/t)/π keeps its digits far out.
            let cauchy = if t > 0.0 { t.recip().atan() / PI } else { 0.5 - t.atan() / PI };
            prop_assert!((student_t_sf_ge(t, 1.0).unwrap().p() / cauchy - 1.0).abs() < 1e-12);
            let (up, down) = (student_t_sf_ge(t, df).unwrap(), student_t_sf_ge(-t, df).unwrap());
            prop_assert!((up.p() + down.p() - 1.0).abs() < 1e-12);
            let (near, far) = (ln_near(1.0, df), ln_far(1.0, df));
            prop_assert!((near / far - 1.0).abs() < 1e-11, "{near} {far}");
        }
    }
}
