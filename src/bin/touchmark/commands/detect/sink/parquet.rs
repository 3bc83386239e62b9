//! Typed columns, for DuckDB, pandas and their like.

use touchmark::corpus::table;

use super::{Form, Out, columns};
use crate::commands::detect::finding::Finding;

pub struct Parquet {
    table: table::Parquet<Out>,
}

impl Parquet {
    pub fn new(out: Out) -> anyhow::Result<Self> {
        Ok(Self { table: table::Parquet::new(out, columns::columns())? })
    }
}

impl Form for Parquet {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        for row in &finding.rows {
            self.table.write(columns::cells(row)?)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        Ok(self.table.finish()?)
    }
}
