#![doc = include_str!("planting.md")]
