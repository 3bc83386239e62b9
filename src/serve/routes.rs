//! The routes about the server itself, and all routes together.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::ToSchema;

use super::app::{App, random_name};
use super::auth::{self, Asker};
use super::detection::Protection;
use super::openai::{self, Given};
use super::{ApiError, body, receipts};
use crate::tokens::TokenId;

/// Whether the server runs and has loaded what it needs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `loading`, `draining` or `stopped by a fault`.
    pub status: &'static str,
}

/// The models, of which there is one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Models {
    /// `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<ModelObject>,
}

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelObject {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: &'static str,
    /// When it was loaded, seconds since 1970.
    pub created: i64,
    /// `touchmark`.
    pub owned_by: &'static str,
    /// Greatest length of prompt and answer together.
    pub max_model_len: usize,
}

/// What this server is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Info {
    /// `touchmark`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The model, unless it only detects.
    pub model: Option<ModelObject>,
    /// Hash of the model's weights.
    pub model_hash: Option<String>,
    /// Hash of its tokenizer.
    pub tokenizer_hash: Option<String>,
    /// What the public may ask, and what keeps detection from being used against the mark.
    pub detection: Protection,
    /// Whether receipts are kept.
    pub receipts: bool,
    /// Whether it only detects.
    pub detect_only: bool,
}

/// Body of `POST /tokenize`: one of the three.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct TokenizeRequest {
    /// A text.
    pub text: Option<String>,
    /// The same, as vLLM names it.
    pub prompt: Option<String>,
    /// A conversation.
    pub messages: Option<Vec<openai::ChatMessage>>,
}

/// A text's tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tokenized {
    /// How many.
    pub count: usize,
    /// Greatest length of prompt and answer together.
    pub max_model_len: usize,
    /// Their ids.
    pub tokens: Vec<TokenId>,
}

/// What `POST /admin/reload` did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reloaded {
    /// Accounts there are now.
    pub accounts: usize,
}

/// Says that the server runs: 503 while it is loading.
#[utoipa::path(get, path = "/health", tag = "Server", security(()), responses(
    (status = 200, description = "It runs", body = Health),
    (status = 503, description = "It is loading", body = Health),
))]
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let (code, status) = if app.is_loaded() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "loading")
    };
    (code, Json(Health { status })).into_response()
}

/// Says whether requests are taken: keys are loaded, known answers came out right, and it is not shutting down.
#[utoipa::path(get, path = "/ready", tag = "Server", security(()), responses(
    (status = 200, description = "Requests are taken", body = Health),
    (status = 503, description = "They are not", body = Health),
))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let (code, status) = match (app.is_loaded(), app.is_draining(), app.is_ready()) {
        (_, _, true) => (StatusCode::OK, "ok"),
        (false, ..) => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        (true, true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (true, false, false) => (StatusCode::SERVICE_UNAVAILABLE, "stopped by a fault"),
    };
    (code, Json(Health { status })).into_response()
}

/// Lists the models.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI", responses(
    (status = 200, description = "The models", body = Models),
    (status = "4XX", description = "Not answered, and why", body = super::ErrorBody),
    (status = "5XX", description = "Not answered, and why", body = super::ErrorBody),
))]
pub async fn models(State(app): State<Arc<App>>, _: Asker) -> Result<Json<Models>, ApiError> {
    Ok(Json(Models { object: "list", data: vec![model_object(&app)?] }))
}

/// Tells of one model.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "OpenAI", params(("model" = String, Path, description = "Its name")), responses(
    (status = 200, description = "The model", body = ModelObject),
    (status = "4XX", description = "Not answered, and why", body = super::ErrorBody),
    (status = "5XX", description = "Not answered, and why", body = super::ErrorBody),
))]
pub async fn model(
    State(app): State<Arc<App>>,
    _: Asker,
    Path(name): Path<String>,
) -> Result<Json<ModelObject>, ApiError> {
    app.writer()?.check_name(Some(&name))?;
    model_object(&app).map(Json)
}

fn model_object(app: &App) -> Result<ModelObject, ApiError> {
    let writer = app.writer()?;
    Ok(ModelObject {
        id: writer.name.clone(),
        object: "model",
        created: writer.created,
        owned_by: "touchmark",
        max_model_len: writer.window,
    })
}

/// Says what this server is.
#[utoipa::path(get, path = "/info", tag = "Server", security(()), responses(
    (status = 200, description = "What it is", body = Info),
))]
pub async fn info(State(app): State<Arc<App>>) -> Json<Info> {
    let writer = app.writer().ok();
    Json(Info {
        name: "touchmark",
        version: env!("CARGO_PKG_VERSION"),
        model: model_object(&app).ok(),
        model_hash: writer.as_ref().map(|writer| writer.hash.clone()),
        tokenizer_hash: writer.as_ref().map(|writer| writer.tokenizer.hash().to_string()),
        detection: app.detection.protection(),
        receipts: app.ledger.is_some(),
        detect_only: app.settings.detect_only,
    })
}

/// Turns a text into the model's tokens.
#[utoipa::path(post, path = "/tokenize", tag = "Server", request_body = TokenizeRequest, responses(
    (status = 200, description = "Its tokens", body = Tokenized),
    (status = "4XX", description = "Not answered, and why", body = super::ErrorBody),
    (status = "5XX", description = "Not answered, and why", body = super::ErrorBody),
))]
pub async fn tokenize(
    State(app): State<Arc<App>>,
    asker: Asker,
    request: Request,
) -> Result<Json<Tokenized>, ApiError> {
    asker.may(|account| account.roles.generate, "use the model")?;
    let body = body::read(&app.settings, request).await?;
    let request: TokenizeRequest = openai::fields(openai::object(&body)?)?;
    let given = match (request.text.or(request.prompt), request.messages) {
        (Some(text), None) => Given::Texts(vec![text]),
        (None, Some(messages)) => Given::Turns(openai::turns(messages)?),
        _ => return Err(ApiError::invalid("give one of \"text\", \"prompt\" and \"messages\"")),
    };
    let writer = app.writer()?;
    let reading = Arc::clone(&writer);
    let read = tokio::task::spawn_blocking(move || reading.read(&given)).await;
    let read =
        read.map_err(|_| ApiError::internal("internal fault: reading the text failed"))??;
    let tokens: Vec<TokenId> = read.into_iter().flat_map(|prompt| prompt.ids).collect();
    Ok(Json(Tokenized { count: tokens.len(), max_model_len: writer.window, tokens }))
}

/// Loads policies, profiles and keys again. Requests under way keep those they began with.
#[utoipa::path(post, path = "/admin/reload", tag = "Server", responses(
    (status = 200, description = "They are loaded", body = Reloaded),
    (status = "4XX", description = "Not loaded, and why; the old ones stay", body = super::ErrorBody),
))]
pub async fn reload(State(app): State<Arc<App>>, asker: Asker) -> Result<Json<Reloaded>, ApiError> {
    asker.may(|account| account.roles.admin, "load policies")?;
    let loading = tokio::task::spawn_blocking(move || app.reload()).await;
    let accounts = loading.map_err(|_| ApiError::internal("internal fault: loading failed"))?;
    let conflict = |why| {
        ApiError::new(
            StatusCode::CONFLICT,
            "invalid_request_error",
            format!("not loaded, the old policies stay: {why}"),
        )
    };
    Ok(Json(Reloaded { accounts: accounts.map_err(conflict)? }))
}

/// Tells what was counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Server", responses(
    (status = 200, description = "Prometheus' form", content_type = "application/openmetrics-text", body = String),
    (status = "4XX", description = "Not answered, and why", body = super::ErrorBody),
))]
pub async fn metrics(State(app): State<Arc<App>>, asker: Asker) -> Result<Response, ApiError> {
    asker.may(|account| account.roles.metrics || account.roles.admin, "read metrics")?;
    let text =
        app.metrics.text(app.load()).map_err(|error| ApiError::internal(error.to_string()))?;
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, form)], text).into_response())
}

/// Everything that every server answers.
pub fn router(app: Arc<App>, more: Router) -> Router {
    let mut own = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
        .route("/v1/receipts/verify", post(receipts::verify))
        .route("/admin/reload", post(reload));
    if !app.settings.detect_only {
        own = own
            .route("/v1/chat/completions", post(openai::route::chat))
            .route("/v1/completions", post(openai::route::completions))
            .route("/v1/models", get(models))
            .route("/v1/models/{*model}", get(model))
            .route("/tokenize", post(tokenize));
    }
    own.with_state(Arc::clone(&app))
        .merge(more)
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), auth::identify))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app, counted))
}

async fn nowhere() -> ApiError {
    ApiError::not_found("there is nothing at this path; GET /docs lists what there is")
}

async fn wrong_method() -> ApiError {
    let message = "this path does not answer this method; GET /docs lists what there is";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
}

/// The cause is not told: it might hold a text.
fn panicked(_: Box<dyn std::any::Any + Send>) -> axum::http::Response<axum::body::Body> {
    ApiError::internal("internal fault; please report what was asked").into_response()
}

/// Counts requests and gives each a name.
async fn counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(request.method());
    let path =
        request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let name = match sent_name(&request) {
        Some(name) => Ok(name),
        None => random_name(),
    };
    app.metrics.in_flight.inc();
    let guard = InFlight(Arc::clone(&app));
    let mut response = next.run(request).await;
    if let Some(name) = name.ok().and_then(|name| HeaderValue::try_from(name).ok()) {
        response.headers_mut().insert("x-request-id", name);
    }
    drop(guard);
    app.metrics.request(method, &path, response.status().as_u16(), started.elapsed());
    response
}

/// Clients may invent methods, and each name would be a series of its own.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// A request whose client went away is not in flight either.
struct InFlight(Arc<App>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// The client's own name of a request, where it can be sent back as it is.
fn sent_name(request: &Request) -> Option<String> {
    let name = request.headers().get("x-request-id")?.to_str().ok()?;
    let fine = (1..=128).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic());
    fine.then(|| name.to_owned())
}
