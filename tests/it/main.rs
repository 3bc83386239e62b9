//! Tests that cross modules.

mod prf;
