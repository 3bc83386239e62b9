//! Touchmark: watermark what a language model writes, and find such marks in any text with exact p-values.

pub mod detect;
pub mod generate;
pub mod keys;
pub mod lm;
pub mod prf;
pub mod profile;
pub mod sampling;
pub mod schemes;
pub mod stats;
pub mod tokens;
pub mod watermark;

#[cfg(feature = "tokenizer")]
pub mod tokenizer;

#[cfg(feature = "corpus")]
pub mod corpus;
#[cfg(feature = "store")]
pub mod store;
