//! The GGUF file format (version 2 and 3, little-endian): one file with a model's metadata, vocabulary and tensors.
//!
//! Reads the format and nothing more: `engine` makes a model of it, `tokenizer` a tokenizer.

mod dtype;

pub use dtype::GgmlType;
