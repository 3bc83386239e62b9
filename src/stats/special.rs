//! Special functions that the tails share. Only what `std` and the usual crates lack: the parts of Stirling's formula that stay
//! accurate when the large terms cancel (C. Loader, *Fast and Accurate Computation of Binomial Probabilities*, 2000).

use std::f64::consts::LN_2;

/// ln(1 − eˣ) for x ≤ 0, without cancellation at either end.
pub(super) fn ln_1m_exp(x: f64) -> f64 {
    if x > -LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// ln(eᵃ + eᵇ).
pub(super) fn ln_add_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// δ(x) = ln Γ(x+1) − (x+½) ln x + x − ½ ln 2π, the error of Stirling's formula, for x > 0.
pub(super) fn stirling_error(x: f64) -> f64 {
    // Below 16 the asymptotic series is not at full precision; δ(x) = δ(x+1) + (x+½) ln(1+1/x) − 1 lifts the argument.
    let mut lifted = 0.0;
    let mut y = x;
    while y < 16.0 {
        lifted += (y + 0.5) * y.recip().ln_1p() - 1.0;
        y += 1.0;
    }
    let r = (y * y).recip();
    let series =
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - r / 1188.0) * r) * r) * r) / y;
    lifted + series
}

/// D(x, μ) = x ln(x/μ) + μ − x ≥ 0, the Poisson deviance (half of it, in the usual convention), for x ≥ 0 and μ > 0.
pub(super) fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return if x == 0.0 { mean } else { x * (x / mean).ln() - difference };
    }
    // With v = (x−μ)/(x+μ): D = (x−μ) v + 2x Σ v^(2j+1)/(2j+1). The plain form loses all digits when x ≈ μ.
    let v = difference / (x + mean);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    let mut odd = 3.0;
    loop {
        power *= v * v;
        let next = sum + power / odd;
        if next == sum || next.is_nan() {
            return next;
        }
        sum = next;
        odd += 2.0;
    }
}

/// 1 + r₀ + r₀r₁ + r₀r₁r₂ + …, for ratios that never grow and fall below one; a ratio of zero ends the sum.
///
/// What is left out is at most 2⁻⁵⁴ of the sum: with ratios that do not grow, the rest is below a geometric series.
pub(super) fn sum_of_products(mut ratio: impl FnMut() -> f64) -> f64 {
    let mut sum = 1.0;
    let mut term = 1.0;
    let mut r = ratio();
    // Written so that NaN would end the loop.
    while term * r > HALF_ULP * sum * (1.0 - r) {
        term *= r;
        sum += term;
        r = ratio();
    }
    sum
}

/// 2⁻⁵⁴: what may be dropped from a sum that is kept to 53 bits.
pub(super) const HALF_ULP: f64 = f64::EPSILON / 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stirling_error_matches_factorials() {
        let mut ln_factorial = 0.0;
        for k in 1..40 {
            let x = f64::from(k);
            ln_factorial += x.ln();
            let plain = ln_factorial - (x + 0.5) * x.ln() + x - 0.5 * std::f64::consts::TAU.ln();
            assert!((stirling_error(x) - plain).abs() < 1e-13, "{k}");
        }
    }

    #[test]
    fn deviance_is_continuous_where_the_formula_changes() {
        for x in [1e-3, 1.0, 7.0, 1e6] {
            let mean = x * 0.9 / 1.1;
            let (inside, outside) =
                (deviance(x, mean * (1.0 + 1e-12)), deviance(x, mean * (1.0 - 1e-12)));
            assert!((inside / outside - 1.0).abs() < 1e-10, "{x}");
        }
        assert_eq!(deviance(0.0, 3.0), 3.0);
        assert_eq!(deviance(5.0, 5.0), 0.0);
    }
}
