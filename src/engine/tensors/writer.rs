//! Writing safetensors files: the header first, then tensor after tensor.

use std::collections::VecDeque;
use std::io::{self, Write};

use serde_json::{Map, json};

use super::decode::bf16_bytes;
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// Numbers written at a time.
const PIECE: usize = 1 << 16;

/// Number format of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, rounded to nearest, ties to even.
    Bf16,
}

impl Stored {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// Writes one safetensors file without holding a tensor.
pub struct SafetensorsWriter<W: Write> {
    out: W,
    stored: Stored,
    /// Tensors whose numbers are still to come, and how many.
    left: VecDeque<(String, usize)>,
    buffer: Vec<u8>,
}

impl<W: Write> SafetensorsWriter<W> {
    /// Writes the header: all tensors, in the order in which their numbers will come, and the file's free metadata. What the
    /// tensors' own number formats are does not count.
    ///
    /// # Errors
    /// [`WriteError::Overflow`], [`WriteError::Io`].
    pub fn new(
        mut out: W,
        tensors: &[TensorInfo],
        stored: Stored,
        metadata: &[(&str, &str)],
    ) -> Result<Self, WriteError> {
        let (mut header, mut left, mut offset) = (Map::new(), VecDeque::new(), 0u64);
        let metadata: Map<_, _> =
            metadata.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
        header.insert("__metadata__".to_owned(), metadata.into());
        for info in tensors {
            let overflow = || WriteError::Overflow(info.name.clone());
            let product = |n: usize, &axis: &usize| n.checked_mul(axis);
            let count = info.shape.iter().try_fold(1, product).ok_or_else(overflow)?;
            let bytes = (count as u64).checked_mul(stored.bytes()).ok_or_else(overflow)?;
            let end = offset.checked_add(bytes).ok_or_else(overflow)?;
            let entry = json!({ "dtype": stored.name(), "shape": info.shape, "data_offsets": [offset, end] });
            header.insert(info.name.clone(), entry);
            left.push_back((info.name.clone(), count));
            offset = end;
        }
        let mut header = serde_json::to_vec(&header).map_err(io::Error::from)?;
        // Data begins at a multiple of eight, so that it can be mapped.
        header.resize(header.len().next_multiple_of(8), b' ');
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        Ok(Self { out, stored, left, buffer: Vec::new() })
    }

    /// Writes the next numbers, row-major, across the ends of tensors.
    ///
    /// # Errors
    /// [`WriteError::TooMany`], [`WriteError::Io`].
    pub fn write(&mut self, mut values: &[f32]) -> Result<(), WriteError> {
        while !values.is_empty() {
            while self.left.front().is_some_and(|(_, left)| *left == 0) {
                self.left.pop_front();
            }
            let Some((_, left)) = self.left.front_mut() else {
                return Err(WriteError::TooMany(values.len()));
            };
            let (now, later) = values.split_at(values.len().min(*left).min(PIECE));
            *left -= now.len();
            self.buffer.clear();
            match self.stored {
                Stored::F32 => self.buffer.extend(now.iter().flat_map(|value| value.to_le_bytes())),
                Stored::Bf16 => self.buffer.extend(now.iter().flat_map(|&value| bf16_bytes(value))),
            }
            self.out.write_all(&self.buffer)?;
            values = later;
        }
        Ok(())
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`WriteError::TooFew`] when numbers are missing, [`WriteError::Io`].
    pub fn finish(mut self) -> Result<W, WriteError> {
        if let Some((name, left)) = self.left.into_iter().find(|(_, left)| *left > 0) {
            return Err(WriteError::TooFew { name, left });
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes all tensors of a source as one safetensors file, some rows at a time. `done` hears how many numbers were written.
///
/// # Errors
/// [`WriteError`].
pub fn write_safetensors<W: Write>(
    source: &dyn TensorSource,
    out: W,
    stored: Stored,
    metadata: &[(&str, &str)],
    done: &mut dyn FnMut(usize),
) -> Result<W, WriteError> {
    let tensors = source.tensors();
    let mut writer = SafetensorsWriter::new(out, tensors, stored, metadata)?;
    let mut values = Vec::new();
    for info in tensors {
        let step = (4 * PIECE / info.columns().max(1)).max(1);
        for first in (0..info.rows()).step_by(step) {
            source.read(&info.name, first..info.rows().min(first + step), &mut values)?;
            writer.write(&values)?;
            done(values.len());
        }
    }
    writer.finish()
}

/// Why a safetensors file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The system could not write.
    #[error("cannot write the safetensors file")]
    Io(#[from] io::Error),
    /// Numbers to write could not be had.
    #[error("cannot read what is to be written")]
    Tensor(#[from] TensorError),
    /// A shape whose product cannot be counted.
    #[error("tensor \"{0}\" has more numbers than can be counted")]
    Overflow(String),
    /// More numbers than the header announced.
    #[error("{0} numbers more than the header announces")]
    TooMany(usize),
    /// Fewer numbers than the header announced.
    #[error("{left} numbers of tensor \"{name}\" are missing")]
    TooFew {
        /// The tensor.
        name: String,
        /// How many.
        left: usize,
    },
}
