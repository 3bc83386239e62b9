//! CSV: a row of names, then rows of cells, quoted as in RFC 4180.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{Column, TableError, check};

/// Writes a table. Lists and objects are JSON text, nulls are empty cells, lines end in `\n`.
pub struct Csv<W: Write> {
    out: W,
    columns: Vec<Column>,
}

impl<W: Write> Csv<W> {
    /// Writes the row of names.
    ///
    /// # Errors
    /// Of writing.
    pub fn new(mut out: W, columns: Vec<Column>) -> Result<Self, TableError> {
        line(&mut out, columns.iter().map(|column| column.name.to_owned()))?;
        Ok(Self { out, columns })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`TableError::Unknown`], or of writing.
    pub fn write(&mut self, row: &Map<String, Value>) -> Result<(), TableError> {
        check(row, &self.columns)?;
        let cells = self.columns.iter().map(|column| match row.get(column.name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        Ok(line(&mut self.out, cells)?)
    }

    /// Ends the table.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(mut self) -> Result<W, TableError> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.map(quoted).collect();
    writeln!(out, "{}", cells.join(","))
}

fn quoted(cell: String) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}
