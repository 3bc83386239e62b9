//! Files as tables.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use url::Url;

use super::ClusterError;
use crate::corpus::{Format, sources};

/// A name for a file, for the files of a folder, or for those of a pattern.
#[derive(Clone, Debug)]
pub struct Table {
    /// What a query calls it.
    pub name: String,
    /// File, folder or quoted pattern, as `detect` takes it.
    pub path: PathBuf,
}

/// What a query may name after FROM.
pub(super) struct Files {
    /// Of the session's configuration; it only reads schemas.
    state: SessionState,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    pub fn new(state: SessionState) -> Self {
        Self { state }
    }

    /// The files of a path as one table, with the columns of the first of them. All must have one form and one packing.
    pub async fn table(&self, path: &Path) -> Result<Arc<dyn TableProvider>, ClusterError> {
        let files: Vec<PathBuf> = sources(vec![path.to_owned()], None).collect::<Result<_, _>>()?;
        let Some(first) = files.first() else {
            return Err(ClusterError::NoFiles { path: path.to_owned() });
        };
        let form = Form::of(first)?;
        for other in &files {
            if Form::of(other)? != form {
                return Err(ClusterError::Mixed { first: first.clone(), other: other.clone() });
            }
        }
        let urls = files.iter().map(|file| located(file)).collect::<Result<Vec<_>, _>>()?;
        // Names have been looked at here already, so none is left out for its ending.
        let options = ListingOptions::new(form.reader(&self.state)).with_file_extension("");
        let schema = options.infer_schema(&self.state, &urls[0]).await?;
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .with_schema(schema);
        Ok(Arc::new(ListingTable::try_new(config)?))
    }
}

#[async_trait]
impl UrlTableFactory for Files {
    /// A table by its path; none where the name is no path, so that the query is told that there is no such table.
    async fn try_new(&self, url: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if !is_path(url) {
            return Ok(None);
        }
        let table = self.table(Path::new(url)).await;
        Ok(Some(table.map_err(|error| DataFusionError::External(Box::new(error)))?))
    }
}

/// Whether a name after FROM is that of a file, a folder or a pattern.
pub(super) fn is_path(name: &str) -> bool {
    name.contains(['/', '\\', '*', '.']) || Path::new(name).exists()
}

fn located(file: &Path) -> Result<ListingTableUrl, ClusterError> {
    let failed = |source| ClusterError::Read { path: file.to_owned(), source };
    let absolute = file.canonicalize().map_err(failed)?;
    let url = Url::from_file_path(&absolute)
        .map_err(|()| ClusterError::NoTable { path: file.to_owned() })?;
    // From a URL: a path would be searched for signs of a pattern.
    Ok(ListingTableUrl::parse(url.as_str())?)
}

/// What a file holds, and how it is packed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Form {
    format: Format,
    packing: FileCompressionType,
}

impl Form {
    fn of(file: &Path) -> Result<Self, ClusterError> {
        let none = || ClusterError::NoTable { path: file.to_owned() };
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let packing = match ending.to_ascii_lowercase().as_str() {
            "gz" => FileCompressionType::GZIP,
            "zst" => FileCompressionType::ZSTD,
            _ => FileCompressionType::UNCOMPRESSED,
        };
        let format = Format::of(file).ok_or_else(none)?;
        let packed = packing != FileCompressionType::UNCOMPRESSED;
        match format {
            Format::Jsonl | Format::Csv | Format::Tsv => Ok(Self { format, packing }),
            Format::Parquet | Format::Arrow if !packed => Ok(Self { format, packing }),
            _ => Err(none()),
        }
    }

    fn reader(self, state: &SessionState) -> Arc<dyn FileFormat> {
        // Texts have lines; a file of rows is therefore read by one task.
        let rows = |delimiter| {
            CsvFormat::default()
                .with_has_header(true)
                .with_delimiter(delimiter)
                .with_newlines_in_values(true)
                .with_file_compression_type(self.packing)
        };
        match self.format {
            Format::Csv => Arc::new(rows(b',')),
            Format::Tsv => Arc::new(rows(b'\t')),
            Format::Parquet => {
                let options = state.default_table_options().parquet;
                Arc::new(ParquetFormat::default().with_options(options))
            }
            Format::Arrow => Arc::new(ArrowFormat),
            // `Form::of` lets no whole texts through.
            Format::Jsonl | Format::Text => {
                Arc::new(JsonFormat::default().with_file_compression_type(self.packing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_follow_names() {
        let form =
            |name: &str| Form::of(Path::new(name)).ok().map(|form| (form.format, form.packing));
        assert_eq!(form("a.parquet"), Some((Format::Parquet, FileCompressionType::UNCOMPRESSED)));
        assert_eq!(form("a.jsonl.gz"), Some((Format::Jsonl, FileCompressionType::GZIP)));
        assert_eq!(form("a.csv.ZST"), Some((Format::Csv, FileCompressionType::ZSTD)));
        for none in ["a.txt", "a", "a.parquet.gz", "a.gz"] {
            assert_eq!(form(none), None, "{none}");
        }
    }
}
