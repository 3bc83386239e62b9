//! What `plant`, `check-plant` and `probe` share: the folder of a planting, its training data, asking a model here.

pub mod ask;
pub mod cost;
pub mod data;
pub mod folder;
#[cfg(feature = "train")]
pub mod train;
