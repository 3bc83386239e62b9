//! Questions about one text, and what is looked for.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::examine::ProfileInfo;
use super::question::DetectRequest;
use super::service::{Detection, Protection};
use crate::serve::body::check_type;
use crate::serve::caller::Caller;
use crate::serve::error::{ApiError, ErrorBody};

/// The profiles that are looked for.
#[derive(Serialize, ToSchema)]
pub struct ProfileList {
    /// Always `list`.
    pub object: &'static str,
    /// One entry a profile.
    pub data: Vec<ProfileInfo>,
    /// log₁₀ of the false-alarm rate for all of them together: how often a text that has nothing to do with the keys is called marked.
    pub threshold_log10_p: f64,
    /// What the public may ask.
    pub public: Protection,
}

/// Look for marks in a text.
///
/// The public gets a verdict, within a daily budget. Analysts get p-values, passages and the evidence of tokens too.
#[utoipa::path(
    post,
    path = "/v1/watermark/detect",
    tag = "Detection",
    request_body = DetectRequest,
    responses(
        (status = 200, description = "What is said of the text", body = Answer),
        (status = 400, description = "Not a question, or an unknown field", body = ErrorBody),
        (status = 403, description = "Evidence was asked for without an analyst's API key", body = ErrorBody),
        (status = 413, description = "The text is too long", body = ErrorBody),
        (status = 415, description = "The body is not application/json", body = ErrorBody),
        (status = 429, description = "The daily budget is used up, or too many wait; see Retry-After", body = ErrorBody),
    )
)]
pub async fn detect(
    State(detection): State<Arc<Detection>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Answer>, ApiError> {
    answer(detection, caller, request).await
}

/// Look for marks in a text, under a short name.
///
/// The same as `/v1/watermark/detect`.
#[utoipa::path(
    post,
    path = "/detect",
    tag = "Detection",
    request_body = DetectRequest,
    responses(
        (status = 200, description = "What is said of the text", body = Answer),
        (status = 400, description = "Not a question, or an unknown field", body = ErrorBody),
        (status = 403, description = "Evidence was asked for without an analyst's API key", body = ErrorBody),
        (status = 413, description = "The text is too long", body = ErrorBody),
        (status = 415, description = "The body is not application/json", body = ErrorBody),
        (status = 429, description = "The daily budget is used up, or too many wait; see Retry-After", body = ErrorBody),
    )
)]
pub async fn detect_alias(
    State(detection): State<Arc<Detection>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Answer>, ApiError> {
    answer(detection, caller, request).await
}

/// The profiles that are looked for, without their keys.
#[utoipa::path(
    get,
    path = "/v1/watermark/profiles",
    tag = "Detection",
    responses((status = 200, description = "The profiles", body = ProfileList))
)]
pub async fn profiles(State(detection): State<Arc<Detection>>) -> Json<ProfileList> {
    Json(ProfileList {
        object: "list",
        data: detection.profiles(),
        threshold_log10_p: detection.threshold_log10_p(),
        public: detection.protection(),
    })
}

async fn answer(
    detection: Arc<Detection>,
    caller: Caller,
    request: Request,
) -> Result<Json<Answer>, ApiError> {
    check_type(&request, &["application/json"])?;
    let most = detection.settings().question_bytes();
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let too_large = || ApiError::too_large(format!("the request has more than {most} bytes"));
    if declared.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > most)
    {
        return Err(too_large());
    }
    let body = to_bytes(request.into_body(), most).await.map_err(|_| too_large())?;
    let request = DetectRequest::parse(&body)?;
    drop(body);
    detection.answer(&caller, request, false).await.map(Json)
}
