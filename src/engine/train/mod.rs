//! Trains small models on the CPU: from nothing, all weights further, or low-rank adapters.
//!
//! A [`Trainer`] holds the weights of a Llama-shaped model as candle variables in f32; its forward pass is written in operations that
//! candle differentiates, and computes what [`Decoder`](super::Decoder) does. A run is [`Plan`] plus batches of [`Sample`]s, whose
//! scored positions alone count; [`Trainer::save`] writes a folder that the engine and other programs load.
//!
//! The same seed, batches and number of threads give the same weights.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use touchmark::engine::train::{Plan, Sample, Shape, Trainer, Tuning};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan { steps: 100, ..Plan::default() };
//! let mut trainer = Trainer::from_nothing(&Shape::tiny(256), plan, 7)?;
//! let text: Vec<u32> = b"abracadabra".map(u32::from).to_vec();
//! trainer.run(&mut |_| vec![Sample::whole(text.clone())], &mut |_| ControlFlow::Continue(()))?;
//! trainer.save("tiny".as_ref())?;
//! # Ok(())
//! # }
//! ```

mod adapter;
mod files;
mod network;
mod plan;
mod random;
mod shape;
mod trainer;

use std::path::PathBuf;

pub use adapter::{LowRank, Target};
pub use plan::{Plan, Progress, Sample, Tuning};
pub use shape::Shape;
pub use trainer::Trainer;

/// Why a model cannot be trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Loading failed.
    #[error(transparent)]
    Engine(#[from] super::EngineError),
    /// A model of another shape than Llama's.
    #[error(
        "this model has {what}, which the trainer does not compute; train it with another program (`plant --data-only` writes the data)"
    )]
    Unsupported {
        /// What differs.
        what: &'static str,
    },
    /// A GGUF file.
    #[error("{} is a GGUF file, and trained are models in safetensors; give the folder that it was made from", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
    },
    /// A plan that makes no sense.
    #[error("{field} is {got}; {wanted}")]
    Plan {
        /// Which field.
        field: &'static str,
        /// Its value.
        got: f64,
        /// What it may be.
        wanted: &'static str,
    },
    /// A batch in which nothing counts.
    #[error(
        "a batch has no scored position; give samples with at least two tokens and a range inside them"
    )]
    NothingScored,
    /// A sample that is too long.
    #[error("a sample has {got} tokens, and the model's window is {most}; cut it")]
    TooLong {
        /// Its length.
        got: usize,
        /// Most.
        most: usize,
    },
    /// An id that the model does not have.
    #[error(
        "token {id} is beyond the model's vocabulary of {vocab_size}; encode with the model's own tokenizer"
    )]
    Token {
        /// The id.
        id: u32,
        /// V.
        vocab_size: usize,
    },
    /// The loss is no number any more.
    #[error("the loss became infinite in step {step}; lower the learning rate")]
    Diverged {
        /// The step.
        step: u64,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Weights cannot be put into a file.
    #[error("the weights cannot be written")]
    Serialise(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// candle failed.
    #[error("the tensor library failed")]
    Candle(#[from] candle_core::Error),
}
