//! `fingerprint`: whether a model is a copy of another.

mod check_plant;
mod compare;
mod derive;
mod enroll;
pub mod lineup;
mod plant;
pub mod planting;
mod probe;
mod run;

use crate::args::{Fingerprint, FingerprintAction, Global};
use crate::output::Exit;

pub fn run(global: &Global, args: &Fingerprint) -> anyhow::Result<Exit> {
    match &args.action {
        FingerprintAction::Compare(args) => compare::run(global, args),
        FingerprintAction::Derive(args) => derive::run(global, args),
        FingerprintAction::Plant(args) => plant::run(global, args),
        FingerprintAction::CheckPlant(args) => check_plant::run(global, args),
        FingerprintAction::Enroll(args) => enroll::run(global, args),
        FingerprintAction::Probe(args) => probe::run(global, args),
        FingerprintAction::Lineup(args) => lineup::run(global, args),
    }
}
