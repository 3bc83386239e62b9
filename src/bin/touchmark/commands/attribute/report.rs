//! `attribute report`: results as a page for people who have to decide.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use touchmark::attribution::Attribution;
use touchmark::report::write_attributions;

use crate::args::attribute::Report;
use crate::commands::detect::{Out, html};
use crate::interrupt;
use crate::output::Exit;

pub fn run(args: &Report) -> anyhow::Result<Exit> {
    interrupt::end_cleanly("; nothing was written".to_owned());
    let output = args.output.as_deref();
    refuse_overwriting(&args.results, output)?;
    let results = args.results.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let date = html::date()?;
    let mut out = Out::new(output)?;
    let mut page = BufWriter::with_capacity(1 << 16, &mut out);
    write_attributions(&results, &date, &mut page)?;
    page.flush()?;
    drop(page);
    out.finish()?;
    Ok(Exit::Done)
}

fn refuse_overwriting(results: &[PathBuf], output: Option<&Path>) -> anyhow::Result<()> {
    let output = output.and_then(|path| path.canonicalize().ok());
    let is_output = |path: &&PathBuf| output.is_some() && path.canonicalize().ok() == output;
    match results.iter().find(is_output) {
        Some(path) => bail!("{} would be written over; name another file with -o", path.display()),
        None => Ok(()),
    }
}

/// Read before the rest, which another version may write in another form.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// A result, of the one form that is known.
pub fn read(path: &Path) -> anyhow::Result<Attribution> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let no_result = || format!("{shown} is no result of `touchmark attribute run -o`");
    let Version { schema } = serde_json::from_slice(&bytes).with_context(no_result)?;
    if schema != Attribution::SCHEMA {
        bail!(
            "{shown} has schema {schema}, and this version knows schema {} only; make the report with the version that made the result",
            Attribution::SCHEMA
        );
    }
    serde_json::from_slice(&bytes).with_context(no_result)
}
