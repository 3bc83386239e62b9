//! Reads the fields of a header, none beyond the end of the file.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::{Array, GgufError, Value};

/// The most that is read as a header. A vocabulary of 262,144 tokens with its merges takes some 15 MB.
pub(super) const MAX_HEADER_BYTES: u64 = 256 << 20;
/// How deep arrays may nest; no known key nests them at all.
pub(super) const MAX_DEPTH: usize = 4;
/// Elements that memory is taken for before any is read.
const RESERVED: usize = 1 << 12;

/// A reader that knows where it is and how much is left.
pub(super) struct Header<R> {
    reader: BufReader<R>,
    at: u64,
    file_len: u64,
}

impl<R: Read + Seek> Header<R> {
    /// Starts at the beginning of the file.
    pub(super) fn new(mut reader: R) -> Result<Self, GgufError> {
        let file_len = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, reader), at: 0, file_len })
    }

    /// Where the next field begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes in the file.
    pub(super) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// A count of things that take at least `each` bytes, all of which can be in the file.
    pub(super) fn count(&mut self, each: u64) -> Result<u64, GgufError> {
        let count = self.u64()?;
        self.claim(count.saturating_mul(each))?;
        Ok(count)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, GgufError> {
        let len = self.count(1)?;
        let at = self.at;
        // The claim holds, so that `len` is below the header's limit.
        let mut bytes = vec![0; len as usize];
        self.reader.read_exact(&mut bytes)?;
        self.at += len;
        String::from_utf8(bytes).map_err(|_| GgufError::Text { at })
    }

    /// The value of a key, its type first.
    pub(super) fn value(&mut self, key: &str) -> Result<Value, GgufError> {
        let number = self.u32()?;
        Ok(match number {
            0 => Value::U8(u8::from_le_bytes(self.bytes()?)),
            1 => Value::I8(i8::from_le_bytes(self.bytes()?)),
            2 => Value::U16(u16::from_le_bytes(self.bytes()?)),
            3 => Value::I16(i16::from_le_bytes(self.bytes()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.bytes()?)),
            6 => Value::F32(f32::from_le_bytes(self.bytes()?)),
            7 => Value::Bool(self.bytes::<1>()? != [0]),
            8 => Value::String(self.text()?),
            9 => Value::Array(self.array(key, 1)?),
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.bytes()?)),
            12 => Value::F64(f64::from_le_bytes(self.bytes()?)),
            _ => return Err(GgufError::ValueType { key: key.to_owned(), number }),
        })
    }

    /// An array, the type of its elements first.
    fn array(&mut self, key: &str, depth: usize) -> Result<Array, GgufError> {
        if depth > MAX_DEPTH {
            return Err(GgufError::Depth { key: key.to_owned(), limit: MAX_DEPTH });
        }
        let number = self.u32()?;
        Ok(match number {
            0 => Array::U8(self.elements(1, |from| from.bytes().map(u8::from_le_bytes))?),
            1 => Array::I8(self.elements(1, |from| from.bytes().map(i8::from_le_bytes))?),
            2 => Array::U16(self.elements(2, |from| from.bytes().map(u16::from_le_bytes))?),
            3 => Array::I16(self.elements(2, |from| from.bytes().map(i16::from_le_bytes))?),
            4 => Array::U32(self.elements(4, Self::u32)?),
            5 => Array::I32(self.elements(4, |from| from.bytes().map(i32::from_le_bytes))?),
            6 => Array::F32(self.elements(4, |from| from.bytes().map(f32::from_le_bytes))?),
            7 => Array::Bool(self.elements(1, |from| Ok(from.bytes::<1>()? != [0]))?),
            8 => Array::String(self.elements(8, Self::text)?),
            9 => Array::Array(self.elements(12, |from| from.array(key, depth + 1))?),
            10 => Array::U64(self.elements(8, Self::u64)?),
            11 => Array::I64(self.elements(8, |from| from.bytes().map(i64::from_le_bytes))?),
            12 => Array::F64(self.elements(8, |from| from.bytes().map(f64::from_le_bytes))?),
            _ => return Err(GgufError::ValueType { key: key.to_owned(), number }),
        })
    }

    /// Elements of at least `each` bytes, their count first.
    fn elements<T>(
        &mut self,
        each: u64,
        mut element: impl FnMut(&mut Self) -> Result<T, GgufError>,
    ) -> Result<Vec<T>, GgufError> {
        let count = self.count(each)?;
        let mut elements = Vec::with_capacity(RESERVED.min(count as usize));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Refuses what goes beyond the end of the file or of any reasonable header.
    fn claim(&self, needed: u64) -> Result<(), GgufError> {
        let left = self.file_len.saturating_sub(self.at);
        if needed > left {
            return Err(GgufError::Truncated { at: self.at, needed, left });
        }
        if needed > MAX_HEADER_BYTES.saturating_sub(self.at) {
            return Err(GgufError::HeaderLength { limit: MAX_HEADER_BYTES });
        }
        Ok(())
    }
}
