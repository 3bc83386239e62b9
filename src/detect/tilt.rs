//! How much likelier a token's evidence is in a marked passage than elsewhere.
//!
//! Nothing is known of a passage but that its evidence is larger. Among all laws with a given mean the nearest to the null is its
//! exponential tilt, f(x)·exp(θx − ψ(θ)) with ψ the null's cumulant function and ψ′(θ) that mean; for green tokens it is the
//! usual binomial, for exponential evidence the exponential of that mean. Boundaries of passages are found with it; no p-value is.

use crate::schemes::Null;

/// The tilt of a null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tilt {
    theta: f64,
    psi: f64,
}

impl Tilt {
    /// To a mean; `None` unless it exceeds the null's.
    pub(super) fn to_mean(null: &Null, mean: f64) -> Option<Self> {
        if mean <= null.mean() {
            return None;
        }
        let (mut low, mut high) = (0.0, most_theta(null));
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if cumulant(null, middle).1 < mean { low = middle } else { high = middle }
        }
        Some(Self { theta: low, psi: cumulant(null, low).0 })
    }

    /// ln of the likelihood ratio of one token.
    pub(super) fn score(self, value: f64) -> f64 {
        self.theta.mul_add(value, -self.psi)
    }
}

/// ψ(θ) and ψ′(θ) of one token's evidence.
fn cumulant(null: &Null, theta: f64) -> (f64, f64) {
    let bits = |trials: f64, p: f64| {
        let (green, all) = (p * theta.exp(), 1.0 - p + p * theta.exp());
        (trials * all.ln(), trials * green / all)
    };
    let exponential = |rate: f64| (-(-rate * theta).ln_1p(), rate / (1.0 - rate * theta));
    match null {
        Null::Binomial { trials, p } => bits(f64::from(*trials), *p),
        Null::Hypergeometric { .. } | Null::Lists { .. } => bits(1.0, null.mean()),
        Null::Exponential => exponential(1.0),
        Null::TwoExponentials { alpha } => {
            let (a, b) = (exponential(*alpha), exponential(1.0 - alpha));
            (a.0 + b.0, a.1 + b.1)
        }
        Null::WeightedBits { weights } => weights.iter().fold((0.0, 0.0), |sum, &weight| {
            let weight = weight as f64;
            // ln((1 + e^x) / 2) = x + ln((1 + e^−x) / 2), which cannot overflow.
            let odds = (-weight * theta).exp();
            (sum.0 + weight * theta + (0.5 * (1.0 + odds)).ln(), sum.1 + weight / (1.0 + odds))
        }),
        Null::Widened { law, mean, .. } => {
            let (psi, slope) = cumulant(law, theta);
            let moved = mean - law.mean();
            (theta.mul_add(moved, psi), slope + moved)
        }
        Null::OfText => (0.0, 0.0),
    }
}

/// Where the cumulant ends, or a bit is all but certain.
fn most_theta(null: &Null) -> f64 {
    match null {
        Null::Exponential => 1.0,
        Null::TwoExponentials { alpha } => alpha.max(1.0 - alpha).recip(),
        Null::WeightedBits { weights } => {
            let smallest = weights.iter().copied().filter(|&weight| weight > 0).min();
            CERTAIN / smallest.unwrap_or(1) as f64
        }
        Null::Widened { law, .. } => most_theta(law),
        _ => CERTAIN,
    }
}

const CERTAIN: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_known_families() {
        let green = Tilt::to_mean(&Null::Binomial { trials: 1, p: 0.25 }, 0.5).unwrap();
        assert!((green.score(1.0) - 2f64.ln()).abs() < 1e-12);
        assert!((green.score(0.0) - (0.5f64 / 0.75).ln()).abs() < 1e-12);
        let exponential = Tilt::to_mean(&Null::Exponential, 2.0).unwrap();
        // Density e^(−x/2)/2 over e^−x.
        for x in [0.0, 1.0, 7.0] {
            assert!((exponential.score(x) - (0.5 * x - 2f64.ln())).abs() < 1e-12);
        }
        let weighted = Tilt::to_mean(&Null::WeightedBits { weights: vec![1, 1] }, 1.5).unwrap();
        assert!((weighted.score(2.0) - 2.0 * 1.5f64.ln()).abs() < 1e-12);
        let two = Tilt::to_mean(&Null::TwoExponentials { alpha: 0.5 }, 2.0).unwrap();
        // Two exponentials of mean ½ each, tilted to 1 each: densities 4x·e^(−2x) and x·e^(−x).
        assert!((two.score(3.0) - (3.0 - 4f64.ln())).abs() < 1e-12);
        assert_eq!(Tilt::to_mean(&Null::Exponential, 1.0), None);
        assert_eq!(Tilt::to_mean(&Null::OfText, 0.0), None);
    }

    #[test]
    fn certain_tokens_have_a_tilt() {
        for null in [
            Null::Binomial { trials: 30, p: 0.5 },
            Null::WeightedBits { weights: vec![30, 20, 1] },
            Null::Lists { p: 0.25 },
        ] {
            let tilt = Tilt::to_mean(&null, null.unit()).unwrap();
            assert!(tilt.score(null.unit()).is_finite() && tilt.score(null.unit()) > 0.0);
            assert!(tilt.score(0.0).is_finite() && tilt.score(0.0) < 0.0);
        }
    }
}
