//! Tests that cross modules.

#[cfg(feature = "tokenizer")]
mod calibration;
mod common;
mod conformance;
mod prf;
