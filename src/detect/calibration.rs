//! How often each key alarms on texts that are known not to be marked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::report::Row;
use crate::stats::{Family, Interval, LogP, StatsError, binomial_sf_ge, clopper_pearson};

/// Counts of alarms by profile, key and length, over the rows of unmarked documents.
///
/// A p-value is valid on average over keys; one fixed key may alarm more often on one kind of text. Here the key is fixed and the
/// documents are the sample: they must be drawn independently from the kind of text that is to be judged later, copies left out.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    cells: BTreeMap<Cell, Counts>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    profile: String,
    key_id: String,
    /// Least number of scored tokens; all lengths together come first.
    from: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    documents: u64,
    alarms: [u64; LEVELS.len()],
}

/// The rate of one profile, key, length and level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealisedRate {
    /// Profile id.
    pub profile: String,
    /// Public name of the key.
    pub key_id: String,
    /// Scored tokens: from this many to less than twice as many (below 50 from 0), or of any length.
    pub tokens_from: Option<usize>,
    /// The nominal rate.
    pub level: f64,
    /// Documents with p ≤ level.
    pub alarms: u64,
    /// Documents.
    pub documents: u64,
    /// 95 % Clopper–Pearson interval of the rate.
    pub interval: Interval,
    /// log₁₀ of the p-value of "the rate is at most nominal", corrected for all rates of the calibration.
    pub log10_p: f64,
    /// Whether that is above 1 − confidence: nothing shows that the key alarms too often.
    pub healthy: bool,
}

/// The nominal rates that are looked at.
pub(super) const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];

/// Shorter texts are one class.
const SHORT: usize = 50;

impl Calibration {
    /// Takes the row of an unmarked document. Its `log10_p_corrected` counts, which is as valid as it is cautious: rows of one
    /// profile and one reading lose nothing. Rows of documents that could not be examined are passed over.
    ///
    /// # Errors
    /// [`StatsError`] for a row whose p-value is none.
    pub fn note(&mut self, row: &Row) -> Result<(), StatsError> {
        if row.verdict == Verdict::Error {
            return Ok(());
        }
        let p = LogP::new(row.log10_p_corrected)?;
        for from in [None, Some(length_class(row.tokens_scored))] {
            let (profile, key_id) = (row.profile.clone(), row.key_id.clone());
            let counts = self.cells.entry(Cell { profile, key_id, from }).or_default();
            counts.documents += 1;
            for (alarms, level) in counts.alarms.iter_mut().zip(LEVELS) {
                *alarms += u64::from(p <= LogP::from_p(level)?);
            }
        }
        Ok(())
    }

    /// The counts that rates were made of; `None` where they cannot be those of a calibration.
    pub(super) fn of_rates(rates: &[RealisedRate]) -> Option<Self> {
        let mut calibration = Self::default();
        for of_cell in rates.chunks(LEVELS.len()) {
            let first = of_cell.first()?;
            let (profile, key_id) = (first.profile.clone(), first.key_id.clone());
            let cell = Cell { profile, key_id, from: first.tokens_from };
            let mut counts = Counts { documents: first.documents, alarms: [0; LEVELS.len()] };
            if of_cell.len() != LEVELS.len() || counts.documents == 0 {
                return None;
            }
            for ((rate, level), alarms) in of_cell.iter().zip(LEVELS).zip(&mut counts.alarms) {
                let same = rate.profile == cell.profile
                    && rate.key_id == cell.key_id
                    && rate.tokens_from == cell.from;
                if !same || rate.level != level || rate.documents != counts.documents {
                    return None;
                }
                *alarms = rate.alarms;
            }
            let falls = counts.alarms.windows(2).all(|two| two[0] >= two[1]);
            if !falls || counts.alarms[0] > counts.documents {
                return None;
            }
            if calibration.cells.insert(cell, counts).is_some() {
                return None;
            }
        }
        calibration.classes_add_up().then_some(calibration)
    }

    /// Whether the lengths' documents and alarms are those of all lengths together.
    fn classes_add_up(&self) -> bool {
        self.cells.iter().filter(|(cell, _)| cell.from.is_none()).all(|(all, counts)| {
            let same = |cell: &Cell| (&cell.profile, &cell.key_id) == (&all.profile, &all.key_id);
            let classes = self.cells.iter().filter(|(cell, _)| cell.from.is_some() && same(cell));
            let mut sum = Counts::default();
            for (_, class) in classes {
                sum.documents = sum.documents.saturating_add(class.documents);
                for (total, alarms) in sum.alarms.iter_mut().zip(class.alarms) {
                    *total = total.saturating_add(alarms);
                }
            }
            (sum.documents, sum.alarms) == (counts.documents, counts.alarms)
        })
    }

    /// Every rate, by profile, key, length and level. One that is healthy in truth is called unhealthy, in the whole of the
    /// calibration, with probability at most 1 − `confidence`.
    ///
    /// # Errors
    /// [`StatsError::NotProbability`] for the confidence.
    pub fn rates(&self, confidence: f64) -> Result<Vec<RealisedRate>, StatsError> {
        let least = LogP::from_p(1.0 - confidence)?;
        let family = Family::one().times("rates", (self.cells.len() * LEVELS.len()) as u64);
        let mut rates = Vec::new();
        for (cell, counts) in &self.cells {
            for (&alarms, level) in counts.alarms.iter().zip(LEVELS) {
                let p = family.correct(binomial_sf_ge(alarms, counts.documents, level)?);
                rates.push(RealisedRate {
                    profile: cell.profile.clone(),
                    key_id: cell.key_id.clone(),
                    tokens_from: cell.from,
                    level,
                    alarms,
                    documents: counts.documents,
                    interval: clopper_pearson(alarms, counts.documents, 0.95)?,
                    log10_p: p.log10().max(f64::MIN),
                    healthy: p > least,
                });
            }
        }
        Ok(rates)
    }
}

/// 0, 50, 100, 200, 400, …
fn length_class(tokens: usize) -> usize {
    match tokens / SHORT {
        0 => 0,
        times => SHORT << times.ilog2(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn row(key: &str, scored: usize, p: f64) -> Row {
        let profile = Profile::parse(
            r#"
            schema = 1
            id = "p"
            key_id = "k-0123456789ab"
            prf = "touchmark-v1"
            created = "2026-11-21T08:00:00Z"
            [scheme]
            scheme = "kgw"
            gamma = 0.25
            delta = 2.0
            context_width = 2
            [tokenizer]
            hash = "386e9b0003f3c57b71eafb80d97a7a2968c93622bfd7c36e97c7b76ddf2e6363"
            vocab_size = 8192
            name = "t"
            "#,
        );
        let row = Row::error("d".into(), "s".into(), 0, &profile.unwrap(), Vec::new());
        let (log10_p_corrected, verdict) = (p.log10(), Verdict::NotDetected);
        Row { key_id: key.into(), tokens_scored: scored, log10_p_corrected, verdict, ..row }
    }

    /// 1,000 documents a key, p even over (0, 1); the second key's p are a third of that.
    fn two_keys() -> Calibration {
        let mut calibration = Calibration::default();
        for i in 0..1000 {
            let p = (f64::from(i) + 0.5) / 1000.0;
            calibration.note(&row("good", 60 + (i as usize % 2) * 60, p)).unwrap();
            calibration.note(&row("bad", 60, p / 3.0)).unwrap();
        }
        calibration
    }

    #[test]
    fn a_key_that_alarms_too_often_is_told_from_one_that_does_not() {
        let rates = two_keys().rates(0.99).unwrap();
        // Two keys; all lengths and, of the first key, two classes, of the second one; three levels.
        assert_eq!(rates.len(), 15);
        assert!(rates.iter().filter(|rate| rate.key_id == "good").all(|rate| rate.healthy));
        let bad = |level| {
            let of = |rate: &&RealisedRate| {
                rate.key_id == "bad" && rate.level == level && rate.tokens_from.is_none()
            };
            rates.iter().find(of).unwrap()
        };
        assert_eq!((bad(0.05).alarms, bad(0.05).documents, bad(0.05).healthy), (150, 1000, false));
        assert!(bad(0.05).interval.contains(0.15) && bad(0.05).log10_p < -20.0);
        assert!(bad(0.001).healthy, "3 of 1,000 is too little to say");
    }

    #[test]
    fn lengths_double_from_fifty_on() {
        let classes = [0, 49, 50, 99, 100, 199, 200, 1_000_000].map(length_class);
        assert_eq!(classes, [0, 0, 50, 50, 100, 100, 200, 819_200]);
    }

    #[test]
    fn what_was_not_examined_does_not_count() {
        let mut calibration = Calibration::default();
        let failed = Row { verdict: Verdict::Error, ..row("good", 60, 1e-9) };
        calibration.note(&failed).unwrap();
        assert!(calibration.rates(0.99).unwrap().is_empty());
        assert!(two_keys().rates(1.5).is_err());
    }
}
