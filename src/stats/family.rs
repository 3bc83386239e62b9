//! The family of tests that a p-value was chosen from.

use serde::{Deserialize, Serialize};

use super::logp::LogP;

/// Every choice that is made after looking passes through here: keys, profiles, starts, windows, looks.
///
/// A family is a product of named factors; its correction is Bonferroni's, valid under any dependence between the tests.
///
/// ```
/// use touchmark::stats::{Family, LogP};
///
/// let family = Family::one().times("profiles", 3).times("keys", 10);
/// assert_eq!(family.words(), "Bonferroni over 3 profiles × 10 keys = 30 tests");
/// let best = LogP::new(-8.0)?;
/// assert!((family.correct(best).log10() - (30f64.log10() - 8.0)).abs() < 1e-12);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    factors: Vec<Factor>,
}

/// One kind of choice, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// What was chosen from, in the plural: "keys".
    pub name: String,
    /// How many of them were tried.
    pub count: u64,
}

impl Family {
    /// A single test, fixed before looking.
    pub fn one() -> Self {
        Self::default()
    }

    /// `count` times as many tests. A count of zero, where nothing was tried, counts as one.
    #[must_use]
    pub fn times(mut self, name: impl Into<String>, count: u64) -> Self {
        self.factors.push(Factor { name: name.into(), count: count.max(1) });
        self
    }

    /// The factors, in the order in which they were added; those of one included.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// The number of tests. A float, since the product may pass 2⁶⁴; whole numbers to 2⁵³ are exact.
    pub fn size(&self) -> f64 {
        self.factors.iter().map(|factor| factor.count as f64).product()
    }

    /// min(1, size · p), for the smallest p of the family.
    pub fn correct(&self, smallest: LogP) -> LogP {
        smallest.times(self.size())
    }

    /// An upper bound of the expected number of unmarked documents among `documents` whose corrected p is at most `fpr`:
    /// documents · fpr. The correction has paid for the size of the family; the number of documents it has not.
    pub fn expected_false_alarms(&self, documents: u64, fpr: f64) -> f64 {
        documents as f64 * fpr
    }

    /// The same in words, for whoever reads many documents.
    pub fn alarm_words(&self, documents: u64, fpr: f64) -> String {
        let alarms = self.expected_false_alarms(documents, fpr);
        format!(
            "False alarms to expect among {documents} unmarked documents: at most {alarms:.1e}."
        )
    }

    /// The correction in words, for a report. Factors of one are left out: they cost nothing.
    pub fn words(&self) -> String {
        let tried: Vec<String> = self
            .factors
            .iter()
            .filter(|factor| factor.count > 1)
            .map(|factor| format!("{} {}", factor.count, factor.name))
            .collect();
        match tried.as_slice() {
            [] => "one test, no correction".to_owned(),
            [only] => format!("Bonferroni over {only}"),
            many => format!("Bonferroni over {} = {} tests", many.join(" × "), self.size()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_say_what_was_paid_for() {
        assert_eq!(Family::one().words(), "one test, no correction");
        assert_eq!(Family::one().times("start offsets", 1).words(), "one test, no correction");
        assert_eq!(
            Family::one().times("keys", 10).times("start offsets", 1).words(),
            "Bonferroni over 10 keys"
        );
        let document = Family::one().times("looks (whole, windows)", 2).times("windows", 120);
        assert_eq!(
            document.words(),
            "Bonferroni over 2 looks (whole, windows) × 120 windows = 240 tests"
        );
        assert_eq!(Family::one().times("windows", 0).size(), 1.0);
        assert_eq!(document.expected_false_alarms(1000, 0.01), 10.0);
        assert_eq!(
            document.alarm_words(1000, 1e-6),
            "False alarms to expect among 1000 unmarked documents: at most 1.0e-3."
        );
    }

    #[test]
    fn serialised_with_its_factors() {
        let text = serde_json::to_string(&Family::one().times("keys", 2)).unwrap();
        assert_eq!(text, r#"{"factors":[{"name":"keys","count":2}]}"#);
    }

    proptest! {
        #[test]
        fn correction_is_the_plain_product(p in 0.0f64..1.0, a in 1u64..1000, b in 1u64..1000) {
            let corrected = Family::one().times("a", a).times("b", b).correct(LogP::from_p(p).unwrap()).p();
            let plain = (p * (a * b) as f64).min(1.0);
            prop_assert!((corrected - plain).abs() <= 1e-12 * plain);
        }
    }
}
