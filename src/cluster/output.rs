//! Rows of a query, written as they come.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::ClusterError;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// For people: the first [`TABLE_ROWS`] rows.
    Table,
    /// One JSON object a row, NULL as `null`. Numbers are as short as they can be read back to the last bit.
    Jsonl,
    /// With a row of names. Lists and structs do not fit.
    Csv,
    /// Parquet, packed with zstd.
    Parquet,
}

/// Most rows of a table for people.
pub const TABLE_ROWS: usize = 1000;

/// Widest column of such a table, in characters.
const TABLE_WIDTH: usize = 60;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Whether a table ended before the query did.
    pub cut: bool,
}

/// Writes a query's rows.
pub(super) async fn write(
    mut rows: SendableRecordBatchStream,
    format: RowFormat,
    out: &mut (dyn Write + Send),
) -> Result<Written, ClusterError> {
    if format == RowFormat::Csv
        && rows.schema().fields().iter().any(|field| field.data_type().is_nested())
    {
        return Err(ClusterError::Nested);
    }
    let mut writer = Writer::new(format, rows.schema(), out)?;
    let mut written = Written { rows: 0, cut: false };
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        written.rows += batch.num_rows() as u64;
        if writer.write(&batch)? {
            written.cut = true;
            break;
        }
    }
    writer.finish()?;
    Ok(written)
}

enum Writer<'o> {
    Table(Lines, &'o mut (dyn Write + Send)),
    Jsonl(LineDelimitedWriter<&'o mut (dyn Write + Send)>),
    Csv(csv::Writer<&'o mut (dyn Write + Send)>),
    Parquet(Box<ArrowWriter<&'o mut (dyn Write + Send)>>),
}

impl<'o> Writer<'o> {
    fn new(
        format: RowFormat,
        schema: SchemaRef,
        out: &'o mut (dyn Write + Send),
    ) -> Result<Self, ClusterError> {
        Ok(match format {
            RowFormat::Table => Self::Table(Lines::new(&schema), out),
            RowFormat::Jsonl => Self::Jsonl(
                WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out),
            ),
            RowFormat::Csv => Self::Csv(csv::WriterBuilder::new().with_header(true).build(out)),
            RowFormat::Parquet => {
                let options = datafusion::parquet::file::properties::WriterProperties::builder()
                    .set_compression(datafusion::parquet::basic::Compression::ZSTD(
                        Default::default(),
                    ))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(options));
                Self::Parquet(Box::new(writer.map_err(DataFusionError::from)?))
            }
        })
    }

    /// Writes rows; whether no more are wanted.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, ClusterError> {
        match self {
            Self::Table(lines, _) => return lines.take(batch),
            Self::Jsonl(writer) => writer.write(batch).map_err(fault)?,
            Self::Csv(writer) => writer.write(batch).map_err(fault)?,
            Self::Parquet(writer) => writer.write(batch).map_err(DataFusionError::from)?,
        }
        Ok(false)
    }

    fn finish(self) -> Result<(), ClusterError> {
        match self {
            Self::Table(lines, out) => lines.print(out).map_err(ClusterError::Write)?,
            Self::Jsonl(mut writer) => {
                writer.finish().map_err(fault)?;
                writer.into_inner().flush().map_err(ClusterError::Write)?;
            }
            Self::Csv(writer) => writer.into_inner().flush().map_err(ClusterError::Write)?,
            Self::Parquet(writer) => {
                writer.close().map_err(DataFusionError::from)?;
            }
        }
        Ok(())
    }
}

/// A closed pipe stays one, so that the program ends quietly.
fn fault(error: ArrowError) -> ClusterError {
    match error {
        ArrowError::IoError(_, error) => ClusterError::Write(error),
        other => DataFusionError::from(other).into(),
    }
}

/// The lines of a table for people.
struct Lines {
    lines: Vec<Vec<String>>,
}

impl Lines {
    fn new(schema: &SchemaRef) -> Self {
        let names = schema.fields().iter().map(|field| shortened(field.name()));
        Self { lines: vec![names.collect()] }
    }

    /// Takes rows up to the last that is shown; whether there are more.
    fn take(&mut self, batch: &RecordBatch) -> Result<bool, ClusterError> {
        let options = FormatOptions::default().with_null("NULL");
        let columns = batch.columns().iter();
        let cells: Vec<ArrayFormatter<'_>> = columns
            .map(|column| ArrayFormatter::try_new(column, &options).map_err(fault))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            if self.lines.len() > TABLE_ROWS {
                return Ok(true);
            }
            let line = cells.iter().map(|cell| Ok(shortened(&cell.value(row).try_to_string()?)));
            self.lines.push(line.collect::<Result<_, ArrowError>>().map_err(fault)?);
        }
        Ok(false)
    }

    fn print(&self, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
        let columns = self.lines.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for line in &self.lines {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        out.flush()
    }
}

/// On one line, the beginning of a long cell.
fn shortened(cell: &str) -> String {
    // Control characters would do things to a terminal.
    let shown = cell.chars().map(|sign| if sign.is_control() { ' ' } else { sign });
    if cell.chars().count() <= TABLE_WIDTH {
        return shown.collect();
    }
    shown.take(TABLE_WIDTH - 1).chain(['…']).collect()
}
