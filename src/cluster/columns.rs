//! Rows as columns.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, StringArray, StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::arrow::error::ArrowError;

use crate::detect::{Row, Segment, Verdict};

/// What is said of one text.
pub(super) enum Outcome {
    /// There is no text.
    Null,
    /// It was examined.
    Row(Box<Row>),
    /// It could not be, and why.
    Failed(String),
}

impl Outcome {
    fn row(&self) -> Option<&Row> {
        match self {
            Self::Row(row) => Some(row),
            Self::Null | Self::Failed(_) => None,
        }
    }

    fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Null => None,
            Self::Row(row) => Some(row.verdict.as_str()),
            Self::Failed(_) => Some(Verdict::Error.as_str()),
        }
    }

    fn warnings(&self) -> &[String] {
        match self {
            Self::Null => &[],
            Self::Row(row) => &row.warnings,
            Self::Failed(why) => std::slice::from_ref(why),
        }
    }

    fn segments(&self) -> &[Segment] {
        self.row().map_or(&[], |row| &row.segments)
    }
}

/// The type of a row: `verdict`, `log10_p`, `log10_p_corrected`, `score`, `tokens_total`, `tokens_scored`, `segments` (list of
/// `start`, `end`, `byte_start`, `byte_end`, `log10_p`) and `warnings`, named and meant as in the rows of `detect`. Numbers
/// are NULL where the verdict is `error`.
pub fn row_type() -> DataType {
    DataType::Struct(row_fields())
}

fn row_fields() -> Fields {
    Fields::from(vec![
        Field::new("verdict", DataType::Utf8, true),
        Field::new("log10_p", DataType::Float64, true),
        Field::new("log10_p_corrected", DataType::Float64, true),
        Field::new("score", DataType::Float64, true),
        Field::new("tokens_total", DataType::Int64, true),
        Field::new("tokens_scored", DataType::Int64, true),
        Field::new_list("segments", item(DataType::Struct(segment_fields())), true),
        Field::new_list("warnings", item(DataType::Utf8), true),
    ])
}

fn segment_fields() -> Fields {
    let field = |name, of| Field::new(name, of, true);
    Fields::from(vec![
        field("start", DataType::Int64),
        field("end", DataType::Int64),
        field("byte_start", DataType::Int64),
        field("byte_end", DataType::Int64),
        field("log10_p", DataType::Float64),
    ])
}

fn item(of: DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(of, true))
}

/// `log10_p_corrected` of each.
pub(super) fn log10_p(outcomes: &[Outcome]) -> ArrayRef {
    let p = outcomes.iter().map(|outcome| outcome.row().map(|row| row.log10_p_corrected));
    Arc::new(p.collect::<Float64Array>())
}

/// The rows as structs of [`row_type`].
pub(super) fn rows(outcomes: &[Outcome]) -> Result<ArrayRef, ArrowError> {
    let verdicts: StringArray = outcomes.iter().map(Outcome::verdict).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(verdicts),
        floats(outcomes, |row| row.log10_p),
        floats(outcomes, |row| row.log10_p_corrected),
        floats(outcomes, |row| row.score),
        counts(outcomes, |row| row.tokens_total),
        counts(outcomes, |row| row.tokens_scored),
        Arc::new(segments(outcomes)?),
        Arc::new(warnings(outcomes)?),
    ];
    let there = outcomes.iter().map(|outcome| !matches!(outcome, Outcome::Null));
    let nulls = NullBuffer::from_iter(there);
    Ok(Arc::new(StructArray::try_new(row_fields(), columns, Some(nulls))?))
}

fn floats(outcomes: &[Outcome], of: impl Fn(&Row) -> f64) -> ArrayRef {
    Arc::new(outcomes.iter().map(|outcome| outcome.row().map(&of)).collect::<Float64Array>())
}

fn counts(outcomes: &[Outcome], of: impl Fn(&Row) -> usize) -> ArrayRef {
    let counts = outcomes.iter().map(|outcome| outcome.row().map(|row| of(row) as i64));
    Arc::new(counts.collect::<Int64Array>())
}

fn segments(outcomes: &[Outcome]) -> Result<ListArray, ArrowError> {
    let all: Vec<&Segment> = outcomes.iter().flat_map(Outcome::segments).collect();
    let numbers = |of: fn(&Segment) -> Option<usize>| -> ArrayRef {
        let numbers = all.iter().map(|segment| of(segment).map(|number| number as i64));
        Arc::new(numbers.collect::<Int64Array>())
    };
    let p: Float64Array = all.iter().map(|segment| Some(segment.log10_p)).collect();
    let columns: Vec<ArrayRef> = vec![
        numbers(|segment| Some(segment.start)),
        numbers(|segment| Some(segment.end)),
        numbers(|segment| segment.byte_start),
        numbers(|segment| segment.byte_end),
        Arc::new(p),
    ];
    let values = StructArray::try_new(segment_fields(), columns, None)?;
    let lengths = outcomes.iter().map(|outcome| outcome.segments().len());
    lists(lengths, Arc::new(values))
}

fn warnings(outcomes: &[Outcome]) -> Result<ListArray, ArrowError> {
    let all = outcomes.iter().flat_map(Outcome::warnings);
    let values: StringArray = all.map(|warning| Some(warning.as_str())).collect();
    lists(outcomes.iter().map(|outcome| outcome.warnings().len()), Arc::new(values))
}

fn lists(
    lengths: impl IntoIterator<Item = usize>,
    values: ArrayRef,
) -> Result<ListArray, ArrowError> {
    let field = item(values.data_type().clone());
    ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)
}
