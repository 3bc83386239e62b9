//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Compare};
use crate::output::Exit;

pub fn run(_: &Global, _: &Compare) -> anyhow::Result<Exit> {
    bail!("to come")
}
