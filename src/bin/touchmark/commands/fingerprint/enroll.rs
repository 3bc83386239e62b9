//! To come.

use anyhow::bail;

use crate::args::{Global, fingerprint::Enroll};
use crate::output::Exit;

pub fn run(_: &Global, _: &Enroll) -> anyhow::Result<Exit> {
    bail!("to come")
}
