//! `touchmark bench report`: a page and tables of what was measured.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use touchmark::bench::Measured;
use touchmark::report::{bench_pictures, bench_tables, write_bench};

use crate::args::BenchReport;
use crate::commands::detect::html;
use crate::interrupt;
use crate::output::Exit;
use crate::whole_file::WholeFile;

pub fn run(args: &BenchReport) -> anyhow::Result<Exit> {
    interrupt::end_cleanly("; nothing was written".to_owned());
    let measured = read(&args.results)?;
    let mut page = Vec::new();
    write_bench(&measured, &html::date()?, &mut page)?;
    if let Some(folder) = &args.tables {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, text) in bench_tables(&measured).into_iter().chain(bench_pictures(&measured)?) {
            write(&folder.join(name), text.as_bytes())?;
        }
    }
    write(&args.output, &page)?;
    Ok(Exit::Done)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Read before the rest, which another version may write in another form.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

fn read(path: &Path) -> anyhow::Result<Measured> {
    let path: PathBuf = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
    let shown = path.display();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
    let no_result = || format!("{shown} is no result of `touchmark bench run`");
    let Version { schema } = serde_json::from_slice(&bytes).with_context(no_result)?;
    if schema != Measured::SCHEMA {
        bail!(
            "{shown} has schema {schema}, and this version knows schema {} only; run the plan again",
            Measured::SCHEMA
        );
    }
    serde_json::from_slice(&bytes).with_context(no_result)
}
