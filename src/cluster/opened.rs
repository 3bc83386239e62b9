//! Profiles that are open in this process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::REFUSAL;
use super::{ClusterError, Pinned};
use crate::detect::Row;

/// Why a text could not be examined, or a profile not opened.
pub type ExamineError = Box<dyn std::error::Error + Send + Sync>;

/// The detectors of this machine.
pub trait Detectors: fmt::Debug + Send + Sync {
    /// The detector of a profile, with this machine's key.
    ///
    /// # Errors
    /// There is no such profile, or its key or tokenizer is missing.
    fn open(&self, profile: &str) -> Result<Arc<dyn Examine>, ExamineError>;

    /// What must agree on other machines; needs no tokenizer file.
    ///
    /// # Errors
    /// There is no such profile, or its key is missing.
    fn pin(&self, profile: &str) -> Result<Pinned, ExamineError>;

    /// The ids of all profiles.
    ///
    /// # Errors
    /// They cannot be read.
    fn profiles(&self) -> Result<Vec<String>, ExamineError>;
}

/// A detector of texts.
pub trait Examine: Send + Sync {
    /// The row of a text.
    ///
    /// # Errors
    /// It cannot be examined.
    fn examine(&self, text: &str) -> Result<Row, ExamineError>;
}

/// Detectors by the name they were asked for, each opened once.
pub(super) struct Opened {
    detectors: Arc<dyn Detectors>,
    /// This executor's address, on a cluster: profiles must then be pinned.
    executor: Option<String>,
    open: Mutex<BTreeMap<String, Arc<dyn Examine>>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("executor", &self.executor).finish_non_exhaustive()
    }
}

impl Opened {
    pub fn new(detectors: Arc<dyn Detectors>, executor: Option<String>) -> Self {
        Self { detectors, executor, open: Mutex::default() }
    }

    /// The detector of a profile; on an executor, of a pinned one.
    pub fn get(&self, profile: &str) -> Result<Arc<dyn Examine>, String> {
        // Opening under the lock, so that it happens once.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(profile) {
            return Ok(Arc::clone(known));
        }
        let new = match &self.executor {
            None => self.detectors.open(profile).map_err(|error| error.to_string())?,
            Some(executor) => self.checked(profile, executor)?,
        };
        open.insert(profile.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    fn checked(&self, profile: &str, executor: &str) -> Result<Arc<dyn Examine>, String> {
        let refusal =
            |why: String| format!("{}executor {executor} refuses {why}{}", REFUSAL[0], REFUSAL[1]);
        let asked: Pinned =
            profile.parse().map_err(|error: ClusterError| refusal(error.to_string()))?;
        let id = &asked.id;
        let fault = |error: ExamineError| refusal(format!("profile \"{id}\": {error}"));
        let own = self.detectors.pin(id).map_err(fault)?;
        if let Some(differing) = own.fingerprint.difference(&asked.fingerprint) {
            return Err(refusal(format!(
                "profile \"{id}\": it has another {differing} than the query asks for. Copy the profile and, with \
                 `touchmark key export` and `touchmark key import`, the key, and give both sides the same settings"
            )));
        }
        self.detectors.open(id).map_err(fault)
    }
}
