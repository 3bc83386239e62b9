//! Named tensors of a model, from files that are not trusted.
//!
//! A file's directory is checked when it is opened (`safetensors`, `gguf`), a tensor's values when it is taken.

mod contents;
pub(super) mod gguf;
mod names;
pub(super) mod safetensors;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::EngineError;
use super::blocks::Blocks;
use super::config::{Config, Family};
use super::matrix::Weight;
use crate::gguf::GgmlType;

pub(super) use contents::written;
pub use contents::{Contents, Format};
use names::Naming;
pub(super) use names::{Part, Role, gate_up_roles, qkv_roles};

/// Tensors of a model, read one at a time: the peak is what has been taken so far plus one tensor.
pub(super) struct Weights<'a> {
    pub(super) sources: Vec<Source<'a>>,
    pub(super) tensors: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
    naming: Naming,
    /// Floats are rounded to this format; `None`: they stay as they are.
    pub(super) dtype: Option<DType>,
}

/// Where a tensor lies.
pub(super) struct Entry {
    pub(super) source: usize,
    /// Its format, or the name of one that models are not run from.
    pub(super) format: Result<GgmlType, String>,
    pub(super) shape: Vec<usize>,
    pub(super) start: u64,
    pub(super) len: usize,
}

/// A file, or its bytes.
pub(super) struct Source<'a> {
    name: String,
    reader: Reader<'a>,
}

enum Reader<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl<'a> Weights<'a> {
    fn new(naming: Naming) -> Self {
        Self {
            sources: Vec::new(),
            tensors: BTreeMap::new(),
            taken: BTreeSet::new(),
            naming,
            dtype: None,
        }
    }

    /// Adds a file and its tensors.
    fn add(
        &mut self,
        source: Source<'a>,
        tensors: impl IntoIterator<Item = (String, Entry)>,
    ) -> Result<(), EngineError> {
        self.sources.push(source);
        for (tensor, entry) in tensors {
            if self.tensors.contains_key(&tensor) {
                return Err(EngineError::DuplicateTensor { tensor });
            }
            self.tensors.insert(tensor, entry);
        }
        Ok(())
    }

    /// Takes the matrix of a role, (outputs, inputs), as it is in the file, or as floats of the format asked for.
    pub(super) fn weight(
        &mut self,
        config: &Config,
        part: Part,
        shape: [usize; 2],
    ) -> Result<Weight, EngineError> {
        let name = part.name(self.naming, config, "weight");
        let order = self.row_order(config, part.role);
        if let Some(mut blocks) = self.blocks(&name, shape)? {
            if let Some(order) = order {
                blocks.reorder(order);
            }
            return Ok(match self.dtype {
                Some(dtype) => Weight::Floats(Weight::Blocks(blocks).floats()?.to_dtype(dtype)?),
                None => Weight::Blocks(blocks),
            });
        }
        Ok(Weight::Floats(reordered(self.take(&name, &shape)?, order)?))
    }

    /// Takes the matrix of a role, (outputs, inputs), as floats on the CPU: f32, f16 or bf16, every value finite.
    pub(super) fn matrix(
        &mut self,
        config: &Config,
        part: Part,
        shape: [usize; 2],
    ) -> Result<Tensor, EngineError> {
        self.weight(config, part, shape)?.floats()
    }

    /// Takes the vector of a role as f32, an affine layer's bias when `what` is "bias".
    pub(super) fn vector(
        &mut self,
        config: &Config,
        part: Part,
        what: &str,
        len: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let tensor = self.take(&part.name(self.naming, config, what), &[len])?;
        let tensor = reordered(tensor, self.row_order(config, part.role))?;
        let mut values = tensor.to_dtype(DType::F32)?.to_vec1()?;
        if self.naming == Naming::Transformers && config.family.is_gemma() && part.role.is_norm() {
            // Gemma's files hold these weights less one, but for GGUF files.
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        Ok(values)
    }

    /// Where the rows of queries and keys lie in the file, when not in order: GGUF files of some architectures put
    /// dimensions that turn together side by side, where the engine has them half a head apart.
    fn row_order(&self, config: &Config, role: Role) -> Option<impl Fn(usize) -> usize + use<>> {
        let interleaved = self.naming == Naming::Gguf
            && matches!(config.family, Family::Llama | Family::Granite)
            && matches!(role, Role::Query | Role::Key);
        let half = config.head_dim / 2;
        interleaved.then_some(move |row: usize| {
            let (head, dimension) = (row / (2 * half), row % (2 * half));
            2 * half * head + 2 * (dimension % half) + dimension / half
        })
    }

    /// Takes a quantised matrix; nothing if the tensor is not quantised.
    fn blocks(
        &mut self,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Option<Blocks<'static>>, EngineError> {
        let entry = self.entry(name, &shape)?;
        let dtype = match entry.format {
            Ok(dtype) if dtype.is_quantised() => dtype,
            _ => return Ok(None),
        };
        let (source, start, len) = (entry.source, entry.start, entry.len);
        let bytes = self.sources[source].read(start, len)?.into_owned();
        self.taken.insert(name.to_owned());
        Blocks::new(name, dtype, shape, bytes.into()).map(Some)
    }

    /// A tensor of known shape.
    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, EngineError> {
        let missing = || EngineError::MissingTensor { tensor: name.to_owned() };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        if entry.shape == shape {
            return Ok(entry);
        }
        Err(EngineError::Shape {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
            found: entry.shape.clone(),
        })
    }

    /// The float format that most tensors have, bf16 when they are quantised.
    pub(super) fn float_format(&self) -> DType {
        let count = |format| {
            self.tensors
                .values()
                .filter(|entry| entry.format == Ok(format))
                .map(|entry| entry.len)
                .sum()
        };
        let [f32s, f16s, other]: [usize; 3] = [
            count(GgmlType::F32),
            count(GgmlType::F16),
            self.tensors.values().map(|entry| entry.len).sum(),
        ];
        if 2 * f32s > other {
            DType::F32
        } else if 2 * f16s > other {
            DType::F16
        } else {
            DType::BF16
        }
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        let entry = self.entry(name, shape)?;
        let dtype = match &entry.format {
            Ok(GgmlType::F32) => DType::F32,
            Ok(GgmlType::F16) => DType::F16,
            Ok(GgmlType::Bf16) => DType::BF16,
            Ok(other) => return Err(unreadable_dtype(name, format!("{other:?}"))),
            Err(other) => return Err(unreadable_dtype(name, other.clone())),
        };
        let (source, start, len) = (entry.source, entry.start, entry.len);
        let bytes = self.sources[source].read(start, len)?;
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?;
        check_finite(name, &tensor)?;
        self.taken.insert(name.to_owned());
        let Some(dtype) = self.dtype else { return Ok(tensor) };
        let tensor = tensor.to_dtype(dtype)?;
        // f16 ends at 65,504.
        check_finite(name, &tensor)?;
        Ok(tensor)
    }

    /// Refuses tensors that nobody took, for a model that ignores some of its weights computes something else. Files of
    /// tied models may repeat the embedding, and old files list the rotary frequencies.
    pub(super) fn finish(&self) -> Result<(), EngineError> {
        let known = |name: &str| {
            matches!(name, "lm_head.weight" | "rope_freqs.weight")
                || name.ends_with(".rotary_emb.inv_freq")
        };
        match self.tensors.keys().find(|name| !self.taken.contains(*name) && !known(name)) {
            Some(tensor) => Err(EngineError::UnexpectedTensor { tensor: tensor.clone() }),
            None => Ok(()),
        }
    }
}

impl Source<'_> {
    /// `len` bytes from `start`, which the directory's check put inside the file.
    fn read(&self, start: u64, len: usize) -> Result<Cow<'_, [u8]>, EngineError> {
        match &self.reader {
            Reader::Bytes(bytes) => {
                let range = start as usize..(start as usize).saturating_add(len);
                let found = bytes.len() as u64;
                let bytes = bytes.get(range).ok_or_else(|| EngineError::FileLength {
                    file: self.name.clone(),
                    expected: start.saturating_add(len as u64),
                    found,
                })?;
                Ok(bytes.into())
            }
            Reader::File(file) => {
                let mut bytes = reserved(len)?;
                bytes.resize(len, 0);
                let unreadable =
                    |source| EngineError::Read { path: PathBuf::from(&self.name), source };
                read_at(file, start, &mut bytes).map_err(unreadable)?;
                Ok(bytes.into())
            }
        }
    }

    /// Fills `out` with the bytes from `start` on. Several threads may do so at once.
    pub(super) fn fill(&self, start: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.reader {
            Reader::File(file) => read_at(file, start, out),
            Reader::Bytes(bytes) => {
                let bytes = bytes.get(start as usize..).and_then(|rest| rest.get(..out.len()));
                out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, start: u64, out: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, start)
}

/// Here a read at a place moves the file's position, so that one thread reads at a time.
#[cfg(not(unix))]
fn read_at(mut file: &File, start: u64, out: &mut [u8]) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::{Mutex, PoisonError};

    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(out)
}

/// Opens a file of a model's folder. A link may lead to another file of the folder, and in a hub's cache to the blobs
/// of its model, but nowhere else.
fn open<'a>(dir: &Path, name: &str) -> Result<Source<'a>, EngineError> {
    let path = dir.join(name);
    let unreadable = |source| EngineError::Read { path: path.clone(), source };
    let (real, home) = (path.canonicalize(), dir.canonicalize());
    let (real, home) = (real.map_err(unreadable)?, home.map_err(unreadable)?);
    let blobs = home.parent().filter(|parent| parent.ends_with("snapshots")).and_then(Path::parent);
    if !real.starts_with(&home) && !blobs.is_some_and(|model| real.starts_with(model.join("blobs")))
    {
        return Err(EngineError::LinkOutside { path, target: real });
    }
    let file = File::open(&real).map_err(unreadable)?;
    Ok(Source { name: path.display().to_string(), reader: Reader::File(file) })
}

/// A tensor with its rows in another order.
fn reordered(
    tensor: Tensor,
    order: Option<impl Fn(usize) -> usize>,
) -> Result<Tensor, EngineError> {
    let Some(order) = order else { return Ok(tensor) };
    let rows = (0..tensor.dim(0)?).map(|row| order(row) as u32);
    Ok(tensor.index_select(&Tensor::from_iter(rows, &Device::Cpu)?, 0)?)
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

fn unreadable_dtype(name: &str, found: String) -> EngineError {
    EngineError::Dtype { tensor: name.to_owned(), found }
}

fn reserved(len: usize) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| EngineError::Memory { bytes: len })?;
    Ok(bytes)
}
