//! The documents themselves, of those that `--filter` lets through.

use std::io::Write;

use super::{Form, Out};
use crate::commands::detect::finding::Finding;

pub struct Records {
    out: Out,
}

impl Records {
    pub fn new(out: Out) -> Self {
        Self { out }
    }
}

impl Form for Records {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        if let Some(record) = &finding.record {
            self.out.write_all(record)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        Ok(self.out)
    }
}
