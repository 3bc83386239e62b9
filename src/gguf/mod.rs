//! The GGUF file format (version 2 and 3, little-endian): one file with a model's metadata, vocabulary and tensors.
//!
//! Reads the format and nothing more: `engine` makes a model of it, `tokenizer` a tokenizer. A file is not trusted:
//! every length and count that it claims is held against the bytes that are left before memory is taken for it, so
//! that what [`Gguf::read`] allocates is a small multiple of the header, and no header may exceed 256 MiB.
//!
//! ```text
//! "GGUF" | u32 version | u64 tensors | u64 keys | key, type, value … | name, dimensions, type, offset … | padding | data
//! ```
//!
//! Layout: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod dtype;
mod error;
mod file;
mod header;
mod value;

pub use dtype::GgmlType;
pub use error::GgufError;
pub use file::{Gguf, TensorInfo};
pub use value::{Array, FromValue, Value};

#[cfg(test)]
mod tests;
