//! The tensors of a GGUF file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Entry, Naming, Reader, Source, Weights};
use crate::engine::EngineError;
use crate::engine::config::{self, Config};
use crate::gguf::Gguf;

impl Weights<'_> {
    /// The model of a GGUF file, and its tensors.
    pub(in crate::engine) fn from_gguf(path: &Path) -> Result<(Config, Self), EngineError> {
        let (config, gguf, file) = open(path)?;
        Ok((config, Self::in_gguf(path, gguf, file)?))
    }

    /// The tensors of a GGUF file, whatever model it holds.
    pub(in crate::engine) fn of_gguf(path: &Path) -> Result<Self, EngineError> {
        let (gguf, reader) = header(path)?;
        Self::in_gguf(path, gguf, reader.into_inner())
    }

    fn in_gguf(path: &Path, gguf: Gguf, file: File) -> Result<Self, EngineError> {
        let mut weights = Self::new(Naming::Gguf);
        weights.add_gguf(path, gguf, file)?;
        Ok(weights)
    }

    /// The tensors of a GGUF file and of further ones that the model was cut into, and what the first file says.
    pub(in crate::engine) fn of_gguf_parts(
        first: &Path,
        rest: &[PathBuf],
    ) -> Result<(Self, Gguf), EngineError> {
        let mut weights = Self::new(Naming::Gguf);
        let (gguf, reader) = header(first)?;
        let metadata = Gguf { tensors: BTreeMap::new(), ..gguf.clone() };
        weights.add_gguf(first, gguf, reader.into_inner())?;
        for path in rest {
            let (gguf, reader) = header(path)?;
            weights.add_gguf(path, gguf, reader.into_inner())?;
        }
        Ok((weights, metadata))
    }

    fn add_gguf(&mut self, path: &Path, gguf: Gguf, file: File) -> Result<(), EngineError> {
        let index = self.sources.len();
        let tensors = gguf.tensors.into_iter().map(|(name, info)| {
            let entry = Entry {
                source: index,
                format: Ok(info.dtype),
                shape: info.shape,
                start: info.start,
                len: info.len,
            };
            (name, entry)
        });
        let source = Source { name: path.display().to_string(), reader: Reader::File(file) };
        self.add(source, tensors)
    }
}

/// Reads what a GGUF file says of its model.
pub(in crate::engine) fn open(path: &Path) -> Result<(Config, Gguf, File), EngineError> {
    let (gguf, mut reader) = header(path)?;
    let config = config::gguf::parse(&gguf, &mut reader)
        .map_err(|source| EngineError::Gguf { path: path.to_owned(), source })?;
    Ok((config, gguf, reader.into_inner()))
}

/// The first four bytes of a file, fewer if it has no more.
pub(in crate::engine) fn open_prefix(path: &Path) -> Result<Vec<u8>, EngineError> {
    let unreadable = |source| EngineError::Read { path: path.to_owned(), source };
    let mut prefix = Vec::new();
    File::open(path).map_err(unreadable)?.take(4).read_to_end(&mut prefix).map_err(unreadable)?;
    Ok(prefix)
}

fn header(path: &Path) -> Result<(Gguf, BufReader<File>), EngineError> {
    let file =
        File::open(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
    let mut reader = BufReader::new(file);
    let gguf = Gguf::read(&mut reader)
        .map_err(|error| EngineError::Gguf { path: path.to_owned(), source: error.into() })?;
    Ok((gguf, reader))
}
