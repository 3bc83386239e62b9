//! What a model's files hold, from their headers alone.

use std::collections::BTreeMap;

use candle_core::DType;

use super::{Entry, Weights};
use crate::engine::blocks::Layout;
use crate::engine::kernel::PANEL;
use crate::gguf::GgmlType;

/// The tensors in a model's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// How many there are.
    pub tensors: usize,
    /// Their values.
    pub elements: u64,
    /// Their bytes in the files.
    pub bytes: u64,
    /// The same for each number format, by name as the files have it: `F32`, `BF16`, `Q4_K`.
    pub formats: BTreeMap<String, Format>,
    /// Bytes of the weights in memory, once loaded in the number format asked for.
    pub memory: u64,
}

/// The tensors of one number format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Format {
    /// How many there are.
    pub tensors: usize,
    /// Their values.
    pub elements: u64,
    /// Their bytes in the files.
    pub bytes: u64,
}

impl Weights<'_> {
    /// Counts what is there.
    pub(in crate::engine) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for entry in self.tensors.values() {
            let name = match &entry.format {
                Ok(format) => written(*format),
                Err(name) => name.clone(),
            };
            let elements = entry.shape.iter().map(|&n| n as u64).product::<u64>();
            let format = contents.formats.entry(name).or_default();
            format.tensors += 1;
            format.elements += elements;
            format.bytes += entry.len as u64;
            contents.tensors += 1;
            contents.elements += elements;
            contents.bytes += entry.len as u64;
            contents.memory += entry.memory(self.dtype);
        }
        contents
    }
}

/// A format's name as files have it: `BF16`, `Q4_0`, `Q4_K`.
pub(in crate::engine) fn written(format: GgmlType) -> String {
    let name = format!("{format:?}").to_uppercase();
    name.strip_suffix('K').map_or_else(|| name.clone(), |number| format!("{number}_K"))
}

impl Entry {
    /// Bytes in memory: matrices in panels of 32 outputs, vectors in f32.
    fn memory(&self, dtype: Option<DType>) -> u64 {
        let [outputs, inputs] = self.shape[..] else {
            return (self.shape.iter().product::<usize>() * size_of::<f32>()) as u64;
        };
        let layout = self.format.as_ref().ok().and_then(|&format| Layout::of(format));
        if let (Some(layout), None) = (layout, dtype) {
            return layout.bytes(outputs, inputs) as u64;
        }
        let width = match (dtype, &self.format) {
            (Some(dtype), _) => dtype.size_in_bytes(),
            (None, Ok(GgmlType::F16 | GgmlType::Bf16)) => 2,
            (None, _) => size_of::<f32>(),
        };
        (outputs.next_multiple_of(PANEL) * inputs * width) as u64
    }
}
