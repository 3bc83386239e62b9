//! `touchmark model`: look at models, fetch them, check them.

#[cfg(feature = "engine")]
mod info;
#[cfg(feature = "hub")]
mod pull;
#[cfg(feature = "engine")]
mod verify;

use crate::args::{self, Global, ModelAction};
use crate::output::Exit;

pub fn run(global: &Global, args: &args::Model) -> anyhow::Result<Exit> {
    match &args.action {
        #[cfg(feature = "engine")]
        ModelAction::Info(args) => info::run(global, args),
        #[cfg(feature = "hub")]
        ModelAction::Pull { id, revision } => pull::run(global, id, revision.as_deref()),
        #[cfg(feature = "engine")]
        ModelAction::Verify { model, loading } => verify::run(global, model.as_deref(), loading),
    }
}
