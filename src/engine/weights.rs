//! Reads named tensors from safetensors files, trusting nothing that a header says.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::EngineError;

/// Bytes of the length field that opens a safetensors file.
const LENGTH_BYTES: u64 = 8;
/// The limit that the format's own library has.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Tensors of a model, read one at a time: the peak is what has been taken so far plus one tensor.
pub(super) struct Weights<'a> {
    sources: Vec<Source<'a>>,
    tensors: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
}

struct Entry {
    source: usize,
    info: TensorInfo,
}

/// One safetensors file, or its bytes.
struct Source<'a> {
    name: String,
    reader: Reader<'a>,
    /// Where the tensors' bytes begin.
    data_start: u64,
}

enum Reader<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl<'a> Weights<'a> {
    /// The tensors in the bytes of one safetensors file.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Result<Self, EngineError> {
        Self::from_sources([("bundled weights".to_owned(), Reader::Bytes(bytes))])
    }

    /// The tensors of a model directory: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    pub(super) fn from_dir(dir: &Path) -> Result<Self, EngineError> {
        let index = dir.join("model.safetensors.index.json");
        let single = dir.join("model.safetensors");
        if single.is_file() {
            return Self::from_sources([(single.display().to_string(), open(&single)?)]);
        }
        if !index.is_file() {
            return Err(no_weights(dir));
        }
        let mut sources = Vec::new();
        let map = read_index(&index)?;
        for shard in map.values().collect::<BTreeSet<_>>() {
            let path = dir.join(shard);
            sources.push((path.display().to_string(), open(&path)?));
        }
        let weights = Self::from_sources(sources)?;
        weights.check_index(&map)?;
        Ok(weights)
    }

    fn from_sources(
        sources: impl IntoIterator<Item = (String, Reader<'a>)>,
    ) -> Result<Self, EngineError> {
        let mut weights =
            Self { sources: Vec::new(), tensors: BTreeMap::new(), taken: BTreeSet::new() };
        for (name, mut reader) in sources {
            let (data_start, metadata) = read_header(&name, &mut reader)?;
            for (tensor, info) in metadata.tensors() {
                let entry = Entry { source: weights.sources.len(), info: info.clone() };
                if weights.tensors.insert(tensor.clone(), entry).is_some() {
                    return Err(EngineError::DuplicateTensor { tensor });
                }
            }
            weights.sources.push(Source { name, reader, data_start });
        }
        Ok(weights)
    }

    /// Every tensor that the index promises is in the shards. (Which shard does not matter.)
    fn check_index(&self, map: &HashMap<String, String>) -> Result<(), EngineError> {
        match map.keys().find(|tensor| !self.tensors.contains_key(*tensor)) {
            Some(tensor) => Err(EngineError::MissingTensor { tensor: tensor.clone() }),
            None => Ok(()),
        }
    }

    /// Takes a tensor of known shape: f32, f16 or bf16 on the CPU, every value finite.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        let missing = || EngineError::MissingTensor { tensor: name.to_owned() };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        if entry.info.shape != shape {
            return Err(EngineError::Shape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.info.shape.clone(),
            });
        }
        let dtype = match entry.info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                return Err(EngineError::Dtype {
                    tensor: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        };
        let source = &mut self.sources[entry.source];
        let bytes = source.read(entry.info.data_offsets)?;
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?;
        check_finite(name, &tensor)?;
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }

    /// Refuses tensors that nobody took, for a model that ignores some of its weights computes something else. `known`
    /// says which may be left.
    pub(super) fn finish(&self, known: impl Fn(&str) -> bool) -> Result<(), EngineError> {
        match self.tensors.keys().find(|name| !self.taken.contains(*name) && !known(name)) {
            Some(tensor) => Err(EngineError::UnexpectedTensor { tensor: tensor.clone() }),
            None => Ok(()),
        }
    }
}

impl Source<'_> {
    /// The bytes from `start` to `end` of the data, which the header's check put inside the file.
    fn read(&mut self, (start, end): (usize, usize)) -> Result<Cow<'_, [u8]>, EngineError> {
        let (from, len) = (self.data_start + start as u64, end - start);
        match &mut self.reader {
            Reader::Bytes(bytes) => {
                let range = from as usize..from as usize + len;
                let bytes =
                    bytes.get(range).ok_or_else(|| truncated(&self.name, bytes.len() as u64))?;
                Ok(bytes.into())
            }
            Reader::File(file) => {
                let unreadable =
                    |source| EngineError::Read { path: PathBuf::from(&self.name), source };
                file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
                let mut bytes = reserved(len)?;
                bytes.resize(len, 0);
                file.read_exact(&mut bytes).map_err(unreadable)?;
                Ok(bytes.into())
            }
        }
    }
}

impl Reader<'_> {
    fn len(&self, name: &str) -> Result<u64, EngineError> {
        match self {
            Reader::Bytes(bytes) => Ok(bytes.len() as u64),
            Reader::File(file) => {
                Ok(file.metadata().map_err(|source| read_error(name, source))?.len())
            }
        }
    }

    fn prefix(&mut self, name: &str, from: u64, len: usize) -> Result<Vec<u8>, EngineError> {
        let mut prefix = reserved(len)?;
        match self {
            Reader::Bytes(bytes) => prefix.extend(bytes.iter().skip(from as usize).take(len)),
            Reader::File(file) => {
                file.seek(SeekFrom::Start(from)).map_err(|source| read_error(name, source))?;
                file.by_ref()
                    .take(len as u64)
                    .read_to_end(&mut prefix)
                    .map_err(|source| read_error(name, source))?;
            }
        }
        Ok(prefix)
    }
}

/// Where the data begins, and what the header says. The header's length is checked against the file before memory is
/// taken for it; `Metadata` checks that the tensors tile the data without gap or overlap and match their shapes.
fn read_header(name: &str, reader: &mut Reader<'_>) -> Result<(u64, Metadata), EngineError> {
    let len = reader.len(name)?;
    let field = reader.prefix(name, 0, LENGTH_BYTES as usize)?;
    let field: [u8; 8] = field.try_into().map_err(|_| truncated(name, len))?;
    let header_len = u64::from_le_bytes(field);
    if header_len > MAX_HEADER_BYTES || header_len > len.saturating_sub(LENGTH_BYTES) {
        return Err(EngineError::HeaderLength { file: name.to_owned(), header_len, file_len: len });
    }
    let header = reader.prefix(name, LENGTH_BYTES, header_len as usize)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|source| EngineError::Header { file: name.to_owned(), source })?;
    let data_start = LENGTH_BYTES + header_len;
    let data_len = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
    if data_start.checked_add(data_len as u64) != Some(len) {
        return Err(EngineError::FileLength {
            file: name.to_owned(),
            expected: data_start.saturating_add(data_len as u64),
            found: len,
        });
    }
    Ok((data_start, metadata))
}

fn read_index(path: &Path) -> Result<HashMap<String, String>, EngineError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let bytes = std::fs::read(path)
        .map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
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

fn open<'a>(path: &Path) -> Result<Reader<'a>, EngineError> {
    let file =
        File::open(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
    Ok(Reader::File(file))
}

fn no_weights(dir: &Path) -> EngineError {
    let pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file());
    match pickle {
        Some(path) => EngineError::PickleOnly { path },
        None => EngineError::NoWeights { dir: dir.to_owned() },
    }
}

fn check_finite(name: &str, tensor: &Tensor) -> Result<(), EngineError> {
    let (storage, _) = tensor.storage_and_layout();
    let index = match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => values.iter().position(|v| !v.is_finite()),
        Storage::Cpu(CpuStorage::F16(values)) => values.iter().position(|v| !v.is_finite()),
        Storage::Cpu(CpuStorage::BF16(values)) => values.iter().position(|v| !v.is_finite()),
        _ => return Err(EngineError::NotOnCpu),
    };
    match index {
        Some(index) => Err(EngineError::NotFinite { tensor: name.to_owned(), index }),
        None => Ok(()),
    }
}

fn reserved(len: usize) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| EngineError::Memory { bytes: len })?;
    Ok(bytes)
}

fn read_error(name: &str, source: std::io::Error) -> EngineError {
    EngineError::Read { path: PathBuf::from(name), source }
}

fn truncated(name: &str, found: u64) -> EngineError {
    EngineError::FileLength { file: name.to_owned(), expected: LENGTH_BYTES, found }
}
