//! What a calibration leaves behind, so that later detections can cite it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calibration::{Calibration, RealisedRate};
use super::spread::KeySpread;
use crate::stats::StatsError;

/// A calibration as a file holds it, JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// Version of this form.
    pub schema: u32,
    /// Version of the program.
    pub detector_version: String,
    /// When it was made.
    pub created: Timestamp,
    /// How documents were looked at.
    pub settings: LookSettings,
    /// What it was made on.
    pub documents: Negatives,
    /// Of a key that is healthy in truth it says so with this probability or more, of all of its rates together.
    pub confidence: f64,
    /// Every profile with every key.
    pub marks: Vec<MarkIdentity>,
    /// Their rates.
    pub rates: Vec<RealisedRate>,
    /// By profile id: how far keys that nobody marks with differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fresh_keys: BTreeMap<String, Vec<KeySpread>>,
}

/// What a document's p-value depends on besides the mark. The false-alarm rate is none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookSettings {
    /// Whether texts are read with common damage undone too.
    pub normalise: bool,
    /// Which passages are looked at: `auto`, `off`, or their least length.
    pub segments: String,
    /// Whether texts are read as answers to prompts.
    pub prompts: bool,
    /// Whether token ids are read in place of texts.
    pub tokens: bool,
    /// The model that gates scores, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The documents of a calibration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negatives {
    /// Those that count.
    pub count: u64,
    /// Left out: the same letters and digits as one that counts.
    pub repeated: u64,
    /// Left out: not readable.
    pub failed: u64,
    /// BLAKE3 of the BLAKE3 hashes of those that count, 32 bytes each, ascending.
    pub blake3: String,
}

/// Profile and key that rates belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkIdentity {
    /// Profile id.
    pub profile: String,
    /// BLAKE3 of what of the profile decides over scores.
    pub profile_blake3: String,
    /// Public name of the key.
    pub key_id: String,
    /// The commitment that was made with the key.
    pub commitment: String,
    /// BLAKE3 of the tokenizer.
    pub tokenizer: String,
}

/// What a calibration says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// No rate was shown to be too great.
    pub healthy: bool,
    /// Of texts of all lengths together the rate at a nominal 1 % is 2 % at most, with 97.5 % confidence.
    pub close: bool,
}

impl Calibrated {
    /// The only version so far.
    pub const SCHEMA: u32 = 1;

    /// Reads a calibration. Rates are computed again from the counts: what the file says of a key's health is checked, not believed.
    ///
    /// # Errors
    /// [`CalibratedError`]: not a calibration, another version, or counts and rates that do not go together.
    pub fn parse(file: &[u8]) -> Result<Self, CalibratedError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_slice(file)?;
        if version.schema != Self::SCHEMA {
            return Err(CalibratedError::Schema { got: version.schema });
        }
        let read: Self = serde_json::from_slice(file)?;
        let again = Calibration::of_rates(&read.rates).ok_or(CalibratedError::Damaged)?;
        let rates = again.rates(read.confidence)?;
        let same = |(a, b): (&RealisedRate, &RealisedRate)| {
            (&a.profile, &a.key_id, a.tokens_from) == (&b.profile, &b.key_id, b.tokens_from)
                && (a.alarms, a.documents, a.healthy) == (b.alarms, b.documents, b.healthy)
        };
        let known = |rate: &RealisedRate| {
            read.marks
                .iter()
                .any(|mark| (&mark.profile, &mark.key_id) == (&rate.profile, &rate.key_id))
        };
        let fits = rates.len() == read.rates.len()
            && rates.iter().zip(&read.rates).all(same)
            && rates.iter().all(known);
        if fits { Ok(Self { rates, ..read }) } else { Err(CalibratedError::Damaged) }
    }

    /// What it says of a mark, looked for with these settings.
    ///
    /// # Errors
    /// [`CalibratedError`]: not calibrated, or another profile, key, tokenizer or way of looking under the same names.
    pub fn state(
        &self,
        mark: &MarkIdentity,
        settings: &LookSettings,
    ) -> Result<KeyState, CalibratedError> {
        let name = || (mark.profile.clone(), mark.key_id.clone());
        let same_name =
            |it: &&MarkIdentity| (&it.profile, &it.key_id) == (&mark.profile, &mark.key_id);
        let Some(known) = self.marks.iter().find(same_name) else {
            let (profile, key_id) = name();
            return Err(CalibratedError::Unknown { profile, key_id });
        };
        let differs = [
            ("tokenizer", known.tokenizer != mark.tokenizer),
            ("profile", known.profile_blake3 != mark.profile_blake3),
            ("key", known.commitment != mark.commitment),
            (
                "way of looking (--normalise, --segments, --prompt-field, --tokens-field, --model)",
                self.settings != *settings,
            ),
        ];
        if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let (profile, key_id) = name();
            return Err(CalibratedError::Other { profile, key_id, what });
        }
        Ok(self.key_state(&mark.profile, &mark.key_id))
    }

    /// What it says of a profile and key by name; of one without rates nothing good.
    pub fn key_state(&self, profile: &str, key_id: &str) -> KeyState {
        let of_key = |rate: &&RealisedRate| rate.profile == profile && rate.key_id == key_id;
        let rates: Vec<&RealisedRate> = self.rates.iter().filter(of_key).collect();
        let healthy = !rates.is_empty() && rates.iter().all(|rate| rate.healthy);
        let bounded = |rate: &&RealisedRate| {
            rate.tokens_from.is_none() && rate.level == 0.01 && rate.interval.high <= 0.02
        };
        KeyState { healthy, close: healthy && rates.iter().any(bounded) }
    }
}

/// Why a calibration cannot be cited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibratedError {
    /// Not JSON of this form.
    #[error("not a calibration ({0}); make it again with `touchmark calibrate`")]
    Json(#[from] serde_json::Error),
    /// A version this program does not know.
    #[error("a calibration of schema {got}; this version of touchmark reads schema {known}", known = Calibrated::SCHEMA)]
    Schema {
        /// What was read.
        got: u32,
    },
    /// Altered or cut.
    #[error(
        "the calibration's counts and rates do not go together; make it again with `touchmark calibrate`"
    )]
    Damaged,
    /// Not calibrated.
    #[error(
        "it has no rates of profile \"{profile}\" with key \"{key_id}\"; calibrate that too, or leave it out"
    )]
    Unknown {
        /// Profile id.
        profile: String,
        /// Key id.
        key_id: String,
    },
    /// The same names, and not the same thing.
    #[error(
        "profile \"{profile}\" with key \"{key_id}\" was calibrated with another {what}; calibrate again, or look as it did"
    )]
    Other {
        /// Profile id.
        profile: String,
        /// Key id.
        key_id: String,
        /// What differs.
        what: &'static str,
    },
    /// Counts or a confidence outside their range.
    #[error(
        "the calibration's numbers are outside their ranges; make it again with `touchmark calibrate`"
    )]
    Stats(#[from] StatsError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Interval, clopper_pearson};

    fn rate(from: Option<usize>, level: f64, alarms: u64, documents: u64) -> RealisedRate {
        RealisedRate {
            profile: "p".into(),
            key_id: "k".into(),
            tokens_from: from,
            level,
            alarms,
            documents,
            interval: Interval { low: 0.0, high: 1.0 },
            log10_p: 0.0,
            healthy: true,
        }
    }

    fn calibrated(documents: u64, alarms: [u64; 3]) -> Calibrated {
        let levels = [0.05, 0.01, 0.001];
        let rates = [None, Some(50)].into_iter().flat_map(|from| {
            levels
                .into_iter()
                .zip(alarms)
                .map(move |(level, alarms)| rate(from, level, alarms, documents))
        });
        let rates = Calibration::of_rates(&rates.collect::<Vec<_>>()).unwrap().rates(0.99).unwrap();
        let mark = MarkIdentity {
            profile: "p".into(),
            profile_blake3: "a".into(),
            key_id: "k".into(),
            commitment: "c".into(),
            tokenizer: "t".into(),
        };
        Calibrated {
            schema: 1,
            detector_version: "0".into(),
            created: Timestamp::UNIX_EPOCH,
            settings: settings(),
            documents: Negatives { count: documents, repeated: 0, failed: 0, blake3: "b".into() },
            confidence: 0.99,
            marks: vec![mark],
            rates,
            fresh_keys: BTreeMap::new(),
        }
    }

    fn settings() -> LookSettings {
        LookSettings {
            normalise: true,
            segments: "auto".into(),
            prompts: false,
            tokens: false,
            model: None,
        }
    }

    fn again(calibrated: &Calibrated) -> Result<Calibrated, CalibratedError> {
        Calibrated::parse(serde_json::to_string(calibrated).unwrap().as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let written = calibrated(2_000, [90, 18, 2]);
        let read = again(&written).unwrap();
        assert_eq!(read, written);
        let state = read.state(&read.marks[0], &settings()).unwrap();
        assert_eq!(state, KeyState { healthy: true, close: true });
        assert!(clopper_pearson(18, 2_000, 0.95).unwrap().high <= 0.02);
        // Too few documents to say that the rate is close to nominal, too many alarms, and no rates at all.
        let state = |of: &Calibrated| of.key_state("p", "k");
        assert_eq!(state(&calibrated(200, [9, 2, 0])), KeyState { healthy: true, close: false });
        assert_eq!(
            state(&calibrated(2_000, [300, 90, 2])),
            KeyState { healthy: false, close: false }
        );
        assert_eq!(read.key_state("p", "other"), KeyState { healthy: false, close: false });
    }

    #[test]
    fn what_was_altered_is_refused() {
        let good = calibrated(2_000, [300, 90, 2]);
        let damaged = |change: &dyn Fn(&mut Calibrated)| {
            let mut altered = good.clone();
            change(&mut altered);
            matches!(again(&altered), Err(CalibratedError::Damaged | CalibratedError::Stats(_)))
        };
        assert!(!damaged(&|_| {}));
        assert!(damaged(&|it| it.rates.iter_mut().for_each(|rate| rate.healthy = true)));
        assert!(damaged(&|it| it.rates[0].alarms = 2_001));
        assert!(damaged(&|it| it.rates[0].alarms = 299));
        assert!(damaged(&|it| it.rates[1].documents = 1_999));
        assert!(damaged(&|it| it.rates[1].level = 0.02));
        assert!(damaged(&|it| it.rates.truncate(4)));
        assert!(damaged(&|it| it.rates.extend(good.rates.clone())));
        assert!(damaged(&|it| it.marks.clear()));
        assert!(damaged(&|it| it.confidence = 7.0));
        let text = serde_json::to_string(&good).unwrap();
        let refused = |text: &str| Calibrated::parse(text.as_bytes());
        assert!(matches!(refused(&text[..text.len() - 2]), Err(CalibratedError::Json(_))));
        let later = text.replace("\"schema\":1", "\"schema\":2,\"new\":0");
        assert!(matches!(refused(&later), Err(CalibratedError::Schema { got: 2 })));
    }

    #[test]
    fn another_mark_or_way_of_looking_is_refused() {
        let calibrated = calibrated(2_000, [90, 18, 2]);
        let own = calibrated.marks[0].clone();
        let other = |mark: &MarkIdentity, settings: &LookSettings| {
            calibrated.state(mark, settings).unwrap_err().to_string()
        };
        let unknown = MarkIdentity { key_id: "x".into(), ..own.clone() };
        assert!(other(&unknown, &settings()).contains("no rates of profile \"p\" with key \"x\""));
        let profile = MarkIdentity { profile_blake3: "x".into(), ..own.clone() };
        assert!(other(&profile, &settings()).contains("another profile"));
        let key = MarkIdentity { commitment: "x".into(), ..own.clone() };
        assert!(other(&key, &settings()).contains("another key"));
        let tokenizer = MarkIdentity { tokenizer: "x".into(), ..own.clone() };
        assert!(other(&tokenizer, &settings()).contains("another tokenizer"));
        let way = LookSettings { segments: "off".into(), ..settings() };
        assert!(other(&own, &way).contains("way of looking"));
    }
}
