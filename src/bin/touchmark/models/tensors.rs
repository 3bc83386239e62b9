//! Weights as named tensors, whatever model they are of.

use std::path::Path;

use anyhow::Context;
use touchmark::engine::{Source, tensors as files};
use touchmark::lm::TensorSource;

use super::load::bundled;
use super::{Reach, locate};
use crate::args::Global;

/// Opens the weights of the model of a name: the bundled one, a folder, a safetensors or GGUF file, or a model of a hub. The name for
/// people comes with them. Neither tokenizer nor known architecture is needed.
pub fn tensors(global: &Global, name: &Path) -> anyhow::Result<(String, Box<dyn TensorSource>)> {
    if name.exists() {
        let opened =
            files::open(name).with_context(|| format!("cannot read {}", name.display()))?;
        let shown = name.canonicalize().unwrap_or_else(|_| name.to_owned());
        let shown = shown.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((shown, opened));
    }
    let place = locate(global, Some(name), None, Reach::Fetch)?;
    if let Some(path) = place.files.path() {
        let opened =
            files::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok((place.name.clone(), opened));
    }
    match bundled(false)? {
        Source::Bytes { config, safetensors } => {
            Ok((place.name, files::from_bytes(config, safetensors)?))
        }
        Source::Dir(path) | Source::Gguf(path) => Ok((place.name, files::open(path)?)),
    }
}
