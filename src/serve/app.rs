//! What all routes share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::detection::{
    Detection, DetectionError, DetectionSettings, Examine, ExamineError, Finding, ProfileInfo,
    Question,
};
use super::logging::Log;
use super::metrics::{EngineLoad, Metrics};
use super::openai::{Form, Limited};
use super::policy::Policies;
use super::writer::Writer;
use super::{ApiError, Budgets};
use crate::detect::Row;
use crate::keys::Salt;
use crate::provenance::Ledger;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most tokens of an answer where the client says nothing; none: as many as fit.
    pub max_tokens: Option<usize>,
    /// What clients may ask for at most.
    pub limited: Limited,
    /// Decimal places that log-probabilities are rounded to.
    pub logprob_decimals: Option<u32>,
    /// From a request to the end of its answer.
    pub request_timeout: Duration,
    /// For the body of a request to come in, and for a client to read.
    pub client_timeout: Duration,
    /// Bytes of a request's body.
    pub body_limit: usize,
    /// Where receipts are named.
    pub receipts: ReceiptsTold,
    /// Whether the address in `x-forwarded-for` is the client's: only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// Whether only this machine is answered, under its own names: nobody needs an API key here, and a page that somebody looks at
    /// must not pass for this server by a name that leads to it (DNS rebinding).
    pub local_only: bool,
    /// No model: texts are read, none are written.
    pub detect_only: bool,
}

/// Where an answer names its receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptsTold {
    /// Nowhere.
    #[default]
    Off,
    /// In a header; of a stream, whose headers come before its end, in the last chunk.
    Header,
    /// In the body.
    Body,
}

/// How policies, keys and profiles are loaded again. Says why they cannot be, in words.
pub type Reload = Box<dyn Fn() -> Result<Reloaded, String> + Send + Sync>;

/// What is replaced when they are.
pub struct Reloaded {
    /// Who may ask for what.
    pub policies: Policies,
    /// What reads texts.
    pub examine: Arc<dyn Examine>,
}

/// What a server has once it is loaded.
pub struct Opened {
    /// Who may ask for what, and what reads texts.
    pub first: Reloaded,
    /// How they are loaded again.
    pub reload: Reload,
    /// The model, unless texts are read only.
    pub writer: Option<Arc<Writer>>,
}

/// What all routes share.
pub struct App {
    /// What an operator may set.
    pub settings: Settings,
    /// Who may ask for what; nobody for nothing while it is loading.
    pub policies: ArcSwap<Policies>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What accounts have used.
    pub budgets: Budgets,
    /// Where receipts are kept.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Where the server says what it does.
    pub log: Arc<dyn Log>,
    /// What is said of texts, and to whom.
    pub detection: Arc<Detection>,
    reload: OnceLock<Reload>,
    writer: OnceLock<Arc<Writer>>,
    draining: AtomicBool,
    /// Keys the hashes of prompts in the request log.
    secret: [u8; 32],
}

impl App {
    /// A server that is loading.
    ///
    /// # Errors
    /// [`DetectionError`]: limits that let nothing through, or the operating system gives no randomness.
    pub fn new(
        settings: Settings,
        detection: DetectionSettings,
        model: Option<&str>,
        ledger: Option<Arc<dyn Ledger>>,
        log: Arc<dyn Log>,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new(model));
        let counted = Arc::clone(&metrics);
        let observer = move |rows: &[Row]| counted.verdicts(rows);
        let faults = Arc::clone(&log);
        let detection = Detection::new(Arc::new(Loading), detection)?
            .with_observer(Arc::new(observer))
            .with_fault_log(Arc::new(move |words| faults.fault(words)));
        Ok(Self {
            settings,
            policies: ArcSwap::from_pointee(Policies::nobody()),
            metrics,
            budgets: Budgets::default(),
            ledger,
            log,
            detection: Arc::new(detection),
            reload: OnceLock::new(),
            writer: OnceLock::new(),
            draining: AtomicBool::new(false),
            secret: Salt::generate()?.0,
        })
    }

    /// All is loaded and known answers came out right: requests are taken from now on. Later calls change nothing.
    pub fn open(&self, opened: Opened) {
        if let Some(writer) = opened.writer {
            let _ = self.writer.set(writer);
        }
        self.replace(opened.first);
        let _ = self.reload.set(opened.reload);
    }

    fn replace(&self, loaded: Reloaded) {
        self.policies.store(Arc::new(loaded.policies));
        self.detection.replace(loaded.examine);
    }

    /// Whether all is loaded.
    pub fn is_loaded(&self) -> bool {
        self.reload.get().is_some()
    }

    /// Whether requests are taken.
    pub fn is_ready(&self) -> bool {
        let ended = self.writer.get().is_some_and(|writer| writer.scheduler.has_ended());
        self.is_loaded() && !self.is_draining() && !ended
    }

    /// Whether the server was told to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Takes no more requests; those under way go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        if let Some(writer) = self.writer.get() {
            writer.scheduler.drain();
        }
    }

    /// Ends all answers under way.
    pub fn abort(&self) {
        if let Some(writer) = self.writer.get() {
            writer.scheduler.abort();
        }
    }

    /// The model.
    ///
    /// # Errors
    /// 503 while it is loading.
    pub fn writer(&self) -> Result<Arc<Writer>, ApiError> {
        match self.writer.get() {
            Some(writer) => Ok(Arc::clone(writer)),
            _ => Err(ApiError::unavailable("the model is still loading; try again soon", 5)),
        }
    }

    /// Loads policies again. Requests under way keep those they began with; where the new ones cannot be used, the old stay.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub fn reload(&self) -> Result<usize, String> {
        let Some(reload) = self.reload.get() else {
            return Err("the server is still loading".to_owned());
        };
        let loaded = reload();
        self.metrics.reload(loaded.is_ok());
        match loaded {
            Ok(loaded) => {
                let accounts = loaded.policies.accounts.len();
                self.replace(loaded);
                self.log.note(&format!("policies loaded again: {accounts} accounts"));
                Ok(accounts)
            }
            Err(why) => {
                self.log.fault(&format!("policies not loaded again, the old ones stay: {why}"));
                Err(why)
            }
        }
    }

    /// What the scheduler does.
    pub fn load(&self) -> Option<EngineLoad> {
        let writer = self.writer.get()?;
        Some(EngineLoad::of(&writer.scheduler.load(), writer.bytes_per_position))
    }

    /// A fresh name of an answer.
    ///
    /// # Errors
    /// 500 when the operating system gives no randomness.
    pub fn answer_id(&self, form: Form) -> Result<String, ApiError> {
        let prefix = match form {
            Form::Chat => "chatcmpl",
            Form::Completion => "cmpl",
        };
        Ok(format!("{prefix}-{}", random_name()?))
    }

    /// Keyed hash of a prompt: the same for the same prompt, and nothing without the key, which is gone with the server.
    pub fn prompt_name(&self, prompt: &str) -> String {
        blake3::keyed_hash(&self.secret, prompt.as_bytes()).to_hex().chars().take(16).collect()
    }
}

/// Stands in until the detectors are loaded; nobody is let through to it before.
struct Loading;

impl Examine for Loading {
    fn examine(&self, _: &Question) -> Result<Finding, ExamineError> {
        Err(ExamineError::Failed("the server is still loading".to_owned()))
    }

    fn profiles(&self) -> Vec<ProfileInfo> {
        Vec::new()
    }

    fn threshold_log10_p(&self) -> f64 {
        0.0
    }
}

/// Why a server cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] crate::keys::KeyError),
    /// Limits that let nothing through.
    #[error(transparent)]
    Detection(#[from] DetectionError),
}

/// 24 random hexadecimal digits.
///
/// # Errors
/// 500 when the operating system gives no randomness.
pub fn random_name() -> Result<String, ApiError> {
    let salt = Salt::generate().map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(blake3::Hash::from_bytes(salt.0).to_hex().chars().take(24).collect())
}

/// The time.
pub fn now() -> Timestamp {
    Timestamp::now()
}
