//! The rows of Arrow record batches, whatever they were stored in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::columns::Columns;
use super::record::{Cell, Record};
use super::records::Numbered;
use super::{Document, DocumentError, Fields, Place, Reading};
use crate::tokens::TokenId;

/// Rows that were read together.
pub struct Batch {
    /// How many rows of the source come before them.
    pub before: u64,
    pub rows: RecordBatch,
}

/// A stream of batches that have the same columns.
pub trait Batches: Iterator<Item = Result<Batch, DocumentError>> {
    /// Where in a batch the fields are.
    fn columns(&self) -> Columns;

    /// Rows of the source before the one that could not be read, after a fault.
    fn before_fault(&self) -> u64;

    /// Leaves out batches that lie wholly before a row, as far as that saves reading them.
    fn skip_to(&mut self, _row: u64) {}
}

/// The records of one source.
pub struct Rows<B> {
    batches: B,
    batch: Option<Batch>,
    /// The row of the batch that comes next.
    at: usize,
    /// Number of the item that was given last.
    number: u64,
    /// A fault that was met on the way to where reading begins.
    fault: Option<DocumentError>,
    source: String,
    reading: Reading,
}

impl<B: Batches> Rows<B> {
    pub fn new(
        source: String,
        reading: Reading,
        open: impl FnOnce(&Fields) -> Result<B, DocumentError>,
    ) -> Result<Self, DocumentError> {
        let batches = open(&reading.fields)?;
        Ok(Self { batches, batch: None, at: 0, number: 0, fault: None, source, reading })
    }

    fn document(&self, batch: &Batch, row: usize) -> Result<Document, DocumentError> {
        let (columns, offset) = (self.batches.columns(), batch.before + row as u64);
        let place = Place::Row(offset + 1);
        let limit = self.reading.max_document;
        let cell = |column: Option<usize>| {
            let column = column.map(|column| batch.rows.column(column));
            column.map_or(Ok(Cell::Missing), |column| {
                cell(column, row, limit).ok_or_else(|| DocumentError::TooLong {
                    source_name: self.source.clone(),
                    place,
                    limit,
                })
            })
        };
        let record = Record {
            id: cell(columns.id)?,
            text: cell(columns.text)?,
            tokens: cell(columns.tokens)?,
            prompt: cell(columns.prompt)?,
        };
        record.document(&self.reading.fields, &self.source, place, offset)
    }
}

impl<B: Batches> Iterator for Rows<B> {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(fault) = self.fault.take() {
            return Some(Err(fault));
        }
        loop {
            if let Some(batch) = &self.batch
                && self.at < batch.rows.num_rows()
            {
                let document = self.document(batch, self.at);
                self.number = batch.before + self.at as u64;
                self.at += 1;
                return Some(document);
            }
            (self.batch, self.at) = (None, 0);
            match self.batches.next()? {
                Ok(batch) => self.batch = Some(batch),
                Err(error) => {
                    self.number = self.batches.before_fault();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<B: Batches + Send> Numbered for Rows<B> {
    fn number(&self) -> u64 {
        self.number
    }

    fn skip_to(&mut self, number: u64) {
        loop {
            if let Some(batch) = &self.batch {
                let ahead = number.saturating_sub(batch.before);
                self.at = self.at.max(usize::try_from(ahead).unwrap_or(usize::MAX));
                if self.at < batch.rows.num_rows() {
                    return;
                }
            }
            (self.batch, self.at) = (None, 0);
            self.batches.skip_to(number);
            match self.batches.next() {
                None => return,
                Some(Ok(batch)) => self.batch = Some(batch),
                Some(Err(error)) if self.batches.before_fault() >= number => {
                    self.number = self.batches.before_fault();
                    self.fault = Some(error);
                    return;
                }
                // One that is left out, like the rows before it.
                Some(Err(_)) => {}
            }
        }
    }
}

/// The columns of a schema, which must be of kinds that can be read.
pub fn find(fields: &Fields, source: &str, schema: &Schema) -> Result<Columns, DocumentError> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let mut columns = Columns::find(fields, source, names)?;
    columns.id = columns.id.filter(|&column| {
        let kind = schema.field(column).data_type();
        is_text(kind) || kind.is_integer()
    });
    let check = |column: Option<usize>, expected, fits: fn(&DataType) -> bool| {
        let column = column.map(|column| schema.field(column));
        match column.filter(|column| !fits(column.data_type())) {
            None => Ok(()),
            Some(column) => Err(DocumentError::Type {
                source_name: source.to_owned(),
                field: column.name().clone(),
                expected,
                found: column.data_type().to_string(),
            }),
        }
    };
    check(columns.text, "a text", is_text)?;
    check(columns.prompt, "a text", is_text)?;
    check(columns.tokens, "a list of token ids", is_ids)?;
    Ok(columns)
}

/// The numbers of the columns that are read, in order, and where the fields are among them.
pub fn projected(columns: Columns) -> (Vec<usize>, Columns) {
    let Columns { id, text, tokens, prompt } = columns;
    let mut read: Vec<usize> = [id, text, tokens, prompt].into_iter().flatten().collect();
    read.sort_unstable();
    read.dedup();
    let among = |column: Option<usize>| read.iter().position(|&read| Some(read) == column);
    let columns =
        Columns { id: among(id), text: among(text), tokens: among(tokens), prompt: among(prompt) };
    (read, columns)
}

/// Runs a reader of a foreign format. Those readers assert some of what they should check, and a damaged file must not
/// end the program.
pub fn guarded<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    source: &str,
    format: &'static str,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, DocumentError> {
    let error = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => error.into(),
        Err(_) => "the file is damaged".into(),
    };
    Err(DocumentError::Damaged { source_name: source.to_owned(), format, error })
}

/// Whether a column can be read as text.
pub fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_ids(kind: &DataType) -> bool {
    matches!(kind, DataType::List(item) | DataType::LargeList(item) if item.data_type().is_integer())
}

/// A value, or none if it is longer than `limit` bytes.
fn cell(column: &ArrayRef, row: usize, limit: usize) -> Option<Cell> {
    let text = |text: &str| (text.len() <= limit).then(|| Cell::Text(text.to_owned()));
    if column.is_null(row) {
        return Some(Cell::Null);
    }
    match column.data_type() {
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::List(_) => ids(&column.as_list::<i32>().value(row), limit),
        DataType::LargeList(_) => ids(&column.as_list::<i64>().value(row), limit),
        kind => Some(integer(column, row).map_or_else(
            || Cell::Other(kind.to_string().into()),
            |number| Cell::Number(number.to_string()),
        )),
    }
}

fn ids(list: &ArrayRef, limit: usize) -> Option<Cell> {
    if list.len() > limit / size_of::<TokenId>() {
        return None;
    }
    let id = |at| integer(list, at).and_then(|id| TokenId::try_from(id).ok());
    let ids: Option<Vec<TokenId>> = (0..list.len()).map(id).collect();
    let other = || Cell::Other("a list with something else than token ids".into());
    Some(ids.map_or_else(other, Cell::Ids))
}

/// None if the value is null or no integer.
fn integer(column: &ArrayRef, row: usize) -> Option<i128> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        _ => return None,
    })
}
