//! Tests that cross modules.
