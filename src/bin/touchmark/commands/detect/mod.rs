//! `touchmark detect`: look for marks in texts.

mod explain;
mod pipeline;
mod reader;
mod sink;

use std::path::Path;

use anyhow::bail;
use touchmark::corpus::{self, Document, DocumentError, Fields, Reading};
use touchmark::detect::Verdict;

#[cfg(bundled_models)]
pub use explain::{highlighted, speaking};
use reader::Examined;
pub use reader::{Reader, Wanted};
pub use sink::table_row;

use sink::Sink;

use crate::args::{self, FailOn, Global};
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::Detect) -> anyhow::Result<Exit> {
    let reader = Reader::new(global, &Wanted::of(args)?)?;
    let mut sink = Sink::new(global, args)?;
    let (mut read, mut failed, mut found) = (0_u64, 0_u64, false);
    // Rows on the terminal are progress enough.
    let bar = output::progress(
        global.no_progress || global.quiet || args.output.is_none(),
        None,
        "documents",
    )?;
    let documents = documents(&args.inputs)?;
    let examine = |document: Result<_, DocumentError>| {
        document.map_err(anyhow::Error::from).and_then(|document| reader.examine(&document))
    };
    let take = |outcome: anyhow::Result<Examined>| {
        bar.inc(1);
        match outcome {
            Ok(examined) => {
                read += 1;
                found |= examined.rows.iter().any(|row| row.verdict == Verdict::Detected);
                sink.write(&examined)?;
            }
            Err(error) => {
                failed += 1;
                output::warn(&output::causes(&error));
            }
        }
        anyhow::Ok(())
    };
    pipeline::in_order(documents, threads(global), examine, take)?;
    bar.finish_and_clear();
    sink.finish()?;
    if failed > 0 {
        output::warn(&format!("{failed} of {} documents could not be examined", read + failed));
    }
    Ok(match (read, failed) {
        (0, 1..) => Exit::Nothing,
        _ if found && args.fail_on == Some(FailOn::Detected) => Exit::Gate,
        (_, 1..) => Exit::Partial,
        _ => Exit::Done,
    })
}

/// As many as there are cores, unless told otherwise.
fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    global.threads.unwrap_or_else(cores)
}

/// All documents that were named.
pub fn documents(
    inputs: &args::Inputs,
) -> anyhow::Result<impl Iterator<Item = Result<Document, DocumentError>> + Send + use<>> {
    let stdin = Path::new("-");
    if inputs.files_from.as_deref() == Some(stdin) && inputs.paths.iter().any(|path| path == stdin)
    {
        bail!("standard input is either a document or, with --files-from, a list of files");
    }
    let fields = Fields {
        text: inputs.text_field.clone(),
        id: inputs.id_field.clone(),
        tokens: inputs.tokens_field.clone(),
        prompt: inputs.prompt_field.clone(),
    };
    let stdin = inputs.stdin_format.into();
    let sources = corpus::sources(inputs.paths.clone(), inputs.files_from.clone());
    Ok(corpus::documents(sources, Reading { stdin, fields, max_document: inputs.max_document }))
}
