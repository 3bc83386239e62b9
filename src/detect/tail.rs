//! The one place where a null law meets its tail function.

use crate::schemes::{Null, TextLaw};
use crate::stats::{
    EValue, LogP, StatsError, WeightedBits, binomial_sf_ge, gamma_sf_ge, hypergeometric_sf_ge,
    maximal_counts_sf_ge, permutation_p, two_gamma_sf_ge,
};

/// The law of a text's total evidence under the null, made once for a mark.
#[derive(Debug)]
pub struct Law {
    null: Null,
    weighted: Option<WeightedBits>,
    /// The law that is widened.
    inner: Option<Box<Self>>,
}

impl Law {
    /// The law whose single tokens follow `null`.
    ///
    /// # Errors
    /// [`StatsError`] for weights that are no weights.
    pub fn new(null: Null) -> Result<Self, StatsError> {
        let weighted = match &null {
            Null::WeightedBits { weights } => Some(WeightedBits::from_integers(weights)?),
            _ => None,
        };
        let inner = match &null {
            Null::Widened { law, .. } => Some(Box::new(Self::new((**law).clone())?)),
            _ => None,
        };
        Ok(Self { null, weighted, inner })
    }

    /// The law of one token's evidence.
    pub fn null(&self) -> &Null {
        &self.null
    }

    /// The most evidence that one token can have.
    pub fn most(&self) -> f64 {
        match &self.null {
            Null::Exponential | Null::TwoExponentials { .. } => MOST_EXPONENTIAL,
            null => null.unit(),
        }
    }

    /// P(sum of `scored` tokens' evidence ≥ `sum`); 1 when nothing was scored.
    ///
    /// # Errors
    /// [`StatsError`] when `sum` is not a number.
    pub fn tail(&self, sum: f64, scored: u64) -> Result<LogP, StatsError> {
        if scored == 0 {
            return Ok(LogP::ONE);
        }
        if let Some(law) = &self.inner {
            return law.tail(narrowed(&self.null, law.null(), sum, scored as f64), scored);
        }
        match (&self.null, &self.weighted) {
            (_, Some(weighted)) => weighted.sf_ge(sum, scored),
            (Null::Binomial { trials, p }, _) => {
                binomial_sf_ge(sum as u64, scored * u64::from(*trials), *p)
            }
            (&Null::Hypergeometric { population, marked }, _) => {
                // An id outside the vocabulary is never marked: counting it as a draw only raises p.
                let (population, marked) = (u64::from(population), u64::from(marked));
                hypergeometric_sf_ge(sum as u64, population, marked, scored.min(population))
            }
            // Tokens say nothing alone: only a whole text's law can.
            (Null::OfText, _) => Ok(LogP::ONE),
            (Null::Lists { p }, _) => lists_sf_ge(sum as u64, scored, *p),
            (Null::Exponential, _) => gamma_sf_ge(sum, scored as f64),
            (Null::TwoExponentials { alpha }, _) => two_gamma_sf_ge(sum, scored, *alpha),
            (Null::WeightedBits { weights }, None) => {
                WeightedBits::from_integers(weights)?.sf_ge(sum, scored)
            }
            (Null::Widened { .. }, _) => Self::new(self.null.clone())?.tail(sum, scored),
        }
    }

    /// The smallest total evidence of `scored` tokens that is significant: its tail is at most `threshold`. Infinite when
    /// no total is, as for too few tokens.
    pub fn critical(&self, scored: u64, threshold: LogP) -> f64 {
        let significant = |sum: f64| self.tail(sum, scored).is_ok_and(|p| p <= threshold);
        match &self.null {
            Null::Binomial { trials, .. } => {
                smallest_whole(scored * u64::from(*trials), significant)
            }
            Null::Hypergeometric { marked, .. } => {
                smallest_whole(scored.min(u64::from(*marked)), significant)
            }
            Null::WeightedBits { weights } => {
                smallest_whole(scored * weights.iter().sum::<u64>(), significant)
            }
            Null::Widened { law, .. } => {
                smallest_whole((scored as f64 * law.unit()) as u64, significant)
            }
            Null::OfText => f64::INFINITY,
            Null::Lists { .. } => smallest_whole(scored, significant),
            Null::Exponential | Null::TwoExponentials { .. } => {
                smallest_real(MOST_EXPONENTIAL * scored as f64, significant)
            }
        }
    }
}

/// The sum of `law` that is as rare as `sum` is under `law` moved to `mean` and widened, or less rare: sums below the mean
/// are not narrowed, and fractions are dropped.
fn narrowed(widened: &Null, law: &Null, sum: f64, scored: f64) -> f64 {
    let mut above = sum - scored * widened.mean();
    if let Null::Widened { variance, growth, .. } = widened
        && above > 0.0
    {
        above /= (variance + growth * scored).sqrt();
    }
    (scored * law.mean() + above).floor().clamp(0.0, scored * law.unit())
}

/// P(statistic ≥ `sum`) under the law of a text that was judged as a whole.
pub(super) fn of_text(law: &TextLaw, sum: f64) -> Result<LogP, StatsError> {
    match law {
        TextLaw::Nothing => Ok(LogP::ONE),
        &TextLaw::EValue { ln } => Ok(EValue::from_ln(ln)?.p_bound()),
        TextLaw::MaximalCounts { tokens, colours } => {
            maximal_counts_sf_ge(sum as u64, tokens, colours)
        }
        &TextLaw::Alignments { at_least, draws, alignments, terms } => {
            let rank = permutation_p(at_least, draws)?;
            if alignments == 0 {
                return Ok(rank);
            }
            // Two valid p-values of one text: twice the smaller is one.
            let union = gamma_sf_ge(sum, terms as f64)?.times(alignments as f64);
            Ok(rank.min(union).times(2.0))
        }
    }
}

/// Upper bound of P(number of listed tokens among `scored` ≥ `listed`), the lists being of fixed sizes.
///
/// The number of listed ones among m distinct tokens of one list is hypergeometric, whose generating function has real
/// roots: it is a sum of independent trials, and so is the sum over lists. Among such sums of equal mean n·p the binomial has
/// the heaviest tail from n·p + 1 on (Hoeffding, "On the distribution of the number of successes in independent trials",
/// Ann. Math. Statist. 27 (1956), theorem 4). Below that the bound is 1.
fn lists_sf_ge(listed: u64, scored: u64, p: f64) -> Result<LogP, StatsError> {
    if (listed as f64) < scored as f64 * p + 1.0 {
        return Ok(LogP::ONE);
    }
    binomial_sf_ge(listed, scored, p)
}

fn smallest_whole(most: u64, significant: impl Fn(f64) -> bool) -> f64 {
    if !significant(most as f64) {
        return f64::INFINITY;
    }
    let (mut below, mut enough) = (0, most);
    while below < enough {
        let middle = below + (enough - below) / 2;
        if significant(middle as f64) { enough = middle } else { below = middle + 1 }
    }
    enough as f64
}

fn smallest_real(most: f64, significant: impl Fn(f64) -> bool) -> f64 {
    if !significant(most) {
        return f64::INFINITY;
    }
    let (mut below, mut enough) = (0.0, most);
    while enough - below > 1e-9 * most {
        let middle = 0.5 * (below + enough);
        if significant(middle) { enough = middle } else { below = middle }
    }
    enough
}

/// A 32-bit word gives at most 32·ln 2 of exponential evidence.
const MOST_EXPONENTIAL: f64 = 22.181;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::hypergeometric_sf_ge;

    /// P(X = k) for k = 0..=draws, from the tails.
    fn hypergeometric(population: u64, listed: u64, draws: u64) -> Vec<f64> {
        let tail = |k| hypergeometric_sf_ge(k, population, listed, draws).unwrap().p();
        (0..=draws).map(|k| tail(k) - if k < draws { tail(k + 1) } else { 0.0 }).collect()
    }

    fn convolution(a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; a.len() + b.len() - 1];
        for (i, x) in a.iter().enumerate() {
            b.iter().enumerate().for_each(|(j, y)| sum[i + j] += x * y);
        }
        sum
    }

    /// Against the exact law of a few lists: never below it, and not far above where lists meet one token each.
    #[test]
    fn lists_are_bounded() {
        for (population, listed, draws) in [
            (8, 2, &[3, 3, 2][..]),
            (8, 4, &[4, 4, 4]),
            (20, 5, &[1; 12]),
            (20, 5, &[12, 1, 1, 7]),
            (100, 25, &[40, 2, 2, 9]),
        ] {
            let exact = draws.iter().fold(vec![1.0], |law, &draws| {
                convolution(&law, &hypergeometric(population, listed, draws))
            });
            let scored: u64 = draws.iter().sum();
            let p = listed as f64 / population as f64;
            let law = Law::new(Null::Lists { p }).unwrap();
            for k in 0..=scored {
                let tail: f64 = exact[k as usize..].iter().sum();
                let bound = law.tail(k as f64, scored).unwrap().p();
                assert!(bound >= tail - 1e-12, "{population} {draws:?} {k}: {bound} {tail}");
                if draws.iter().all(|&draws| draws == 1) && k as f64 >= scored as f64 * p + 1.0 {
                    assert!((bound / tail - 1.0).abs() < 1e-9, "{k}: {bound} {tail}");
                }
            }
            let critical = law.critical(scored, LogP::from_p(0.05).unwrap());
            assert!(law.tail(critical, scored).unwrap().p() <= 0.05);
            assert!(law.tail(critical - 1.0, scored).unwrap().p() > 0.05);
        }
    }
}
