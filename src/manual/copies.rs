#![doc = include_str!("copies.md")]
