//! Weighted sum of two gamma sums: the null of schemes that read two exponential draws a token.

use super::binomial;
use super::error::{MAX_TERMS, StatsError, affordable, number, probability};
use super::gamma::{ln_kernel, ln_lower, ln_upper};
use super::logp::LogP;
use super::special::{HALF_ULP, ln_1m_exp};

/// P((1−α)A + αB ≥ x) for independent A, B ~ Gamma(n, 1).
///
/// With β₁ the smaller and β₂ the larger of the two weights and r = β₁/β₂, Gamma(n, scale β₂) is a mixture of Gamma(n+K, scale β₁),
/// K negative binomial (Moschopoulos 1985, *The distribution of the sum of independent gamma random variables*, here with two terms):
///
/// ```text
/// P(S ≥ x) = Σ_{k≥0} C(n+k−1, k) rⁿ (1−r)ᵏ Q(2n+k, x/β₁)
/// ```
///
/// Every term is positive and the terms are log-concave in k, so the sum runs over a window around the largest one and the rest on
/// both sides is below geometric series whose sum is under 2⁻⁵⁴ of the result. At or below the mean n the lower tail is summed
/// instead. α = ½, 0 and 1 are single gamma laws. The window has about 20 √(n(1−r))/r terms of 10 ns: 15 µs at n = 1,000, α = ¼.
///
/// `n = 0` is the sum of nothing: [`LogP::ONE`] for x ≤ 0, [`LogP::ZERO`] above.
///
/// # Errors
/// [`StatsError::NotProbability`] unless 0 ≤ α ≤ 1; [`StatsError::NotANumber`] for x; [`StatsError::TooManyTerms`] when a tiny α that
/// is not zero makes the window wider than 10⁸.
pub fn two_gamma_sf_ge(x: f64, n: u64, alpha: f64) -> Result<LogP, StatsError> {
    let (x, alpha) = (number("x", x)?, probability("alpha", alpha)?);
    if x <= 0.0 {
        return Ok(LogP::ONE);
    }
    if n == 0 || x == f64::INFINITY {
        return Ok(LogP::ZERO);
    }
    let (small, large) = (alpha.min(1.0 - alpha), alpha.max(1.0 - alpha));
    let shape = n as f64;
    affordable(shape.sqrt())?;
    let ln_p = if small == 0.0 {
        ln_upper(shape, x)
    } else if small == large {
        ln_upper(2.0 * shape, x / small)
    } else {
        Mixture::new(x, shape, small, large)?.ln_sf()
    };
    Ok(LogP::from_tail(ln_p))
}

/// The mixture over K, in units of the smaller scale.
struct Mixture {
    n: f64,
    /// r = β₁/β₂, the success probability of K, and 1 − r.
    success: f64,
    failure: f64,
    /// x/β₁.
    y: f64,
    /// Whether x lies above the mean of the sum.
    above_mean: bool,
    /// Where the terms are largest, and how wide the bump is: mean and deviation of K under the tilt that puts the mean of S at x.
    centre: f64,
    spread: f64,
    /// 1/success under that tilt: the scale of the exponential right flank.
    flank: f64,
}

impl Mixture {
    fn new(x: f64, n: f64, small: f64, large: f64) -> Result<Self, StatsError> {
        let success = small / large;
        let failure = (large - small) / large;
        let tilted_failure = failure / (1.0 - small * saddle(x, n, small * large));
        let tilted_success = (1.0 - tilted_failure).max(f64::MIN_POSITIVE);
        let centre = n * tilted_failure / tilted_success;
        let spread = (n * tilted_failure).sqrt() / tilted_success;
        let flank = tilted_success.recip();
        let terms = 2.0 * (WIDTH * spread + FLANKS * flank);
        if terms > MAX_TERMS {
            return Err(StatsError::TooManyTerms { terms, limit: MAX_TERMS });
        }
        Ok(Self { n, success, failure, y: x / small, above_mean: x > n, centre, spread, flank })
    }

    fn ln_sf(&self) -> f64 {
        let mut widening = 1.0;
        loop {
            let sum = if self.above_mean {
                self.ln_upper_from(widening)
            } else {
                self.ln_lower_from(widening)
            };
            match sum {
                Some(ln) => return if self.above_mean { ln } else { ln_1m_exp(ln) },
                None => widening *= 2.0,
            }
        }
    }

    /// Σ P(K=k) Q(2n+k, y), upwards from the left edge of the window; `None` when what lies left of it matters.
    fn ln_upper_from(&self, widening: f64) -> Option<f64> {
        let first = (self.centre - widening * WIDTH * self.spread).floor().max(0.0);
        let ln_tail = ln_upper(2.0 * self.n + first, self.y);
        // Q(s+1, y) / Q(s, y) = 1 + h(s), where h(s) = y^s e^−y / (Γ(s+1) Q(s, y)).
        let mut hazard = (ln_kernel(2.0 * self.n + first, self.y) - ln_tail).exp();
        let mut k = first;
        let ratio = || {
            let growth = 1.0 + hazard;
            let ratio = (self.n + k) / (k + 1.0) * self.failure * growth;
            k += 1.0;
            hazard *= self.y / ((2.0 * self.n + k) * growth);
            ratio
        };
        let ln_sum = ln_sum_over_mode(ratio, first == 0.0)?;
        Some(self.ln_mixing(first) + ln_tail + ln_sum)
    }

    /// Σ P(K=k) P(2n+k, y) for the lower tail, downwards from the right edge of the window.
    fn ln_lower_from(&self, widening: f64) -> Option<f64> {
        let first = (self.centre + widening * (WIDTH * self.spread + FLANKS * self.flank)).ceil();
        let ln_tail = ln_lower(2.0 * self.n + first, self.y);
        // P(s−1, y) / P(s, y) = 1 + h(s), where h(s) = y^(s−1) e^−y / (Γ(s) P(s, y)).
        let mut hazard = (ln_kernel(2.0 * self.n + first - 1.0, self.y) - ln_tail).exp();
        let mut k = first;
        let ratio = || {
            // Below k = 0 there is nothing; asked first, since n = 1 would make the ratio 0/0.
            if k == 0.0 {
                return 0.0;
            }
            let growth = 1.0 + hazard;
            let ratio = k / ((self.n + k - 1.0) * self.failure) * growth;
            k -= 1.0;
            hazard *= (2.0 * self.n + k) / (self.y * growth);
            ratio
        };
        let ln_sum = ln_sum_over_mode(ratio, false)?;
        Some(self.ln_mixing(first) + ln_tail + ln_sum)
    }

    /// ln P(K = k), the negative binomial mass, as n/(n+k) of a binomial one.
    fn ln_mixing(&self, k: f64) -> f64 {
        (self.n / (self.n + k)).ln()
            + binomial::ln_pmf(self.n, self.n + k, self.success, self.failure)
    }
}

/// The t < 1/β₂ with d/dt ln E e^{tS} = x: the smaller root of x g t² − (x − 2gn) t + (x − n) = 0, g = β₁β₂ (β₁ + β₂ = 1).
fn saddle(x: f64, n: f64, g: f64) -> f64 {
    let half = x - 2.0 * g * n;
    let root = (x * x * (1.0 - 4.0 * g).max(0.0) + 4.0 * g * g * n * n).sqrt();
    if half > 0.0 { 2.0 * (x - n) / (half + root) } else { (half - root) / (2.0 * x * g) }
}

/// ln(1 + r₀ + r₀r₁ + …) for ratios that fall, from above one to below. `None` when the terms before the first one, which by
/// log-concavity fall away at least as fast as 1, 1/r₀, 1/r₀², …, are not negligible (and exist: `complete` says that they do not).
fn ln_sum_over_mode(mut ratio: impl FnMut() -> f64, complete: bool) -> Option<f64> {
    let (mut sum, mut term, mut first, mut ln_scale) = (1.0f64, 1.0f64, 1.0f64, 0.0f64);
    let first_ratio = ratio();
    let mut r = first_ratio;
    // Written so that NaN would end the loop.
    while term * r > HALF_ULP * sum * (1.0 - r) {
        term *= r;
        sum += term;
        if sum > RESCALE {
            (sum, term, first) = (sum / RESCALE, term / RESCALE, first / RESCALE);
            ln_scale += RESCALE.ln();
        }
        r = ratio();
    }
    let matters = first > HALF_ULP * sum * (first_ratio - 1.0);
    (complete || !matters).then(|| ln_scale + sum.ln())
}

/// Half-width of the first window, in deviations of K: e^−50 for a normal bump.
const WIDTH: f64 = 10.0;

/// Room for the exponential right flank of K, in units of its scale.
const FLANKS: f64 = 40.0;

const RESCALE: f64 = 1e200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::gamma_sf_ge;

    #[test]
    fn edges_are_defined() {
        assert_eq!(two_gamma_sf_ge(0.0, 5, 0.3), Ok(LogP::ONE));
        assert_eq!(two_gamma_sf_ge(0.0, 0, 0.3), Ok(LogP::ONE));
        assert_eq!(two_gamma_sf_ge(1.0, 0, 0.3), Ok(LogP::ZERO));
        assert_eq!(two_gamma_sf_ge(f64::INFINITY, 5, 0.3), Ok(LogP::ZERO));
        assert!(two_gamma_sf_ge(1.0, 5, 1.1).is_err());
        assert!(two_gamma_sf_ge(f64::NAN, 5, 0.1).is_err());
        assert!(matches!(two_gamma_sf_ge(1e4, 10_000, 1e-9), Err(StatsError::TooManyTerms { .. })));
    }

    #[test]
    fn special_weights_are_gamma_laws() {
        for x in [3.0, 20.0, 90.0] {
            assert_eq!(two_gamma_sf_ge(x, 20, 0.0), gamma_sf_ge(x, 20.0));
            assert_eq!(two_gamma_sf_ge(x, 20, 1.0), gamma_sf_ge(x, 20.0));
            assert_eq!(two_gamma_sf_ge(x, 20, 0.5), gamma_sf_ge(2.0 * x, 40.0));
        }
    }

    /// n = 1: the hypoexponential law, (β₂ e^{−x/β₂} − β₁ e^{−x/β₁}) / (β₂ − β₁).
    #[test]
    fn one_token_is_hypoexponential() {
        for (x, alpha) in [(0.5f64, 0.1), (4.0, 0.3), (700.0, 0.25), (3000.0, 0.4)] {
            let (a, b) = (alpha, 1.0 - alpha);
            let plain = -x / b + ((b - a * (x / b - x / a).exp()) / (b - a)).ln();
            let got = two_gamma_sf_ge(x, 1, alpha).unwrap().ln();
            assert!((got / plain - 1.0).abs() < 1e-12, "{x} {alpha}");
        }
    }

    proptest! {
        #[test]
        fn symmetric_in_the_weights(n in 1u64..3000, z in -5.0f64..20.0, alpha in 0.05f64..0.5) {
            let x = (n as f64 + z * (n as f64).sqrt()).max(0.01);
            let (a, b) = (two_gamma_sf_ge(x, n, alpha).unwrap(), two_gamma_sf_ge(x, n, 1.0 - alpha).unwrap());
            prop_assert!((a.log10() - b.log10()).abs() <= 1e-11 * a.log10().abs());
        }

        #[test]
        fn near_equal_weights_join_the_single_law(n in 1u64..3000, z in -5.0f64..20.0) {
            let x = (n as f64 + z * (n as f64).sqrt()).max(0.01);
            let (near, at) = (two_gamma_sf_ge(x, n, 0.5 - 1e-9).unwrap(), two_gamma_sf_ge(x, n, 0.5).unwrap());
            prop_assert!((near.log10() - at.log10()).abs() <= 1e-10 * at.log10().abs());
        }

        #[test]
        fn falls_with_x_across_the_mean(n in 1u64..300, alpha in 0.05f64..0.95, a in 0.0f64..3.0, step in 0.0f64..0.1) {
            let (x, n_real) = (a * n as f64, n as f64);
            let next = two_gamma_sf_ge(x + step * n_real, n, alpha).unwrap();
            prop_assert!(next.log10() <= two_gamma_sf_ge(x, n, alpha).unwrap().log10() * (1.0 - 1e-12));
        }
    }
}
