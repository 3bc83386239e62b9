//! `touchmark sql`: the detector as functions of SQL, on this machine.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use touchmark::cluster::{self, ClusterError, RowFormat, TABLE_ROWS, Written};

use super::detectors::Keyring;
use crate::args::{self, Global, QueryFormat};
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::Sql) -> anyhow::Result<Exit> {
    let query = query(global, &args.query, threads(global))?;
    let detectors = Arc::new(Keyring::new(global, &args.looking));
    rows(global, &args.query, |out| cluster::run_here(&query, detectors, out))
}

/// As many as there are cores, unless told otherwise.
pub fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    global.threads.unwrap_or_else(cores).max(1)
}

/// What is asked for.
pub fn query(
    global: &Global,
    args: &args::Query,
    partitions: usize,
) -> anyhow::Result<cluster::Query> {
    let format = format(global, args)?;
    Ok(cluster::Query { sql: args.sql.clone(), tables: args.tables.clone(), format, partitions })
}

fn format(global: &Global, args: &args::Query) -> anyhow::Result<RowFormat> {
    let ending = args.output.as_deref().and_then(Path::extension).and_then(|it| it.to_str());
    let format = args.format.unwrap_or(match ending {
        Some("parquet") => QueryFormat::Parquet,
        Some("csv") => QueryFormat::Csv,
        _ if global.json || args.output.is_some() => QueryFormat::Jsonl,
        _ => QueryFormat::Table,
    });
    if format == QueryFormat::Parquet && args.output.is_none() {
        bail!("parquet is no text; name a file with -o");
    }
    Ok(format.into())
}

/// Runs a query and writes its rows to standard output, or to a file that appears whole or not at all.
pub fn rows(
    global: &Global,
    args: &args::Query,
    run: impl FnOnce(&mut (dyn Write + Send)) -> Result<Written, ClusterError>,
) -> anyhow::Result<Exit> {
    let written = match &args.output {
        None => run(&mut BufWriter::new(std::io::stdout()))?,
        Some(path) => to_file(path, run)?,
    };
    if written.cut {
        let note = format!(
            "These are the first {TABLE_ROWS} rows; --format jsonl, csv or parquet writes all."
        );
        output::note(false, &note);
    }
    output::detail(global.verbose, &format!("{} rows", written.rows));
    Ok(Exit::Done)
}

fn to_file(
    path: &Path,
    run: impl FnOnce(&mut (dyn Write + Send)) -> Result<Written, ClusterError>,
) -> anyhow::Result<Written> {
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".query-");
    as_any_new_file(&mut builder);
    let temporary = builder.tempfile_in(folder.unwrap_or_else(|| Path::new(".")));
    let mut out = BufWriter::with_capacity(1 << 20, temporary.with_context(failed)?);
    let written = run(&mut out)?;
    let temporary = out.into_inner().with_context(failed)?;
    temporary.as_file().sync_all().with_context(failed)?;
    temporary.persist(path).with_context(failed)?;
    Ok(written)
}

/// Temporary files are private by default; rows are no more so than those they were made of.
#[cfg(unix)]
fn as_any_new_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;

    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_any_new_file(_: &mut tempfile::Builder<'_, '_>) {}
