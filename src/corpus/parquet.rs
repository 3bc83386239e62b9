//! Parquet: a row group at a time, and of it the columns that are wanted, a batch of rows at a time.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::columns::Columns;
use super::rows::{self, Batch, guarded};
use super::{DocumentError, Fields};

/// Bytes of a batch, unpacked, by the sizes that the file states; one row may have more.
const BATCH: u64 = 8 << 20;
const MOST_ROWS: u64 = 1024;

/// The batches of one file.
pub struct Batches {
    source: String,
    file: File,
    metadata: ArrowReaderMetadata,
    /// Columns of the file that are read.
    read: Vec<usize>,
    columns: Columns,
    /// Row groups that are not begun.
    groups: Range<usize>,
    group: Option<ParquetRecordBatchReader>,
    /// Rows before the next batch, and before the next group.
    before: u64,
    next_group: u64,
    /// Counts bytes of the file.
    counted: Option<Arc<AtomicU64>>,
}

impl Batches {
    pub fn new(
        path: &Path,
        fields: &Fields,
        counted: Option<Arc<AtomicU64>>,
    ) -> Result<Self, DocumentError> {
        let source = path.display().to_string();
        let file = File::open(path)
            .map_err(|error| DocumentError::Read { source_name: source.clone(), error })?;
        let metadata = guarded(&source, "parquet", || {
            let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
            with_views(&metadata)
        })?;
        let (read, columns) = rows::projected(rows::find(fields, &source, metadata.schema())?);
        let groups = 0..metadata.metadata().num_row_groups();
        Ok(Self {
            source,
            file,
            metadata,
            read,
            columns,
            groups,
            group: None,
            before: 0,
            next_group: 0,
            counted,
        })
    }

    fn open_group(&self, group: usize) -> Result<ParquetRecordBatchReader, ParquetError> {
        let file = self.file.try_clone()?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), self.read.iter().copied());
        let stated = self.metadata.metadata().row_group(group);
        let wanted = stated.columns().iter().enumerate().filter(|(at, _)| mask.leaf_included(*at));
        let bytes: u64 = wanted.map(|(_, chunk)| chunk.uncompressed_size().max(0) as u64).sum();
        let per_row = bytes / (stated.num_rows().max(1) as u64) + 1;
        let rows = (BATCH / per_row).clamp(1, MOST_ROWS) as usize;
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(rows)
            .build()
    }

    fn rows_of(&self, group: usize) -> u64 {
        self.metadata.metadata().row_group(group).num_rows().max(0) as u64
    }

    /// Moves on to a group, whether it is then read or not.
    fn begin(&mut self, group: usize) {
        self.before = self.next_group;
        self.next_group += self.rows_of(group);
        if let Some(counted) = &self.counted {
            let bytes = self.metadata.metadata().row_group(group).compressed_size();
            counted.fetch_add(bytes.max(0) as u64, Ordering::Relaxed);
        }
    }

    /// The next batch of the group that is open; the end of it, or a fault, closes it.
    fn of_group(&mut self) -> Option<Result<Batch, DocumentError>> {
        let mut group = self.group.take()?;
        match guarded(&self.source, "parquet", || group.next().transpose()) {
            Ok(Some(rows)) => {
                let before = self.before;
                self.before += rows.num_rows() as u64;
                self.group = Some(group);
                Some(Ok(Batch { before, rows }))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl rows::Batches for Batches {
    fn columns(&self) -> Columns {
        self.columns
    }

    /// Never the number of a row of the next group, which is read after the fault.
    fn before_fault(&self) -> u64 {
        self.before.min(self.next_group.saturating_sub(1))
    }

    /// Row groups are read from their beginning or not at all: after a damaged page, a group that was entered behind it
    /// would have other rows.
    fn skip_to(&mut self, row: u64) {
        if row < self.next_group {
            return;
        }
        self.group = None;
        while let Some(group) = self.groups.clone().next() {
            let rows = self.rows_of(group);
            if row < self.next_group + rows {
                return;
            }
            self.begin(group);
            self.groups.next();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.of_group() {
                return Some(batch);
            }
            let group = self.groups.next()?;
            self.begin(group);
            match guarded(&self.source, "parquet", || self.open_group(group)) {
                Ok(reader) => self.group = Some(reader),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Texts as views of the pages they lie in: a long text that a dictionary has once and a thousand rows repeat is then
/// held once.
fn with_views(metadata: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let is_text = |kind: &DataType| match kind {
        DataType::Dictionary(_, kind) => rows::is_text(kind),
        kind => rows::is_text(kind),
    };
    let fields = metadata.schema().fields().iter().map(|field| {
        if is_text(field.data_type()) {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        } else {
            field.clone()
        }
    });
    let fields: Vec<_> = fields.collect();
    let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
}
