//! Parquet: typed columns, packed with zstd.

use std::io::Write;
use std::sync::Arc;

use arrow_json::reader::{Decoder, ReaderBuilder};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use super::{Column, Kind, TableError, check};

/// Rows of a row group: readers take groups in parallel, and a writer holds one in memory.
const GROUP_ROWS: usize = 1 << 16;
/// Bytes of a row group, before they are packed.
const GROUP_BYTES: usize = 64 << 20;
/// Rows that are turned into columns together.
const BATCH: usize = 1024;

/// Writes a table.
pub struct Parquet<W: Write + Send> {
    columns: Vec<Column>,
    waiting: Vec<Map<String, Value>>,
    decoder: Decoder,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Of writing.
    pub fn new(out: W, columns: Vec<Column>) -> Result<Self, TableError> {
        let schema = Arc::new(Schema::new(fields(&columns)));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        let decoder = ReaderBuilder::new(schema.clone())
            .with_batch_size(BATCH)
            .with_strict_mode(true)
            .build_decoder()?;
        let writer = ArrowWriter::try_new(out, schema, Some(properties))?;
        Ok(Self { columns, waiting: Vec::new(), decoder, writer })
    }

    /// Takes a row.
    ///
    /// # Errors
    /// [`TableError::Unknown`], a cell of another kind than its column's, or of writing.
    pub fn write(&mut self, mut row: Map<String, Value>) -> Result<(), TableError> {
        check(&row, &self.columns)?;
        for column in self.columns.iter().filter(|column| column.kind == Kind::Json) {
            if let Some(value) = row.get_mut(column.name).filter(|value| !value.is_null()) {
                *value = Value::String(value.to_string());
            }
        }
        self.waiting.push(row);
        if self.waiting.len() == BATCH {
            self.write_batch()?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), TableError> {
        self.decoder.serialize(&self.waiting)?;
        self.waiting.clear();
        if let Some(batch) = self.decoder.flush()? {
            self.writer.write(&batch)?;
        }
        Ok(())
    }

    /// Ends the file: without its footer it is none.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn finish(mut self) -> Result<W, TableError> {
        self.write_batch()?;
        Ok(self.writer.into_inner()?)
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(|column| Field::new(column.name, kind(&column.kind), true)).collect()
}

fn kind(of: &Kind) -> DataType {
    match of {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Count => DataType::UInt64,
        Kind::Real => DataType::Float64,
        Kind::Flag => DataType::Boolean,
        Kind::List(item) => DataType::List(Arc::new(Field::new_list_field(kind(item), true))),
        Kind::Object(members) => DataType::Struct(fields(members)),
    }
}

impl From<ArrowError> for TableError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Write(error),
            error => Self::Format(Box::new(error)),
        }
    }
}

impl From<ParquetError> for TableError {
    /// What a full disk says must stay readable.
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => Self::Write(*error),
                Err(error) => Self::Format(error),
            },
            error => Self::Format(Box::new(error)),
        }
    }
}
