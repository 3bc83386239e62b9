//! Detection rates: area under the ROC curve, and true positives at a stated false-positive rate.

use serde::{Deserialize, Serialize};

use super::error::{StatsError, number, probability};
use super::interval::{Interval, clopper_pearson};
use super::logp::LogP;

/// A proportion with its Clopper–Pearson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How many of them.
    pub hits: u64,
    /// Of how many.
    pub trials: u64,
    /// hits / trials.
    pub rate: f64,
    /// Exact interval for the probability behind it.
    pub interval: Interval,
}

/// True-positive rate at a threshold that was read off negatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TprAtFpr {
    /// A score is called positive when it is *greater* than this; −∞ when all may be.
    pub threshold: f64,
    /// The false-positive rate on the negatives, at most the nominal one.
    pub fpr: Rate,
    /// The true-positive rate. Its interval takes the threshold as given.
    pub tpr: Rate,
}

impl Rate {
    /// `hits` of `trials`.
    ///
    /// # Errors
    /// As [`clopper_pearson`].
    pub fn new(hits: u64, trials: u64, confidence: f64) -> Result<Self, StatsError> {
        let interval = clopper_pearson(hits, trials, confidence)?;
        Ok(Self { hits, trials, rate: hits as f64 / trials as f64, interval })
    }
}

/// The probability that a positive scores higher than a negative, ties counted half: the Mann–Whitney statistic over the product of
/// the sample sizes. Larger scores mean positive.
///
/// # Errors
/// [`StatsError::Empty`], [`StatsError::NotANumber`].
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Result<f64, StatsError> {
    let positives = sorted("positives", positives)?;
    let negatives = sorted("negatives", negatives)?;
    let wins: f64 = positives
        .iter()
        .map(|p| {
            0.5 * (negatives.partition_point(|n| n < p) + negatives.partition_point(|n| n <= p))
                as f64
        })
        .sum();
    Ok(wins / (positives.len() as f64 * negatives.len() as f64))
}

/// The true-positive rate at the lowest threshold that lets at most a fraction `fpr` of the negatives pass. Larger scores mean
/// positive; a score must exceed the threshold, so that ties with a negative never pass.
///
/// # Errors
/// [`StatsError::Empty`], [`StatsError::NotANumber`]; [`StatsError::NotProbability`] for `fpr` or `confidence`.
pub fn tpr_at_fpr(
    positives: &[f64],
    negatives: &[f64],
    fpr: f64,
    confidence: f64,
) -> Result<TprAtFpr, StatsError> {
    let fpr = probability("fpr", fpr)?;
    let positives = sorted("positives", positives)?;
    let negatives = sorted("negatives", negatives)?;
    // 0.07 · 100 is 7.000000000000001 and 0.29 · 100 is 28.999999999999996: the whole number is meant.
    let allowed = (fpr * negatives.len() as f64 * (1.0 + 1e-12)).floor() as usize;
    let threshold = if allowed >= negatives.len() {
        f64::NEG_INFINITY
    } else {
        negatives[negatives.len() - 1 - allowed]
    };
    let rate = |scores: &[f64]| {
        let passed = scores.len() - scores.partition_point(|s| *s <= threshold);
        Rate::new(passed as u64, scores.len() as u64, confidence)
    };
    Ok(TprAtFpr { threshold, fpr: rate(&negatives)?, tpr: rate(&positives)? })
}

/// The rate of p-values at or below a threshold: the true-positive rate of the test on marked texts, its size on unmarked ones.
///
/// # Errors
/// [`StatsError::Empty`] without p-values; [`StatsError::NotProbability`] for the confidence.
pub fn rate_at_p(p: &[LogP], threshold: LogP, confidence: f64) -> Result<Rate, StatsError> {
    let hits = p.iter().filter(|p| **p <= threshold).count();
    Rate::new(hits as u64, p.len() as u64, confidence)
}

fn sorted(name: &'static str, scores: &[f64]) -> Result<Vec<f64>, StatsError> {
    if scores.is_empty() {
        return Err(StatsError::Empty { name });
    }
    let mut scores = scores.iter().map(|&s| number(name, s)).collect::<Result<Vec<_>, _>>()?;
    scores.sort_by(f64::total_cmp);
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn threshold_respects_ties() {
        let negatives = [0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 9.0];
        let at = tpr_at_fpr(&[3.0, 4.0, 10.0], &negatives, 0.2, 0.95).unwrap();
        assert_eq!((at.threshold, at.fpr.hits, at.tpr.hits), (3.0, 1, 2));
        assert_eq!(tpr_at_fpr(&[3.0], &negatives, 1.0, 0.95).unwrap().tpr.hits, 1);
        assert_eq!(tpr_at_fpr(&[9.0, 9.5], &negatives, 0.0, 0.95).unwrap().tpr.hits, 1);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(auroc(&[], &[1.0]), Err(StatsError::Empty { name: "positives" }));
        assert!(auroc(&[1.0], &[f64::NAN]).is_err());
        assert!(tpr_at_fpr(&[1.0], &[1.0], 1.1, 0.95).is_err());
        assert!(rate_at_p(&[], LogP::ONE, 0.95).is_err());
    }

    #[test]
    fn rate_at_a_p_threshold_includes_it() {
        let p = [-1.0, -2.0, -3.0].map(|p| LogP::new(p).unwrap());
        assert_eq!(rate_at_p(&p, p[1], 0.95).unwrap().hits, 2);
    }

    proptest! {
        #[test]
        fn auroc_is_the_share_of_pairs(a in prop::collection::vec(0i8..6, 1..20), b in prop::collection::vec(0i8..6, 1..20)) {
            let pairs: f64 = a.iter().flat_map(|x| b.iter().map(move |y| f64::from(u8::from(x > y)) + 0.5 * f64::from(u8::from(x == y)))).sum();
            let real = |v: &[i8]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let got = auroc(&real(&a), &real(&b)).unwrap();
            prop_assert!((got - pairs / (a.len() * b.len()) as f64).abs() < 1e-12);
        }

        #[test]
        fn fpr_is_never_above_nominal(n in prop::collection::vec(0i8..30, 1..60), fpr in 0.0f64..1.0) {
            let negatives: Vec<f64> = n.iter().map(|&x| f64::from(x)).collect();
            let at = tpr_at_fpr(&[5.0], &negatives, fpr, 0.9).unwrap();
            prop_assert!(at.fpr.rate <= fpr + 1e-9);
        }
    }
}
