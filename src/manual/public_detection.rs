#![doc = include_str!("public_detection.md")]
