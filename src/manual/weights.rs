#![doc = include_str!("weights.md")]
