//! `touchmark bench`: measures schemes, detectors and attacks as a plan says.

mod kept;
mod report;
mod run;
mod table;

use crate::args::{Bench, BenchAction, Global};
use crate::output::Exit;

pub fn run(global: &Global, args: &Bench) -> anyhow::Result<Exit> {
    match &args.action {
        BenchAction::Run(args) => run::run(global, args),
        BenchAction::Report(args) => report::run(args),
    }
}
