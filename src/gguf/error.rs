//! What is refused of a file, and of a caller.

use thiserror::Error;

/// A file that is not GGUF, is damaged, or lacks what is asked of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The system could not read.
    #[error("cannot read the GGUF file")]
    Read(#[from] std::io::Error),
    /// Another kind of file.
    #[error("not a GGUF file: it begins with {found:02x?}, not with \"GGUF\"")]
    Magic {
        /// Its first four bytes.
        found: [u8; 4],
    },
    /// A file for big-endian machines.
    #[error(
        "the GGUF file is big-endian, which is not supported; convert it with gguf-convert-endian of Python's gguf package"
    )]
    BigEndian,
    /// A version of the format that is not read.
    #[error(
        "the GGUF file has version {found}, and versions 2 and 3 are supported; convert the model again with a present converter"
    )]
    Version {
        /// The version.
        found: u32,
    },
    /// A length or count that goes beyond the end of the file.
    #[error(
        "the GGUF file is cut or damaged: at byte {at} it claims {needed} bytes more, and {left} are left; download it again"
    )]
    Truncated {
        /// Position of the claim.
        at: u64,
        /// The bytes it needs at least.
        needed: u64,
        /// The bytes there are.
        left: u64,
    },
    /// More metadata than any model has.
    #[error(
        "the GGUF file claims more than {limit} bytes of metadata; it is damaged, download it again"
    )]
    HeaderLength {
        /// The most that is read.
        limit: u64,
    },
    /// A name or text that is not UTF-8.
    #[error(
        "the GGUF file has a text at byte {at} that is not UTF-8; it is damaged, download it again"
    )]
    Text {
        /// Position of the text.
        at: u64,
    },
    /// A value of a type that the format does not have.
    #[error(
        "the value of \"{key}\" has the unknown type {number}; the GGUF file is damaged, download it again"
    )]
    ValueType {
        /// Its key.
        key: String,
        /// The type's number.
        number: u32,
    },
    /// Arrays of arrays of arrays.
    #[error(
        "the value of \"{key}\" nests arrays more than {limit} deep; the GGUF file is damaged, download it again"
    )]
    Depth {
        /// Its key.
        key: String,
        /// How deep arrays may nest.
        limit: usize,
    },
    /// A key that stands twice.
    #[error("the GGUF file gives \"{key}\" twice; it is damaged, download it again")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// An alignment that is not a power of two.
    #[error(
        "general.alignment is {found}, which is not a power of two; the GGUF file is damaged, download it again"
    )]
    Alignment {
        /// Its value.
        found: u32,
    },
    /// Two tensors of one name.
    #[error("the GGUF file has two tensors {tensor}; it is damaged, download it again")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// A tensor with no or too many dimensions.
    #[error(
        "tensor {tensor} has {found} dimensions, and 1 to 4 are possible; the GGUF file is damaged, download it again"
    )]
    Dimensions {
        /// The tensor.
        tensor: String,
        /// How many it has.
        found: u32,
    },
    /// A dimension of zero, or more values than can be counted.
    #[error(
        "tensor {tensor} has the impossible shape {shape:?}; the GGUF file is damaged, download it again"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape, outermost dimension first.
        shape: Vec<u64>,
    },
    /// A tensor in a number format that is not read.
    #[error(
        "tensor {tensor} has ggml type {number}, which is not supported; use a file in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K"
    )]
    TensorType {
        /// The tensor.
        tensor: String,
        /// The type's number.
        number: u32,
    },
    /// Rows that are no whole number of blocks.
    #[error(
        "tensor {tensor} has rows of {row} values, and its type {dtype:?} comes in blocks of {block}; the GGUF file is damaged, download it again"
    )]
    Blocks {
        /// The tensor.
        tensor: String,
        /// Values in a row.
        row: usize,
        /// Its type.
        dtype: super::GgmlType,
        /// Values in a block.
        block: usize,
    },
    /// A tensor that begins between two multiples of the alignment.
    #[error(
        "tensor {tensor} begins at {offset}, no multiple of the alignment {alignment}; the GGUF file is damaged, download it again"
    )]
    Misaligned {
        /// The tensor.
        tensor: String,
        /// Where it begins, from the start of the data.
        offset: u64,
        /// The file's alignment.
        alignment: u32,
    },
    /// A tensor that goes beyond the end of the file.
    #[error(
        "tensor {tensor} takes {len} bytes from {offset} on, and the data has {data_len}; the GGUF file is cut or damaged, download it again"
    )]
    Outside {
        /// The tensor.
        tensor: String,
        /// Where it begins, from the start of the data.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// Bytes of data in the file.
        data_len: u64,
    },
    /// Two tensors that share bytes.
    #[error("tensors {first} and {second} overlap; the GGUF file is damaged, download it again")]
    Overlap {
        /// The one that begins first.
        first: String,
        /// The other.
        second: String,
    },
    /// A key that the caller needs.
    #[error("the GGUF file does not say {key}; it is incomplete, convert the model again")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A value of another type than its key should have.
    #[error("{key} is {found} in the GGUF file, expected {expected}; convert the model again")]
    WrongType {
        /// The key.
        key: String,
        /// What is there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A tensor that the caller needs.
    #[error("the GGUF file has no tensor {tensor}; it is incomplete, convert the model again")]
    MissingTensor {
        /// The name.
        tensor: String,
    },
    /// No memory for a tensor.
    #[error("no memory for a tensor of {bytes} bytes; choose a smaller model")]
    Memory {
        /// What was needed.
        bytes: usize,
    },
}
