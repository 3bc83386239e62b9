//! Where a model comes from, and in which number format it is kept.

use std::path::Path;

use candle_core::DType;

use super::EngineError;
use super::config::Config;
use super::weights::{self, Contents, Weights};

/// Where a model's files are.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A directory with `config.json` and `model.safetensors`, or with shards and their
    /// `model.safetensors.index.json`.
    Dir(&'a Path),
    /// A GGUF file.
    Gguf(&'a Path),
    /// The bytes of such files as a directory has.
    Bytes {
        /// Of `config.json`.
        config: &'a [u8],
        /// Of `model.safetensors`.
        safetensors: &'a [u8],
    },
}

impl<'a> Source<'a> {
    /// Reads what the model is, and where its tensors lie.
    pub(super) fn open(&self) -> Result<(Config, Weights<'a>), EngineError> {
        match *self {
            Self::Dir(dir) => Ok((self.config()?, Weights::from_dir(dir)?)),
            Self::Gguf(path) => Weights::from_gguf(path),
            Self::Bytes { safetensors, .. } => {
                Ok((self.config()?, Weights::from_bytes(safetensors)?))
            }
        }
    }

    /// The model's shape, without its weights.
    ///
    /// # Errors
    /// [`EngineError`]: a file that is missing or damaged, or a model that is not supported.
    pub fn config(&self) -> Result<Config, EngineError> {
        match *self {
            Self::Dir(dir) => {
                let path = dir.join("config.json");
                let config =
                    std::fs::read(&path).map_err(|source| EngineError::Read { path, source })?;
                Config::parse(&config)
            }
            Self::Gguf(path) => Ok(weights::gguf::open(path)?.0),
            Self::Bytes { config, .. } => Config::parse(config),
        }
    }

    /// The model's tensors, from the files' headers alone: quick for a model of any size, also for one of a family that
    /// is not supported. [`Contents::memory`] is for weights kept in `dtype`.
    ///
    /// # Errors
    /// [`EngineError`]: a file that is missing or damaged.
    pub fn contents(&self, dtype: Dtype) -> Result<Contents, EngineError> {
        let mut weights = match *self {
            Self::Dir(dir) => Weights::from_dir(dir)?,
            Self::Gguf(path) => Weights::of_gguf(path)?,
            Self::Bytes { safetensors, .. } => Weights::from_bytes(safetensors)?,
        };
        weights.dtype = dtype.chosen();
        Ok(weights.contents())
    }
}

/// Number format of weights in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// As in the files.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16, 8 bits of precision.
    Bf16,
    /// 16-bit floats, 11 bits of precision, up to 65,504.
    F16,
}

impl Dtype {
    /// The format asked for.
    pub(super) fn chosen(self) -> Option<DType> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(DType::F32),
            Self::Bf16 => Some(DType::BF16),
            Self::F16 => Some(DType::F16),
        }
    }
}
