//! `--attributes`: files beside the documents, as dolma has them (dolma, `docs/data-format.md`): for each source a file of
//! as many lines, each an object of `id` and `attributes`, whose values are lists of `[start, end, score]` with positions in
//! Unicode characters.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use touchmark::corpus::{Content, Document, DocumentError, Packed, Packing};
use touchmark::detect::Row;

use super::share::Share;
use crate::whole_file::WholeFile;

/// How attributes are called: `touchmark__<profile>__log10_p`, and where several keys are tried with a profile,
/// `touchmark__<profile>__<key>__log10_p`.
#[derive(Clone, Copy)]
pub struct Names {
    pub with_key: bool,
}

/// The line of a record that could not be examined.
pub fn empty(id: Option<&str>) -> String {
    json!({"id": id, "attributes": {}}).to_string() + "\n"
}

impl Names {
    fn of(self, row: &Row, what: &str) -> String {
        let key = if self.with_key { format!("__{}", row.key_id) } else { String::new() };
        format!("touchmark__{}{key}__{what}", row.profile)
    }

    /// The line of a document. `log10_p` is that of the whole document, corrected.
    pub fn line(self, document: &Document, rows: &[Row]) -> String {
        let text = match &document.content {
            Content::Text(text) => text.as_str(),
            Content::Tokens(_) => "",
        };
        let length = text.chars().count();
        let character = |byte: usize| text.get(..byte).map(|before| before.chars().count());
        let mut attributes = Map::new();
        for row in rows {
            let whole = json!([[0, length, row.log10_p_corrected]]);
            attributes.insert(self.of(row, "log10_p"), whole);
            let segments = row.segments.iter().filter_map(|segment| {
                let start = character(segment.byte_start?)?;
                Some(json!([start, character(segment.byte_end?)?, segment.log10_p]))
            });
            attributes.insert(self.of(row, "segment"), Value::Array(segments.collect()));
        }
        json!({"id": document.id, "attributes": attributes}).to_string() + "\n"
    }
}

/// Writes the attribute files of a share, one after the other.
pub struct Writer {
    /// Of each source its file, where it is the share's own and could be listed.
    files: Vec<Option<PathBuf>>,
    /// How many of them are written or being written.
    begun: usize,
    open: Option<(PathBuf, Packed<WholeFile>)>,
}

impl Writer {
    pub fn new(
        folder: &Path,
        inputs: &[PathBuf],
        sources: &[Result<PathBuf, DocumentError>],
        share: Share,
    ) -> anyhow::Result<Self> {
        if !share.is_of_whole_sources() {
            bail!(
                "--attributes needs at least as many files as there are ranks: a file's lines come from one rank"
            );
        }
        refuse_inside(folder, inputs)?;
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for (number, source) in (0..).zip(sources) {
            let Ok(source) = source else {
                files.push(None);
                continue;
            };
            let file = folder.join(relative(source, inputs)?);
            if file
                .canonicalize()
                .is_ok_and(|file| source.canonicalize().is_ok_and(|it| it == file))
            {
                bail!(
                    "{} would be written over; name another folder with --attributes",
                    source.display()
                );
            }
            if !seen.insert(file.clone()) {
                bail!(
                    "two sources would have the attribute file {}; read them in two runs",
                    file.display()
                );
            }
            files.push(share.has(number).then_some(file));
        }
        Ok(Self { files, begun: 0, open: None })
    }

    /// Takes a line of a source; sources come in order.
    pub fn write(&mut self, source: u64, line: &str) -> anyhow::Result<()> {
        while self.begun as u64 <= source {
            self.begin_next()?;
        }
        if let Some((path, file)) = &mut self.open {
            let failed = || format!("cannot write {}", path.display());
            file.write_all(line.as_bytes()).with_context(failed)?;
        }
        Ok(())
    }

    /// A source without documents has an empty file.
    pub fn finish(mut self) -> anyhow::Result<()> {
        while self.begun < self.files.len() {
            self.begin_next()?;
        }
        self.close()
    }

    fn begin_next(&mut self) -> anyhow::Result<()> {
        self.close()?;
        if let Some(Some(path)) = self.files.get(self.begun) {
            let failed = || format!("cannot write {}", path.display());
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).with_context(failed)?;
            }
            let file = WholeFile::create(path)?;
            let packed = Packed::new(file, Packing::of(path)).with_context(failed)?;
            self.open = Some((path.clone(), packed));
        }
        self.begun += 1;
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        match self.open.take() {
            Some((path, file)) => {
                file.finish().with_context(|| format!("cannot write {}", path.display()))?.finish()
            }
            None => Ok(()),
        }
    }
}

/// Attribute files must not be read as documents by the next run.
fn refuse_inside(folder: &Path, inputs: &[PathBuf]) -> anyhow::Result<()> {
    let absolute = std::path::absolute(folder)?;
    for input in inputs.iter().filter(|input| input.is_dir()) {
        if absolute.starts_with(std::path::absolute(input)?) {
            bail!(
                "--attributes {} lies in {}, where it would be read as documents; name a folder beside it",
                folder.display(),
                input.display()
            );
        }
    }
    Ok(())
}

/// A source's place under the folder of attributes: as it lies in the folder that was named, or else as it was named. What is
/// no file of JSON lines gets the ending of one.
fn relative(source: &Path, inputs: &[PathBuf]) -> anyhow::Result<PathBuf> {
    if source == Path::new("-") {
        bail!("standard input has no name for an attribute file; name files");
    }
    let folders = inputs.iter().filter(|input| input.is_dir());
    let inside = folders.filter_map(|folder| source.strip_prefix(folder).ok());
    let path = inside.min_by_key(|path| path.as_os_str().len()).unwrap_or(source);
    let mut relative = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => relative.push(part),
            Component::ParentDir => bail!(
                "{}: \"..\" has no place under a folder of attributes; name the file without it",
                source.display()
            ),
            _ => {}
        }
    }
    let bare = match Packing::of(&relative) {
        Packing::Plain => relative.clone(),
        _ => relative.with_extension(""),
    };
    let is_lines = ["jsonl", "ndjson"].map(OsStr::new).map(Some).contains(&bare.extension());
    if !is_lines {
        relative.as_mut_os_string().push(".jsonl");
    }
    Ok(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_files_lie_as_the_sources_do() {
        let at = |source: &str| relative(Path::new(source), &[]).unwrap();
        assert_eq!(at("./a/b.jsonl.gz"), Path::new("a/b.jsonl.gz"));
        assert_eq!(at("/data/c.parquet"), Path::new("data/c.parquet.jsonl"));
        assert_eq!(at("d.csv.gz"), Path::new("d.csv.gz.jsonl"));
        assert!(relative(Path::new("../e.jsonl"), &[]).is_err());
        let inputs = [std::env::temp_dir()];
        let source = inputs[0].join("x/y.jsonl");
        assert_eq!(relative(&source, &inputs).unwrap(), Path::new("x/y.jsonl"));
    }
}
