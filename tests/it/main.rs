//! Tests that cross modules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "in tests a panic is the failure report"
)]

mod attribution;
#[cfg(all(feature = "engine", feature = "tokenizer"))]
mod behaviour;
#[cfg(all(feature = "cli", feature = "engine", feature = "endpoint", feature = "bundled"))]
mod bundle;
#[cfg(feature = "tokenizer")]
mod calibration;
#[cfg(feature = "tokenizer")]
mod chat;
#[cfg(feature = "bundled")]
mod cli;
#[cfg(feature = "bundled")]
mod cli_attack;
#[cfg(all(feature = "bundled", feature = "endpoint"))]
mod cli_attribute;
#[cfg(feature = "bundled")]
mod cli_bench;
#[cfg(feature = "bundled")]
mod cli_calibrate;
#[cfg(feature = "bundled")]
mod cli_claim;
#[cfg(feature = "bundled")]
mod cli_compare;
#[cfg(feature = "bundled")]
mod cli_derive;
#[cfg(feature = "bundled")]
mod cli_identify;
#[cfg(feature = "bundled")]
mod cli_import;
#[cfg(all(feature = "bundled", feature = "hub", unix))]
mod cli_models;
#[cfg(feature = "bundled")]
mod cli_plant;
#[cfg(all(feature = "cli", feature = "ledger"))]
mod cli_receipt;
#[cfg(feature = "bundled")]
mod cli_tenants;
mod common;
mod conformance;
#[cfg(feature = "corpus")]
mod corpus;
#[cfg(feature = "endpoint")]
mod endpoint;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "bundled")]
mod finish;
#[cfg(feature = "tokenizer")]
mod gguf;
mod highest;
#[cfg(all(feature = "hub", unix))]
mod hub;
mod import;
#[cfg(feature = "ledger")]
mod ledger;
#[cfg(feature = "bundled")]
mod lineup;
#[cfg(feature = "tokenizer")]
mod many_keys;
#[cfg(feature = "ledger")]
mod near_matches;
mod payload;
mod peers;
#[cfg(all(feature = "train", feature = "tokenizer"))]
mod planted;
#[cfg(all(feature = "engine", feature = "tokenizer"))]
mod power;
mod prf;
#[cfg(feature = "serve")]
mod public_detection;
#[cfg(all(feature = "bundled", unix))]
mod readme;
#[cfg(feature = "report")]
mod report;
#[cfg(all(feature = "bundled", unix))]
mod runs;
#[cfg(all(feature = "engine", feature = "serve", feature = "tokenizer"))]
mod scheduler;
#[cfg(feature = "bundled")]
mod scripted;
#[cfg(all(feature = "engine", feature = "tokenizer"))]
mod segments;
#[cfg(all(feature = "bundled", feature = "serve", unix))]
mod serve;
#[cfg(feature = "tokenizer")]
mod tokenizer;
