//! The manual: decisions and their reasons, as documentation that is built with the code.
//!
//! - [`corpora`]: many documents, and what is found in them
//! - [`schemes`]: what each way of marking does, and which to choose
//! - [`statistics`]: what a p-value here means, and how well it holds
//! - [`defaults`]: why the defaults are what they are, with the measurements
//! - [`models`]: which models run, and what their numbers are worth
//! - [`engines`]: marks of other engines
//! - [`payloads`]: marks that carry a message
//! - [`many_keys`]: tenants, and which of many keys marked a text
//! - [`runs`]: large runs: forms of output, ranks, going on after an end
//! - [`performance`]: what reading and marking cost
//! - [`reports`]: the page that `detect` writes for people
//! - [`serving`]: the server: policies, roles, keys in turn, how it is run
//! - [`cluster`]: the detector in SQL, on one machine and on many
//! - [`receipts`]: what is recorded of answers, and which answer a text came from
//! - [`planting`]: questions and answers planted in a model, to recognise its copies by
//! - [`public_detection`]: what a server tells the public of texts, and what can be learned from it
//! - [`fingerprint`]: whether a model is a copy of another, and how sure that is
//! - [`weights`]: whether a model is a copy, by its weights
//! - [`attribution`]: was a model trained on marked text
//! - [`copies`]: copies to try the tests on, sketches to publish, and how a copy is read
//! - [`bundles`]: evidence that others can check
//! - [`behaviour`]: whether a model is another's copy, from its answers
//! - [`harness`]: plans, attacks and tables: measuring schemes and detectors in one way
//! - [`threat_model`]: what a mark can and cannot prove
//! - [`formats`]: the PRF's bytes, profiles, key files, rows

pub mod attribution;
pub mod behaviour;
pub mod bundles;
pub mod cluster;
pub mod copies;
pub mod corpora;
pub mod defaults;
pub mod engines;
pub mod fingerprint;
pub mod formats;
pub mod harness;
pub mod many_keys;
pub mod models;
pub mod payloads;
pub mod performance;
pub mod planting;
pub mod public_detection;
pub mod receipts;
pub mod reports;
pub mod runs;
pub mod schemes;
pub mod serving;
pub mod statistics;
pub mod threat_model;
pub mod weights;
