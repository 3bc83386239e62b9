#![doc = include_str!("attribution.md")]
