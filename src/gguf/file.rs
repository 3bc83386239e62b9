//! A file's metadata and where its tensors are.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::header::Header;
use super::{FromValue, GgmlType, GgufError, Value};

/// Bytes that a key with its value takes at least: length, type, value.
const KEY_BYTES: u64 = 8 + 4 + 1;
/// Bytes that a tensor's entry takes at least: length, count, one dimension, type, offset.
const TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;
const MAX_DIMENSIONS: u32 = 4;
/// Where `general.alignment` does not say otherwise.
const ALIGNMENT: u32 = 32;

/// What a GGUF file holds, without the data of its tensors.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// Version of the format: 2 or 3.
    pub version: u32,
    /// Values by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// Where the data of the tensors begins in the file.
    pub data_start: u64,
}

/// Where a tensor is and what it is. The data lies inside the file and shares no byte with another tensor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// How its values are written.
    pub dtype: GgmlType,
    /// One to four dimensions, none zero, outermost first (the file has them innermost first). The last is a whole
    /// number of blocks.
    pub shape: Vec<usize>,
    /// Where its data begins in the file.
    pub start: u64,
    /// Bytes of data.
    pub len: usize,
}

/// A tensor's entry as the file has it.
struct Entry {
    name: String,
    dtype: GgmlType,
    shape: Vec<usize>,
    offset: u64,
    len: u64,
}

impl Gguf {
    /// Reads the header of a file, from the file's first byte on, and checks it.
    ///
    /// # Errors
    /// [`GgufError`] saying what is wrong with the file.
    pub fn read(reader: &mut (impl Read + Seek)) -> Result<Self, GgufError> {
        let mut header = Header::new(reader)?;
        let version = read_version(&mut header)?;
        let tensor_count = header.count(TENSOR_BYTES)?;
        let metadata = read_metadata(&mut header)?;
        let mut entries = Vec::new();
        for _ in 0..tensor_count {
            entries.push(Entry::read(&mut header)?);
        }
        let alignment = alignment(&metadata)?;
        let data_start = header.at().next_multiple_of(alignment.into());
        let data_len = header.file_len().saturating_sub(data_start);
        check_places(&mut entries, alignment, data_len)?;
        let mut tensors = BTreeMap::new();
        for entry in entries {
            let info = entry.info(data_start)?;
            if tensors.insert(entry.name.clone(), info).is_some() {
                return Err(GgufError::DuplicateTensor { tensor: entry.name });
            }
        }
        Ok(Self { version, metadata, tensors, data_start })
    }

    /// The value of a key, or nothing if the file does not have the key. `T` is `u64`, `u32`, `usize`, `f32`, `bool`,
    /// `&str`, `&[String]`, `Vec<u32>`, `Vec<f32>` or `Vec<bool>`.
    ///
    /// # Errors
    /// [`GgufError::WrongType`] when the value is not a `T`.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>, GgufError> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| GgufError::WrongType {
            key: key.to_owned(),
            found: value.describe(),
            expected: T::EXPECTED,
        })
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`], [`GgufError::WrongType`].
    pub fn require<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T, GgufError> {
        self.get(key)?.ok_or_else(|| GgufError::MissingKey { key: key.to_owned() })
    }

    /// Reads the data of a tensor, which is [`TensorInfo::len`] bytes, from the file that this header is of.
    ///
    /// # Errors
    /// [`GgufError::MissingTensor`], [`GgufError::Memory`], [`GgufError::Read`] (also when the file has become shorter
    /// since).
    pub fn read_tensor(
        &self,
        reader: &mut (impl Read + Seek),
        name: &str,
    ) -> Result<Vec<u8>, GgufError> {
        let missing = || GgufError::MissingTensor { tensor: name.to_owned() };
        let info = self.tensors.get(name).ok_or_else(missing)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(info.len).map_err(|_| GgufError::Memory { bytes: info.len })?;
        bytes.resize(info.len, 0);
        reader.seek(SeekFrom::Start(info.start))?;
        reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Entry {
    fn read<R: Read + Seek>(header: &mut Header<R>) -> Result<Self, GgufError> {
        let name = header.text()?;
        let dimensions = header.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(GgufError::Dimensions { tensor: name, found: dimensions });
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(header.u64()?);
        }
        shape.reverse();
        let number = header.u32()?;
        let offset = header.u64()?;
        let Some(dtype) = GgmlType::from_number(number) else {
            return Err(GgufError::TensorType { tensor: name, number });
        };
        let impossible = || GgufError::Shape { tensor: name.clone(), shape: shape.clone() };
        let (shape, values) = counted(&shape).ok_or_else(impossible)?;
        let (row, block) = (shape.last().copied().unwrap_or(0), dtype.block_len());
        if row % block != 0 {
            return Err(GgufError::Blocks { tensor: name, row, dtype, block });
        }
        // `counted` leaves room for the widest format.
        let len = values / block as u64 * dtype.block_bytes() as u64;
        Ok(Self { name, dtype, shape, offset, len })
    }

    fn info(&self, data_start: u64) -> Result<TensorInfo, GgufError> {
        let bytes = usize::try_from(self.len).map_err(|_| GgufError::Memory { bytes: usize::MAX });
        Ok(TensorInfo {
            dtype: self.dtype,
            shape: self.shape.clone(),
            start: data_start + self.offset,
            len: bytes?,
        })
    }
}

fn read_version<R: Read + Seek>(header: &mut Header<R>) -> Result<u32, GgufError> {
    let found: [u8; 4] = header.bytes()?;
    if &found != b"GGUF" {
        return Err(GgufError::Magic { found });
    }
    match header.u32()? {
        version @ 2..=3 => Ok(version),
        version if matches!(version.swap_bytes(), 1..=3) => Err(GgufError::BigEndian),
        version => Err(GgufError::Version { found: version }),
    }
}

fn read_metadata<R: Read + Seek>(
    header: &mut Header<R>,
) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..header.count(KEY_BYTES)? {
        let key = header.text()?;
        let value = header.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(GgufError::DuplicateKey { key });
        }
    }
    Ok(metadata)
}

fn alignment(metadata: &BTreeMap<String, Value>) -> Result<u32, GgufError> {
    let key = "general.alignment";
    let found = match metadata.get(key) {
        None => ALIGNMENT,
        Some(value) => u32::from_value(value).ok_or_else(|| GgufError::WrongType {
            key: key.to_owned(),
            found: value.describe(),
            expected: u32::EXPECTED,
        })?,
    };
    if found.is_power_of_two() { Ok(found) } else { Err(GgufError::Alignment { found }) }
}

/// The shape and the number of values, unless a dimension is zero or the bytes could not be counted.
fn counted(shape: &[u64]) -> Option<(Vec<usize>, u64)> {
    let values = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))?;
    let fits = (1..=u64::MAX / 256).contains(&values);
    let shape = shape.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<_>>()?;
    fits.then_some((shape, values))
}

/// Sorts the tensors by place and refuses any that is misaligned, outside the data or over another.
fn check_places(entries: &mut [Entry], alignment: u32, data_len: u64) -> Result<(), GgufError> {
    for entry in &*entries {
        let (tensor, offset, len) = (entry.name.clone(), entry.offset, entry.len);
        if offset % u64::from(alignment) != 0 {
            return Err(GgufError::Misaligned { tensor, offset, alignment });
        }
        if offset.checked_add(len).is_none_or(|end| end > data_len) {
            return Err(GgufError::Outside { tensor, offset, len, data_len });
        }
    }
    entries.sort_by_key(|entry| entry.offset);
    for pair in entries.windows(2) {
        if let [first, second] = pair
            && first.offset + first.len > second.offset
        {
            let (first, second) = (first.name.clone(), second.name.clone());
            return Err(GgufError::Overlap { first, second });
        }
    }
    Ok(())
}
