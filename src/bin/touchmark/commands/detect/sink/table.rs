//! A table for people.

use std::io::Write;

use anstream::adapter::strip_str;
use touchmark::detect::Row;

use super::{Form, Out};
use crate::commands::detect::explain::highlighted;
use crate::commands::detect::finding::Finding;
use crate::output;

pub struct Table {
    out: Out,
    rows: usize,
}

impl Table {
    pub fn new(out: Out) -> Self {
        Self { out, rows: 0 }
    }
}

impl Form for Table {
    fn write(&mut self, finding: Finding) -> anyhow::Result<()> {
        for (at, row) in finding.rows.iter().enumerate() {
            let mut text = table_row(row, self.rows == 0);
            if let Some(shown) = finding.shown.get(at) {
                let passages: Vec<_> =
                    row.segments.iter().map(|segment| segment.start..segment.end).collect();
                text = format!("{text}\n\n{}\n", highlighted(shown, &passages));
            }
            self.rows += 1;
            if !self.out.is_coloured() {
                text = strip_str(&text).to_string();
            }
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        Ok(self.out)
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
    let decoys = row.decoy_p.map_or_else(String::new, |p| format!(", decoy p {p:.2e}"));
    let p = output::log10_p(row.log10_p_corrected);
    let verdict = row.verdict.as_str();
    format!(
        "{head}{name:<32} {:<16} {:>8} {p:>9}  {style}{verdict}{style:#}{more}{passages}{payload}{decoys}",
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
