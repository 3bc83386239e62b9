#![doc = include_str!("fingerprint.md")]
