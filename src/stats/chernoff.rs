//! Chernoff's bound of a tail from a generating function.

use super::logp::LogP;

/// The mean and the variance of a sum, and how far its generating function reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// E S.
    pub mean: f64,
    /// Var S.
    pub variance: f64,
    /// ln E e^{θS} is finite for 0 ≤ θ below this; may be infinite.
    pub reach: f64,
}

/// An upper bound of P(S ≥ s):
///
/// ```text
/// min over θ > 0 of E e^{θS} · e^{−θs}
/// ```
///
/// (Chernoff 1952), for `ln_mgf(θ)` = ln E e^{θS} or anything above it. The bound falls as s grows, so that it is a p-value when s is
/// what was observed, with no price for the choice of θ. It is 1 at or below the mean. θ is sought from where a normal law
/// would have it; a θ that misses the minimum makes the bound larger, never wrong.
pub fn chernoff(s: f64, moments: Moments, mut ln_mgf: impl FnMut(f64) -> f64) -> LogP {
    let (theta, best) = tilt(s, moments, 1e-6, &mut ln_mgf);
    if theta > 0.0 { LogP::from_tail(best.min(0.0)) } else { LogP::ONE }
}

/// The θ nearest to the minimum, known to so much of itself, and ln of the bound there; θ is 0 where there is nothing to be had.
pub(super) fn tilt(
    s: f64,
    moments: Moments,
    precision: f64,
    ln_mgf: &mut impl FnMut(f64) -> f64,
) -> (f64, f64) {
    let Moments { mean, variance, reach } = moments;
    let above = s - mean;
    if !(above > 0.0 && variance > 0.0) || s.is_nan() {
        return (0.0, 0.0);
    }
    let mut bound = |theta: f64| {
        let ln = ln_mgf(theta);
        // Both may be large and nearly equal: what rounding may have taken off is put back.
        let value = ln - theta * s + SLACK * (ln.abs() + (theta * s).abs());
        if value.is_nan() { f64::INFINITY } else { value }
    };
    // A convex function: doubled until it rises, then its minimum is between the last and the one before the last but one.
    let mut at = (above / variance).min(reach / 3.0);
    let mut value = bound(at);
    let (mut low, mut high) = (0.0, 2.0 * at);
    for _ in 0..200 {
        let next = if 2.0 * at < reach { 2.0 * at } else { 0.5 * (at + reach) };
        let further = bound(next);
        high = next;
        if further >= value || next - at <= 1e-9 * at {
            break;
        }
        (low, at, value) = (at, next, further);
    }
    golden_section(low, high, (at, value), precision, bound)
}

/// Of the size of what is subtracted.
const SLACK: f64 = 8.0 * f64::EPSILON;

/// The least of `bound` between `low` and `high`, `best` being a point in between.
fn golden_section(
    mut low: f64,
    mut high: f64,
    mut best: (f64, f64),
    precision: f64,
    mut bound: impl FnMut(f64) -> f64,
) -> (f64, f64) {
    const STEP: f64 = 0.381_966_011_250_105;
    while high - low > precision * high {
        let probe = if high - best.0 > best.0 - low {
            best.0 + STEP * (high - best.0)
        } else {
            best.0 - STEP * (best.0 - low)
        };
        let value = bound(probe);
        let (inner, outer) = if value < best.1 { ((probe, value), best.0) } else { (best, probe) };
        best = inner;
        if outer > best.0 { high = outer } else { low = outer }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{binomial_sf_ge, gamma_sf_ge};

    #[test]
    fn of_a_normal_law_it_is_known() {
        let moments = Moments { mean: 3.0, variance: 4.0, reach: f64::INFINITY };
        let ln_mgf = |theta: f64| 3.0 * theta + 2.0 * theta * theta;
        for z in [0.5_f64, 1.0, 5.0, 40.0] {
            let p = chernoff(3.0 + 2.0 * z, moments, ln_mgf);
            assert!((p.ln() + 0.5 * z * z).abs() < 1e-6, "{z}: {}", p.ln());
        }
        for s in [3.0, 2.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(chernoff(s, moments, ln_mgf), LogP::ONE);
        }
    }

    #[test]
    fn it_is_above_exact_tails_and_not_far() {
        let (n, p) = (1000_u64, 0.25_f64);
        let law = Moments { mean: 250.0, variance: 187.5, reach: f64::INFINITY };
        for k in [251_u64, 300, 400, 700, 1000] {
            let bound = chernoff(k as f64, law, |t| n as f64 * (p * t.exp_m1()).ln_1p());
            let exact = binomial_sf_ge(k, n, p).unwrap();
            assert!(bound >= exact, "{k}");
            assert!(bound.log10() - exact.log10() < 3.0, "{k}: {bound:?} {exact:?}");
        }
        let law = Moments { mean: 50.0, variance: 50.0, reach: 1.0 };
        for x in [51.0, 80.0, 500.0, 1e6] {
            let bound = chernoff(x, law, |t| -50.0 * (-t).ln_1p());
            let exact = gamma_sf_ge(x, 50.0).unwrap();
            assert!(
                bound >= exact && bound.log10() - exact.log10() < 6.0,
                "{x}: {bound:?} {exact:?}"
            );
        }
    }
}
