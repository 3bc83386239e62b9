//! `touchmark bench report`: a page and tables of what was measured.

use std::fs;
use std::path::Path;

use anyhow::Context;
use touchmark::bench::Measured;
use touchmark::report::{bench_pictures, bench_tables, write_bench};

use crate::args::BenchReport;
use crate::commands::detect::html;
use crate::commands::results::{self, Form};
use crate::interrupt;
use crate::output::Exit;
use crate::whole_file;

pub fn run(args: &BenchReport) -> anyhow::Result<Exit> {
    interrupt::end_cleanly("; nothing was written".to_owned());
    let measured = read(&args.results)?;
    let mut page = Vec::new();
    write_bench(&measured, &html::date()?, &mut page)?;
    if let Some(folder) = &args.tables {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, text) in bench_tables(&measured).into_iter().chain(bench_pictures(&measured)?) {
            whole_file::write(&folder.join(name), text.as_bytes())?;
        }
    }
    whole_file::write(&args.output, &page)?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> anyhow::Result<Measured> {
    let form = Form {
        written_by: "touchmark bench run",
        schema: Measured::SCHEMA,
        otherwise: "run the plan again",
    };
    let path = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
    results::read(&path, &form)
}
