//! What was found of each suspect, kept as it is found.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use touchmark::fingerprint::lineup::Row;

use super::manifest::Manifest;
use crate::interrupt;

/// Rows that a line-up wrote.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Vec<Row>> {
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().with_context(|| {
        format!("{} holds other rows than those of a line-up; choose another file", path.display())
    })
}

/// Rows in memory, and in a file where one was asked for.
pub struct Rows {
    rows: Vec<Row>,
    file: Option<File>,
}

impl Rows {
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { rows: Vec::new(), file: None }) };
        let failed = || format!("cannot read or write {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).with_context(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(failed)?;
        // A line that was cut is found again.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let rows = parse(path, &text[..whole])?;
        file.set_len(whole as u64).with_context(failed)?;
        file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok(Self { rows, file: Some(file) })
    }

    pub fn have(&self, suspect: &str, test: &str) -> bool {
        self.rows.iter().any(|row| row.suspect == suspect && row.test == test)
    }

    pub fn add(&mut self, row: Row) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&row)? + "\n";
            interrupt::whole(|| file.write_all(line.as_bytes()))
                .context("a row cannot be written")?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// The rows of those who stand in the line-up now, with what is true of them now.
    pub fn of(&self, manifest: &Manifest) -> Vec<Row> {
        let named = |row: &Row| {
            let suspect = manifest.suspects.iter().find(|suspect| suspect.model == row.suspect)?;
            let (truth, stratum) = (suspect.truth, suspect.stratum.clone());
            Some(Row { truth, stratum, ..row.clone() })
        };
        self.rows.iter().filter_map(named).collect()
    }
}
