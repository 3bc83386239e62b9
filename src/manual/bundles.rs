#![doc = include_str!("bundles.md")]
