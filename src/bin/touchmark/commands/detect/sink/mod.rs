//! Where rows go. One file a form; to add one, write it and name it in [`form`].

mod columns;
mod csv;
pub mod html;
mod jsonl;
mod out;
mod parquet;
mod records;
mod table;

use std::path::Path;

use anyhow::{Context, bail};

use super::finding::Finding;
use super::reader::Reader;
use crate::args::{self, Format, Global};
use crate::interrupt;
use crate::output;
pub use out::Out;
pub use table::table_row;

/// A form that documents are written in.
pub trait Form {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()>;

    /// Notes a document that could not be examined.
    fn failed(&mut self) {}

    /// Writes what comes after the last document.
    fn finish(self: Box<Self>) -> anyhow::Result<Out>;
}

/// Where documents are written.
pub struct Sink {
    form: Box<dyn Form>,
    /// Where it is written, for errors.
    place: String,
}

impl Sink {
    pub fn new(global: &Global, args: &args::Detect, reader: &Reader) -> anyhow::Result<Self> {
        let stdout = || "standard output".to_owned();
        let place = args.output.as_ref().map_or_else(stdout, |path| path.display().to_string());
        Ok(Self { form: form(global, args, reader)?, place })
    }

    pub fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        let written = interrupt::whole(|| self.form.write(finding));
        written.with_context(|| format!("cannot write {}", self.place))
    }

    /// Notes a document that could not be examined.
    pub fn failed(&mut self) {
        self.form.failed();
    }

    /// A file is in its place after this, and not before.
    pub fn finish(self) -> anyhow::Result<()> {
        let finished = self.form.finish().and_then(Out::finish);
        finished.with_context(|| format!("cannot write {}", self.place))
    }
}

fn form(global: &Global, args: &args::Detect, reader: &Reader) -> anyhow::Result<Box<dyn Form>> {
    let path = args.output.as_deref();
    if args.runs.filter.is_some() {
        return Ok(Box::new(records::Records::new(Out::new(path)?)));
    }
    let format = format(global, args);
    if format == Format::Parquet
        && path.is_none()
        && std::io::IsTerminal::is_terminal(&std::io::stdout())
    {
        bail!("--format parquet is not for a terminal; name a file with -o");
    }
    let out = Out::new(path)?;
    Ok(match format {
        Format::Table => Box::new(table::Table::new(out)),
        Format::Jsonl => Box::new(jsonl::Jsonl::new(out)),
        Format::Csv => Box::new(csv::Csv::new(out)?),
        Format::Parquet => Box::new(parquet::Parquet::new(out)?),
        Format::Html => Box::new(html::Html::new(out, reader)?),
    })
}

/// The form that was asked for; or else by the file's name, or a table for the terminal.
pub fn format(global: &Global, args: &args::Detect) -> Format {
    let of = |path: &Path| match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Format::Csv,
        Some("parquet") => Format::Parquet,
        Some("html") => Format::Html,
        _ => Format::Jsonl,
    };
    let default = match &args.output {
        Some(path) => of(path),
        None if global.json => Format::Jsonl,
        None => Format::Table,
    };
    args.format.unwrap_or(default)
}

/// What a table's numbers mean.
pub fn explain_table(global: &Global) {
    output::note(
        global.quiet,
        "log10 p: how rarely text without the mark looks this marked (-6 is one in a million), averaged over keys fixed\n\
         before the text. A text without a mark may still be machine-made.",
    );
}
