//! Comma-separated values, for spreadsheets.

use touchmark::corpus::table;

use super::{Form, Out, columns};
use crate::commands::detect::finding::Finding;

pub struct Csv {
    table: table::Csv<Out>,
}

impl Csv {
    pub fn new(out: Out) -> anyhow::Result<Self> {
        Ok(Self { table: table::Csv::new(out, columns::columns())? })
    }
}

impl Form for Csv {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        for row in &finding.rows {
            self.table.write(&columns::cells(row)?)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        Ok(self.table.finish()?)
    }
}
