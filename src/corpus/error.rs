//! Why a document is not read.

use std::fmt;

/// Where in a source a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The source is the record.
    Whole,
    /// Its line, from 1.
    Line(u64),
    /// Its row, from 1; a row of names is not counted.
    Row(u64),
}

impl fmt::Display for Place {
    /// What follows the name of the source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Row(row) => write!(f, ", row {row}"),
        }
    }
}

/// Why a document cannot be examined. The documents after it still can.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The source, or the rest of it, cannot be read.
    #[error("{source_name}: cannot be read: {error}")]
    Read {
        /// The source.
        source_name: String,
        /// Why.
        error: std::io::Error,
    },
    /// A folder, or part of it, cannot be walked.
    #[error("a folder cannot be read: {error}")]
    Walk {
        /// Where and why.
        error: ignore::Error,
    },
    /// A pattern that is none.
    #[error("{pattern}: no such file, and not a pattern: {error}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// Why.
        error: globset::Error,
    },
    /// No file has a name of this pattern.
    #[error("{pattern}: no file matches")]
    NoMatch {
        /// As it was given.
        pattern: String,
    },
    /// Not text.
    #[error(
        "{source_name}{place}: not UTF-8 text (byte {valid} is not); binary files and other encodings are not read"
    )]
    Utf8 {
        /// The source.
        source_name: String,
        /// The record.
        place: Place,
        /// Number of bytes that are.
        valid: usize,
    },
    /// Not a JSON object.
    #[error("{source_name}, line {line}: not JSON: {error}")]
    Json {
        /// The source.
        source_name: String,
        /// Line number, from 1.
        line: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// A record longer than is read.
    #[error("{source_name}{place}: longer than {limit} bytes; --max-document sets another limit")]
    TooLong {
        /// The source.
        source_name: String,
        /// The record.
        place: Place,
        /// Most bytes that are read.
        limit: usize,
    },
    /// A row of a table that has not as many cells as the row of names.
    #[error(
        "{source_name}, row {row}: {cells} cells where there are {columns} columns; a quote may be missing"
    )]
    Cells {
        /// The source.
        source_name: String,
        /// Row number, from 1.
        row: u64,
        /// How many it has.
        cells: usize,
        /// How many it should have.
        columns: usize,
    },
    /// A table without the column that is to be examined.
    #[error(
        "{source_name}: no column \"{field}\" among {columns:?}; name it with --text-field, --tokens-field or --prompt-field"
    )]
    Column {
        /// The source.
        source_name: String,
        /// The column.
        field: String,
        /// The columns there are, up to twenty of them.
        columns: Vec<String>,
    },
    /// The field that is to be examined is missing or of another kind.
    #[error(
        "{source_name}{place}: field \"{field}\" is {found}, not {expected}; name it with --text-field, --tokens-field or --prompt-field"
    )]
    Field {
        /// The source.
        source_name: String,
        /// The record.
        place: Place,
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A column that is to be examined is of another kind.
    #[error(
        "{source_name}: column \"{field}\" is {found}, not {expected}; name another with --text-field, --tokens-field or --prompt-field"
    )]
    Type {
        /// The source.
        source_name: String,
        /// The column.
        field: String,
        /// What it should be.
        expected: &'static str,
        /// Its Arrow type.
        found: String,
    },
    /// A part of a Parquet or Arrow source that is not as the format has it. Of Parquet, row groups after it are read.
    #[error("{source_name}: cannot be read as {format}: {error}")]
    Damaged {
        /// The source.
        source_name: String,
        /// What it should be.
        format: &'static str,
        /// Why it is not.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DocumentError {
    /// Whether it is of one record, and not of a source or a part of it.
    pub fn is_of_record(&self) -> bool {
        matches!(
            self,
            Self::Utf8 { .. }
                | Self::Json { .. }
                | Self::TooLong { .. }
                | Self::Cells { .. }
                | Self::Field { .. }
        )
    }
}
