//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Plant};
use crate::output::Exit;

pub fn run(_: &Global, _: &Plant) -> anyhow::Result<Exit> {
    bail!("to come")
}
