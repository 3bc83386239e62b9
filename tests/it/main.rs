//! Tests that cross modules.

#[cfg(feature = "engine")]
mod engine;
