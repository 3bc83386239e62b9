//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Lineup};
use crate::output::Exit;

pub fn run(_: &Global, _: &Lineup) -> anyhow::Result<Exit> {
    bail!("to come")
}
