#![doc = include_str!("cluster.md")]
