//! A JSON object a row.

use std::io::Write;

use super::{Form, Out};
use crate::commands::detect::finding::Finding;

pub struct Jsonl {
    out: Out,
}

impl Jsonl {
    pub fn new(out: Out) -> Self {
        Self { out }
    }
}

impl Form for Jsonl {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        Ok(self.out.write_all(finding.lines()?.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        Ok(self.out)
    }
}
