//! Standard output, or a file that appears whole.

use std::io::{self, Stdout, Write};
use std::path::Path;

use crate::whole_file::WholeFile;

/// Where bytes go.
pub enum Out {
    Stdout(Stdout),
    File(Box<WholeFile>),
}

impl Out {
    pub fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match path {
            None => Self::Stdout(io::stdout()),
            Some(path) => Self::File(Box::new(WholeFile::create(path)?)),
        })
    }

    /// Whether escape sequences for colours are shown as colours.
    pub fn is_coloured(&self) -> bool {
        match self {
            Self::Stdout(out) => anstream::AutoStream::choice(out) != anstream::ColorChoice::Never,
            Self::File(_) => false,
        }
    }

    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File(file) => file.finish(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}
