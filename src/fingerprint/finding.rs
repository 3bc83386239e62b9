//! What a test says of a suspect.

use serde::{Deserialize, Serialize};

use crate::stats::{Family, LogP};

/// The result of one test on one suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Version of this form.
    pub schema: u32,
    /// The test's name: `row-argmax`, `planted-pairs`.
    pub test: String,
    /// What is said.
    pub verdict: Verdict,
    /// log₁₀ of the p-value, or an upper bound of it; finite. Absent where no p-value is claimed.
    pub log10_p: Option<f64>,
    /// The same, corrected for the [`family`](Self::family): what the verdict rests on.
    pub log10_p_corrected: Option<f64>,
    /// What the corrected one is compared with.
    pub threshold_log10_p: f64,
    /// Which hypothesis the p-value speaks against.
    pub null: Null,
    /// The null in words, with what the p-value is averaged over.
    pub null_text: String,
    /// Where the p-value comes from.
    pub basis: Basis,
    /// The family of tests that it was corrected for, in words.
    pub family: String,
    /// Units, questions or answers that count.
    pub n: u64,
    /// The statistic, in the test's own terms.
    pub statistics: serde_json::Map<String, serde_json::Value>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

impl Finding {
    /// A finding without a p-value, INCONCLUSIVE until [`judged`](Self::judged).
    pub fn new(test: &str, null: Null, null_text: impl Into<String>) -> Self {
        Self {
            schema: 1,
            test: test.to_owned(),
            verdict: Verdict::Inconclusive,
            log10_p: None,
            log10_p_corrected: None,
            threshold_log10_p: 0.0,
            null,
            null_text: null_text.into(),
            basis: Basis::Descriptive,
            family: Family::one().words(),
            n: 0,
            statistics: serde_json::Map::new(),
            warnings: Vec::new(),
        }
    }

    /// With a p-value, and the verdict that follows: the null's rejection when the corrected p is at most `alpha`, else NOT SHOWN.
    #[must_use]
    pub fn judged(mut self, p: LogP, basis: Basis, family: &Family, alpha: f64) -> Self {
        let corrected = family.correct(p);
        self.log10_p = Some(finite(p));
        self.log10_p_corrected = Some(finite(corrected));
        self.threshold_log10_p = alpha.log10();
        self.basis = basis;
        self.family = family.words();
        self.verdict = if corrected.log10() <= alpha.log10() {
            self.null.rejected()
        } else {
            Verdict::NotShown
        };
        self
    }

    /// With one more number of the statistic. Numbers that JSON does not have are left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value)
            && !value.is_null()
        {
            self.statistics.insert(name.to_owned(), value);
        }
        self
    }

    /// With a warning.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// JSON has no infinity; no test here has so small a p-value.
fn finite(p: LogP) -> f64 {
    p.log10().max(-1e15)
}

/// What is said of a suspect. Never that it is innocent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It descends from the reference, or both from one model: the population null is rejected.
    Related,
    /// It is not the same model under the same protocol: the sampling null is rejected.
    Changed,
    /// The null is not rejected.
    NotShown,
    /// The test cannot be made, or its premise does not hold.
    Inconclusive,
}

impl Verdict {
    /// As it stands in reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Related => "RELATED",
            Self::Changed => "CHANGED",
            Self::NotShown => "NOT SHOWN",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// The hypothesis that a p-value speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Null {
    /// The same model under the same protocol, only sampling noise.
    Sampling,
    /// An ordinary independent model.
    Population,
}

impl Null {
    /// What is said when it is rejected.
    pub fn rejected(self) -> Verdict {
        match self {
            Self::Sampling => Verdict::Changed,
            Self::Population => Verdict::Related,
        }
    }
}

/// Where a p-value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// From randomness of our own or a symmetry of training: exact, or an upper bound.
    Exact,
    /// From a panel of independent models, by rank.
    Panel,
    /// From a panel, with a law assumed for it.
    ModelBased,
    /// No p-value: a description, not evidence.
    Descriptive,
}
