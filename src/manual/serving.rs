#![doc = include_str!("serving.md")]
//!
//! ## systemd
//!
//! ```text
#![doc = include_str!("serve/touchmark.service")]
//! ```
//!
//! ## Kubernetes
//!
//! ```text
#![doc = include_str!("serve/kubernetes.yaml")]
//! ```
