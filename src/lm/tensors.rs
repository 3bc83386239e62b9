//! Named tensors of a model, read in pieces.

use std::ops::Range;

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// Lengths of the axes, slowest first: a linear layer's weight is outputs × inputs, in every format.
    pub shape: Vec<usize>,
    /// Number format in the file, as the file's own format names it: `F32`, `BF16`, `Q4_K`.
    pub dtype: String,
}

impl TensorInfo {
    /// Length of the first axis; 1 for a scalar, 0 if any axis has length 0.
    pub fn rows(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.first().copied().unwrap_or(1) }
    }

    /// Numbers in a row: the product of the other axes.
    pub fn columns(&self) -> usize {
        self.shape.iter().skip(1).fold(1, |product, &axis| product.saturating_mul(axis))
    }

    /// Numbers in the tensor.
    pub fn len(&self) -> usize {
        self.rows().saturating_mul(self.columns())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }
}

/// Weights that are never all in memory: headers are read once, numbers row by row.
pub trait TensorSource: Send + Sync {
    /// All tensors, in order of their names.
    fn tensors(&self) -> &[TensorInfo];

    /// The model's configuration as JSON in the form of a transformers `config.json`, where there is one.
    fn config(&self) -> Option<&serde_json::Value>;

    /// Rows of a tensor as f32, row after row; `out` is overwritten. Values are those that the format stands for; NaN and
    /// infinities are given as they are.
    ///
    /// # Errors
    /// [`TensorError`]: no such tensor, rows beyond its end, a file that cannot be read.
    fn read(&self, name: &str, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), TensorError>;

    /// The bytes of a tensor as they stand in the file, in pieces.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn raw(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), TensorError>;

    /// What is known of a tensor.
    fn info(&self, name: &str) -> Option<&TensorInfo> {
        let at = self.tensors().binary_search_by(|info| info.name.as_str().cmp(name)).ok()?;
        self.tensors().get(at)
    }
}

/// Why numbers of a tensor cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Not there.
    #[error("there is no tensor \"{0}\"")]
    Unknown(String),
    /// Rows that the tensor does not have.
    #[error("tensor \"{name}\" has {rows} rows, not {wanted}")]
    BeyondEnd {
        /// The tensor.
        name: String,
        /// Rows it has.
        rows: usize,
        /// End of the range asked for.
        wanted: usize,
    },
    /// A number format that is not read.
    #[error("tensor \"{name}\" is stored as {dtype}, which is not read")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its format.
        dtype: String,
    },
    /// Not enough memory.
    #[error("no memory for {bytes} bytes of tensor \"{name}\"; ask for fewer rows")]
    Memory {
        /// The tensor.
        name: String,
        /// What was asked for.
        bytes: usize,
    },
    /// The file failed.
    #[error("tensor \"{name}\" cannot be read")]
    Read {
        /// The tensor.
        name: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}
