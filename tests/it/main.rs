//! Tests that cross modules.

#[cfg(feature = "tokenizer")]
mod calibration;
mod common;
mod conformance;
#[cfg(feature = "engine")]
mod engine;
mod prf;
