#![doc = include_str!("receipts.md")]
