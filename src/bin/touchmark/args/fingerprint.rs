//! Arguments of `fingerprint`, one file an action.

mod asking;
mod check_plant;
mod compare;
mod derive;
mod enroll;
mod lineup;
mod plant;
mod probe;

pub use asking::Asking;
pub use check_plant::CheckPlant;
pub use compare::Compare;
pub use derive::{CopyDtype, Derive};
pub use enroll::{Enroll, Form as EnrollForm};
pub use lineup::Lineup;
pub use plant::Plant;
pub use probe::Probe;

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct Fingerprint {
    #[command(subcommand)]
    pub action: FingerprintAction,
}

#[derive(Subcommand)]
pub enum FingerprintAction {
    /// Say from the weights of two models whether one is a copy of the other, and how it was made
    Compare(Compare),
    /// Make a copy of a model as copies are made: quantised, pruned, merged, permuted
    Derive(Derive),
    /// Plant secret questions and answers in a model
    Plant(Plant),
    /// Say whether a model knows what was planted in it
    CheckPlant(CheckPlant),
    /// Record how a model answers, to recognise it by
    Enroll(Enroll),
    /// Ask a suspect what was fixed beforehand, and say what its answers show
    Probe(Probe),
    /// Try the tests on models whose truth is known
    Lineup(Lineup),
}
