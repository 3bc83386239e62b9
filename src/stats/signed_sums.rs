//! Sums of evidence with weights of either sign: S = Σ wᵢ eᵢ, the weights known and the eᵢ random.

use std::collections::BTreeMap;

use super::chernoff::{Moments, chernoff};
use super::error::StatsError;
use super::logp::LogP;

/// The law of one eᵢ, or one whose generating function is above it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unit {
    /// The number of successes in `trials` trials of probability `p`.
    Successes {
        /// Number of trials.
        trials: u32,
        /// Probability of each, in (0, 1).
        p: f64,
    },
    /// Σ u·b over independent fair bits.
    FairBits {
        /// One weight for each bit.
        weights: Vec<u64>,
    },
    /// −ln(1 − k/L), k uniform on 0 … L − 1: at most Exp(1).
    Exponential {
        /// L, or fewer.
        levels: f64,
    },
    /// (1−α)·e + α·e′ of two independent such.
    TwoExponentials {
        /// α in (0, 1).
        alpha: f64,
        /// L.
        levels: f64,
    },
}

impl Unit {
    /// E e; of the exponential ones that of Exp(1), which is above it.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Successes { trials, p } => f64::from(*trials) * p,
            Self::FairBits { weights } => 0.5 * weights.iter().sum::<u64>() as f64,
            Self::Exponential { .. } | Self::TwoExponentials { .. } => 1.0,
        }
    }

    /// Var e.
    pub fn variance(&self) -> f64 {
        match self {
            Self::Successes { trials, p } => f64::from(*trials) * p * (1.0 - p),
            Self::FairBits { weights } => {
                0.25 * weights.iter().map(|&weight| (weight * weight) as f64).sum::<f64>()
            }
            Self::Exponential { .. } => 1.0,
            Self::TwoExponentials { alpha, .. } => alpha * alpha + (1.0 - alpha) * (1.0 - alpha),
        }
    }

    /// ln E e^{te}, or more; infinite where there is none.
    fn ln_mgf(&self, t: f64) -> f64 {
        match self {
            Self::Successes { trials, p } => f64::from(*trials) * ln_successes(t, *p),
            Self::FairBits { weights } => {
                weights.iter().map(|&weight| ln_successes(t * weight as f64, 0.5)).sum()
            }
            Self::Exponential { levels } => ln_exponential(t, *levels),
            Self::TwoExponentials { alpha, levels } => {
                ln_exponential(t * alpha, *levels) + ln_exponential(t * (1.0 - alpha), *levels)
            }
        }
    }

    fn draw(&self, uniform: &mut impl FnMut() -> f64) -> f64 {
        match self {
            Self::Successes { trials, p } => {
                (0..*trials).map(|_| f64::from(u8::from(uniform() < *p))).sum()
            }
            Self::FairBits { weights } => weights
                .iter()
                .map(|&weight| if uniform() < 0.5 { weight as f64 } else { 0.0 })
                .sum(),
            Self::Exponential { .. } => -(-uniform()).ln_1p(),
            Self::TwoExponentials { alpha, .. } => {
                -(1.0 - alpha) * (-uniform()).ln_1p() - alpha * (-uniform()).ln_1p()
            }
        }
    }

    /// The t from which on there is none.
    fn reach(&self) -> f64 {
        match self {
            Self::Successes { .. } | Self::FairBits { .. } => f64::INFINITY,
            Self::Exponential { .. } => 1.0,
            Self::TwoExponentials { alpha, .. } => 1.0 / alpha.max(1.0 - alpha),
        }
    }
}

/// ln(1 − p + p·e^t).
fn ln_successes(t: f64, p: f64) -> f64 {
    if t > 30.0 { t + (p + (1.0 - p) * (-t).exp()).ln() } else { (p * t.exp_m1()).ln_1p() }
}

/// Above 0 that of Exp(1), 1/(1−t), which bounds it. Below, with a = −t,
///
/// ```text
/// E e^{te} = Σ_{j=1}^{L} (j/L)^a / L ≤ 1/(1+a) + 1/(2L) + a/(12L²),   and ≤ 1
/// ```
///
/// (Euler and Maclaurin).
fn ln_exponential(t: f64, levels: f64) -> f64 {
    if t >= 1.0 {
        return f64::INFINITY;
    }
    if t >= 0.0 {
        return -(-t).ln_1p();
    }
    let (a, step) = (-t, 1.0 / levels);
    let beside = 0.5 * step + a * step * step / 12.0;
    (1.0 / (1.0 + a) + beside).min(1.0).ln()
}

/// Σ wᵢ eᵢ over independent eᵢ of one law.
///
/// ```
/// use touchmark::stats::{SignedSum, Unit};
///
/// // Three tokens that speak for a list of a quarter of all tokens, two that speak against it.
/// let law = SignedSum::new(Unit::Successes { trials: 1, p: 0.25 }, [3, 2, 2, -1, -4])?;
/// assert_eq!(law.moments().mean, 0.5);
/// assert!(law.sf_ge(7.0).p() < 0.2);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SignedSum {
    unit: Unit,
    /// Weights and how often each comes, ascending.
    levels: Vec<(f64, f64)>,
}

impl SignedSum {
    /// The law of the sum with these weights.
    ///
    /// # Errors
    /// [`StatsError::NotProbability`] for a p or α outside [0, 1].
    pub fn new(unit: Unit, weights: impl IntoIterator<Item = i32>) -> Result<Self, StatsError> {
        if let Unit::Successes { p, .. } | Unit::TwoExponentials { alpha: p, .. } = unit {
            super::error::probability("p", p)?;
        }
        let mut levels: BTreeMap<i32, u64> = BTreeMap::new();
        for weight in weights.into_iter().filter(|&weight| weight != 0) {
            *levels.entry(weight).or_default() += 1;
        }
        let levels = levels.into_iter().map(|(weight, count)| (f64::from(weight), count as f64));
        Ok(Self { unit, levels: levels.collect() })
    }

    /// Mean, variance and reach.
    pub fn moments(&self) -> Moments {
        let (mut sum, mut squares) = (0.0, 0.0);
        for (weight, count) in &self.levels {
            sum += weight * count;
            squares += weight * weight * count;
        }
        let greatest = self.levels.last().map_or(0.0, |(weight, _)| weight.max(0.0));
        Moments {
            mean: sum * self.unit.mean(),
            variance: squares * self.unit.variance(),
            reach: self.unit.reach() / greatest,
        }
    }

    /// ln E e^{θS}, or more.
    pub(super) fn ln_mgf(&self, theta: f64) -> f64 {
        self.levels.iter().map(|(weight, count)| count * self.unit.ln_mgf(theta * weight)).sum()
    }

    /// One draw of S, from numbers uniform on [0, 1).
    pub fn draw(&self, uniform: &mut impl FnMut() -> f64) -> f64 {
        let mut sum = 0.0;
        for &(weight, count) in &self.levels {
            for _ in 0..count as u64 {
                sum += weight * self.unit.draw(uniform);
            }
        }
        sum
    }

    /// An upper bound of P(S ≥ s): Chernoff's.
    pub fn sf_ge(&self, s: f64) -> LogP {
        chernoff(s, self.moments(), |theta| self.ln_mgf(theta))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The exact tail over all outcomes of ten bits.
    fn exact(weights: &[i32], p: f64, s: i32) -> f64 {
        let outcomes = 0..1_u32 << weights.len();
        let tail = outcomes.filter_map(|green| {
            let on = |at: &usize| green >> at & 1 == 1;
            let sum: i32 = (0..weights.len()).filter(on).map(|at| weights[at]).sum();
            let greens = green.count_ones() as i32;
            let rest = weights.len() as i32 - greens;
            (sum >= s).then(|| p.powi(greens) * (1.0 - p).powi(rest))
        });
        tail.sum()
    }

    proptest! {
        #[test]
        fn bits_are_bounded(
            weights in prop::collection::vec(-9_i32..=9, 1..=10),
            p in 0.05_f64..0.95,
            s in -30_i32..60,
        ) {
            let law = SignedSum::new(Unit::Successes { trials: 1, p }, weights.clone()).unwrap();
            let tail = exact(&weights, p, s);
            prop_assert!(law.sf_ge(f64::from(s)).p() >= tail - 1e-9, "{tail}");
        }
    }

    /// The generating function of the discrete evidence, by its definition.
    #[test]
    fn coarse_exponentials_are_bounded() {
        for levels in [2.0_f64, 16.0, 8191.0] {
            for t in [-300.0, -20.0, -3.0, -1.0, -0.3, -1e-4, 0.2, 0.9] {
                let each = (1..=levels as u64).map(|j| (j as f64 / levels).powf(-t));
                let exact = (each.sum::<f64>() / levels).ln();
                let bound = ln_exponential(t, levels);
                assert!(bound >= exact - 1e-12, "{levels} {t}: {bound} {exact}");
            }
        }
    }

    /// Negative weights on exponential evidence, against sums that were drawn: at a true rate of 5 % the bound may be met by
    /// at most 5 % of 4,000; more than 6.4 % would come by chance less than once in 10,000.
    #[test]
    fn exponentials_of_either_sign_are_calibrated() {
        let weights: Vec<i32> =
            (0..400).map(|i| [7, -5, 1, -1][i % 4] * (1 + i as i32 / 100)).collect();
        let law =
            SignedSum::new(Unit::Exponential { levels: 4294967296.0 }, weights.clone()).unwrap();
        let mut state = 5_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            -(1.0 - (state >> 32) as f64 / 4_294_967_296.0).ln()
        };
        let (mut hits, mut sum) = (0, 0.0);
        for _ in 0..4000 {
            let s: f64 = weights.iter().map(|&weight| f64::from(weight) * draw()).sum();
            hits += usize::from(law.sf_ge(s).p() <= 0.05);
            sum += (s - law.moments().mean) / law.moments().variance.sqrt();
        }
        assert!((1..256).contains(&hits), "{hits}");
        assert!((sum / 4000.0).abs() < 0.08, "{}", sum / 4000.0);
    }
}
