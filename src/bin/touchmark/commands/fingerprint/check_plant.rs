//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::CheckPlant};
use crate::output::Exit;

pub fn run(_: &Global, _: &CheckPlant) -> anyhow::Result<Exit> {
    bail!("to come")
}
