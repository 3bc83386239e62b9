//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::interrupt;

const BUFFER: usize = 1 << 20;

/// Writes these bytes, or nothing.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
    file.finish()
}

/// Writes this as JSON that people can read.
#[cfg(any(feature = "engine", feature = "ledger"))]
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// A file that is written beside its place and put there at the end. A pipe or device is written as it is.
pub struct WholeFile {
    path: PathBuf,
    out: Beside,
}

enum Beside {
    Temporary(BufWriter<NamedTempFile>),
    Stream(BufWriter<File>),
}

impl WholeFile {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot write {}", path.display());
        // Of a link, what it leads to.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_stream = path.metadata().is_ok_and(|metadata| !metadata.is_file());
        if is_stream {
            let file = File::options().write(true).open(&path).with_context(failed)?;
            return Ok(Self { path, out: Beside::Stream(BufWriter::with_capacity(BUFFER, file)) });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".touchmark-");
        as_any_new_file(&mut builder);
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let temporary = builder.tempfile_in(folder).with_context(failed)?;
        interrupt::unfinished(temporary.path());
        let out = Beside::Temporary(BufWriter::with_capacity(BUFFER, temporary));
        Ok(Self { path, out })
    }

    /// Puts the file in its place, its bytes on the disk first.
    pub fn finish(self) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let temporary = match self.out {
            Beside::Stream(mut stream) => return stream.flush().with_context(failed),
            Beside::Temporary(out) => {
                out.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?
            }
        };
        temporary.as_file().sync_all().with_context(failed)?;
        let beside = temporary.path().to_owned();
        temporary.persist(&self.path).with_context(failed)?;
        interrupt::finished(&beside);
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Beside::Temporary(out) => out.write(bytes),
            Beside::Stream(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Beside::Temporary(out) => out.flush(),
            Beside::Stream(out) => out.flush(),
        }
    }
}

/// Temporary files are private by default; rows are no more so than those they were made of.
#[cfg(unix)]
fn as_any_new_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;

    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_any_new_file(_: &mut tempfile::Builder<'_, '_>) {}
