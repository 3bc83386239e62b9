//! Corrections for many tests, on p-values in log space.

use super::logp::LogP;
use super::step_up::{Correction, StepUp};

/// min(1, N · min pᵢ): Bonferroni over `count` tests of which `smallest` is the smallest p-value. Valid under any dependence.
pub fn bonferroni(smallest: LogP, count: u64) -> LogP {
    smallest.times(count as f64)
}

/// Holm's step-down adjusted p-values (Holm 1979), in the order given. Valid under any dependence.
///
/// ```text
/// p̃₍ᵢ₎ = max_{j≤i} min(1, (m − j + 1) p₍ⱼ₎)
/// ```
pub fn holm(p: &[LogP]) -> Vec<LogP> {
    let mut adjusted = vec![LogP::ONE; p.len()];
    let mut largest = LogP::ZERO;
    for (rank, i) in ascending(p).into_iter().enumerate() {
        largest = largest.max(p[i].times((p.len() - rank) as f64));
        adjusted[i] = largest;
    }
    adjusted
}

/// Benjamini–Hochberg adjusted p-values (q-values; Benjamini & Hochberg 1995), in the order given. They control the false discovery
/// rate for independent or positively dependent tests.
///
/// ```text
/// q₍ᵢ₎ = min_{j≥i} min(1, m p₍ⱼ₎ / j)
/// ```
pub fn benjamini_hochberg(p: &[LogP]) -> Vec<LogP> {
    step_up(p, Correction::BenjaminiHochberg)
}

/// Benjamini–Yekutieli adjusted p-values (2001, theorem 1.3): [`benjamini_hochberg`] with m replaced by m Σ 1/i. They control the
/// false discovery rate under any dependence.
pub fn benjamini_yekutieli(p: &[LogP]) -> Vec<LogP> {
    step_up(p, Correction::BenjaminiYekutieli)
}

fn step_up(p: &[LogP], correction: Correction) -> Vec<LogP> {
    let sorted = StepUp::new(p.to_vec(), correction);
    p.iter().map(|&p| sorted.q(p)).collect()
}

/// Positions by p, smallest first.
fn ascending(p: &[LogP]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by_key(|&i| p[i]);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logs(p: &[f64]) -> Vec<LogP> {
        p.iter().map(|&p| LogP::from_p(p).unwrap()).collect()
    }

    #[test]
    fn nothing_underflows() {
        let p = [LogP::new(-5000.0).unwrap(), LogP::new(-4000.0).unwrap(), LogP::ONE];
        assert!((holm(&p)[0].log10() - (3f64.log10() - 5000.0)).abs() < 1e-9);
        assert!((benjamini_hochberg(&p)[1].log10() - (1.5f64.log10() - 4000.0)).abs() < 1e-9);
        assert_eq!(bonferroni(LogP::ZERO, 10), LogP::ZERO);
        assert_eq!(bonferroni(LogP::from_p(0.2).unwrap(), 10), LogP::ONE);
        assert!(holm(&[]).is_empty() && benjamini_yekutieli(&[]).is_empty());
    }

    /// `tests/it/golden/multiplicity.py` made the values with statsmodels and SciPy.
    #[test]
    fn as_statsmodels_and_scipy() {
        #[derive(serde::Deserialize)]
        struct Case {
            p: Vec<f64>,
            holm: Vec<f64>,
            bh: Vec<f64>,
            by: Vec<f64>,
        }
        let mut golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/it/golden/multiplicity.json")).unwrap();
        let cases: Vec<Case> = serde_json::from_value(golden["cases"].take()).unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let p = logs(&case.p);
            for (got, expected) in [
                (holm(&p), case.holm),
                (benjamini_hochberg(&p), case.bh),
                (benjamini_yekutieli(&p), case.by),
            ] {
                for (got, expected) in got.iter().zip(&expected) {
                    let error = (got.log10() - expected.log10()).abs();
                    assert!(
                        error <= 1e-12 * expected.log10().abs().max(1.0),
                        "{got:?} for {expected:e}"
                    );
                }
                assert_eq!(got.len(), expected.len());
            }
        }
    }

    proptest! {
        /// By the rejection rule: adjusted p ≤ α exactly where the plain procedure at level α rejects.
        #[test]
        fn adjusted_values_are_the_procedures(p in prop::collection::vec(0.0f64..0.3, 1..12), alpha in 0.001f64..0.5) {
            let m = p.len() as f64;
            let mut sorted = p.clone();
            sorted.sort_by(f64::total_cmp);
            let rejected_by_holm = sorted.iter().enumerate().take_while(|(j, p)| **p * (m - *j as f64) <= alpha).count();
            let last_below = |level: f64| sorted.iter().enumerate().filter(|(j, p)| **p <= level * (*j as f64 + 1.0) / m).map(|(j, _)| j + 1).max();
            let harmonic: f64 = (1..=p.len()).map(|i| 1.0 / i as f64).sum();
            let count = |q: Vec<LogP>| q.iter().filter(|q| q.p() <= alpha).count();
            prop_assert_eq!(count(holm(&logs(&p))), rejected_by_holm);
            prop_assert_eq!(count(benjamini_hochberg(&logs(&p))), last_below(alpha).unwrap_or(0));
            prop_assert_eq!(count(benjamini_yekutieli(&logs(&p))), last_below(alpha / harmonic).unwrap_or(0));
        }
    }
}
