//! Runs decoder-only language models.
//!
//! [`Decoder`] implements [`LanguageModel`](crate::lm::LanguageModel). Reading order: `config` (what a model is),
//! `weights` (how it comes from files), `matrix` and `kernel` (products), `blocks`,
//! `quantised` and `integer` (quantised ones), `cache` and `attention`, `ops` (everything
//! row-wise), `model` (the transformer), `slab` (how a step becomes rows), `sequences` (checks), `decoder`.
//!
//! # What a row is worth
//! The logits of a position depend on the ids up to it and on nothing else, *to the last bit*: not on how the ids were
//! cut into steps, nor on what other sequences were in a step, nor on the number of threads, nor on the vector width of
//! the processor, as long as it has fused multiply-add. A text generated in a batch is the text generated alone.
//!
//! # Threads
//! See [`set_threads`].
//!
//! ```no_run
//! use touchmark::engine::Decoder;
//! use touchmark::lm::{Chunk, LanguageModel, Want};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut model = Decoder::from_dir("models/scribe-16m".as_ref())?;
//! let seq = model.open()?;
//! let work = [Chunk { seq, ids: &[0, 391, 268], want: Want::Last }];
//! model.step(&work, &mut |_: usize, _: usize, logits: &[f32]| assert_eq!(logits.len(), 8192))?;
//! # Ok(())
//! # }
//! ```

mod attention;
mod blocks;
mod cache;
mod config;
mod decoder;
mod device;
mod integer;
mod kernel;

mod matrix;
mod model;
mod ops;
mod pool;
mod quantised;
mod sequences;
mod slab;
mod source;
pub mod tensors;
mod threads;
#[cfg(feature = "train")]
pub mod train;
mod weights;

use std::path::PathBuf;

pub use config::{
    Activation, Config, Family, GgufConfigError, LayerSpec, Norms, QkNorm, RopeScaling, RopeSpec,
};
pub use decoder::Decoder;
pub use device::{Device, DeviceDecoder, DeviceInfo, devices, load};
pub use kernel::instruction_sets;
pub use source::{Dtype, Source};
pub use threads::{set_threads, threads};
pub use weights::{Contents, Format};

/// Why a model could not be loaded, or memory for a sequence not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A GGUF file that is damaged, or holds a model that is not supported.
    #[error("cannot use {}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: GgufConfigError,
    },
    /// A directory without weights.
    #[error(
        "{} has neither model.safetensors nor model.safetensors.index.json; give the directory of a model in safetensors format",
        dir.display()
    )]
    NoWeights {
        /// The directory.
        dir: PathBuf,
    },
    /// A folder with several models.
    #[error("{} has {count} GGUF files that are not parts of one model; name one of them", dir.display())]
    SeveralModels {
        /// The directory.
        dir: PathBuf,
        /// How many files there are.
        count: usize,
    },
    /// The only weights are a Python pickle, which can run code when it is read.
    #[error(
        "{} is a Python pickle, which can run code when it is read, and is not opened; convert the model to safetensors",
        path.display()
    )]
    PickleOnly {
        /// The pickle.
        path: PathBuf,
    },
    /// `config.json` is not a JSON object.
    #[error("config.json is not a JSON object; download the model again")]
    ConfigSyntax(#[source] serde_json::Error),
    /// A field of `config.json` is missing or makes no sense.
    #[error(
        "config.json: {field} is {value}, expected {expected}; the model's configuration is damaged or incomplete"
    )]
    ConfigField {
        /// Its name.
        field: &'static str,
        /// Its value as JSON, or "absent".
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// `config.json` asks for something that this engine does not compute.
    #[error(
        "config.json: {field} is {value}, supported here: {supported}; the model would be computed wrongly and is not loaded"
    )]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value as JSON.
        value: String,
        /// What is supported.
        supported: String,
    },
    /// The length of a safetensors header is beyond its file, or beyond reason.
    #[error(
        "{file} is not a complete safetensors file: header of {header_len} bytes in a file of {file_len}; download it again"
    )]
    HeaderLength {
        /// The file.
        file: String,
        /// Length that its first eight bytes claim.
        header_len: u64,
        /// Its length.
        file_len: u64,
    },
    /// A safetensors header, or an index of shards, that is malformed or contradicts itself.
    #[error("{file} has a damaged header; download it again")]
    Header {
        /// The file.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A safetensors file is shorter or longer than its header says.
    #[error("{file} has {found} bytes where {expected} are expected; download it again")]
    FileLength {
        /// The file.
        file: String,
        /// Length according to the header.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// A file that is small in every model, and is not.
    #[error("{} has more than {limit} bytes, which no such file needs; it is damaged, download it again", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// An index names a shard that is no file beside it.
    #[error("{} names the shard \"{shard}\", which is not a .safetensors file beside it; download the model again", index.display())]
    ShardName {
        /// The index.
        index: PathBuf,
        /// The name.
        shard: String,
    },
    /// A link in a model's folder leads out of it.
    #[error(
        "{} is a link to {}, outside the model's folder; copy the file there, or name the folder it lies in",
        path.display(), target.display()
    )]
    LinkOutside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A file names a tensor twice, or two shards hold one of the same name.
    #[error("tensor {tensor} is there twice; download the model again")]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that the configuration calls for is not there.
    #[error(
        "tensor {tensor} is missing; the weights do not belong to this config.json, or a shard is missing"
    )]
    MissingTensor {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that the family does not have: ignoring it would compute another model.
    #[error(
        "tensor {tensor} is not part of a model of this family; its architecture is another than config.json says"
    )]
    UnexpectedTensor {
        /// The tensor.
        tensor: String,
    },
    /// A tensor's shape contradicts the configuration.
    #[error(
        "tensor {tensor} has shape {found:?} where config.json asks for {expected:?}; the two do not belong together"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor's number format is not supported.
    #[error(
        "tensor {tensor} has dtype {found}; only F32, F16 and BF16 are supported, choose an unquantised model"
    )]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its dtype.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "tensor {tensor} holds NaN or an infinity at element {index}; the weights are damaged, download them again"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Index of the first such element, row-major.
        index: usize,
    },
    /// Not enough memory.
    #[error("no memory for {bytes} more bytes; close other sequences or choose a smaller model")]
    Memory {
        /// What was asked for.
        bytes: usize,
    },
    /// Not the name of a device.
    #[error("\"{given}\" is not a device; devices are auto, cpu, cuda, cuda:1 and so on, metal")]
    UnknownDevice {
        /// What was given.
        given: String,
    },
    /// This program was built without support for a device.
    #[error(
        "this build cannot use {device}; build with `--features {feature}` (for cuda also without a GPU: .ci/cuda-build)"
    )]
    DeviceNotBuilt {
        /// The device.
        device: Device,
        /// The feature that it takes.
        feature: &'static str,
    },
    /// A device does not answer.
    #[error("{device} does not answer; check the driver, or run on the CPU with `--device cpu`")]
    NoDevice {
        /// The device.
        device: Device,
        /// What the driver said.
        source: candle_core::Error,
    },
    /// A tensor is not where this engine computes.
    #[error("a tensor is not on the CPU; load the model on the CPU")]
    NotOnCpu,
    /// candle failed.
    #[error("the tensor library failed")]
    Candle(#[from] candle_core::Error),
}
