//! `touchmark serve`.

pub mod examine;
