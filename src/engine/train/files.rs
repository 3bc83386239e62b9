//! Models to and from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use super::TrainError;
use super::trainer::Trainer;
use crate::engine::EngineError;
use crate::engine::source::Source;

/// The `config.json` of a model.
pub(super) fn description(source: &Source<'_>) -> Result<Value, TrainError> {
    let bytes = match *source {
        Source::Dir(dir) => {
            let path = dir.join("config.json");
            std::fs::read(&path).map_err(|source| EngineError::Read { path, source })?
        }
        Source::Gguf(path) => return Err(TrainError::Gguf { path: path.to_owned() }),
        Source::Bytes { config, .. } => config.to_vec(),
    };
    Ok(serde_json::from_slice(&bytes).map_err(EngineError::ConfigSyntax)?)
}

impl Trainer {
    /// Writes `config.json` and `model.safetensors` into a folder, which is made where it is not there. Tokenizer and chat template
    /// are other files, which the trainer does not know.
    ///
    /// # Errors
    /// [`TrainError::Write`], [`TrainError::Serialise`].
    pub fn save(&self, dir: &Path) -> Result<(), TrainError> {
        let write = |path: PathBuf, bytes: &[u8]| {
            std::fs::write(&path, bytes).map_err(|source| TrainError::Write { path, source })
        };
        std::fs::create_dir_all(dir)
            .map_err(|source| TrainError::Write { path: dir.to_owned(), source })?;
        let mut description = self.description.clone();
        if let Some(fields) = description.as_object_mut() {
            let name = if fields.contains_key("dtype") { "dtype" } else { "torch_dtype" };
            fields.insert(name.to_owned(), dtype_name(self.dtype).into());
        }
        let text = format!("{description:#}\n");
        write(dir.join("config.json"), text.as_bytes())?;
        write(dir.join("model.safetensors"), &self.to_safetensors()?)
    }

    /// The bytes of `model.safetensors`.
    ///
    /// # Errors
    /// [`TrainError::Serialise`].
    pub fn to_safetensors(&self) -> Result<Vec<u8>, TrainError> {
        let tensors = self.network.tensors()?;
        let bytes = tensors
            .iter()
            .map(|(name, tensor)| Ok((name, tensor.dims().to_vec(), raw(tensor, self.dtype)?)))
            .collect::<Result<Vec<_>, TrainError>>()?;
        let format = match self.dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        };
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(format, shape.clone(), bytes);
            view.map(|view| (name.as_str(), view)).map_err(unserialised)
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        // Other libraries want to know who wrote it.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata)).map_err(unserialised)
    }
}

fn unserialised(source: safetensors::SafeTensorError) -> TrainError {
    TrainError::Serialise(Box::new(source))
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    }
}

fn raw(tensor: &Tensor, dtype: DType) -> Result<Vec<u8>, TrainError> {
    let tensor = tensor.to_dtype(dtype)?.flatten_all()?;
    Ok(match dtype {
        DType::BF16 => bytes(&tensor.to_vec1::<half::bf16>()?, |value| value.to_le_bytes()),
        DType::F16 => bytes(&tensor.to_vec1::<half::f16>()?, |value| value.to_le_bytes()),
        _ => bytes(&tensor.to_vec1::<f32>()?, |value| value.to_le_bytes()),
    })
}

fn bytes<T: Copy, const N: usize>(values: &[T], each: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| each(value)).collect()
}
