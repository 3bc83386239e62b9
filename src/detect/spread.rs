//! How far keys differ in how often they alarm on the same texts.

use serde::{Deserialize, Serialize};

use super::calibration::LEVELS;
use crate::stats::{LogP, StatsError};

/// Alarms of keys that nobody marks with, at the levels of a calibration.
///
/// One key alarms more or less often on one kind of text; how much keys differ is a property of the profile's parameters and of the
/// text. It says what to expect of a key that is yet to be made, not how a key at hand behaves.
#[derive(Clone, Debug, Default)]
pub struct FreshKeys {
    documents: u64,
    alarms: Vec<[u64; LEVELS.len()]>,
}

/// The rates of many keys at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpread {
    /// The nominal rate.
    pub level: f64,
    /// Keys tried.
    pub keys: usize,
    /// Documents that each of them read.
    pub documents: u64,
    /// Mean rate.
    pub mean: f64,
    /// At least 95 % of the keys have a rate from here …
    pub low: f64,
    /// … to here.
    pub high: f64,
    /// The greatest rate of a key.
    pub worst: f64,
}

impl FreshKeys {
    /// Takes the p-values of one document under each of the keys, in the same order each time.
    ///
    /// # Errors
    /// [`StatsError`] never happens for the levels; it is passed on rather than hidden.
    pub fn note(&mut self, p: &[LogP]) -> Result<(), StatsError> {
        self.documents += 1;
        self.alarms.resize(self.alarms.len().max(p.len()), [0; LEVELS.len()]);
        for (alarms, p) in self.alarms.iter_mut().zip(p) {
            for (count, level) in alarms.iter_mut().zip(LEVELS) {
                *count += u64::from(*p <= LogP::from_p(level)?);
            }
        }
        Ok(())
    }

    /// The spread at each level; none before a document.
    pub fn spread(&self) -> Vec<KeySpread> {
        if self.documents == 0 || self.alarms.is_empty() {
            return Vec::new();
        }
        LEVELS.iter().enumerate().map(|(at, &level)| self.at(at, level)).collect()
    }

    fn at(&self, at: usize, level: f64) -> KeySpread {
        let rate = |alarms: u64| alarms as f64 / self.documents as f64;
        let mut rates: Vec<f64> = self.alarms.iter().map(|alarms| rate(alarms[at])).collect();
        rates.sort_by(f64::total_cmp);
        let keys = rates.len();
        // No more than 2.5 % of the keys are left out at either end.
        let beyond = keys / 40;
        KeySpread {
            level,
            keys,
            documents: self.documents,
            mean: rates.iter().sum::<f64>() / keys as f64,
            low: rates[beyond],
            high: rates[keys - 1 - beyond],
            worst: rates[keys - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_of_a_hundred_keys_lie_between() {
        let mut keys = FreshKeys::default();
        assert!(keys.spread().is_empty());
        // Key k alarms on the first k of 100 documents at 5 %, and every second time at 1 %.
        for document in 0..100 {
            let p = |key: i32| match (key > document, document % 2) {
                (true, 0) => 0.01,
                (true, _) => 0.05,
                _ => 0.051,
            };
            let p: Vec<LogP> = (0..100).map(|key| LogP::from_p(p(key)).unwrap()).collect();
            keys.note(&p).unwrap();
        }
        let spread = keys.spread();
        let five = &spread[0];
        assert_eq!((five.level, five.keys, five.documents), (0.05, 100, 100));
        assert_eq!((five.low, five.high, five.worst), (0.02, 0.97, 0.99));
        assert!((five.mean - 0.495).abs() < 1e-12);
        assert_eq!((spread[1].worst, spread[2].worst), (0.5, 0.0));
    }

    #[test]
    fn of_few_keys_all_lie_between() {
        let mut keys = FreshKeys::default();
        keys.note(&[LogP::ONE, LogP::ZERO]).unwrap();
        assert_eq!((keys.spread()[2].low, keys.spread()[2].high), (0.0, 1.0));
    }
}
