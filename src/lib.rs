//! Touchmark: watermark what a language model writes, and find such marks in any text with exact p-values.

pub mod keys;
pub mod lm;
pub mod prf;
pub mod stats;
pub mod tokens;
