//! Writing tables: JSON objects as the rows of CSV or Parquet.
//!
//! A table is described by its [`Column`]s. A row is a JSON object with a member for each column, in any order; a member that
//! is missing or null is a null (in CSV an empty cell), one that no column names is an error.

mod csv;
mod parquet;

pub use csv::Csv;
pub use parquet::Parquet;

use serde_json::{Map, Value};

/// A column's name and what its cells hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// What its cells hold.
    pub kind: Kind,
}

/// What cells hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Text (Arrow `Utf8`).
    Text,
    /// A count (`UInt64`).
    Count,
    /// A real number (`Float64`).
    Real,
    /// True or false (`Boolean`).
    Flag,
    /// Any JSON value, as its text (`Utf8`).
    Json,
    /// A list (`List`).
    List(Box<Self>),
    /// An object (`Struct`).
    Object(Vec<Column>),
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be written.
    #[error("{0}")]
    Write(#[from] std::io::Error),
    /// A row has a member that no column names.
    #[error("a row has \"{name}\", for which the table has no column")]
    Unknown {
        /// The member.
        name: String,
    },
    /// A row does not fit the columns, or the format cannot hold it.
    #[error("{0}")]
    Format(Box<dyn std::error::Error + Send + Sync>),
}

impl Column {
    /// A column.
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// # Errors
/// [`TableError::Unknown`].
fn check(row: &Map<String, Value>, columns: &[Column]) -> Result<(), TableError> {
    let unknown = row.keys().find(|name| columns.iter().all(|column| column.name != **name));
    unknown.map_or(Ok(()), |name| Err(TableError::Unknown { name: name.clone() }))
}
