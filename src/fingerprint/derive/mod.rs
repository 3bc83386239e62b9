//! Copies of a model made without training: what a thief, or a maker of small models, does to weights.
//!
//! A [`How`] names one way; [`derive()`] chains several. A copy is again a [`TensorSource`]: nothing is computed until a tensor is
//! asked for, and then one tensor at a time, so that copies can be compared without being written. All randomness comes from the
//! seed, and differs from step to step.
//!
//! | way | what the model computes |
//! |---|---|
//! | `permute`, `permute-heads`, `rescale`, `signs`, `rotate` | the same but for rounding |
//! | `int8`, `int4`, `bf16`, `f16`, `noise`, `prune`, `extend` | nearly the same |
//! | `merge`, `slerp`, `drop` | something between, or less |

mod how;
mod layers;
mod merge;
mod noise;
mod prune;
mod quantise;
mod random;
mod roles;
mod rotate;
mod round;
mod symmetry;
mod vocabulary;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::lm::{TensorError, TensorInfo, TensorSource};

pub use how::{How, Pattern};
pub use round::Half;

/// One way of making a copy, ready for one model.
trait Change: Send + Sync {
    /// Tensors of the copy, in order of their names.
    fn tensors(&self, source: &dyn TensorSource) -> Vec<TensorInfo> {
        source.tensors().to_vec()
    }

    /// Edits the configuration.
    fn config(&self, _: &mut Value) {}

    /// All numbers of a tensor of the copy.
    fn values(&self, source: &dyn TensorSource, info: &TensorInfo)
    -> Result<Vec<f32>, TensorError>;
}

/// Finds the model that a way names: the other one of a merge.
pub type Open<'a, 'b> = &'b mut dyn FnMut(
    &str,
) -> Result<
    Box<dyn TensorSource + 'a>,
    Box<dyn std::error::Error + Send + Sync>,
>;

/// A copy of a model, made by one way after the other.
///
/// # Errors
/// [`DeriveError`]: a way that this model cannot go, or another model that cannot be had or does not fit.
pub fn derive<'a>(
    source: Box<dyn TensorSource + 'a>,
    how: &[How],
    seed: u64,
    open: Open<'a, '_>,
) -> Result<Box<dyn TensorSource + 'a>, DeriveError> {
    let mut copy = source;
    for (step, how) in how.iter().enumerate() {
        let change = how.change(&*copy, random::Seed { seed, step }, open)?;
        copy = Box::new(Copy::new(copy, change));
    }
    Ok(copy)
}

/// A model under a change.
struct Copy<'a> {
    source: Box<dyn TensorSource + 'a>,
    change: Box<dyn Change + 'a>,
    tensors: Vec<TensorInfo>,
    config: Option<Value>,
    /// The tensor that was read last in parts.
    last: Mutex<Option<(String, Vec<f32>)>>,
}

impl<'a> Copy<'a> {
    fn new(source: Box<dyn TensorSource + 'a>, change: Box<dyn Change + 'a>) -> Self {
        let mut tensors = change.tensors(&*source);
        for info in &mut tensors {
            "F32".clone_into(&mut info.dtype);
        }
        let config = source.config().cloned().map(|mut config| {
            change.config(&mut config);
            config
        });
        Self { source, change, tensors, config, last: Mutex::new(None) }
    }
}

impl TensorSource for Copy<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    fn read(&self, name: &str, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), TensorError> {
        let info = self.info(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
        if rows.end > info.rows() || rows.start > rows.end {
            let (name, rows, wanted) = (name.to_owned(), info.rows(), rows.end);
            return Err(TensorError::BeyondEnd { name, rows, wanted });
        }
        if rows == (0..info.rows()) {
            *out = self.change.values(&*self.source, info)?;
            return Ok(());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(held, _)| held != name) {
            *last = None;
            *last = Some((name.to_owned(), self.change.values(&*self.source, info)?));
        }
        out.clear();
        if let Some((_, values)) = &*last {
            out.extend_from_slice(&values[rows.start * info.columns()..rows.end * info.columns()]);
        }
        Ok(())
    }

    /// The numbers as little-endian f32, for the copy is in no file.
    fn raw(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), TensorError> {
        let mut values = Vec::new();
        let rows = self.info(name).map_or(1, TensorInfo::rows);
        self.read(name, 0..rows, &mut values)?;
        for piece in values.chunks(1 << 16) {
            sink(&piece.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// All numbers of a tensor.
fn whole(source: &dyn TensorSource, name: &str) -> Result<Vec<f32>, TensorError> {
    let info = source.info(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
    let mut values = Vec::new();
    source.read(name, 0..info.rows(), &mut values)?;
    Ok(values)
}

/// Whether a tensor is a linear layer's matrix, which is what quantisers and pruners touch: not embeddings, output layer, norms
/// and biases.
fn is_linear(info: &TensorInfo) -> bool {
    let kept = ["embed", "wte", "wpe", "lm_head"];
    let named = |part: &&str| info.name.contains(*part);
    info.shape.len() == 2 && info.rows() > 1 && info.columns() > 1 && !kept.iter().any(named)
}

/// Calls `f` with every row and its number, on all processors.
fn for_rows(values: &mut [f32], columns: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let columns = columns.max(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = (values.len() / columns).div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (part, values) in values.chunks_mut(share * columns).enumerate() {
            let f = &f;
            scope.spawn(move || {
                for (row, values) in values.chunks_mut(columns).enumerate() {
                    f(part * share + row, values);
                }
            });
        }
    });
}

/// Why a copy cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// Not a way.
    #[error("\"{given}\" is no way to make a copy: {reason}; ways are {}", how::WAYS)]
    Way {
        /// What was given.
        given: String,
        /// What is wrong.
        reason: String,
    },
    /// The model does not say what it is.
    #[error("the model has no config.json, which `{how}` needs; name the model's folder")]
    NoConfig {
        /// The way.
        how: String,
    },
    /// A family whose tensors this way does not know.
    #[error(
        "`{how}` is for models of the families {supported}, and this one is \"{family}\"; other ways take any model"
    )]
    Family {
        /// The way.
        how: String,
        /// Its `model_type`.
        family: String,
        /// Those that are.
        supported: String,
    },
    /// A value of the configuration that is missing or makes no sense.
    #[error("config.json: {field} is {value}, which `{how}` cannot work with")]
    Config {
        /// The way.
        how: String,
        /// The field.
        field: &'static str,
        /// Its value, or "absent".
        value: String,
    },
    /// A tensor that a model of this family does not have.
    #[error(
        "tensor {tensor} has no part in a model of this family; `{how}` cannot know what to do with it"
    )]
    Tensor {
        /// The way.
        how: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor whose shape contradicts the configuration.
    #[error("tensor {tensor} has shape {found:?} where {expected:?} is expected")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Shape by the configuration, or of the other model.
        expected: Vec<usize>,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor that only one of two models has.
    #[error(
        "the model to merge with has no tensor {tensor}; models to merge have one architecture"
    )]
    Merge {
        /// The tensor.
        tensor: String,
    },
    /// Layers that are not there, or all there are.
    #[error("cannot drop layers {dropped:?} of {layers}; name some of 0 to {} and keep one", layers.saturating_sub(1))]
    Layers {
        /// Those named.
        dropped: Vec<usize>,
        /// How many there are.
        layers: usize,
    },
    /// Another model could not be opened.
    #[error("cannot open \"{name}\"")]
    Open {
        /// Its name.
        name: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Numbers could not be read.
    #[error("cannot read the model")]
    Read(#[from] TensorError),
}

#[cfg(test)]
pub(in crate::fingerprint) mod tests;
