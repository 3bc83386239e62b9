//! `attribute report`: results as a page for people who have to decide.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use touchmark::attribution::Attribution;
use touchmark::report::write_attributions;

use crate::args::attribute::Report;
use crate::commands::detect::{Out, html};
use crate::commands::results::{self, Form};
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

/// A result of `attribute run`.
pub fn read(path: &Path) -> anyhow::Result<Attribution> {
    let form = Form {
        written_by: "touchmark attribute run -o",
        schema: Attribution::SCHEMA,
        otherwise: "make the report with the version that made the result",
    };
    results::read(path, &form)
}
