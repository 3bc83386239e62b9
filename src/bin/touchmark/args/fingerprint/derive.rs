//! To come.

use clap::Args;

#[derive(Args)]
pub struct Derive {}
