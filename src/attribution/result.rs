//! What a test says of a suspect.

use serde::{Deserialize, Serialize};

use crate::stats::{Family, LogP};

use super::decoys::Decoys;
use super::error::AttributionError;
use super::weighed::Weighed;

/// What is said of a suspect. Never that it is innocent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was trained on text with this mark, or on text of a model that was.
    Shown,
    /// That is not shown.
    NotShown,
    /// The test cannot be made, or its premises do not hold.
    Inconclusive,
}

impl Verdict {
    /// As it stands in reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Shown => "SHOWN",
            Self::NotShown => "NOT SHOWN",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// What was weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// What the suspect expects, minus what the base does, summed up by context.
    SoftDifference,
    /// The token that the suspect expects most, each pair of context and token once (v2).
    ArgmaxPairs,
    /// The same, each context once (v1).
    ArgmaxContexts,
    /// What the suspect says.
    Speech,
    /// The likeliest tokens that it gives with their probabilities at each place of what it says, summed up by context.
    LikelySpeech,
}

impl Statistic {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::SoftDifference => "expected tokens, minus the base's, summed up by context",
            Self::ArgmaxPairs => "likeliest token, each (context, token) once",
            Self::ArgmaxContexts => "likeliest token, each context once",
            Self::Speech => "tokens said, each (context, token) once",
            Self::LikelySpeech => {
                "likeliest tokens where it says something, by probability, summed up by context"
            }
        }
    }
}

/// One transcript weighed under the mark's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was weighed.
    pub statistic: Statistic,
    /// log₁₀ of the p-value or of a proven bound of it, over random keys.
    pub log10_p: f64,
    /// Whether it is the tail itself.
    pub exact: bool,
    /// Standard deviations above the mean; for showing.
    pub z: f64,
    /// Surplus of evidence per unit of weight.
    pub effect: f64,
    /// Ends of its 95 % interval, from the variance over keys.
    pub effect_interval: [f64; 2],
    /// Pairs of seed and token that count.
    pub pairs: u64,
    /// Distinct seeds among them.
    pub seeds: u64,
}

impl Measured {
    /// What a weighed transcript says.
    ///
    /// # Errors
    /// Those of its p-value.
    pub fn new(statistic: Statistic, weighed: &Weighed) -> Result<Self, AttributionError> {
        let (effect, sd) = weighed.effect();
        Ok(Self {
            statistic,
            log10_p: finite(weighed.p()?),
            exact: weighed.is_exact(),
            z: weighed.z(),
            effect,
            effect_interval: [effect - 1.96 * sd, effect + 1.96 * sd],
            pairs: weighed.cells as u64,
            seeds: weighed.seeds as u64,
        })
    }
}

/// JSON has no infinity.
fn finite(p: LogP) -> f64 {
    p.log10().max(-1e15)
}

/// The same test where there is nothing to find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// What was tried: "base alone".
    pub name: String,
    /// What came out.
    #[serde(flatten)]
    pub measured: Measured,
}

/// What all these say together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The certified log₁₀ p.
    pub log10_p: f64,
    /// The same, corrected for the family.
    pub log10_p_corrected: f64,
    /// What the corrected one is compared with.
    pub threshold_log10_p: f64,
    /// The family, in words.
    pub family: String,
    /// Why nothing can be said, where that is the verdict.
    pub reasons: Vec<String>,
}

/// What SHOWN asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Greatest certified p after correction.
    pub certified: f64,
    /// Greatest p among decoys.
    pub decoys: f64,
    /// A control whose p, times the number of controls, is at most this is not clean.
    pub controls: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { certified: 1e-6, decoys: 0.01, controls: 1e-3 }
    }
}

impl Rule {
    /// Applies the rule. `premises` are reasons why nothing can be said, found before: with any of them the verdict is INCONCLUSIVE,
    /// unless the p-value shows nothing anyway.
    ///
    /// # Errors
    /// Those of p-values.
    pub fn judge(
        &self,
        measured: &Measured,
        decoys: &Decoys,
        controls: &[Control],
        family: &Family,
        premises: Vec<String>,
    ) -> Result<Judged, AttributionError> {
        let corrected = family.correct(LogP::new(measured.log10_p)?);
        let threshold_log10_p = self.certified.log10();
        let mut reasons = premises;
        let least = self.controls.log10() - (controls.len().max(1) as f64).log10();
        for control in controls.iter().filter(|control| control.measured.log10_p <= least) {
            reasons.push(format!(
                "the control \"{}\" is not clean (log10 p {:.1}): the texts or the keys are not what the test takes them for",
                control.name, control.measured.log10_p
            ));
        }
        let small = corrected.log10() <= threshold_log10_p;
        let rare = decoys.log10_p <= self.decoys.log10();
        if small && !rare {
            reasons.push(format!(
                "{} of {} other keys reach the same, so the bound is not to be trusted",
                decoys.at_least, decoys.count
            ));
        }
        if measured.pairs == 0 {
            reasons.push("nothing could be weighed".to_owned());
        }
        let verdict = match (small, reasons.is_empty()) {
            (_, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Shown,
            (false, true) => Verdict::NotShown,
        };
        Ok(Judged {
            verdict,
            log10_p: measured.log10_p,
            log10_p_corrected: finite(corrected),
            threshold_log10_p,
            family: family.words(),
            reasons,
        })
    }
}

/// A whole test of one suspect for one mark, as it is written and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// Version of this form.
    pub schema: u32,
    /// Whether the suspect was read (open) or asked (closed).
    pub setting: Setting,
    /// The suspect's name.
    pub suspect: String,
    /// When it was made, as far as the user knows: a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect_made: Option<String>,
    /// The base's, where one was given.
    pub base: Option<String>,
    /// Profile, scheme, function and key of the mark.
    pub mark: Mark,
    /// What is said.
    #[serde(flatten)]
    pub judged: Judged,
    /// The hypothesis that the p-value speaks against, and what it is averaged over.
    pub null: String,
    /// What the verdict rests on.
    pub primary: Measured,
    /// Other readings of the same, for comparison; nothing rests on them.
    pub beside: Vec<Measured>,
    /// The same test where there is nothing to find.
    pub controls: Vec<Control>,
    /// Other keys on the same transcript.
    pub decoys: Decoys,
    /// Evidence after growing numbers of tokens: tokens, log₁₀ p.
    pub growth: Vec<(u64, f64)>,
    /// Each account's own test, where many keys were tried; the first speaks most for training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Numbers of what was read or said.
    pub counts: serde_json::Map<String, serde_json::Value>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

impl Attribution {
    /// The version of this form that is written and read.
    pub const SCHEMA: u32 = 1;
}

/// How the suspect was tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// It read texts, and what it expected was weighed.
    Open,
    /// What it said was weighed.
    Closed,
}

/// The mark that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The profile.
    pub profile: String,
    /// The scheme.
    pub scheme: String,
    /// The function that gives the draws.
    pub prf: String,
    /// The key.
    pub key_id: String,
    /// When the key was committed to: RFC 3339.
    pub key_created: String,
}

/// One account's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// log₁₀ p.
    pub log10_p: f64,
    /// Corrected for the number of accounts.
    pub log10_p_corrected: f64,
    /// z.
    pub z: f64,
    /// What is said of it.
    pub verdict: Verdict,
}
