#![doc = include_str!("harness.md")]
