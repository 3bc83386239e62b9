//! One request being answered: jobs under way, what came of them, their receipts.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream::SelectAll;
use futures::{Stream, StreamExt};

use super::asked::Asked;
use super::choice::{Choice, Piece};
use super::response::{Usage, WatermarkReport};
use crate::generate::{Ends, FinishReason, Output};
use crate::provenance::{Facts, Marking, ModelName, TokenCounts};
use crate::serve::ApiError;
use crate::serve::app::{App, now};
use crate::serve::logging::RequestLine;
use crate::serve::policy::{Account, Decision, Marker, Occasion, Unmarked};
use crate::serve::scheduler::{Answers, Event, Failure, Job, JobMark, Refused};
use crate::serve::writer::{PromptRead, Writer};

/// A request being answered.
pub struct Writing {
    app: Arc<App>,
    writer: Arc<Writer>,
    account: Arc<Account>,
    mark: Result<Arc<Marker>, Unmarked>,
    route: &'static str,
    told: Parameters,
    /// Name of the answer.
    pub id: String,
    /// When it was asked for.
    pub created: i64,
    n: usize,
    prompts: Vec<PromptRead>,
    jobs: SelectAll<Numbered>,
    choices: Vec<Choice>,
    /// Names of receipts that were kept.
    pub receipts: Vec<String>,
    reused: usize,
    /// Tokens that were taken from the account's budget.
    taken: u64,
    asked_at: Instant,
    last: Vec<Option<Instant>>,
}

/// What is to be told next.
#[derive(Debug)]
pub enum Told {
    /// Part of an answer.
    Piece(usize, Piece),
    /// The last part of one.
    Last(usize, Piece, FinishReason),
}

impl Writing {
    /// Decides about a request and hands it to the model.
    ///
    /// # Errors
    /// [`ApiError`]: the policy, the window, a budget or a full queue forbid it.
    pub async fn begin(
        app: Arc<App>,
        account: Arc<Account>,
        route: &'static str,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let asked_at = Instant::now();
        let writer = app.writer()?;
        writer.check_name(asked.model.as_deref())?;
        let prompts = {
            let (writer, given) = (Arc::clone(&writer), asked.given.clone());
            let read = tokio::task::spawn_blocking(move || writer.prompts(&given)).await;
            read.map_err(|_| ApiError::internal("internal fault: reading the prompt failed"))??
        };
        let lengths = lengths(&prompts, asked, &writer, app.settings.max_tokens)?;
        let least = lengths.iter().copied().min().unwrap_or(1);
        let mark = decide(&app, &account, route, asked, least)?;
        let tokens = prompts.iter().zip(&lengths);
        let taken =
            tokens.map(|(prompt, most)| prompt.ids.len() + asked.n * most).sum::<usize>() as u64;
        app.budgets.take(&account, taken)?;
        let count = prompts.len() * asked.n;
        let enough = mark.as_ref().map_or(0, |marker| account.held_back(marker));
        let mut writing = Self {
            created: now().as_second(),
            id: app.answer_id(asked.form)?,
            n: asked.n,
            route,
            told: Parameters::of(asked),
            jobs: SelectAll::new(),
            choices: (0..count).map(|_| Choice::new(enough)).collect(),
            receipts: Vec::new(),
            reused: 0,
            last: vec![None; count],
            app,
            writer,
            account,
            mark,
            prompts,
            taken,
            asked_at,
        };
        writing.submit(asked, &lengths)?;
        Ok(writing)
    }

    /// The model.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// Decimal places that log-probabilities are rounded to.
    pub fn decimals(&self) -> Option<u32> {
        self.account.limits.logprob_decimals.or(self.app.settings.logprob_decimals)
    }

    /// Whether the answer is to carry a mark: the profile's name, or why not.
    pub fn mark(&self) -> Result<&str, String> {
        self.mark.as_ref().map(|marker| marker.profile.id.as_str()).map_err(Unmarked::reason)
    }

    /// How many answers there are to be.
    pub fn count(&self) -> usize {
        self.choices.len()
    }

    /// Whether all of them are there.
    pub fn is_done(&self) -> bool {
        self.choices.iter().all(|choice| choice.output.is_some())
    }

    /// All that was given out of one.
    pub fn given(&self, at: usize) -> Piece {
        self.choices[at].given.clone()
    }

    fn submit(&mut self, asked: &Asked, lengths: &[usize]) -> Result<(), ApiError> {
        let deadline = self.asked_at + self.app.settings.request_timeout;
        let ends = asked.ignore_eos.then(|| {
            let special = self.writer.tokenizer.special_ids();
            let never = [self.writer.ends.end.as_slice(), special].concat();
            Arc::new(Ends { end: Vec::new(), never })
        });
        for (number, (prompt, &max_tokens)) in self.prompts.iter().zip(lengths).enumerate() {
            let job = Job {
                prompt: prompt.ids.clone(),
                n: asked.n,
                max_tokens,
                sampling: asked.sampling,
                stop: asked.stop.clone(),
                mark: self.mark.as_ref().ok().map(|marker| JobMark {
                    watermark: Arc::clone(&marker.watermark),
                    message: marker.message,
                }),
                logprobs: asked.logprobs,
                account: self.account.name.clone(),
                deadline,
                ends: ends.clone(),
                streams: (number * asked.n) as u64,
            };
            let answers = self.writer.scheduler.submit(job).map_err(|refused| refusal(&refused))?;
            self.jobs.push(Numbered { number, answers });
        }
        Ok(())
    }

    /// What is to be told next; `None` when all is told, after which it is not to be asked again.
    ///
    /// # Errors
    /// [`ApiError`] when the request cannot be answered to the end.
    pub async fn next(&mut self) -> Result<Option<Told>, ApiError> {
        loop {
            if self.is_done() {
                self.conclude();
                return Ok(None);
            }
            let Some((number, event)) = self.jobs.next().await else {
                return Err(ApiError::internal("internal fault: the model stopped answering"));
            };
            match event {
                Event::Began { reused, .. } => self.reused += reused,
                Event::Failed(failure) => return Err(failed(&failure)),
                Event::Step { index, ids, text, logprobs, marked } => {
                    let at = number * self.n + index;
                    self.time(at, ids.len());
                    let piece = self.choices[at].step(Piece { text, ids, logprobs }, marked);
                    if !piece.is_empty() {
                        return Ok(Some(Told::Piece(at, piece)));
                    }
                }
                Event::Done { index, output } => {
                    let at = number * self.n + index;
                    return self.end(number, at, output).await.map(Some);
                }
            }
        }
    }

    fn time(&mut self, at: usize, tokens: usize) {
        let now = Instant::now();
        let metrics = &self.app.metrics;
        match self.last[at].replace(now) {
            None => metrics.time_to_first_token.observe((now - self.asked_at).as_secs_f64()),
            Some(before) if tokens > 0 => {
                let each = (now - before).as_secs_f64() / tokens as f64;
                metrics.inter_token.observe(each);
            }
            Some(_) => {}
        }
    }

    /// An answer ended: its receipt is kept before its end is told.
    async fn end(&mut self, number: usize, at: usize, output: Output) -> Result<Told, ApiError> {
        let reason = output.finish_reason;
        let (tokens, marked) = (output.ids.len(), output.marked);
        let Some(last) = self.choices[at].finish(output) else {
            return Err(too_little(tokens, marked));
        };
        self.app.metrics.ended(word(reason));
        let text = self.choices[at].given.text.clone();
        self.keep(number, at, &text, word(reason)).await?;
        Ok(Told::Last(at, last, reason))
    }

    /// Keeps the receipt of what was given out.
    async fn keep(
        &mut self,
        number: usize,
        at: usize,
        text: &str,
        finish: &str,
    ) -> Result<(), ApiError> {
        let Some(ledger) = &self.app.ledger else { return Ok(()) };
        let facts = self.facts(number, at, finish);
        let new = ledger.recorder().record(facts, text, &self.prompts[number].text);
        let kept = match new {
            Ok(new) => append(ledger.as_ref(), new).await,
            Err(error) => Err(error.to_string()),
        };
        self.app.metrics.receipt(kept.is_ok());
        match kept {
            Ok(()) => self.receipts.push(self.receipt_name(at)),
            Err(why) => {
                self.app.log.fault(&format!("no receipt for {}: {why}", self.id));
                return Err(ApiError::unavailable(
                    "the answer could not be recorded, so it is not given",
                    5,
                ));
            }
        }
        Ok(())
    }

    fn receipt_name(&self, at: usize) -> String {
        if self.choices.len() == 1 { self.id.clone() } else { format!("{}/{at}", self.id) }
    }

    fn facts(&self, number: usize, at: usize, finish: &str) -> Facts {
        let choice = &self.choices[at];
        let skipped = choice.output.iter().flat_map(|output| &output.unmarked);
        let skipped = skipped.map(|(reason, count)| (reason.as_str().to_owned(), *count as u64));
        let output =
            choice.output.as_ref().map_or(choice.given.ids.len(), |output| output.ids.len());
        let marker = self.mark.as_ref().ok();
        Facts {
            account: Some(self.account.name.clone()),
            answer: self.id.clone(),
            applied: choice.marked > 0,
            choice: at as u32,
            finish_reason: finish.to_owned(),
            mark: marker.map(|marker| Marking {
                profile: marker.profile.id.clone(),
                scheme: marker.profile.scheme.name().to_owned(),
                key_id: marker.profile.key_id.to_string(),
                tenant: marker.tenant.as_ref().map(ToString::to_string),
                payload: marker.message,
            }),
            model: ModelName {
                name: self.writer.name.clone(),
                hash: Some(self.writer.hash.clone()),
            },
            reason: self.mark.as_ref().err().map(Unmarked::reason),
            time: now(),
            tokens: TokenCounts {
                prompt: self.prompts[number].ids.len() as u64,
                output: output as u64,
                marked: choice.marked as u64,
                skipped: skipped.collect(),
            },
        }
    }

    /// The stream broke off: what was given out has its receipts all the same.
    pub async fn abandon(mut self, why: &'static str) {
        self.jobs = SelectAll::new();
        for at in 0..self.choices.len() {
            let choice = &self.choices[at];
            if choice.output.is_none() && !choice.given.is_empty() {
                self.app.metrics.ended(why);
                let text = choice.given.text.clone();
                // What fails was logged, and nobody is there to be told.
                let _ = self.keep(at / self.n, at, &text, why).await;
            }
        }
    }

    /// Numbers of tokens.
    pub fn usage(&self) -> Usage {
        let prompt = self.prompts.iter().map(|prompt| prompt.ids.len()).sum();
        Usage::of(prompt, self.written(), self.reused)
    }

    fn written(&self) -> usize {
        let of = |choice: &Choice| {
            choice.output.as_ref().map_or(choice.given.ids.len(), |it| it.ids.len())
        };
        self.choices.iter().map(of).sum()
    }

    /// What became of the mark.
    pub fn report(&self) -> WatermarkReport {
        let outputs = || self.choices.iter().filter_map(|choice| choice.output.as_ref());
        let marked: usize = outputs().map(|output| output.marked).sum();
        let mut skipped = BTreeMap::new();
        for (&reason, count) in outputs().flat_map(|output| &output.unmarked) {
            *skipped.entry(reason).or_default() += count;
        }
        let marker = self.mark.as_ref().ok();
        let reason = match &self.mark {
            Err(unmarked) => Some(unmarked.reason()),
            Ok(_) if marked == 0 => Some("short".to_owned()),
            Ok(_) => None,
        };
        WatermarkReport {
            profile: marker.map(|marker| marker.profile.id.clone()),
            scheme: marker.map(|marker| marker.profile.scheme.name().to_owned()),
            applied: marked > 0,
            reason,
            tokens_marked: marked,
            tokens_skipped: self.written() - marked,
            skipped,
        }
    }

    fn line(&self, watermark: WatermarkReport) -> RequestLine {
        RequestLine {
            schema: RequestLine::SCHEMA,
            time: now() - self.asked_at.elapsed(),
            id: self.id.clone(),
            account: self.account.name.clone(),
            route: self.route,
            model: self.writer.name.clone(),
            n: self.n,
            temperature: self.told.temperature,
            top_p: self.told.top_p,
            top_logprobs: self.told.top_logprobs,
            prompts: self.prompts.iter().map(|prompt| self.app.prompt_name(&prompt.text)).collect(),
            usage: self.usage(),
            watermark,
            seconds: self.asked_at.elapsed().as_secs_f64(),
        }
    }

    /// Counts a request that was answered to its end.
    fn conclude(&self) {
        let report = self.report();
        let profile = report.profile.as_deref().unwrap_or_default();
        let metrics = &self.app.metrics;
        let result = self.mark.as_ref().map_or_else(Unmarked::class, |_| "applied");
        metrics.mark(profile, result);
        metrics.marked(profile, "marked", report.tokens_marked);
        for (reason, count) in &report.skipped {
            metrics.marked(profile, reason.as_str(), *count);
        }
        let line = self.line(report);
        self.app.log.request(&line);
    }
}

/// A job's events with the number of its prompt.
struct Numbered {
    number: usize,
    answers: Answers,
}

impl Stream for Numbered {
    type Item = (usize, Event);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let number = self.number;
        self.answers.poll_next_unpin(context).map(|event| event.map(|event| (number, event)))
    }
}

/// What the request log has of a request's parameters.
struct Parameters {
    temperature: f32,
    top_p: f32,
    top_logprobs: Option<usize>,
}

impl Parameters {
    fn of(asked: &Asked) -> Self {
        let (temperature, top_p) = (asked.sampling.temperature, asked.sampling.top_p);
        Self { temperature, top_p, top_logprobs: asked.logprobs }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let usage = self.usage();
        self.app.metrics.count_tokens("prompt", usage.prompt_tokens);
        self.app.metrics.count_tokens("output", usage.completion_tokens);
        self.app
            .budgets
            .give_back(&self.account, self.taken.saturating_sub(usage.total_tokens as u64));
    }
}

/// Most tokens of an answer to each prompt.
fn lengths(
    prompts: &[PromptRead],
    asked: &Asked,
    writer: &Writer,
    usual: Option<usize>,
) -> Result<Vec<usize>, ApiError> {
    let length = |prompt: &PromptRead| {
        let room = writer.window - prompt.ids.len();
        match asked.max_tokens {
            Some(wanted) if wanted > room => {
                let message = format!(
                    "the prompt has {} tokens and {wanted} are asked for, and both together may have {}; shorten the prompt, or \
                     ask for fewer",
                    prompt.ids.len(),
                    writer.window
                );
                Err(ApiError::invalid(message)
                    .with_param("max_tokens")
                    .with_code("context_length_exceeded"))
            }
            Some(wanted) => Ok(wanted),
            None => Ok(room.min(usual.unwrap_or(room))),
        }
    };
    prompts.iter().map(length).collect()
}

fn decide(
    app: &App,
    account: &Account,
    route: &str,
    asked: &Asked,
    max_tokens: usize,
) -> Result<Result<Arc<Marker>, Unmarked>, ApiError> {
    let policies = app.policies.load();
    let system = asked.system();
    let occasion = Occasion {
        route,
        account: &account.name,
        system: &system,
        required: account.mode == crate::serve::policy::WatermarkMode::Required,
    };
    match account.decide(&asked.wish, &policies.exemptions, &occasion, &asked.sampling, max_tokens)
    {
        Ok(Decision::Mark(marker)) => Ok(Ok(marker)),
        Ok(Decision::Leave(unmarked)) => {
            if let Unmarked::Exempt(reason) = &unmarked {
                app.log.note(&format!("exempt: {reason} (account {}, {route})", account.name));
            }
            Ok(Err(unmarked))
        }
        Err(refusal) => {
            app.metrics.mark("", "rejected");
            Err(ApiError::invalid(refusal.to_string())
                .with_param(refusal.param())
                .with_code(refusal.code()))
        }
    }
}

async fn append(
    ledger: &dyn crate::provenance::Ledger,
    new: crate::provenance::NewReceipt,
) -> Result<(), String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    ledger.append_then(
        new,
        Box::new(move |kept| {
            // The request may be over.
            let _ = sender.send(kept.map(|_| ()));
        }),
    );
    match receiver.await {
        Ok(kept) => kept.map_err(|error| error.to_string()),
        Err(_) => Err("the ledger is closed".to_owned()),
    }
}

fn too_little(tokens: usize, marked: usize) -> ApiError {
    let message = format!(
        "the answer ended after {tokens} tokens, of which {marked} carry the mark: too few for this API key's policy, so it is not \
         given; ask for a longer answer"
    );
    let status = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
    ApiError::new(status, "invalid_request_error", message).with_code("insufficient_evidence")
}

fn refusal(refused: &Refused) -> ApiError {
    let words = refused.to_string();
    match refused {
        Refused::QueueFull { retry_after } => ApiError::too_many(words, seconds(*retry_after)),
        Refused::Draining => ApiError::unavailable(words, 5),
        Refused::TooMany { .. } => ApiError::invalid(words).with_param("n"),
        Refused::TooLong { .. } | Refused::NeverFits { .. } => {
            ApiError::invalid(words).with_param("max_tokens").with_code("context_length_exceeded")
        }
        _ => ApiError::invalid(words),
    }
}

fn failed(failure: &Failure) -> ApiError {
    let words = failure.to_string();
    match failure {
        Failure::QueueTimeout { .. } => ApiError::unavailable(words, 5),
        Failure::Deadline => {
            let status = axum::http::StatusCode::GATEWAY_TIMEOUT;
            ApiError::new(status, "server_error", words).with_code("timeout")
        }
        Failure::Aborted => ApiError::unavailable(words, 5),
        _ => ApiError::internal(words),
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs_f64().ceil() as u64
}

fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::Abort => "abort",
    }
}
