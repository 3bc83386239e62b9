//! What is to be asked, and what will be made of the answers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fingerprint::behaviour::{distance, drift, exchange, lineage, rank};
use crate::fingerprint::planted;
use crate::fingerprint::{ProbeError, Probing};

/// A test before it is committed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this form: 1.
    pub schema: u32,
    /// The test's name.
    pub test: String,
    /// What is claimed of which suspect, in words.
    pub hypothesis: String,
    /// The test's rule, in the test's own form.
    pub rule: Value,
    /// Its probes, in the order in which they are asked.
    pub probes: Vec<Value>,
}

impl Plan {
    /// Of a rule and probes.
    ///
    /// # Errors
    /// [`PlanError::Json`] for what JSON cannot hold.
    pub fn new(
        test: &str,
        hypothesis: impl Into<String>,
        rule: &impl Serialize,
        probes: &[impl Serialize],
    ) -> Result<Self, PlanError> {
        let json =
            |error| PlanError::Json { what: "the rule or a probe".to_owned(), source: error };
        Ok(Self {
            schema: 1,
            test: test.to_owned(),
            hypothesis: hypothesis.into(),
            rule: serde_json::to_value(rule).map_err(json)?,
            probes: probes
                .iter()
                .map(serde_json::to_value)
                .collect::<Result<_, _>>()
                .map_err(json)?,
        })
    }

    /// Begins the test, with all probes known.
    ///
    /// # Errors
    /// As [`start`].
    pub fn start(&self) -> Result<Box<dyn Probing>, PlanError> {
        start(&self.test, &self.rule, self.probes.iter().map(Some))
    }
}

/// Begins a test by its name. Probes that are not known are none.
///
/// # Errors
/// [`PlanError`]: no such test, or a rule or probe that is not one of it.
pub fn start<'a>(
    test: &str,
    rule: &Value,
    probes: impl Iterator<Item = Option<&'a Value>>,
) -> Result<Box<dyn Probing>, PlanError> {
    match test {
        planted::TEST => {
            Ok(Box::new(planted::Session::new(read("the rule", rule)?, all(probes)?)?))
        }
        #[cfg(test)]
        super::tests::TEST => {
            Ok(Box::new(super::tests::Echo::new(read("the rule", rule)?, all(probes)?)))
        }
        exchange::TEST => {
            Ok(Box::new(exchange::Session::new(read("the rule", rule)?, all(probes)?)?))
        }
        rank::TEST => Ok(Box::new(rank::Session::new(read("the rule", rule)?, all(probes)?)?)),
        distance::TEST => {
            Ok(Box::new(distance::Session::new(read("the rule", rule)?, all(probes)?)?))
        }
        drift::TEST => Ok(Box::new(drift::Session::new(read("the rule", rule)?, all(probes)?)?)),
        lineage::TEST => {
            Ok(Box::new(lineage::Session::new(read("the rule", rule)?, all(probes)?)?))
        }
        _ => Err(PlanError::UnknownTest { test: test.to_owned() }),
    }
}

fn all<'a, P: DeserializeOwned>(
    probes: impl Iterator<Item = Option<&'a Value>>,
) -> Result<Vec<Option<P>>, PlanError> {
    let one = |(at, probe): (usize, Option<&Value>)| {
        probe.map(|probe| read(&format!("probe {at}"), probe)).transpose()
    };
    probes.enumerate().map(one).collect()
}

fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, PlanError> {
    T::deserialize(value).map_err(|source| PlanError::Json { what: what.to_owned(), source })
}

/// Why a test cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not a test of this version.
    #[error("there is no test \"{test}\" in this version of the program")]
    UnknownTest {
        /// Its name.
        test: String,
    },
    /// A rule or probe of another form.
    #[error("{what} is not one of this test")]
    Json {
        /// Which.
        what: String,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// A rule or probe that makes no sense.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}
