//! A panel of pairs of independent models, to judge a descriptive statistic by.

use serde::{Deserialize, Serialize};

use crate::stats::LogP;

use super::WeightsError;

/// Fewest pairs that a law is fitted to.
const FEWEST: usize = 5;

/// Values of the embedding alignment on pairs of models that are known to be independent.
///
/// Every model should stand in one pair only; pairs that share a model are not independent draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Version of this form: 1.
    pub schema: u32,
    /// The statistic: `embedding-alignment`.
    pub statistic: String,
    /// The pairs.
    pub pairs: Vec<PanelPair>,
}

/// One pair of independent models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelPair {
    /// Name of the one.
    pub reference: String,
    /// Name of the other.
    pub suspect: String,
    /// The statistic.
    pub value: f64,
}

impl Default for Panel {
    fn default() -> Self {
        Self { schema: 1, statistic: STATISTIC.to_owned(), pairs: Vec::new() }
    }
}

impl Panel {
    /// From JSON.
    ///
    /// # Errors
    /// [`WeightsError::Panel`] for text that is not a panel, [`WeightsError::PanelUnfit`] for another statistic or version, or values
    /// beyond (−1, 1).
    pub fn parse(json: &str) -> Result<Self, WeightsError> {
        let panel: Self = serde_json::from_str(json).map_err(WeightsError::Panel)?;
        let unfit = |what: String, wanted| Err(WeightsError::PanelUnfit { what, wanted });
        if panel.schema != 1 || panel.statistic != STATISTIC {
            let what = format!("is of \"{}\", version {}", panel.statistic, panel.schema);
            return unfit(what, "record one with this version of the command");
        }
        if let Some(pair) =
            panel.pairs.iter().find(|pair| pair.value.is_nan() || pair.value.abs() >= 1.0)
        {
            let what = format!("holds the value {} for {}", pair.value, pair.suspect);
            return unfit(what, "values lie between -1 and 1");
        }
        Ok(panel)
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it has no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// P that a further pair of the same population reaches `value`.
    ///
    /// ```text
    /// x = artanh(value);   t = (x − mean) / (s √(1 + 1/m)),   Student's law with m − 1 degrees of freedom
    /// ```
    ///
    /// # Errors
    /// [`WeightsError::PanelUnfit`] for fewer than five pairs, or pairs that all have one value.
    pub fn predictive(&self, value: f64) -> Result<LogP, WeightsError> {
        let xs: Vec<f64> = self.pairs.iter().map(|pair| pair.value.atanh()).collect();
        let m = xs.len() as f64;
        let unfit = |what: String| {
            Err(WeightsError::PanelUnfit { what, wanted: "record more independent pairs" })
        };
        if xs.len() < FEWEST {
            return unfit(format!("has {} pairs, fewer than {FEWEST}", xs.len()));
        }
        let mean = xs.iter().sum::<f64>() / m;
        let s = (xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (m - 1.0)).sqrt();
        if s <= 1e-12 {
            return unfit("has one value only".to_owned());
        }
        let t = (value.clamp(-GREATEST, GREATEST).atanh() - mean) / (s * (1.0 + 1.0 / m).sqrt());
        Ok(crate::stats::student_t_sf_ge(t, m - 1.0)?)
    }
}

const STATISTIC: &str = super::alignment::EMBEDDINGS;
/// Equal models have the value one, whose transform is infinite.
const GREATEST: f64 = 1.0 - 1e-12;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    fn panel(values: &[f64]) -> Panel {
        let pair = |&value| PanelPair { reference: "a".into(), suspect: "b".into(), value };
        Panel { pairs: values.iter().map(pair).collect(), ..Panel::default() }
    }

    #[test]
    fn predictive_law_holds_for_small_panels() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        // Sums of uniforms are near enough to normal.
        let mut draw = || {
            let sum: f64 = (0..12).map(|_| f64::from(random.next_u32()) / 2f64.powi(32)).sum();
            (0.1 + 0.02 * (sum - 6.0)).tanh()
        };
        let mut small = 0;
        for _ in 0..4000 {
            let values: Vec<f64> = (0..10).map(|_| draw()).collect();
            if panel(&values).predictive(draw()).unwrap().p() <= 0.05 {
                small += 1;
            }
        }
        assert!((150..255).contains(&small), "{small} of 4000 at 5 %");
    }

    #[test]
    fn json_round_trip_and_nonsense() {
        let good = panel(&[0.01, 0.02, 0.03, 0.02, 0.015]);
        let json = serde_json::to_string(&good).unwrap();
        assert_eq!(Panel::parse(&json).unwrap(), good);
        assert!(good.predictive(0.9).unwrap().log10() < -5.0);
        assert!(matches!(Panel::parse("{}"), Err(WeightsError::Panel(_))));
        assert!(Panel::parse(&json.replace("0.03", "1.5")).is_err());
        assert!(Panel::parse(&json.replace("embedding", "other")).is_err());
        assert!(panel(&[0.1; 4]).predictive(0.5).is_err());
        assert!(panel(&[0.1; 9]).predictive(0.5).is_err());
    }
}
