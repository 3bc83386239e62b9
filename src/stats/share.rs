//! How many of many hypotheses are false, at least.

use serde::{Deserialize, Serialize};

use super::binomial::binomial_sf_ge;
use super::error::{StatsError, probability};
use super::logp::LogP;

/// What is assumed of the p-values that belong to true hypotheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependence {
    /// Nothing.
    Any,
    /// That they are independent of each other.
    Independent,
}

/// How many of some p-values are small: what a bound of the number of false hypotheses reads of them. The counts of parts of a
/// whole add up to those of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallCounts {
    tests: u64,
    /// Those with p ≤ 10⁻¹, 10⁻², …
    at_most: [u64; LEVELS],
}

impl SmallCounts {
    /// Takes the p-value of one test.
    pub fn note(&mut self, p: LogP) {
        self.tests += 1;
        for (k, count) in (1..).zip(&mut self.at_most) {
            *count += u64::from(p.log10() <= -f64::from(k));
        }
    }

    /// Takes those of another part.
    pub fn merge(&mut self, other: &Self) {
        self.tests = self.tests.saturating_add(other.tests);
        for (ours, theirs) in self.at_most.iter_mut().zip(other.at_most) {
            *ours = ours.saturating_add(theirs);
        }
    }

    /// Tests taken.
    pub fn tests(&self) -> u64 {
        self.tests
    }

    /// Whether they can be counts of some p-values: none exceeds the one before.
    pub fn are_consistent(&self) -> bool {
        let mut before = self.tests;
        self.at_most.iter().all(|&count| std::mem::replace(&mut before, count) >= count)
    }

    /// A lower confidence bound of the number of false hypotheses, whatever the p-values of the false ones are: it exceeds the true
    /// number with probability at most 1 − `confidence`.
    ///
    /// Of m hypotheses V(t) true ones have p ≤ t; it is bounded at K = 20 levels fixed beforehand, and every bound holds at once:
    ///
    /// ```text
    /// bound = max_k #{p ≤ t_k} − (c_k − 1),   t_k = 10⁻ᵏ, k = 1 … K,   P(V(t_k) ≥ c_k) ≤ (1 − confidence)/K
    /// c_k: m t_k / c ≤ (1 − confidence)/K          under any dependence (Markov)
    ///      P(Binomial(m, t_k) ≥ c) ≤ (1 − confidence)/K   for independent ones
    /// ```
    ///
    /// This is the bounding sequence of Meinshausen & Rice (2006, "Estimating the proportion of false null hypotheses among a large
    /// number of independently tested hypotheses") and the confidence envelope of Genovese & Wasserman (2004, "A stochastic process
    /// approach to false discovery control"), with exact laws for a finite m in place of theirs. p-values may be upper bounds.
    ///
    /// # Errors
    /// [`StatsError::NotProbability`] for the confidence.
    pub fn false_at_least(
        &self,
        confidence: f64,
        dependence: Dependence,
    ) -> Result<u64, StatsError> {
        let chance = (1.0 - probability("confidence", confidence)?) / LEVELS as f64;
        let mut bound = 0;
        for (k, small) in (1..).zip(self.at_most) {
            let level = LogP::new(-f64::from(k))?;
            let by_chance = match dependence {
                Dependence::Any => most_under_any_dependence(self.tests, level.p(), chance),
                Dependence::Independent => most_of_independent(self.tests, level.p(), chance)?,
            };
            bound = bound.max(small.saturating_sub(by_chance));
        }
        Ok(bound)
    }
}

/// [`SmallCounts::false_at_least`] of p-values that are at hand, ascending.
///
/// # Errors
/// [`StatsError::NotProbability`] for the confidence.
pub fn false_hypotheses_at_least(
    sorted: &[LogP],
    confidence: f64,
    dependence: Dependence,
) -> Result<usize, StatsError> {
    let mut counts = SmallCounts::default();
    sorted.iter().for_each(|&p| counts.note(p));
    Ok(counts.false_at_least(confidence, dependence)? as usize)
}

/// t_k go down to 10⁻²⁰: far below what one of many millions of true hypotheses reaches.
const LEVELS: usize = 20;

/// c − 1 for the smallest whole c with m t / c ≤ chance.
fn most_under_any_dependence(count: u64, level: f64, chance: f64) -> u64 {
    // Rounding may make the quotient a little too small; one part in 10¹² more is on the safe side.
    let least = (count as f64 * level / chance * (1.0 + 1e-12)).ceil();
    (least as u64).saturating_sub(1).min(count)
}

/// c − 1 for the smallest c with P(Binomial(m, t) ≥ c) ≤ chance.
fn most_of_independent(count: u64, level: f64, chance: f64) -> Result<u64, StatsError> {
    let chance = LogP::from_p(chance)?;
    // P(≥ low) is above the chance, P(≥ high) is not: there is no more than all.
    let (mut low, mut high) = (0, count + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if binomial_sf_ge(middle, count, level)? <= chance { high = middle } else { low = middle }
    }
    Ok(high - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(mut p: Vec<f64>, dependence: Dependence) -> usize {
        p.sort_by(f64::total_cmp);
        let sorted: Vec<LogP> = p.iter().map(|p| LogP::new(*p).unwrap()).collect();
        false_hypotheses_at_least(&sorted, 0.95, dependence).unwrap()
    }

    /// log₁₀ of numbers spread over (0, 1) as evenly as `count` of them can be.
    fn even(count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i as f64 + 0.5) / count as f64).log10()).collect()
    }

    #[test]
    fn true_ones_alone_give_nothing_and_false_ones_are_counted() {
        for dependence in [Dependence::Any, Dependence::Independent] {
            assert_eq!(bound(Vec::new(), dependence), 0);
            assert_eq!(bound(even(10_000), dependence), 0);
            let mixed = [even(10_000), vec![-30.0; 100]].concat();
            assert_eq!(bound(mixed, dependence), 100);
        }
        assert!(false_hypotheses_at_least(&[], 1.5, Dependence::Any).is_err());
    }

    /// 300 with p = 10⁻³ among 10,300: by chance 10.3 are expected, and independent ones seldom are 30.
    #[test]
    fn independence_buys_more() {
        let mixed = || [even(10_000), vec![-3.0; 300]].concat();
        assert_eq!(bound(mixed(), Dependence::Any), 0);
        let found = bound(mixed(), Dependence::Independent);
        assert!((280..=300).contains(&found), "{found}");
    }

    #[test]
    fn limits_solve_their_equations() {
        for (count, level, chance) in [(1000, 1e-2, 0.0025), (50, 0.1, 0.0025), (7, 1e-9, 0.0025)] {
            let most = most_of_independent(count, level, chance).unwrap();
            assert!(binomial_sf_ge(most + 1, count, level).unwrap().p() <= chance);
            assert!(most == 0 || binomial_sf_ge(most, count, level).unwrap().p() > chance);
            let any = most_under_any_dependence(count, level, chance);
            assert!(
                any >= most && (count as f64 * level <= chance * (any + 1) as f64 || any == count)
            );
        }
    }

    /// The share of false claims over 2,000 corpora of 300 true hypotheses, half of them copies of each other in the second
    /// case; at 95 % fewer than 5 % + 4 deviations.
    #[test]
    fn the_bound_seldom_exceeds_the_truth() {
        let mut state = 7u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let (mut independent, mut copies) = (0, 0);
        for _ in 0..2_000 {
            let p: Vec<f64> = (0..300).map(|_| uniform().log10()).collect();
            independent += usize::from(bound(p.clone(), Dependence::Independent) > 0);
            let copied = [vec![p[0]; 150], p[150..].to_vec()].concat();
            copies += usize::from(bound(copied, Dependence::Any) > 0);
        }
        assert!(independent <= 139 && copies <= 139, "{independent} and {copies}");
        assert!(independent > 0);
    }
}
