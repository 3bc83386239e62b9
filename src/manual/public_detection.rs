//! # Detection for the public
