//! `bundle`: evidence that others can check.

mod commit;
pub mod folder;
mod pack;
mod reveal;
mod source;
mod verify;

use crate::args::{self, BundleAction, Global};
use crate::output::Exit;

pub fn run(global: &Global, args: &args::Bundle) -> anyhow::Result<Exit> {
    match &args.action {
        BundleAction::Commit(args) => commit::run(global, args),
        BundleAction::Verify(args) => verify::run(global, args),
        BundleAction::Reveal(args) => reveal::run(global, args),
        BundleAction::Pack(args) => pack::run(global, args),
    }
}
