//! The description of the interface: `/openapi.json`, and `/docs` for people.

use axum::Router;
use axum::response::Json;
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::detection::DetectionApi;
use super::{openai, page, receipts, routes};

/// What every server answers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Touchmark",
        description = "Marked text as OpenAI's interface has it, receipts of answers, and what can be said of a text.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(routes::health, routes::ready, routes::info, routes::metrics, routes::reload, receipts::verify),
    tags(
        (name = "OpenAI", description = "Answers, as OpenAI defines the interface, and what became of their mark"),
        (name = "Detection", description = "What can be said of a text"),
        (name = "Server", description = "The server itself")
    )
)]
struct ServerApi;

/// What a server with a model answers besides.
#[derive(OpenApi)]
#[openapi(paths(
    openai::route::chat,
    openai::route::completions,
    routes::models,
    routes::model,
    routes::tokenize
))]
struct ModelApi;

/// The OpenAPI document.
pub fn openapi(detect_only: bool) -> Value {
    let mut api = ServerApi::openapi();
    api.merge(DetectionApi::openapi());
    if !detect_only {
        api.merge(ModelApi::openapi());
    }
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    document["components"]["securitySchemes"] =
        json!({"key": {"type": "http", "scheme": "bearer"}});
    // Where no API keys are set up, none is needed.
    document["security"] = json!([{}, {"key": []}]);
    document
}

/// Both forms.
pub fn router(detect_only: bool) -> Router {
    let document = openapi(detect_only);
    let docs = page::docs(&document);
    Router::new()
        .route("/openapi.json", get(async move || Json(document.clone())))
        .route("/docs", get(async move || page::html(docs.clone())))
}
