//! What a source holds.

use std::path::Path;

/// What a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The whole source is one document.
    Text,
    /// A JSON object a line.
    Jsonl,
    /// Rows of cells with commas between.
    Csv,
    /// Rows of cells with tabs between.
    Tsv,
    /// Columns, in row groups.
    Parquet,
    /// Columns, in the batches of an Arrow IPC stream or file.
    Arrow,
}

impl Format {
    /// By the name's ending, before that of its packing; none where it says nothing.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = |path: &Path| Some(path.extension()?.to_str()?.to_ascii_lowercase());
        match ending(path)?.as_str() {
            "gz" | "zst" => Self::of_ending(&ending(Path::new(path.file_stem()?))?),
            ending => Self::of_ending(ending),
        }
    }

    /// By the first bytes of a file; none where they say nothing.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Self::Arrow),
            _ => None,
        }
    }

    fn of_ending(ending: &str) -> Option<Self> {
        match ending {
            "txt" | "md" => Some(Self::Text),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            "arrow" | "arrows" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }
}
