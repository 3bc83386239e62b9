//! Hypergeometric law: the null of green lists of a fixed size, drawn without replacement.

use super::binomial::ln_pmf;
use super::error::{StatsError, affordable};
use super::logp::LogP;
use super::special::{ln_1m_exp, sum_of_products};

/// P(X ≥ k), X the number of successes in `draws` draws without replacement from a population that has `successes` of them.
///
/// ```text
/// P(X = i) = C(successes, i) C(population − successes, draws − i) / C(population, draws)
/// ```
///
/// The mass at k is a product of three binomial masses (Loader 2000, section 4), the smaller tail is summed from there. Counts up to
/// 2⁵³ are exact. `k` above the support gives [`LogP::ZERO`], at or below it [`LogP::ONE`].
///
/// # Errors
/// [`StatsError::Exceeds`] when `successes` or `draws` exceeds `population`; [`StatsError::TooManyTerms`] where the mean passes 10¹⁴.
pub fn hypergeometric_sf_ge(
    k: u64,
    population: u64,
    successes: u64,
    draws: u64,
) -> Result<LogP, StatsError> {
    for (name, got) in [("successes", successes), ("draws", draws)] {
        if got > population {
            return Err(StatsError::Exceeds { name, got, whole: population });
        }
    }
    let lowest = draws.saturating_sub(population - successes);
    if k <= lowest {
        return Ok(LogP::ONE);
    }
    if k > draws.min(successes) {
        return Ok(LogP::ZERO);
    }
    let law =
        Law { population: population as f64, successes: successes as f64, draws: draws as f64 };
    affordable((law.draws * (law.successes / law.population)).sqrt())?;
    let k = k as f64;
    // The mode: above it the masses fall with k, so the first ratio of the sum is below one.
    let mode = (law.draws + 1.0) * (law.successes + 1.0) / (law.population + 2.0);
    Ok(LogP::from_tail(if k > mode {
        law.ln_sum_up(k)
    } else {
        ln_1m_exp(law.ln_sum_down(k - 1.0))
    }))
}

struct Law {
    population: f64,
    successes: f64,
    draws: f64,
}

impl Law {
    fn ln_pmf(&self, k: f64) -> f64 {
        let failures = self.population - self.successes;
        // A draw from the whole population: nothing is left to chance.
        if self.draws == self.population || self.draws == 0.0 {
            return 0.0;
        }
        let p = self.draws / self.population;
        let q = (self.population - self.draws) / self.population;
        let outside = if failures == 0.0 { 0.0 } else { ln_pmf(self.draws - k, failures, p, q) };
        ln_pmf(k, self.successes, p, q) + outside - ln_pmf(self.draws, self.population, p, q)
    }

    /// P(X = k+1) / P(X = k).
    fn ratio(&self, k: f64) -> f64 {
        (self.successes - k) * (self.draws - k) / ((k + 1.0) * self.failures_not_drawn(k + 1.0))
    }

    /// Failures that stay in the population when k successes are drawn.
    fn failures_not_drawn(&self, k: f64) -> f64 {
        self.population - self.successes - self.draws + k
    }

    fn ln_sum_up(&self, k: f64) -> f64 {
        let mut i = k;
        let sum = sum_of_products(|| {
            i += 1.0;
            self.ratio(i - 1.0)
        });
        self.ln_pmf(k) + sum.ln()
    }

    fn ln_sum_down(&self, k: f64) -> f64 {
        let mut i = k;
        let sum = sum_of_products(|| {
            let ratio = i * self.failures_not_drawn(i)
                / ((self.successes - i + 1.0) * (self.draws - i + 1.0));
            i -= 1.0;
            ratio
        });
        self.ln_pmf(k) + sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_are_defined() {
        assert_eq!(hypergeometric_sf_ge(0, 10, 5, 5), Ok(LogP::ONE));
        assert_eq!(hypergeometric_sf_ge(6, 10, 5, 6), Ok(LogP::ZERO));
        // Eight draws from ten with five failures: at least three successes come up.
        assert_eq!(hypergeometric_sf_ge(3, 10, 5, 8), Ok(LogP::ONE));
        assert_eq!(hypergeometric_sf_ge(5, 10, 5, 10), Ok(LogP::ONE));
        assert_eq!(
            hypergeometric_sf_ge(1, 10, 11, 1),
            Err(StatsError::Exceeds { name: "successes", got: 11, whole: 10 })
        );
        assert!(hypergeometric_sf_ge(1, 10, 1, 11).is_err());
    }

    proptest! {
        #[test]
        fn matches_counting(population in 1u64..40, a in 0.0f64..1.0, b in 0.0f64..1.0, k in 0u64..41) {
            let (successes, draws) = ((population as f64 * a) as u64, (population as f64 * b) as u64);
            let choose = |n: u64, k: u64| if k > n { 0.0 } else { (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64) };
            let plain: f64 = (k..=draws)
                .map(|i| choose(successes, i) * choose(population - successes, draws - i) / choose(population, draws))
                .sum();
            let got = hypergeometric_sf_ge(k, population, successes, draws).unwrap().p();
            prop_assert!((got - plain).abs() < 1e-12, "{got} {plain}");
        }

        #[test]
        fn falls_with_k(population in 1u64..1_000_000, a in 0.0f64..1.0, b in 0.0f64..1.0, c in 0.0f64..1.0) {
            let (successes, draws) = ((population as f64 * a) as u64, (population as f64 * b) as u64);
            let k = (draws as f64 * c) as u64;
            let tail = |k| hypergeometric_sf_ge(k, population, successes, draws).unwrap();
            prop_assert!(tail(k + 1) <= tail(k));
        }
    }
}
