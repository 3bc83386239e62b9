//! Reading bodies, within limits.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use futures::StreamExt;

use super::ApiError;
use super::app::Settings;

/// The whole body.
///
/// # Errors
/// 415 when it is not said to be JSON, 413 when it is longer than allowed, 408 when it takes too long, 400 when the client breaks off.
pub async fn read(settings: &Settings, request: Request) -> Result<Bytes, ApiError> {
    check_type(&request, &["application/json"])?;
    let reading = collect(request.into_body(), settings.body_limit);
    match tokio::time::timeout(settings.client_timeout, reading).await {
        Ok(body) => body,
        Err(_) => {
            let message = "the body took too long to come in; send it again";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message))
        }
    }
}

/// Of a body that is too long the rest is read and thrown away, up to a bound: a client that is still writing does not read the refusal.
async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let (mut whole, mut read) = (Vec::new(), 0_usize);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            ApiError::invalid("the body could not be read to its end; send it again")
        })?;
        read = read.saturating_add(piece.len());
        if read <= limit {
            whole.extend_from_slice(&piece);
        } else if read > limit.saturating_add(THROWN_AWAY) {
            break;
        }
    }
    if read > limit {
        return Err(ApiError::too_large(format!(
            "the body is longer than {limit} bytes; send less"
        )));
    }
    Ok(whole.into())
}

/// Bytes beyond the limit.
const THROWN_AWAY: usize = 64 << 20;

/// Refuses bodies of other types. Browsers send these ones to another site's server only after asking it, so that a foreign page
/// can neither use a server on its visitor's machine nor spend its visitors' budgets.
pub fn check_type(request: &Request, types: &[&str]) -> Result<(), ApiError> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next()).unwrap_or_default().trim();
    if types.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let message = format!("send the body with Content-Type: {}", types.first().unwrap_or(&""));
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ApiError::new(status, "invalid_request_error", message))
}
