//! Weighted sums over random lists of a fixed size: S = Σ over lists, Σ over the tokens on a list, of their weights.

use super::chernoff::{Moments, tilt};
use super::error::StatsError;
use super::logp::LogP;
use super::signed_sums::{SignedSum, Unit};

/// The law of the sum, each list holding n of V tokens, all such sets alike and lists independent.
///
/// A list whose m weighted tokens have weights w₁ … w_m (the other V − m have none) has the generating function
///
/// ```text
/// E e^{θS} = Σ_j e_j(e^{θw₁}, …, e^{θw_m}) · C(V−m, n−j) / C(V, n)
/// ```
///
/// with elementary symmetric polynomials e_j, of which the sum below is computed term by term: with γ = n/V, the terms
/// γʲ(1−γ)^{m−j} e_j are masses of a sum of independent trials, and what they are multiplied with is positive. So the bound uses the
/// true law of fixed sizes; sampling with replacement (Hoeffding 1963, theorem 4), which is above it, would make its variance
/// 1/(1−γ) times as large.
#[derive(Clone, Debug)]
pub struct ListedSum {
    population: u64,
    listed: u64,
    ends: Vec<usize>,
    weights: Vec<i32>,
}

impl ListedSum {
    /// Lists of `listed` among `population` tokens; none has weights yet.
    ///
    /// # Errors
    /// [`StatsError::Exceeds`] when more are listed than there are.
    pub fn new(population: u64, listed: u64) -> Result<Self, StatsError> {
        if listed > population {
            return Err(StatsError::Exceeds { name: "listed", got: listed, whole: population });
        }
        Ok(Self { population, listed, ends: Vec::new(), weights: Vec::new() })
    }

    /// One more list, with the weights of its tokens that have any: one for each distinct token.
    ///
    /// # Errors
    /// [`StatsError::Exceeds`] for more weights than tokens.
    pub fn push(&mut self, weights: impl IntoIterator<Item = i32>) -> Result<(), StatsError> {
        self.weights.extend(weights.into_iter().filter(|&weight| weight != 0));
        let start = self.ends.last().copied().unwrap_or(0);
        let got = (self.weights.len() - start) as u64;
        if got > self.population {
            return Err(StatsError::Exceeds { name: "weights", got, whole: self.population });
        }
        self.ends.push(self.weights.len());
        Ok(())
    }

    /// γ = n/V.
    fn share(&self) -> f64 {
        self.listed as f64 / self.population.max(1) as f64
    }

    fn lists(&self) -> impl Iterator<Item = &[i32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.weights[start..end])
    }

    /// Mean and variance of the sum.
    pub fn moments(&self) -> Moments {
        let (gamma, size) = (self.share(), self.population as f64);
        let (mut mean, mut variance) = (0.0, 0.0);
        for weights in self.lists() {
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let squares: f64 = weights.iter().map(|&weight| f64::from(weight).powi(2)).sum();
            mean += gamma * sum;
            variance += gamma * (1.0 - gamma) * size / (size - 1.0).max(1.0)
                * (squares - sum * sum / size).max(0.0);
        }
        Moments { mean, variance, reach: f64::INFINITY }
    }

    /// An upper bound of P(S ≥ s): Chernoff's with the generating function above, at the θ that is best, or nearly, for
    /// independent tokens.
    ///
    /// # Errors
    /// None that [`new`](Self::new) has not refused.
    pub fn sf_ge(&self, s: f64) -> Result<LogP, StatsError> {
        let moments = self.moments();
        let unit = Unit::Successes { trials: 1, p: self.share() };
        let independent = SignedSum::new(unit, self.weights.iter().copied())?;
        let centred = Moments { variance: independent.moments().variance, ..moments };
        let (theta, _) = tilt(s, centred, &mut |theta| independent.ln_mgf(theta));
        if theta <= 0.0 {
            return Ok(LogP::ONE);
        }
        let factorials = Factorials::to(self.population);
        // Each θ is right; the neighbours are tried because lists vary less than independent tokens.
        let tried = [1.0, 1.06, 1.0 / (1.0 - self.share()).sqrt()].map(|factor| {
            let theta = theta * factor;
            self.ln_mgf(theta, &factorials) - theta * s
        });
        let best = tried.into_iter().filter(|bound| !bound.is_nan()).fold(0.0, f64::min);
        Ok(LogP::from_tail(best))
    }

    /// One draw of S, from numbers uniform on [0, 1): each list of exactly its size.
    pub fn draw(&self, uniform: &mut impl FnMut() -> f64) -> f64 {
        let mut sum = 0.0;
        for weights in self.lists() {
            let (mut left, mut places) = (self.listed as f64, self.population as f64);
            for &weight in weights {
                if uniform() * places < left {
                    sum += f64::from(weight);
                    left -= 1.0;
                }
                places -= 1.0;
            }
        }
        sum
    }

    fn ln_mgf(&self, theta: f64, factorials: &Factorials) -> f64 {
        let mut masses = Masses::default();
        self.lists().map(|weights| masses.ln_mgf(weights, theta, self, factorials)).sum()
    }
}

/// ln k! for k ≤ V.
struct Factorials(Vec<f64>);

impl Factorials {
    fn to(most: u64) -> Self {
        let mut sum = 0.0;
        let ln = |k: u64| {
            sum += (k.max(1) as f64).ln();
            sum
        };
        Self((0..=most).map(ln).collect())
    }

    /// ln C(n, k).
    fn ln_choose(&self, n: u64, k: u64) -> f64 {
        self.0[n as usize] - self.0[k as usize] - self.0[(n - k) as usize]
    }
}

/// Masses of the number of a list's weighted tokens that are on it, tilted by their weights; reused from list to list.
#[derive(Default)]
struct Masses(Vec<f64>);

impl Masses {
    /// Masses below this share of the greatest change nothing.
    const NEGLIGIBLE: f64 = 1e-40;

    fn ln_mgf(&mut self, weights: &[i32], theta: f64, law: &ListedSum, table: &Factorials) -> f64 {
        let gamma = law.share();
        let (ln_scale, range) = self.fill(weights, theta, gamma);
        let (m, n, size) = (weights.len() as u64, law.listed, law.population);
        let ln_all = table.ln_choose(size, n);
        let (ln_on, ln_off) = (gamma.ln(), (-gamma).ln_1p());
        let mut sum = 0.0;
        for j in range {
            let mass = self.0[j];
            let j = j as u64;
            if mass == 0.0 || j > n || n - j > size - m {
                continue;
            }
            let ratio = table.ln_choose(size - m, n - j)
                - ln_all
                - j as f64 * ln_on
                - (m - j) as f64 * ln_off;
            sum += mass * ratio.exp();
        }
        ln_scale + sum.ln()
    }

    /// Masses of the number of successes among trials of odds γe^{θw} : 1−γ, up to the scale whose logarithm is returned with
    /// the range outside which they are negligible.
    fn fill(&mut self, weights: &[i32], theta: f64, gamma: f64) -> (f64, std::ops::Range<usize>) {
        self.0.clear();
        self.0.resize(weights.len() + 2, 0.0);
        self.0[0] = 1.0;
        let (mut low, mut high, mut ln_scale) = (0, 1, 0.0);
        for &weight in weights {
            let t = theta * f64::from(weight);
            // The trial's two terms add up to one, the scale keeps what they were divided by.
            let ln_total = if t > 30.0 {
                t + (gamma + (1.0 - gamma) * (-t).exp()).ln()
            } else {
                (gamma * t.exp_m1()).ln_1p()
            };
            ln_scale += ln_total;
            let on = (gamma.ln() + t - ln_total).exp();
            let off = 1.0 - on;
            let masses = &mut self.0[low..=high];
            let mut before = 0.0;
            for mass in masses.iter_mut() {
                let here = *mass;
                *mass = here * off + before * on;
                before = here;
            }
            high += 1;
            while high - low > 2 && self.0[high - 1] < Self::NEGLIGIBLE {
                high -= 1;
                self.0[high] = 0.0;
            }
            while high - low > 2 && self.0[low] < Self::NEGLIGIBLE {
                self.0[low] = 0.0;
                low += 1;
            }
        }
        (ln_scale, low..high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// E e^{θS} of one list over all sets.
    fn exact(population: u32, listed: u32, weights: &[i32], theta: f64) -> (f64, f64) {
        let sets = (0..1_u32 << population).filter(|set| set.count_ones() == listed);
        let (mut sum, mut count, mut mean) = (0.0, 0.0, 0.0);
        for set in sets {
            let on = |at: &usize| set >> at & 1 == 1;
            let s: i32 = (0..weights.len()).filter(on).map(|at| weights[at]).sum();
            sum += (theta * f64::from(s)).exp();
            mean += f64::from(s);
            count += 1.0;
        }
        (sum / count, mean / count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_generating_function_is_that_of_all_sets(
            population in 2_u32..11,
            listed in 0_u32..11,
            weights in prop::collection::vec(-6_i32..=6, 0..8),
            theta in -0.8_f64..0.8,
        ) {
            let listed = listed.min(population);
            prop_assume!(listed > 0 && listed < population);
            let weights = &weights[..weights.len().min(population as usize)];
            let mut law = ListedSum::new(population.into(), listed.into()).unwrap();
            law.push(weights.iter().copied()).unwrap();
            let (mgf, mean) = exact(population, listed, weights, theta);
            let found = law.ln_mgf(theta, &Factorials::to(population.into())).exp();
            prop_assert!((found / mgf - 1.0).abs() < 1e-9, "{found} {mgf}");
            prop_assert!((law.moments().mean - mean).abs() < 1e-9);
        }
    }

    /// It is a bound, and a better one than that of independent tokens or of sampling with replacement.
    #[test]
    fn lists_of_a_fixed_size_vary_less() {
        let weights: Vec<i32> = (0..60).map(|i| [5, 4, -3, 1][i % 4]).collect();
        let (population, listed) = (100, 25);
        let mut law = ListedSum::new(population, listed).unwrap();
        for _ in 0..20 {
            law.push(weights.iter().copied()).unwrap();
        }
        let all: Vec<i32> = (0..20).flat_map(|_| weights.clone()).collect();
        let free = SignedSum::new(Unit::Successes { trials: 1, p: 0.25 }, all).unwrap();
        let moments = law.moments();
        assert!((moments.mean - free.moments().mean).abs() < 1e-9);
        assert!(moments.variance < free.moments().variance);
        for z in [1.0, 4.0, 12.0] {
            let s = moments.mean + z * moments.variance.sqrt();
            let p = law.sf_ge(s).unwrap();
            assert!(p < free.sf_ge(s), "{z}");
            let normal = crate::stats::normal_sf_ge(z).unwrap();
            assert!(
                (p.log10() - normal.log10()).abs() < 0.12 * z * z + 1.0,
                "{z}: {p:?} {normal:?}"
            );
        }
        assert_eq!(law.sf_ge(moments.mean - 1.0).unwrap(), LogP::ONE);
        assert_eq!(ListedSum::new(4, 2).unwrap().sf_ge(0.0).unwrap(), LogP::ONE);
        assert!(ListedSum::new(4, 5).is_err());
        assert!(ListedSum::new(2, 1).unwrap().push([1, 2, 3]).is_err());
    }
}
