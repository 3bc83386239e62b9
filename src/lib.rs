//! Touchmark: watermark what a language model writes, and find such marks in any text with exact p-values.

#[cfg(feature = "engine")]
pub mod engine;
pub mod lm;
pub mod stats;
pub mod tokens;
