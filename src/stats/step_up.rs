//! The false discovery rate over as many p-values as fit in memory as numbers.

use serde::{Deserialize, Serialize};

use super::logp::LogP;

/// Which procedure controls the false discovery rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// For independent or positively dependent tests (Benjamini & Hochberg 1995).
    BenjaminiHochberg,
    /// For tests that depend on each other in any way (Benjamini & Yekutieli 2001): m Σ 1/i in place of m.
    BenjaminiYekutieli,
}

impl Correction {
    /// What m tests cost: m, or m Σ_{i≤m} 1/i.
    pub fn cost(self, tests: usize) -> f64 {
        match self {
            Self::BenjaminiHochberg => tests as f64,
            // The smallest terms first, so that they are not lost.
            Self::BenjaminiYekutieli => {
                tests as f64 * (1..=tests).rev().map(|i| (i as f64).recip()).sum::<f64>()
            }
        }
    }
}

/// q-values over one p-value a family of tests (a document), kept sorted: 16 bytes a document.
///
/// ```text
/// q₍ᵢ₎ = min_{j≥i} min(1, cost · p₍ⱼ₎ / j)
/// ```
///
/// [`q`](Self::q) takes the corrected p of any test of a family whose smallest one is among them. At level α the families with
/// q ≤ α are selected, R of them, and in these the tests with p ≤ R α / cost are rejected (Benjamini & Bogomolov 2014, "Selective
/// inference on multiple families of hypotheses"). So the answer is the least level at which that test is rejected:
///
/// ```text
/// q(p) = min_j cost · max(p, p₍ⱼ₎) / j
/// ```
///
/// Among the selected families the mean share of those with a false rejection is then at most α.
///
/// ```
/// use touchmark::stats::{Correction, LogP, StepUp};
///
/// let p = [0.001, 0.2, 0.02].map(|p| LogP::from_p(p).unwrap());
/// let documents = StepUp::new(p.to_vec(), Correction::BenjaminiHochberg);
/// assert!((documents.q(p[2]).p() - 0.03).abs() < 1e-12);
/// assert_eq!(documents.discoveries(LogP::from_p(0.05)?), 2);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StepUp {
    p: Vec<LogP>,
    q: Vec<LogP>,
    cost: f64,
}

impl StepUp {
    /// Sorts the p-values where they lie.
    pub fn new(mut p: Vec<LogP>, correction: Correction) -> Self {
        p.sort_unstable();
        let cost = correction.cost(p.len());
        let mut q = vec![LogP::ONE; p.len()];
        let mut smallest = LogP::ONE;
        for (i, q) in q.iter_mut().enumerate().rev() {
            smallest = smallest.min(p[i].times(cost / (i + 1) as f64));
            *q = smallest;
        }
        Self { p, q, cost }
    }

    /// The q-value of a test with this p, corrected within its family. One when there is no p-value as small.
    pub fn q(&self, p: LogP) -> LogP {
        let not_larger = self.p.partition_point(|other| *other <= p);
        let own = match not_larger {
            0 => LogP::ONE,
            count => p.times(self.cost / count as f64),
        };
        self.q.get(not_larger).map_or(own, |later| own.min(*later))
    }

    /// The smallest p-values, ascending.
    pub fn sorted(&self) -> &[LogP] {
        &self.p
    }

    /// How many families have q ≤ `level`.
    pub fn discoveries(&self, level: LogP) -> usize {
        self.q.partition_point(|q| *q <= level)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logs(p: &[f64]) -> Vec<LogP> {
        p.iter().map(|&p| LogP::from_p(p).unwrap()).collect()
    }

    #[test]
    fn nothing_is_discovered_among_nothing() {
        let none = StepUp::new(Vec::new(), Correction::BenjaminiYekutieli);
        assert_eq!((none.q(LogP::ONE), none.discoveries(LogP::ONE)), (LogP::ONE, 0));
    }

    #[test]
    fn one_more_test_is_paid_for_far_below_the_smallest_float() {
        let p = [-5000.0, -4999.0, -1.0].map(|p| LogP::new(p).unwrap());
        let q = StepUp::new(p.to_vec(), Correction::BenjaminiHochberg);
        assert!((q.q(p[0]).log10() - (3f64.log10() - 5000.0)).abs() < 1e-9);
        assert!((q.q(p[1]).log10() - (1.5f64.log10() - 4999.0)).abs() < 1e-9);
    }

    proptest! {
        /// At every level: the q-values of a family's tests, ties among them, are at most α exactly where the plain
        /// two-step procedure rejects.
        #[test]
        fn q_values_are_the_procedure(
            families in prop::collection::vec(prop::collection::vec(0u32..40, 1..4), 1..12),
            alpha in 0.001f64..0.9, any in any::<bool>(),
        ) {
            let p = |test: &u32| (f64::from(*test) + 0.5) / 200.0;
            let m = families.len() as f64;
            let correction = if any { Correction::BenjaminiYekutieli } else { Correction::BenjaminiHochberg };
            let cost = if any { m * (1..=families.len()).map(|i| 1.0 / i as f64).sum::<f64>() } else { m };
            let mut smallest: Vec<f64> = families.iter().map(|tests| p(tests.iter().min().unwrap())).collect();
            let documents = StepUp::new(logs(&smallest), correction);
            smallest.sort_by(f64::total_cmp);
            let selected = (1..=smallest.len()).rev().find(|&j| smallest[j - 1] <= j as f64 * alpha / cost).unwrap_or(0);
            let level = LogP::from_p(alpha).unwrap();
            prop_assert_eq!(documents.discoveries(level), selected);
            for test in families.iter().flatten() {
                let rejected = p(test) <= selected as f64 * alpha / cost;
                prop_assert_eq!(documents.q(LogP::from_p(p(test)).unwrap()) <= level, rejected);
            }
        }
    }
}
