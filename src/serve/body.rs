//! Reading bodies, within limits.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};

use super::ApiError;
use super::app::Settings;

/// The whole body.
///
/// # Errors
/// 415 when it is not said to be JSON, 413 when it is longer than allowed, 408 when it takes too long, 400 when the client breaks off.
pub async fn read(settings: &Settings, request: Request) -> Result<Bytes, ApiError> {
    check_type(&request)?;
    let limit = settings.body_limit;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let told = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > limit as u64) {
        return Err(too_large(limit));
    }
    let reading = axum::body::to_bytes(request.into_body(), limit);
    match tokio::time::timeout(settings.client_timeout, reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_limit(&error) => Err(too_large(limit)),
        Ok(Err(_)) => {
            Err(ApiError::invalid("the body could not be read to its end; send it again"))
        }
        Err(_) => {
            let message = "the body took too long to come in; send it again";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message))
        }
    }
}

/// Browsers send other types of bodies to any server without asking it first, so a page that somebody looks at could use a server
/// on their own machine.
fn check_type(request: &Request) -> Result<(), ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "send the body with Content-Type: application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", message))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::too_large(format!("the body is longer than {limit} bytes; send less"))
}

/// Whether reading ended at the limit rather than by a fault.
fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}
