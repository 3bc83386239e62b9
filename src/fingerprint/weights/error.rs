//! Why two models cannot be compared.

use crate::lm::TensorError;

/// Why two models cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A tensor cannot be read.
    #[error("the {model} cannot be read")]
    Tensor {
        /// `reference` or `suspect`.
        model: &'static str,
        /// The cause.
        #[source]
        source: TensorError,
    },
    /// A number that is none.
    #[error(
        "tensor \"{tensor}\" of the {model} holds {count} numbers that are NaN or infinite; mend the file or leave the model out"
    )]
    NotFinite {
        /// `reference` or `suspect`.
        model: &'static str,
        /// The tensor.
        tensor: String,
        /// How many, in the rows that were read.
        count: usize,
    },
    /// Nothing that is known of transformers.
    #[error(
        "none of the {tensors} tensors of the {model} has a name that is known of a transformer (the first is \"{first}\"); see the manual page on weights for the names that are"
    )]
    NoRoles {
        /// `reference` or `suspect`.
        model: &'static str,
        /// Number of tensors.
        tensors: usize,
        /// Name of the first.
        first: String,
    },
    /// A tensor whose shape does not fit its role.
    #[error("tensor \"{tensor}\" of the {model} has shape {shape:?}; {wanted}")]
    Shape {
        /// `reference` or `suspect`.
        model: &'static str,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What fits.
        wanted: String,
    },
    /// An option that makes no sense.
    #[error("{what} is {got}; {wanted}")]
    Option {
        /// Which.
        what: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A panel that cannot be read.
    #[error("the panel is not one")]
    Panel(#[source] serde_json::Error),
    /// A panel of another statistic or with too few pairs.
    #[error("the panel {what}; {wanted}")]
    PanelUnfit {
        /// What is wrong with it.
        what: String,
        /// What fits.
        wanted: &'static str,
    },
    /// A statistic that cannot be had.
    #[error("a p-value cannot be computed")]
    Stats(#[from] crate::stats::StatsError),
}
