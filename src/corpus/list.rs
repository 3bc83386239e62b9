//! A file with the path of a source on each line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::DocumentError;

/// Bytes in a line.
const LONGEST: u64 = 1 << 16;

/// A stream of the paths.
pub struct List {
    name: PathBuf,
    lines: Option<BufReader<Box<dyn Read + Send>>>,
    ended: bool,
}

impl List {
    /// A file, or standard input for `-`; opened by the first line that is asked for.
    pub fn new(name: PathBuf) -> Self {
        Self { name, lines: None, ended: false }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => self.lines.insert(BufReader::new(if self.name == Path::new("-") {
                Box::new(io::stdin())
            } else {
                Box::new(File::open(&self.name)?)
            })),
        };
        let mut line = Vec::new();
        lines.take(LONGEST).read_until(b'\n', &mut line)?;
        if line.len() as u64 == LONGEST {
            let message = format!("a line of {LONGEST} bytes is no path");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(line)
    }
}

impl Iterator for List {
    type Item = Result<PathBuf, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let line = self.line().and_then(|line| {
                self.ended = line.is_empty();
                path(line.trim_ascii_end())
            });
            match line {
                Ok(path) if path.as_os_str().is_empty() => {}
                // Standard input is an argument's meaning, and may be this list.
                Ok(path) if path == Path::new("-") => return Some(Ok(Path::new(".").join(path))),
                Ok(path) => return Some(Ok(path)),
                Err(error) => {
                    self.ended = true;
                    let source_name = self.name.display().to_string();
                    return Some(Err(DocumentError::Read { source_name, error }));
                }
            }
        }
        None
    }
}

#[cfg(unix)]
fn path(line: &[u8]) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(line).into())
}

#[cfg(not(unix))]
fn path(line: &[u8]) -> io::Result<PathBuf> {
    std::str::from_utf8(line)
        .map(PathBuf::from)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
