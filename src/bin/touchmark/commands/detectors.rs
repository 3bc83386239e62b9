//! What `sql` and `cluster` examine texts with: the reader of `detect`.

use std::fmt;
use std::sync::Arc;

use touchmark::cluster::{Detectors, Examine, ExamineError, Fingerprint, Pinned};
use touchmark::corpus::{Content, Document};
use touchmark::detect::{Row, Screen};
use touchmark::normalise;

use crate::args::{Global, Looking, Switch};
use crate::assemble;
use crate::commands::detect::{Reader, Wanted};
use crate::output;

/// The detectors of this machine's keyring.
pub struct Keyring {
    global: Global,
    looking: Looking,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").finish_non_exhaustive()
    }
}

impl Keyring {
    pub fn new(global: &Global, looking: &Looking) -> Self {
        Self { global: global.clone(), looking: looking.clone() }
    }

    /// All that changes a row beside profile, key and tokenizer.
    fn settings(&self) -> String {
        let Looking { fpr, normalise, segments } = &self.looking;
        let forms = if *normalise == Switch::On { normalise::VERSION } else { "off" };
        let version = env!("CARGO_PKG_VERSION");
        format!("version {version}, fpr {fpr:e}, normalise {forms}, segments {segments:?}")
    }

    fn pinned(&self, profile: &str) -> anyhow::Result<Pinned> {
        let store = assemble::store(&self.global)?;
        let profile = assemble::profile(&store, profile)?;
        // Says what to do when the key is missing.
        assemble::key(&store, &profile)?;
        let commitment = store.key_info(&profile.key_id)?.commitment;
        let fingerprint = Fingerprint::new(&profile, &commitment, &self.settings())?;
        Ok(Pinned { id: profile.id, fingerprint })
    }

    fn opened(&self, profile: &str) -> anyhow::Result<OneProfile> {
        let profiles = [profile.to_owned()];
        let Looking { fpr, normalise, segments } = &self.looking;
        let wanted = Wanted {
            profiles: &profiles,
            keys: &[],
            tenants: None,
            screen: Screen::default(),
            top: None,
            alone: false,
            normalise: *normalise == Switch::On,
            windows: *segments,
            fpr: *fpr,
            tokenizer: None,
            model: None,
            bayesian: None,
            explain: None,
        };
        Ok(OneProfile(Reader::new(&self.global, &wanted)?))
    }
}

impl Detectors for Keyring {
    fn open(&self, profile: &str) -> Result<Arc<dyn Examine>, ExamineError> {
        Ok(Arc::new(self.opened(profile).map_err(told)?))
    }

    fn pin(&self, profile: &str) -> Result<Pinned, ExamineError> {
        self.pinned(profile).map_err(told)
    }

    fn profiles(&self) -> Result<Vec<String>, ExamineError> {
        let all = assemble::store(&self.global).and_then(|store| Ok(store.profiles()?));
        Ok(all.map_err(told)?.into_iter().map(|profile| profile.id).collect())
    }
}

struct OneProfile(Reader);

impl Examine for OneProfile {
    fn examine(&self, text: &str) -> Result<Row, ExamineError> {
        let document = Document {
            id: String::new(),
            source: String::new(),
            offset: 0,
            content: Content::Text(text.to_owned()),
            prompt: None,
            line: None,
        };
        let mut examined = self.0.examine(&document).map_err(told)?;
        examined.rows.pop().ok_or_else(|| "internal fault: a profile without a row".into())
    }
}

/// With all its causes: whoever shows it sees the outermost only.
fn told(error: anyhow::Error) -> ExamineError {
    output::causes(&error).into()
}
