//! The one place where a null law meets its tail function.

use crate::schemes::Null;
use crate::stats::{LogP, StatsError, WeightedBits, binomial_sf_ge, gamma_sf_ge, two_gamma_sf_ge};

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
            Null::WeightedBits { weights } => {
                smallest_whole(scored * weights.iter().sum::<u64>(), significant)
            }
            Null::Widened { law, .. } => {
                smallest_whole((scored as f64 * law.unit()) as u64, significant)
            }
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
