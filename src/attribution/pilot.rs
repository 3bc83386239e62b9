//! How much must be read or said to show training: by a test that was made of a model whose share of marked text is known.

use serde::{Deserialize, Serialize};

use super::error::AttributionError;

/// How the evidence grew in a test of a model of which the share of marked text is known.
///
/// With E = −log₁₀ p after n tokens, of a suspect with the share s of marked text in its training is expected
///
/// ```text
/// E(n, s) = E(n, s₀) · (s/s₀)^c
/// ```
///
/// where E(n, s₀) is what was measured, a power of n between the measured points and of the last two points' exponent (at most 1)
/// beyond. While the trace is small against the noise, z grows with s and E with z²: c = 2. A strong trace grows more slowly when read
/// (1.7 from 10 % to 100 % on the bundled line-up), and what is said changes faster (2.6 there). This is a plan, not a law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pilot {
    /// s₀ in (0, 1].
    share: f64,
    /// Tokens and E, both ascending.
    growth: Vec<(f64, f64)>,
}

/// Exponents of the share: usual and cautious.
pub const SHARE_EXPONENTS: [f64; 2] = [2.0, 2.6];

impl Pilot {
    /// More tokens than that are no plan.
    pub const MOST: f64 = 1e12;

    /// Of tokens and log₁₀ p after them.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] for a share outside (0, 1] and for a test that found nothing.
    pub fn new(share: f64, growth: &[(u64, f64)]) -> Result<Self, AttributionError> {
        if !(share > 0.0 && share <= 1.0) {
            let wanted = "the share of marked text lies above 0 and is at most 1";
            return Err(AttributionError::Invalid { what: "the share", got: share, wanted });
        }
        let mut points: Vec<(f64, f64)> = Vec::new();
        for &(tokens, log10_p) in growth {
            let (tokens, before) = (tokens as f64, points.last().map_or((0.0, 0.0), |last| *last));
            // What a look lost by chance is not lost.
            let evidence = (-log10_p).max(before.1);
            if tokens > before.0 && evidence > 0.0 {
                points.push((tokens, evidence));
            }
        }
        let got = points.last().map_or(0.0, |last| -last.1);
        if got > -1.0 {
            let wanted = "a plan needs a test whose p-value is 0.1 or less; make one of a model with a larger share or with more tokens";
            return Err(AttributionError::Invalid { what: "the pilot's log10 p", got, wanted });
        }
        Ok(Self { share, growth: points })
    }

    /// The share of the model that was tested.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// −log₁₀ p to expect after so many tokens of a suspect with this share.
    pub fn evidence(&self, tokens: f64, share: f64, exponent: f64) -> f64 {
        self.grown(tokens) * (share / self.share).powf(exponent)
    }

    /// Tokens until −log₁₀ p is expected to be `evidence`; none where more of them would not help.
    pub fn tokens(&self, evidence: f64, share: f64, exponent: f64) -> Option<u64> {
        let enough = |tokens: f64| self.evidence(tokens, share, exponent) >= evidence;
        if !enough(Self::MOST) {
            return None;
        }
        let (mut low, mut high) = (0.0_f64, Self::MOST.ln());
        while high - low > 1e-6 {
            let middle = 0.5 * (low + high);
            if enough(middle.exp()) { high = middle } else { low = middle }
        }
        let below = high.exp().floor();
        Some(if enough(below) { below } else { below + 1.0 } as u64)
    }

    /// What was measured, between and beyond the points.
    fn grown(&self, tokens: f64) -> f64 {
        let after = self.growth.iter().position(|point| point.0 >= tokens);
        match after {
            // Before the first point as many nats a token as up to it.
            Some(0) => self.growth[0].1 * tokens / self.growth[0].0,
            Some(at) => power(self.growth[at - 1], self.growth[at], tokens, f64::INFINITY),
            None => match self.growth[..] {
                [.., before, last] => power(before, last, tokens, 1.0),
                [only] => only.1 * tokens / only.0,
                [] => 0.0,
            },
        }
    }
}

/// The power law through two points, its exponent at most `most`.
fn power(a: (f64, f64), b: (f64, f64), tokens: f64, most: f64) -> f64 {
    let exponent = ((b.1 / a.1).ln() / (b.0 / a.0).ln()).min(most);
    b.1 * (tokens / b.0).powf(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pilot() -> Pilot {
        Pilot::new(0.1, &[(1_000, -2.0), (2_000, -4.0), (4_000, -4.0), (3_000, -9.0)]).unwrap()
    }

    #[test]
    fn what_was_measured_is_given_back() {
        let pilot = pilot();
        for (tokens, evidence) in [(500.0, 1.0), (1_000.0, 2.0), (2_000.0, 4.0), (4_000.0, 4.0)] {
            assert!((pilot.evidence(tokens, 0.1, 2.0) - evidence).abs() < 1e-12, "{tokens}");
        }
        assert!((pilot.evidence(1_500.0, 0.1, 2.0) - 3.0).abs() < 1e-12);
        // A fifth of the share gives a twenty-fifth of the evidence.
        assert!((pilot.evidence(1_000.0, 0.02, 2.0) - 0.08).abs() < 1e-12);
    }

    #[test]
    fn tokens_and_evidence_are_inverse() {
        let pilot = Pilot::new(1.0, &[(1_000, -10.0), (2_000, -16.0)]).unwrap();
        for share in [1.0, 0.3] {
            let tokens = pilot.tokens(6.0, share, 2.0).unwrap();
            assert!(pilot.evidence(tokens as f64, share, 2.0) >= 6.0);
            assert!(pilot.evidence(tokens as f64 - 1.0, share, 2.0) < 6.0);
        }
        // More of the same does not help where the evidence has ceased to grow.
        assert_eq!(self::pilot().tokens(6.0, 0.1, 2.0), None);
    }

    #[test]
    fn a_test_that_found_nothing_is_no_pilot() {
        assert!(Pilot::new(0.5, &[(1_000, -0.5)]).is_err());
        assert!(Pilot::new(0.5, &[]).is_err());
        assert!(Pilot::new(0.0, &[(1_000, -9.0)]).is_err());
        assert!(Pilot::new(1.5, &[(1_000, -9.0)]).is_err());
    }
}
