//! Many texts in one request: lines of JSON in, lines of JSON out, in the same order, as they come.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::lines::{Line, LineLimits, Lines};
use super::question::DetectRequest;
use super::service::Detection;
use crate::serve::body::check_type;
use crate::serve::caller::Caller;
use crate::serve::error::{ApiError, ErrorBody, ErrorObject};

/// Lines of one batch that are examined or wait at a time.
const AHEAD: usize = 4;
/// The type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// The answer to one line.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchRow {
    /// What is said of the text.
    Answer {
        /// The line's number, from 1.
        line: u64,
        /// What is said of its text.
        #[serde(flatten)]
        answer: Box<Answer>,
    },
    /// Why nothing is said.
    Error {
        /// The line's number, from 1.
        line: u64,
        /// The name that came with the text.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The fault.
        error: ErrorObject,
    },
}

/// Look for marks in many texts.
///
/// Each line of the body is a request as of `/v1/watermark/detect`; each line of the response is its answer, with the number of
/// its line, or an error. Order is kept, and a line at fault does not end the batch. Answers come while lines are read, and
/// lines are read no faster than answers are taken: a client must read while it writes.
#[utoipa::path(
    post,
    path = "/v1/watermark/detect/batch",
    tag = "Detection",
    request_body(content = String, content_type = "application/x-ndjson", description = "One DetectRequest a line"),
    responses(
        (status = 200, description = "One BatchRow a line", body = BatchRow, content_type = "application/x-ndjson"),
        (status = 415, description = "Not lines of JSON", body = ErrorBody),
        (status = 429, description = "Too many batches; see Retry-After", body = ErrorBody),
    )
)]
pub async fn detect_batch(
    State(detection): State<Arc<Detection>>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    check_type(&request, &[NDJSON, "application/jsonl", "application/x-jsonlines"])?;
    let place = Arc::clone(&detection.batches).try_acquire_owned().map_err(|_| {
        ApiError::too_many("too many batches are being read; try again later", 10)
            .with_code("detection_busy")
    })?;
    let settings = detection.settings();
    let limits = LineLimits {
        line: settings.question_bytes(),
        lines: settings.batch_lines,
        bytes: settings.batch_bytes,
    };
    let lines = Lines::new(request.into_body().into_data_stream(), limits);
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        Some((line, lines))
    });
    let rows = lines
        .map(move |line| row(Arc::clone(&detection), caller.clone(), line))
        .buffered(AHEAD)
        .map(move |row| {
            let _held = &place;
            written(&row)
        });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(rows)).into_response())
}

async fn row(detection: Arc<Detection>, caller: Caller, (line, body): Line) -> BatchRow {
    let error = |id, error: ApiError| BatchRow::Error { line, id, error: error.body().error };
    let request = match body.and_then(|body| DetectRequest::parse(&body)) {
        Ok(request) => request,
        Err(fault) => return error(None, fault),
    };
    let id = request.id.clone();
    match detection.answer(&caller, request, true).await {
        Ok(answer) => BatchRow::Answer { line, answer: Box::new(answer) },
        Err(fault) => error(id, fault),
    }
}

fn written(row: &BatchRow) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    Ok(line.into())
}
