//! The files of a folder, or those of a pattern.

use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use ignore::{DirEntry, WalkBuilder};

use super::DocumentError;

/// A stream of files, in the order of their names.
pub struct Walk {
    entries: ignore::Walk,
    pattern: Option<Pattern>,
}

struct Pattern {
    given: String,
    /// The folder that no sign of the pattern is in; empty for the present one.
    base: PathBuf,
    /// Of the path from there.
    rest: GlobMatcher,
    /// Whether a file, or a fault, has been seen.
    met: bool,
}

impl Walk {
    /// All files that are neither hidden nor named by ignore files.
    pub fn folder(folder: &Path) -> Self {
        let entries = WalkBuilder::new(folder).sort_by_file_name(Ord::cmp).build();
        Self { entries, pattern: None }
    }

    /// The files of a pattern; none where the path is one of a file or has no sign of a pattern.
    pub fn pattern(path: &Path) -> Option<Result<Self, DocumentError>> {
        let given = path.to_str().filter(|path| path.contains(['*', '?', '[', '{']))?;
        if path.symlink_metadata().is_ok() {
            return None;
        }
        let plain = |part: &Path| !part.to_str().unwrap_or_default().contains(['*', '?', '[', '{']);
        let base: PathBuf = path.components().take_while(|part| plain(part.as_ref())).collect();
        let rest = path.strip_prefix(&base).unwrap_or(path).to_str().unwrap_or(given);
        let depth = (!rest.contains("**")).then(|| rest.split('/').count());
        let pattern = GlobBuilder::new(rest).literal_separator(true).build();
        Some(match pattern {
            Ok(rest) => {
                let rest = rest.compile_matcher();
                let pattern = Pattern { given: given.to_owned(), base, rest, met: false };
                Ok(Self::of(pattern, depth))
            }
            Err(error) => Err(DocumentError::Pattern { pattern: given.to_owned(), error }),
        })
    }

    fn of(pattern: Pattern, depth: Option<usize>) -> Self {
        let here = pattern.base.as_os_str().is_empty();
        let root = if here { Path::new(".") } else { &pattern.base };
        let mut walk = WalkBuilder::new(root);
        let walk = walk.standard_filters(false).hidden(true).max_depth(depth);
        let entries = walk.sort_by_file_name(Ord::cmp).build();
        Self { entries, pattern: Some(pattern) }
    }

    /// Whether an entry is a file, and its path as it is to be shown.
    fn file(&self, entry: DirEntry) -> Result<Option<PathBuf>, DocumentError> {
        let mut path = entry.path().to_owned();
        if let Some(pattern) = &self.pattern {
            let root =
                if pattern.base.as_os_str().is_empty() { Path::new(".") } else { &pattern.base };
            let Ok(rest) = path.strip_prefix(root) else { return Ok(None) };
            if !pattern.rest.is_match(rest) {
                return Ok(None);
            }
            path = pattern.base.join(rest);
        }
        // Of a link, what it leads to.
        let metadata = path.metadata();
        let metadata = metadata.map_err(|error| failed(&path, error))?;
        Ok(metadata.is_file().then_some(path))
    }
}

impl Iterator for Walk {
    type Item = Result<PathBuf, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(entry) = self.entries.next() {
            let entry = entry.map_err(|error| DocumentError::Walk { error });
            let file = entry.and_then(|entry| self.file(entry)).transpose();
            if file.is_some() {
                if let Some(pattern) = &mut self.pattern {
                    pattern.met = true;
                }
                return file;
            }
        }
        let pattern = self.pattern.as_mut().filter(|pattern| !pattern.met)?;
        pattern.met = true;
        Some(Err(DocumentError::NoMatch { pattern: pattern.given.clone() }))
    }
}

fn failed(path: &Path, error: io::Error) -> DocumentError {
    DocumentError::Read { source_name: path.display().to_string(), error }
}
