//! A finished shard: one file, whole or not there.
//!
//! ```text
//! rows as JSON lines, or documents ‖ attribute lines, each after its source's number and a tab ‖ failures, a JSON text a
//! line ‖ one line of JSON, the trailer
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::commands::detect::finding::Outcome;
use crate::commands::detect::progress::Totals;
use crate::commands::detect::share::Place;

/// A trailer is a few hundred bytes.
const LONGEST_TRAILER: u64 = 4096;
const UNFINISHED: &str = "unfinished";

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// Of the manifest.
    pub run: String,
    pub rank: u64,
    pub part: u64,
    /// Where its items begin, and where those of the next part do.
    pub begin: Place,
    pub next: Place,
    /// Whether nothing comes after it.
    pub last: bool,
    pub documents: u64,
    pub tokens: u64,
    pub detected: u64,
    pub failed: u64,
    pub body_bytes: u64,
    pub attribute_bytes: u64,
    pub failure_bytes: u64,
    /// BLAKE3 of all before the trailer and of the trailer with this empty.
    pub checksum: String,
}

impl Trailer {
    pub fn first(run: String, rank: u64) -> Self {
        Self {
            run,
            rank,
            part: 0,
            begin: Place::default(),
            next: Place::default(),
            last: false,
            documents: 0,
            tokens: 0,
            detected: 0,
            failed: 0,
            body_bytes: 0,
            attribute_bytes: 0,
            failure_bytes: 0,
            checksum: String::new(),
        }
    }

    /// That of the part after this one, still empty.
    pub fn following(&self) -> Self {
        let first = Self::first(self.run.clone(), self.rank);
        Self { part: self.part + 1, begin: self.next, next: self.next, ..first }
    }

    pub fn totals(&self) -> Totals {
        Totals {
            documents: self.documents,
            tokens: self.tokens,
            failed: self.failed,
            detected: self.detected,
        }
    }

    fn bytes(&self) -> u64 {
        self.body_bytes + self.attribute_bytes + self.failure_bytes
    }

    fn line(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

/// A shard that is being examined.
pub struct Unfinished {
    folder: PathBuf,
    trailer: Trailer,
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    attributes: String,
    failures: String,
}

impl Unfinished {
    pub fn begin(folder: &Path, trailer: Trailer) -> anyhow::Result<Self> {
        let path = folder.join(UNFINISHED);
        let file = File::create(&path).with_context(|| cannot_write(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            trailer,
            out: BufWriter::with_capacity(1 << 20, file),
            hasher: blake3::Hasher::new(),
            attributes: String::new(),
            failures: String::new(),
        })
    }

    /// Items so far.
    pub fn items(&self) -> u64 {
        self.trailer.documents + self.trailer.failed
    }

    /// Bytes of rows or documents so far.
    pub fn bytes(&self) -> u64 {
        self.trailer.body_bytes
    }

    pub fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let trailer = &mut self.trailer;
        let attributes = match outcome.result {
            Ok(finding) => {
                trailer.documents += 1;
                trailer.tokens += finding.tokens();
                trailer.detected += u64::from(finding.is_detected());
                let body = finding.body()?;
                trailer.body_bytes += body.len() as u64;
                self.hasher.update(&body);
                self.out.write_all(&body).with_context(|| cannot_write(&self.folder))?;
                finding.attributes
            }
            Err(failure) => {
                trailer.failed += 1;
                self.failures += &(serde_json::to_string(&failure.words)? + "\n");
                failure.attributes
            }
        };
        if let Some(line) = attributes {
            self.attributes += &format!("{}\t{line}", outcome.place.source);
        }
        let Place { source, number } = outcome.place;
        trailer.next = Place { source, number: number + 1 };
        Ok(())
    }

    /// Puts the part in its place; from then on it is finished.
    pub fn finish(mut self, last: bool) -> anyhow::Result<Trailer> {
        let trailer = &mut self.trailer;
        trailer.last = last;
        trailer.attribute_bytes = self.attributes.len() as u64;
        trailer.failure_bytes = self.failures.len() as u64;
        let end = [self.attributes.as_bytes(), self.failures.as_bytes()].concat();
        self.hasher.update(&end).update(trailer.line()?.as_bytes());
        trailer.checksum = self.hasher.finalize().to_hex().to_string();
        let failed = || cannot_write(&self.folder);
        self.out.write_all(&end).with_context(failed)?;
        self.out.write_all(self.trailer.line()?.as_bytes()).with_context(failed)?;
        let file =
            self.out.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        let place = self.folder.join(name(self.trailer.part));
        std::fs::rename(self.folder.join(UNFINISHED), place).with_context(failed)?;
        sync_folder(&self.folder).with_context(failed)?;
        Ok(self.trailer)
    }
}

fn cannot_write(folder: &Path) -> String {
    format!(
        "cannot write to {}; shards that are finished are kept, and the same command goes on after them",
        folder.display()
    )
}

/// A renamed file is there after a loss of power only when its folder has been written too.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn name(part: u64) -> String {
    format!("part-{part:08}")
}

/// The part's trailer, if there is such a part. Its length is checked; [`Part::check`] reads all of it.
pub struct Part {
    pub path: PathBuf,
    pub trailer: Trailer,
}

impl Part {
    pub fn open(folder: &Path, number: u64) -> anyhow::Result<Option<Self>> {
        let path = folder.join(name(number));
        match File::open(&path) {
            Ok(file) => {
                let trailer = trailer(&file).with_context(|| damaged(&path))?;
                Ok(Some(Self { path, trailer }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// That not a byte has changed.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self.section(0, self.trailer.bytes())?)?;
        let bare = Trailer { checksum: String::new(), ..self.trailer.clone() };
        hasher.update(bare.line()?.as_bytes());
        if hasher.finalize().to_hex().as_str() != self.trailer.checksum {
            return Err(anyhow!("its checksum is another")).with_context(|| damaged(&self.path));
        }
        Ok(())
    }

    /// Rows as JSON lines, or documents.
    pub fn body(&self) -> anyhow::Result<impl BufRead + use<>> {
        self.section(0, self.trailer.body_bytes)
    }

    /// Lines of attribute files, each after its source's number and a tab.
    pub fn attributes(&self) -> anyhow::Result<impl BufRead + use<>> {
        self.section(self.trailer.body_bytes, self.trailer.attribute_bytes)
    }

    /// What could not be examined, in words.
    pub fn failures(&self) -> anyhow::Result<Vec<String>> {
        let Trailer { body_bytes, attribute_bytes, failure_bytes, .. } = self.trailer;
        let lines = self.section(body_bytes + attribute_bytes, failure_bytes)?.lines();
        lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
    }

    fn section(&self, begin: u64, bytes: u64) -> anyhow::Result<io::Take<BufReader<File>>> {
        let open = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(begin))?;
            Ok::<_, io::Error>(BufReader::with_capacity(1 << 18, file).take(bytes))
        };
        open().with_context(|| format!("cannot read {}", self.path.display()))
    }
}

fn damaged(path: &Path) -> String {
    format!(
        "{} is damaged; remove it and the parts after it in its folder, and they are made again",
        path.display()
    )
}

/// The last line, which must end the file where it says.
fn trailer(mut file: &File) -> anyhow::Result<Trailer> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_TRAILER)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let Some(line) = end.strip_suffix(b"\n") else { bail!("it ends within a line") };
    let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or(line);
    let trailer: Trailer = serde_json::from_slice(line)?;
    if trailer.bytes() + line.len() as u64 + 1 != length {
        bail!("it has {length} bytes, which is not what its last line says");
    }
    Ok(trailer)
}
