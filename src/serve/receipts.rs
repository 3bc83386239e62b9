//! `POST /v1/receipts/verify`: whether a recorded answer is where a text came from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::App;
use super::auth::Asker;
use super::{ApiError, body, openai};
use crate::provenance::{Found, MatchKind};

/// Body of `POST /v1/receipts/verify`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The text.
    #[schema(required)]
    pub text: Option<String>,
    /// Name of the answer that it is said to come from; without it, of any that this API key asked for.
    pub answer: Option<String>,
}

/// What the ledger says of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerifyAnswer {
    /// Whether a recorded answer agrees with it.
    pub found: bool,
    /// How: `exact`, `trimmed`, `same_words` or `near`.
    #[schema(value_type = Option<String>)]
    pub kind: Option<MatchKind>,
    /// The receipt of the answer that agrees most.
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<serde_json::Value>,
}

/// Looks a text up among recorded answers: those that this API key asked for, or for analysts all.
#[utoipa::path(post, path = "/v1/receipts/verify", tag = "Detection", request_body = VerifyRequest, responses(
    (status = 200, description = "What the ledger says", body = VerifyAnswer),
    (status = "4XX", description = "Not answered, and why", body = super::ErrorBody),
    (status = "5XX", description = "Not answered, and why", body = super::ErrorBody),
))]
pub async fn verify(
    State(app): State<Arc<App>>,
    Asker(account): Asker,
    request: Request,
) -> Result<Json<VerifyAnswer>, ApiError> {
    let Some(ledger) = app.ledger.clone() else {
        return Err(ApiError::not_found("this server keeps no receipts"));
    };
    let body = body::read(&app.settings, request).await?;
    let request: VerifyRequest = openai::fields(openai::object(&body)?)?;
    let Some(text) = request.text.filter(|text| !text.trim().is_empty()) else {
        return Err(ApiError::invalid("\"text\" is missing or empty").with_param("text"));
    };
    let searching = tokio::task::spawn_blocking(move || ledger.find(&text, MOST)).await;
    let found = searching.map_err(|_| ApiError::internal("internal fault: the search failed"))?;
    let found = found.map_err(|error| {
        app.log.fault(&format!("a receipt cannot be looked up: {error}"));
        ApiError::unavailable("the ledger cannot be read now", 5)
    })?;
    let mine = |owner: Option<&str>| account.roles.analyst || owner == Some(&account.name);
    Ok(Json(best(found, request.answer.as_deref(), mine)?))
}

/// Answers looked at.
const MOST: usize = 64;

fn best(
    found: Found,
    answer: Option<&str>,
    mine: impl Fn(Option<&str>) -> bool,
) -> Result<VerifyAnswer, ApiError> {
    let fits = |receipt: &crate::provenance::Receipt| {
        mine(receipt.account.as_deref()) && answer.is_none_or(|answer| answer == receipt.answer)
    };
    let Some(best) = found.matches.into_iter().find(|it| fits(&it.receipt)) else {
        return Ok(VerifyAnswer { found: false, kind: None, receipt: None });
    };
    let receipt = serde_json::to_value(&best.receipt)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(VerifyAnswer { found: true, kind: Some(best.kind), receipt: Some(receipt) })
}
