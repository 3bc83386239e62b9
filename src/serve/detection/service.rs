//! Answering questions: roles, budgets, memory, and the threads that examine.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::answer::{Answer, PublicVerdict};
use super::budget::Budgets;
use super::examine::{Examine, ExamineError, Finding, ProfileInfo, Question};
use super::memory::{Memory, Recalled};
use super::pool::{Lane, Pool};
use super::question::DetectRequest;
use super::settings::{DetectionError, DetectionSettings};
use crate::detect::Row;
use crate::serve::caller::{Caller, Client};
use crate::serve::error::ApiError;

/// Is told of the rows of each text that was examined, for metrics. It is not to keep them.
pub type Observer = Arc<dyn Fn(&[Row]) + Send + Sync>;

/// Is told of faults of the server, for its log. The words hold nothing of a text.
pub type FaultLog = Arc<dyn Fn(&str) + Send + Sync>;

/// The state of detection; one for all requests.
pub struct Detection {
    examine: RwLock<Arc<dyn Examine>>,
    settings: DetectionSettings,
    pool: Pool,
    budgets: Budgets,
    memory: Option<Arc<Memory<PublicVerdict>>>,
    pub(super) batches: Arc<Semaphore>,
    observer: Option<Observer>,
    faults: Option<FaultLog>,
}

/// What keeps the public from using detection as an oracle, for everybody to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Protection {
    /// Tokens that a text must have for a verdict.
    pub min_tokens: usize,
    /// Texts a client may ask about in a day.
    pub texts_a_day: u64,
    /// Tokens a client may have examined in a day.
    pub tokens_a_day: u64,
    /// Most bytes of a text.
    pub text_bytes: usize,
    /// Whether texts like earlier ones are recognised and not examined anew.
    pub near_duplicates: bool,
    /// For how many days they are; 0 where they are not recognised.
    pub remember_days: u32,
    /// Whether nothing of a question outlives its answer.
    pub no_retention: bool,
    /// What is off, in words; null where all is on.
    pub missing: Option<&'static str>,
}

impl Detection {
    /// Detection with these limits.
    ///
    /// # Errors
    /// [`DetectionError::Zero`] for a limit that lets nothing through; [`DetectionError::Randomness`].
    pub fn new(
        examine: Arc<dyn Examine>,
        settings: DetectionSettings,
    ) -> Result<Self, DetectionError> {
        settings.check()?;
        let cores = || std::thread::available_parallelism().map_or(1, Into::into);
        let workers = if settings.workers == 0 { cores() } else { settings.workers };
        let memory = settings.remembers().then(|| Memory::new(&settings)).transpose()?;
        Ok(Self {
            examine: RwLock::new(examine),
            pool: Pool::new(workers, settings.waiting),
            budgets: Budgets::new(settings.texts_a_day, settings.tokens_a_day, settings.clients),
            memory: memory.map(Arc::new),
            batches: Arc::new(Semaphore::new(settings.batches)),
            observer: None,
            faults: None,
            settings,
        })
    }

    /// The same, with somebody who is told of rows.
    #[must_use]
    pub fn with_observer(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The same, with somebody who is told of faults.
    #[must_use]
    pub fn with_fault_log(self, faults: FaultLog) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// Looks with another detector from now on, as after a change of profiles. Questions that are being answered keep theirs,
    /// and what was said of earlier texts stays said.
    pub fn replace(&self, examine: Arc<dyn Examine>) {
        *self.examine.write().unwrap_or_else(PoisonError::into_inner) = examine;
    }

    /// The limits.
    pub fn settings(&self) -> &DetectionSettings {
        &self.settings
    }

    /// The profiles that are looked for.
    pub fn profiles(&self) -> Vec<ProfileInfo> {
        self.examine().profiles()
    }

    /// log₁₀ of the false-alarm rate for all of them together.
    pub fn threshold_log10_p(&self) -> f64 {
        self.examine().threshold_log10_p()
    }

    /// What keeps the public from using detection as an oracle.
    pub fn protection(&self) -> Protection {
        let settings = &self.settings;
        let near_duplicates = self.memory.is_some();
        Protection {
            min_tokens: settings.min_tokens,
            texts_a_day: settings.texts_a_day,
            tokens_a_day: settings.tokens_a_day,
            text_bytes: settings.text_bytes,
            near_duplicates,
            remember_days: if near_duplicates { settings.remember_days } else { 0 },
            no_retention: settings.no_retention,
            missing: (!near_duplicates).then_some(
                "texts like earlier ones are examined anew, so small edits can be tried out against the verdict, within the daily budget",
            ),
        }
    }

    /// Answers a question, as much as its caller may know.
    pub(super) async fn answer(
        self: &Arc<Self>,
        caller: &Caller,
        request: DetectRequest,
        in_batch: bool,
    ) -> Result<Answer, ApiError> {
        request.check(self.settings.text_bytes)?;
        let explain = request.explain.unwrap_or(false);
        if caller.sees_evidence() {
            let lane = if in_batch { Lane::Batch } else { Lane::Analyst };
            let own = Arc::clone(self);
            return self.pool.run(lane, move || own.whole(request, explain)).await?;
        }
        if explain {
            let message = "the evidence of tokens is for analysts; leave \"explain\" out, or use an analyst's API key";
            return Err(ApiError::forbidden(message).with_param("explain"));
        }
        let (client, now) = (caller.client(), Timestamp::now());
        self.budgets.take_text(&client, now)?;
        let lane = if in_batch { Lane::Batch } else { Lane::Public };
        let own = Arc::clone(self);
        self.pool.run(lane, move || own.verdict(&client, request, now)).await?
    }

    fn whole(&self, request: DetectRequest, explain: bool) -> Result<Answer, ApiError> {
        let (id, question) = question(request, explain, 0);
        Ok(Answer::whole(id, self.read(&question)?))
    }

    /// What is said to the public, which may follow from an earlier text.
    fn verdict(
        &self,
        client: &Client,
        request: DetectRequest,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        let Some(memory) = &self.memory else {
            let (id, said) = self.fresh(client, request, now)?;
            return Ok(Answer::public(id, said));
        };
        match memory.recall(&request.text, now) {
            Recalled::Same(said) => Ok(Answer::public(request.id, said.of_same())),
            Recalled::Alike => Ok(Answer::public(request.id, PublicVerdict::like_earlier())),
            Recalled::Busy => {
                let message = "a text like this is being examined; ask again in a moment";
                Err(ApiError::too_many(message, 1).with_code("detection_busy"))
            }
            Recalled::New(reserved) => {
                let (id, said) = self.fresh(client, request, now)?;
                // What was not read taught nothing, and would keep longer texts around it from being read.
                if said.is_of_mark() {
                    reserved.keep(said);
                }
                Ok(Answer::public(id, said))
            }
        }
    }

    fn fresh(
        &self,
        client: &Client,
        request: DetectRequest,
        now: Timestamp,
    ) -> Result<(Option<String>, PublicVerdict), ApiError> {
        let least = self.settings.min_tokens;
        let (id, question) = question(request, false, least);
        let found = self.read(&question)?;
        self.budgets.take_tokens(client, found.tokens as u64, now);
        Ok((id, PublicVerdict::of(&found, least)))
    }

    fn read(&self, question: &Question) -> Result<Finding, ApiError> {
        let found = self.examine().examine(question).map_err(|error| match error {
            ExamineError::Refused(words) => ApiError::invalid(words).with_param("text"),
            ExamineError::Failed(words) => {
                if let Some(log) = &self.faults {
                    log(&format!("a text could not be examined: {words}"));
                }
                ApiError::internal("internal fault: the text could not be examined")
            }
        })?;
        if let Some(observer) = &self.observer {
            observer(&found.rows);
        }
        Ok(found)
    }

    fn examine(&self) -> Arc<dyn Examine> {
        Arc::clone(&self.examine.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The name that is to come back, and what is examined.
fn question(
    request: DetectRequest,
    explain: bool,
    min_tokens: usize,
) -> (Option<String>, Question) {
    let DetectRequest { text, prompt, id, .. } = request;
    let name = id.clone().unwrap_or_else(|| "text".to_owned());
    (id, Question { id: name, text, prompt, explain, min_tokens })
}
