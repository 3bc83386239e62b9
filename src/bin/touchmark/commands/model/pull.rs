//! `touchmark model pull`: fetch a model of a hub.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::hub::Snapshot;

use crate::args::Global;
use crate::machine::size;
use crate::models::{self, Reach};
use crate::output::{self, Exit};

pub fn run(global: &Global, id: &Path, revision: Option<&str>) -> anyhow::Result<Exit> {
    if id.exists() {
        bail!("{} is on this disk already; give the id of a model on a hub", id.display());
    }
    let place = models::locate(global, Some(id), revision, Reach::Fetch)?;
    let snapshot = place.snapshot.context("only a model of a hub can be fetched")?;
    if global.json {
        output::json(&serde_json::json!({
            "id": snapshot.id().to_string(),
            "commit": snapshot.commit(),
            "path": snapshot.model(),
            "files": files(&snapshot),
        }))?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    writeln!(out, "model   {}", snapshot.id())?;
    writeln!(out, "commit  {}", snapshot.commit())?;
    writeln!(out, "path    {}", snapshot.model().display())?;
    for file in snapshot.files() {
        writeln!(out, "{}  {:>8}  {}", file.sha256, size(file.size), file.name)?;
    }
    Ok(Exit::Done)
}

fn files(snapshot: &Snapshot) -> Vec<serde_json::Value> {
    let row = |file: &touchmark::hub::SnapshotFile| serde_json::json!({ "name": file.name, "bytes": file.size, "sha256": file.sha256 });
    snapshot.files().iter().map(row).collect()
}
