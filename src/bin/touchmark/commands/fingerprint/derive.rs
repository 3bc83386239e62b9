//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Derive};
use crate::output::Exit;

pub fn run(_: &Global, _: &Derive) -> anyhow::Result<Exit> {
    bail!("to come")
}
