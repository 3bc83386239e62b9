//! A model without some of its layers.

use serde_json::Value;

use super::{Change, DeriveError, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

const PREFIX: &str = "model.layers.";

pub(super) struct DropLayers {
    /// Layers that stay, in order.
    kept: Vec<usize>,
    layers: usize,
}

impl DropLayers {
    pub(super) fn new(source: &dyn TensorSource, dropped: &[usize]) -> Result<Self, DeriveError> {
        let number = |info: &TensorInfo| Some(split(&info.name)?.0 + 1);
        let layers = source.tensors().iter().filter_map(number).max().unwrap_or(0);
        let kept: Vec<usize> = (0..layers).filter(|layer| !dropped.contains(layer)).collect();
        if kept.is_empty() || dropped.iter().any(|&layer| layer >= layers) {
            return Err(DeriveError::Layers { dropped: dropped.to_vec(), layers });
        }
        Ok(Self { kept, layers })
    }
}

/// A layer's number and what follows it in a tensor's name.
fn split(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    // A name of many digits is no layer's.
    Some((number.parse().ok().filter(|&number: &usize| number < 1 << 20)?, rest))
}

impl Change for DropLayers {
    fn tensors(&self, source: &dyn TensorSource) -> Vec<TensorInfo> {
        let renamed = |info: &TensorInfo| {
            let Some((layer, rest)) = split(&info.name) else { return Some(info.clone()) };
            let place = self.kept.binary_search(&layer).ok()?;
            Some(TensorInfo { name: format!("{PREFIX}{place}.{rest}"), ..info.clone() })
        };
        let mut tensors: Vec<_> = source.tensors().iter().filter_map(renamed).collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    }

    /// The number of layers, and lists with a value for each of them.
    fn config(&self, config: &mut Value) {
        let Some(fields) = config.as_object_mut() else { return };
        for (name, value) in fields {
            match value {
                Value::Array(values) if values.len() == self.layers && name.contains("layer") => {
                    *values = self.kept.iter().map(|&layer| values[layer].clone()).collect();
                }
                value if name == "num_hidden_layers" => *value = self.kept.len().into(),
                _ => {}
            }
        }
    }

    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let before = split(&info.name).and_then(|(place, rest)| {
            self.kept.get(place).map(|layer| format!("{PREFIX}{layer}.{rest}"))
        });
        whole(source, before.as_deref().unwrap_or(&info.name))
    }
}
