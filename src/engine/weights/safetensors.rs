//! The directory of safetensors files.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Entry, Naming, Reader, Source, Weights, open, reserved};
use crate::engine::EngineError;
use crate::gguf::GgmlType;

/// Bytes of the length field that opens a safetensors file.
const LENGTH_BYTES: u64 = 8;
/// The limit that the format's own library has.
const MAX_HEADER_BYTES: u64 = 100_000_000;

impl<'a> Weights<'a> {
    /// The tensors in the bytes of one safetensors file.
    pub(in crate::engine) fn from_bytes(bytes: &'a [u8]) -> Result<Self, EngineError> {
        let source = Source { name: "bundled weights".to_owned(), reader: Reader::Bytes(bytes) };
        let mut weights = Self::new(Naming::Transformers);
        weights.add_safetensors(source)?;
        Ok(weights)
    }

    /// The tensors of a model directory: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    pub(in crate::engine) fn from_dir(dir: &Path) -> Result<Self, EngineError> {
        let mut weights = Self::new(Naming::Transformers);
        if dir.join("model.safetensors").is_file() {
            weights.add_safetensors(open(dir, "model.safetensors")?)?;
            return Ok(weights);
        }
        let index = dir.join("model.safetensors.index.json");
        if !index.is_file() {
            return Err(no_weights(dir));
        }
        let map = read_index(&index)?;
        for shard in map.values().collect::<BTreeSet<_>>() {
            weights.add_safetensors(open(dir, shard)?)?;
        }
        // Every tensor that the index promises is in the shards. (Which shard does not matter.)
        match map.keys().find(|tensor| !weights.tensors.contains_key(*tensor)) {
            Some(tensor) => Err(EngineError::MissingTensor { tensor: tensor.clone() }),
            None => Ok(weights),
        }
    }

    /// The tensors of several safetensors files.
    pub(in crate::engine) fn from_files(paths: &[PathBuf]) -> Result<Self, EngineError> {
        let mut weights = Self::new(Naming::Transformers);
        for path in paths {
            let file = File::open(path)
                .map_err(|source| EngineError::Read { path: path.clone(), source })?;
            let name = path.display().to_string();
            weights.add_safetensors(Source { name, reader: Reader::File(file) })?;
        }
        Ok(weights)
    }

    fn add_safetensors(&mut self, source: Source<'a>) -> Result<(), EngineError> {
        let (data_start, metadata) = read_header(&source)?;
        let index = self.sources.len();
        let entry = |(name, info): (String, &TensorInfo)| {
            let (start, end) = info.data_offsets;
            let format = format(info.dtype);
            let start_in_file = data_start + start as u64;
            (
                name,
                Entry {
                    source: index,
                    format,
                    shape: info.shape.clone(),
                    start: start_in_file,
                    len: end - start,
                },
            )
        };
        self.add(source, metadata.tensors().into_iter().map(entry))
    }
}

fn format(dtype: Dtype) -> Result<GgmlType, String> {
    match dtype {
        Dtype::F32 => Ok(GgmlType::F32),
        Dtype::F16 => Ok(GgmlType::F16),
        Dtype::BF16 => Ok(GgmlType::Bf16),
        other => Err(format!("{other:?}")),
    }
}

impl Source<'_> {
    fn file_len(&self) -> Result<u64, EngineError> {
        match &self.reader {
            Reader::Bytes(bytes) => Ok(bytes.len() as u64),
            Reader::File(file) => {
                Ok(file.metadata().map_err(|source| self.read_error(source))?.len())
            }
        }
    }

    /// At most `len` bytes from `from`.
    fn prefix(&self, from: u64, len: usize) -> Result<Vec<u8>, EngineError> {
        let mut prefix = reserved(len)?;
        let len = self.file_len()?.saturating_sub(from).min(len as u64);
        prefix.resize(len as usize, 0);
        self.fill(from, &mut prefix).map_err(|source| self.read_error(source))?;
        Ok(prefix)
    }

    fn read_error(&self, source: std::io::Error) -> EngineError {
        EngineError::Read { path: self.name.clone().into(), source }
    }
}

/// Where the data begins, and what the header says. The header's length is checked against the file before memory is
/// taken for it; `Metadata` checks that the tensors tile the data without gap or overlap and match their shapes.
fn read_header(source: &Source<'_>) -> Result<(u64, Metadata), EngineError> {
    let (file, file_len) = (source.name.clone(), source.file_len()?);
    let field = source.prefix(0, LENGTH_BYTES as usize)?;
    let field: [u8; 8] = field.try_into().map_err(|_| EngineError::FileLength {
        file: file.clone(),
        expected: LENGTH_BYTES,
        found: file_len,
    })?;
    let header_len = u64::from_le_bytes(field);
    if header_len > MAX_HEADER_BYTES || header_len > file_len.saturating_sub(LENGTH_BYTES) {
        return Err(EngineError::HeaderLength { file, header_len, file_len });
    }
    let header = source.prefix(LENGTH_BYTES, header_len as usize)?;
    let damaged = |source| EngineError::Header { file: file.clone(), source };
    let Names(twice) = serde_json::from_slice(&header).map_err(damaged)?;
    if let Some(tensor) = twice {
        return Err(EngineError::DuplicateTensor { tensor });
    }
    let metadata: Metadata = serde_json::from_slice(&header).map_err(damaged)?;
    let data_start = LENGTH_BYTES + header_len;
    let data_len = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
    let expected = data_start.saturating_add(data_len as u64);
    if expected != file_len {
        return Err(EngineError::FileLength { file, expected, found: file_len });
    }
    Ok((data_start, metadata))
}

fn read_index(path: &Path) -> Result<HashMap<String, String>, EngineError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let bytes = read_limited(path, MAX_HEADER_BYTES)?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|source| EngineError::Header { file: path.display().to_string(), source })?;
    // A shard is a file of this directory, never a way out of it.
    let plain = |shard: &str| {
        let mut parts = Path::new(shard).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    match index.weight_map.values().find(|shard| !plain(shard) || !shard.ends_with(".safetensors"))
    {
        Some(shard) => Err(EngineError::ShardName { index: path.to_owned(), shard: shard.clone() }),
        None => Ok(index.weight_map),
    }
}

/// The first name of a header that stands there twice; `Metadata` would keep the last entry and say nothing.
struct Names(Option<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;

        impl<'de> Visitor<'de> for Seen {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let (mut seen, mut twice) = (HashSet::new(), None);
                while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                    if seen.contains(&name) {
                        twice.get_or_insert(name);
                    } else {
                        seen.insert(name);
                    }
                }
                Ok(Names(twice))
            }
        }
        deserializer.deserialize_map(Seen)
    }
}

/// A small file's bytes; a longer file is refused before memory is taken for it.
pub(in crate::engine) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, EngineError> {
    let unreadable = |source| EngineError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(EngineError::FileSize { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

pub(in crate::engine) fn no_weights(dir: &Path) -> EngineError {
    let pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file());
    match pickle {
        Some(path) => EngineError::PickleOnly { path },
        None => EngineError::NoWeights { dir: dir.to_owned() },
    }
}
