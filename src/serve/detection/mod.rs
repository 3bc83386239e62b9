//! Detection for everybody: `/v1/watermark/detect`, its alias and its batches, and `/v1/watermark/profiles`.
//!
//! What is said depends on the caller's role. The [manual](crate::manual::public_detection) says what the public may learn and
//! what remains.

mod answer;
mod batch;
mod budget;
mod examine;
mod handlers;
mod lines;
mod memory;
mod pool;
mod question;
mod service;
mod settings;
mod sketch;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use utoipa::OpenApi;

pub use answer::{Answer, Reason, TextPiece, TokenEvidence};
pub use batch::BatchRow;
pub use examine::{Examine, ExamineError, Finding, ProfileInfo, Question, TokenizerInfo};
pub use handlers::ProfileList;
pub use question::DetectRequest;
pub use service::{Detection, FaultLog, Observer, Protection};
pub use settings::{DetectionError, DetectionSettings};

/// The routes. Bodies are bounded here, and lines of batches as they are read: a bound on whole bodies from outside must leave
/// batches alone.
pub fn router(state: Arc<Detection>) -> Router {
    Router::new()
        .route("/v1/watermark/detect", post(handlers::detect))
        .route("/detect", post(handlers::detect_alias))
        .route("/v1/watermark/detect/batch", post(batch::detect_batch))
        .route("/v1/watermark/profiles", get(handlers::profiles))
        .with_state(state)
}

/// The part of the OpenAPI document that speaks of detection.
#[derive(OpenApi)]
#[openapi(
    paths(handlers::detect, handlers::detect_alias, batch::detect_batch, handlers::profiles),
    components(schemas(Answer, BatchRow, DetectRequest, ProfileInfo, Protection, Reason))
)]
pub struct DetectionApi;
