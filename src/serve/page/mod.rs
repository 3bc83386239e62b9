//! Web pages: `/`, where a text is pasted and examined, and `/docs`, the reference of the HTTP interface.
//!
//! Pages carry nothing foreign: style, script and picture are files of this server, nothing is inline, and a strict content security
//! policy says so to browsers.

mod docs;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

pub use docs::docs;

const INDEX: &str = include_str!("index.html");
/// The report's look, and what a form needs besides.
const STYLE: &str = concat!(include_str!("../../report/style.css"), include_str!("page.css"));
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// Nothing but what this server sends, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page at `/` and its files. It asks `/v1/watermark/detect` and `/v1/watermark/profiles`.
pub fn router() -> Router {
    Router::new()
        .route("/", get(async || html(INDEX)))
        .route("/assets/page.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/assets/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/icon.svg", get(async || file("image/svg+xml", ICON)))
}

/// A page with the headers that keep it to itself.
pub fn html(page: impl IntoResponse) -> impl IntoResponse {
    (headers("text/html; charset=utf-8", "no-store"), page)
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    (headers(kind, "no-cache"), content)
}

fn headers(kind: &'static str, cache: &'static str) -> [(HeaderName, &'static str); 7] {
    [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ]
}
