//! Rows as a table or as JSON lines.

use std::fs::File;
use std::io::Write;

use anyhow::Context;
use touchmark::detect::Row;
use touchmark::stats::Family;

use super::explain::highlighted;
use super::reader::{Examined, Reader};
use crate::args::{self, Format, Global};
use crate::output;

/// Where rows go.
pub struct Sink {
    format: Format,
    file: Option<File>,
    rows: usize,
    documents: u64,
    fpr: f64,
    quiet: bool,
    #[cfg(feature = "report")]
    report: Option<super::html::Html>,
}

impl Sink {
    pub fn new(global: &Global, args: &args::Detect, reader: &Reader) -> anyhow::Result<Self> {
        let create = |path: &std::path::PathBuf| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let file = args.output.as_ref().map(create).transpose()?;
        let default = if global.json || file.is_some() { Format::Jsonl } else { Format::Table };
        let format = args.format.unwrap_or(default);
        Ok(Self {
            format,
            file,
            rows: 0,
            documents: 0,
            fpr: args.fpr,
            quiet: global.quiet,
            #[cfg(feature = "report")]
            report: format.is_report().then(|| super::html::Html::new(reader)).transpose()?,
        })
    }

    pub fn write(&mut self, examined: Examined) -> anyhow::Result<()> {
        self.documents += 1;
        #[cfg(feature = "report")]
        if let Some(report) = &mut self.report {
            report.document(examined);
            return Ok(());
        }
        for (at, row) in examined.rows.iter().enumerate() {
            let mut text = match self.format {
                Format::Jsonl => serde_json::to_string(row)?,
                _ => table_row(row, self.rows == 0),
            };
            if self.format == Format::Table
                && let Some(shown) = examined.shown.get(at)
            {
                text = format!("{text}\n\n{}\n", highlighted(shown));
            }
            self.rows += 1;
            match &mut self.file {
                Some(file) => writeln!(file, "{}", anstream::adapter::strip_str(&text))?,
                None => writeln!(anstream::stdout(), "{text}")?,
            }
        }
        Ok(())
    }

    /// Notes a document that has no row.
    pub fn failed(&mut self) {
        #[cfg(feature = "report")]
        if let Some(report) = &mut self.report {
            report.failed();
        }
    }

    pub fn finish(&mut self) -> anyhow::Result<()> {
        #[cfg(feature = "report")]
        if let Some(report) = self.report.take() {
            return report.write(self.file.as_mut());
        }
        if self.format == Format::Table && self.rows > 0 && !self.quiet {
            let alarms = Family::one().expected_false_alarms(self.documents, self.fpr);
            let note = format!(
                "log10 p: how rarely text without the mark looks this marked (-6 is one in a million), averaged over keys fixed\n\
                 before the text. False alarms to expect among {} unmarked documents: at most {alarms:.1e}. A text without\n\
                 a mark may still be machine-made.",
                self.documents
            );
            output::note(false, &note);
        }
        Ok(())
    }
}

pub fn table_row(row: &Row, first: bool) -> String {
    let style = output::verdict_style(row.verdict);
    let head = if first {
        format!("{:<32} {:<16} {:>8} {:>9}  verdict\n", "document", "profile", "scored", "log10 p")
    } else {
        String::new()
    };
    let name = shorten(
        &if row.id == row.source { row.id.clone() } else { format!("{}:{}", row.source, row.id) },
        32,
    );
    let more = row
        .more_tokens
        .map_or_else(String::new, |more| format!(" (about {more} more tokens would do)"));
    let payload = row.payload.as_ref().map_or_else(String::new, |payload| {
        format!(", message {} (probability {:.4})", payload.message, payload.posterior)
    });
    let passages = match row.segments.len() {
        0 => String::new(),
        1 => ", 1 passage".to_owned(),
        many => format!(", {many} passages"),
    };
    let p = output::log10_p(row.log10_p_corrected);
    let verdict = row.verdict.as_str();
    format!(
        "{head}{name:<32} {:<16} {:>8} {p:>9}  {style}{verdict}{style:#}{more}{passages}{payload}",
        shorten(&row.profile, 16),
        row.tokens_scored
    )
}

/// The end of a long name says more than its beginning.
fn shorten(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let tail: String = name.chars().skip(length - width + 1).collect();
    format!("…{tail}")
}
