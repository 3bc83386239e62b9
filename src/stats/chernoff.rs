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
    let (theta, best) = tilt(s, moments, &mut ln_mgf);
    if theta > 0.0 { LogP::from_tail(best.min(0.0)) } else { LogP::ONE }
}

/// The θ of the minimum, or one as good, and ln of the bound there; θ is 0 where there is nothing to be had.
pub(super) fn tilt(s: f64, moments: Moments, ln_mgf: &mut impl FnMut(f64) -> f64) -> (f64, f64) {
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
    let mut known = |theta: f64| (theta, bound(theta));
    // A convex function that falls from 0 at 0: halved until it is below, doubled until it rises.
    let mut low = (0.0, 0.0);
    let mut best = known((above / variance).min(reach / 3.0));
    let mut high = best;
    for _ in 0..60 {
        if best.1 < 0.0 {
            break;
        }
        (high, best) = (best, known(0.5 * best.0));
    }
    for _ in 0..if high.0 > best.0 { 0 } else { 200 } {
        high = known(if 2.0 * best.0 < reach { 2.0 * best.0 } else { 0.5 * (best.0 + reach) });
        if high.1 >= best.1 || high.0 - best.0 <= 1e-9 * best.0 {
            break;
        }
        (low, best) = (best, high);
    }
    least([low, best, high], known)
}

/// Of the size of what is subtracted.
const SLACK: f64 = 8.0 * f64::EPSILON;

/// A θ and ln of the bound there.
type Known = (f64, f64);

/// The least of a convex function, the middle of three points being the least known: by parabolas, until no other point could be
/// lower by as much as matters.
fn least([mut low, mut best, mut high]: [Known; 3], mut known: impl FnMut(f64) -> Known) -> Known {
    const GAIN: f64 = 1e-9;
    for round in 1_u32..100 {
        if could_gain([low, best, high]) <= GAIN * (1.0 + best.1.abs()) {
            break;
        }
        let probe = known(next(round, [low, best, high]));
        let (inner, outer) = if probe.1 < best.1 { (probe, best) } else { (best, probe) };
        best = inner;
        if outer.0 > best.0 { high = outer } else { low = outer }
    }
    best
}

/// How much lower it could be: a convex function is above the line through two of its points outside of them.
fn could_gain([low, best, high]: [Known; 3]) -> f64 {
    let falls = (low.1 - best.1) / (best.0 - low.0);
    let rises = (high.1 - best.1) / (high.0 - best.0);
    (falls * (high.0 - best.0)).max(rises * (best.0 - low.0))
}

/// Where to look next: the vertex of the parabola through the three, a little beside the best where that is it, and each fourth
/// time the middle of the wider side.
fn next(round: u32, [low, best, high]: [Known; 3]) -> f64 {
    let wider = if high.0 - best.0 > best.0 - low.0 { high.0 } else { low.0 };
    let (left, right) = (best.0 - low.0, high.0 - best.0);
    let (falls, rises) = ((low.1 - best.1) / left, (high.1 - best.1) / right);
    let vertex = best.0 + 0.5 * (right * falls - left * rises) / (falls + rises);
    if round.is_multiple_of(4) || !(vertex > low.0 && vertex < high.0) {
        return 0.5 * (best.0 + wider);
    }
    let beside = 1e-3 * (wider - best.0);
    if (vertex - best.0).abs() < 1e-3 * beside.abs() { best.0 + beside } else { vertex }
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
            // What is known of the variance only says where to begin.
            for variance in [1e-9, 1e9] {
                let far = chernoff(3.0 + 2.0 * z, Moments { variance, ..moments }, ln_mgf);
                assert!((far.ln() - p.ln()).abs() < 1e-6, "{z}: {}", far.ln());
            }
        }
        for s in [3.0, 2.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(chernoff(s, moments, ln_mgf), LogP::ONE);
        }
    }

    #[test]
    fn few_points_are_enough() {
        let count = |s: f64, law: Moments, ln_mgf: &dyn Fn(f64) -> f64| {
            let mut count = 0;
            chernoff(s, law, |theta| {
                count += 1;
                ln_mgf(theta)
            });
            count
        };
        let law = Moments { mean: 250.0, variance: 187.5, reach: f64::INFINITY };
        for k in [251.0, 300.0, 400.0, 700.0] {
            let points = count(k, law, &|t| 1000.0 * (0.25 * t.exp_m1()).ln_1p());
            assert!(points <= 16, "{k}: {points}");
        }
        let law = Moments { mean: 50.0, variance: 50.0, reach: 1.0 };
        for x in [51.0, 80.0, 500.0, 1e6] {
            let points = count(x, law, &|t| -50.0 * (-t).ln_1p());
            assert!(points <= 40, "{x}: {points}");
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
