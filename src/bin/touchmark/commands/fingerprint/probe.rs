//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Probe};
use crate::output::Exit;

pub fn run(_: &Global, _: &Probe) -> anyhow::Result<Exit> {
    bail!("to come")
}
