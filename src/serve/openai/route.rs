//! `POST /v1/chat/completions` and `POST /v1/completions`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::asked::{Asked, Form};
use super::choice::Piece;
use super::form::Telling;
use super::response::{Answer, ChatChoice, ChatChunk, CompletionChoice, Delta};
use super::writing::{Told, Writing};
use crate::generate::FinishReason;
use crate::serve::app::{App, ReceiptsTold};
use crate::serve::auth::Asker;
use crate::serve::{ApiError, ErrorBody, body};

/// The routes' paths, as policies name them.
const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI",
    request_body = super::ChatRequest,
    responses(
        (status = 200, description = "The answer; with `stream` as server-sent events of chunks, ended by `[DONE]`", body = Answer<ChatChoice>),
        (status = "4XX", description = "Not answered, and why", body = ErrorBody),
        (status = "5XX", description = "Not answered, and why", body = ErrorBody),
    ),
)]
pub async fn chat(
    State(app): State<Arc<App>>,
    asker: Asker,
    request: Request,
) -> Result<Response, ApiError> {
    answer(app, asker, request, Form::Chat).await
}

/// Continues texts.
#[utoipa::path(
    post, path = "/v1/completions", tag = "OpenAI",
    request_body = super::CompletionRequest,
    responses(
        (status = 200, description = "The answer; with `stream` as server-sent events of chunks, ended by `[DONE]`", body = Answer<CompletionChoice>),
        (status = "4XX", description = "Not answered, and why", body = ErrorBody),
        (status = "5XX", description = "Not answered, and why", body = ErrorBody),
    ),
)]
pub async fn completions(
    State(app): State<Arc<App>>,
    asker: Asker,
    request: Request,
) -> Result<Response, ApiError> {
    answer(app, asker, request, Form::Completion).await
}

async fn answer(
    app: Arc<App>,
    asker: Asker,
    request: Request,
    form: Form,
) -> Result<Response, ApiError> {
    let account = asker.may(|account| account.roles.generate, "ask for answers")?;
    let body = body::read(&app.settings, request).await?;
    let limited = app.settings.limited.and(&account.limits);
    let (route, asked) = match form {
        Form::Chat => (CHAT, Asked::chat(&body, limited)?),
        Form::Completion => (COMPLETIONS, Asked::completion(&body, limited)?),
    };
    let told = app.settings.receipts;
    let writing = Writing::begin(app, account, route, &asked).await?;
    if asked.stream {
        let mut response = streamed(writing, asked, told).into_response();
        // Proxies must not wait for the end.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        return Ok(response);
    }
    whole(writing, &asked, told).await
}

/// What a response says of the mark before its body.
fn mark_headers(mark: Result<&str, &str>) -> HeaderMap {
    let text = match mark {
        Ok(profile) => format!("applied; profile={profile}"),
        Err(reason) => {
            format!("none; reason={}", reason.replace(|c: char| !c.is_ascii_graphic(), "_"))
        }
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert("x-watermark", value);
    }
    headers.insert("x-ai-generated", HeaderValue::from_static("true"));
    headers
}

fn telling<'a>(writing: &'a Writing, asked: &Asked) -> Telling<'a> {
    Telling {
        writer: writing.writer(),
        logprobs: asked.logprobs.is_some(),
        decimals: writing.decimals(),
        token_ids: asked.token_ids,
    }
}

/// Waits for all answers.
async fn whole(
    mut writing: Writing,
    asked: &Asked,
    told: ReceiptsTold,
) -> Result<Response, ApiError> {
    let mut pieces: Vec<(Piece, FinishReason)> = Vec::new();
    pieces.resize(writing.count(), (Piece::default(), FinishReason::Stop));
    while let Some(next) = writing.next().await? {
        if let Told::Last(at, _, reason) = next {
            pieces[at] = (writing.given(at), reason);
        }
    }
    let report = writing.report();
    let reason = report.reason.clone().unwrap_or_default();
    let mut headers = match &report.profile {
        Some(profile) if report.applied => mark_headers(Ok(profile)),
        _ => mark_headers(Err(&reason)),
    };
    if told == ReceiptsTold::Header
        && let Ok(value) = HeaderValue::try_from(writing.receipts.join(", "))
    {
        headers.insert("x-watermark-receipt", value);
    }
    let telling = telling(&writing, asked);
    let all = pieces.iter().enumerate();
    let body = match asked.form {
        Form::Chat => {
            let choices = all.map(|(at, (piece, reason))| telling.chat(at, piece, *reason));
            body_of(&writing, "chat.completion", choices.collect::<Vec<ChatChoice>>(), told)
        }
        Form::Completion => {
            let choices = all
                .map(|(at, (piece, reason))| telling.completion(at, piece, Some(*reason), &mut 0));
            body_of(&writing, "text_completion", choices.collect::<Vec<CompletionChoice>>(), told)
        }
    };
    Ok((headers, body).into_response())
}

fn body_of<C: Serialize>(
    writing: &Writing,
    object: &'static str,
    choices: Vec<C>,
    told: ReceiptsTold,
) -> Response {
    let answer = Answer {
        usage: Some(writing.usage()),
        watermark: Some(writing.report()),
        receipts: (told == ReceiptsTold::Body).then(|| writing.receipts.clone()),
        ..frame(writing, object, choices)
    };
    Json(answer).into_response()
}

fn frame<C>(writing: &Writing, object: &'static str, choices: Vec<C>) -> Answer<C> {
    let writer = writing.writer();
    Answer {
        id: writing.id.clone(),
        object,
        created: writing.created,
        model: writer.name.clone(),
        system_fingerprint: writer.fingerprint(),
        choices,
        usage: None,
        watermark: None,
        receipts: None,
    }
}

/// Tells answers as they grow. What a client does not read waits here, not in the model.
fn streamed(writing: Writing, asked: Asked, told: ReceiptsTold) -> Response {
    let reason = writing.mark().err();
    let headers = match writing.mark() {
        Ok(profile) => mark_headers(Ok(profile)),
        Err(_) => mark_headers(Err(reason.as_deref().unwrap_or_default())),
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut teller = Teller::new(writing, asked, told, sender);
        if let Err(broken) = teller.tell().await {
            teller.writing.abandon(broken.word()).await;
        }
    });
    let events = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    let alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    (headers, Sse::new(events).keep_alive(alive)).into_response()
}

/// Events that wait for a slow client.
const WAITING: usize = 32;
/// Between comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Why a stream ended before its answers did.
enum Broken {
    /// The client went away.
    Gone,
    /// The answers could not be finished, and the client was told so.
    Failed,
}

impl Broken {
    fn word(&self) -> &'static str {
        match self {
            Self::Gone => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// One stream.
struct Teller {
    writing: Writing,
    asked: Asked,
    told: ReceiptsTold,
    sender: mpsc::Sender<Event>,
    /// Answers whose role was told.
    begun: Vec<bool>,
    /// Characters of tokens told, of completions with log-probabilities.
    offsets: Vec<usize>,
}

impl Teller {
    fn new(
        writing: Writing,
        asked: Asked,
        told: ReceiptsTold,
        sender: mpsc::Sender<Event>,
    ) -> Self {
        let (begun, offsets) = (vec![false; writing.count()], vec![0; writing.count()]);
        Self { writing, asked, told, sender, begun, offsets }
    }

    async fn tell(&mut self) -> Result<(), Broken> {
        loop {
            // Who went away must not keep the model busy until its next word.
            let next = tokio::select! {
                next = self.writing.next() => next,
                () = self.sender.closed() => return Err(Broken::Gone),
            };
            match next {
                Ok(Some(Told::Piece(at, piece))) => self.piece(at, &piece, None).await?,
                Ok(Some(Told::Last(at, piece, reason))) => {
                    self.piece(at, &piece, Some(reason)).await?;
                }
                Ok(None) => return self.end().await,
                Err(error) => {
                    self.send(&error.body()).await?;
                    return Err(Broken::Failed);
                }
            }
        }
    }

    async fn piece(
        &mut self,
        at: usize,
        piece: &Piece,
        reason: Option<FinishReason>,
    ) -> Result<(), Broken> {
        if self.asked.form == Form::Completion {
            return self.completion(at, piece, reason).await;
        }
        if !std::mem::replace(&mut self.begun[at], true) {
            let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
            let chunk = ChatChunk {
                index: at,
                delta,
                logprobs: None,
                finish_reason: None,
                token_ids: None,
            };
            self.send(&frame(&self.writing, CHUNK, vec![chunk])).await?;
        }
        if !piece.is_empty() {
            let chunk = telling(&self.writing, &self.asked).chat_chunk(at, piece, None);
            self.send(&frame(&self.writing, CHUNK, vec![chunk])).await?;
        }
        let Some(reason) = reason else { return Ok(()) };
        let chunk =
            telling(&self.writing, &self.asked).chat_chunk(at, &Piece::default(), Some(reason));
        self.finish(frame(&self.writing, CHUNK, vec![chunk])).await
    }

    async fn completion(
        &mut self,
        at: usize,
        piece: &Piece,
        reason: Option<FinishReason>,
    ) -> Result<(), Broken> {
        if piece.is_empty() && reason.is_none() {
            return Ok(());
        }
        let mut offset = self.offsets[at];
        let chunk = telling(&self.writing, &self.asked).completion(at, piece, reason, &mut offset);
        self.offsets[at] = offset;
        let chunk = frame(&self.writing, TEXT, vec![chunk]);
        if reason.is_some() { self.finish(chunk).await } else { self.send(&chunk).await }
    }

    /// The last chunk of an answer; of the last answer with what became of the mark, unless a chunk of numbers follows.
    async fn finish<C: Serialize>(&self, chunk: Answer<C>) -> Result<(), Broken> {
        let last = self.writing.is_done() && !self.asked.include_usage;
        let chunk = if last { self.with_report(chunk) } else { chunk };
        self.send(&chunk).await
    }

    fn with_report<C>(&self, chunk: Answer<C>) -> Answer<C> {
        let receipts = (self.told != ReceiptsTold::Off).then(|| self.writing.receipts.clone());
        Answer { watermark: Some(self.writing.report()), receipts, ..chunk }
    }

    async fn end(&self) -> Result<(), Broken> {
        if self.asked.include_usage {
            let object = if self.asked.form == Form::Chat { CHUNK } else { TEXT };
            let chunk = self.with_report(frame::<ChatChunk>(&self.writing, object, Vec::new()));
            self.send(&Answer { usage: Some(self.writing.usage()), ..chunk }).await?;
        }
        self.sender.send(Event::default().data("[DONE]")).await.map_err(|_| Broken::Gone)
    }

    async fn send(&self, body: &impl Serialize) -> Result<(), Broken> {
        let event = Event::default().json_data(body).map_err(|_| Broken::Gone)?;
        self.sender.send(event).await.map_err(|_| Broken::Gone)
    }
}

const CHUNK: &str = "chat.completion.chunk";
const TEXT: &str = "text_completion";
