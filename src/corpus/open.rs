//! The bytes of a source, unpacked.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{DocumentError, Format, Reading};

const BUFFER: usize = 1 << 17;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

type Unbuffered = Box<dyn Read + Send>;

/// A source that has been opened.
pub struct Opened {
    pub name: String,
    pub format: Format,
    pub bytes: BufReader<Unbuffered>,
    /// Bytes of a mark that were left out at the beginning.
    pub left_out: u64,
}

/// Opens a file, or standard input for `-`.
pub fn open(path: &Path, reading: &Reading) -> Result<Opened, DocumentError> {
    let name = path.display().to_string();
    let opened = if name == "-" {
        unpacked(Box::new(io::stdin()), name.clone(), Some(reading.stdin))
    } else {
        File::open(path)
            .map(|file| counted(file, reading.read.as_ref()))
            .and_then(|file| unpacked(file, name.clone(), Format::of(path)))
    };
    opened.map_err(|error| DocumentError::Read { source_name: name, error })
}

/// A file whose bytes are counted, where that was asked for.
fn counted(file: File, read: Option<&Arc<AtomicU64>>) -> Unbuffered {
    match read {
        Some(read) => Box::new(Counted { file, read: read.clone() }),
        None => Box::new(file),
    }
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// No text in UTF-8 begins as packed data do, so that first bytes tell them apart whatever the name is.
fn unpacked(packed: Unbuffered, name: String, format: Option<Format>) -> io::Result<Opened> {
    let (head, packed) = peek(packed, 4)?;
    let bytes: Unbuffered = match head.as_slice() {
        [0x1F, 0x8B, ..] => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        [0x28, 0xB5, 0x2F, 0xFD] => Box::new(zstd::stream::read::Decoder::new(packed)?),
        _ => packed,
    };
    let (head, bytes) = peek(bytes, 8)?;
    let format = format.or_else(|| Format::of_head(&head)).unwrap_or(Format::Text);
    let mut bytes = BufReader::with_capacity(BUFFER, bytes);
    let mut left_out = 0;
    if head.starts_with(BYTE_ORDER_MARK) {
        bytes.read_exact(&mut [0; BYTE_ORDER_MARK.len()])?;
        left_out = BYTE_ORDER_MARK.len() as u64;
    }
    Ok(Opened { name, format, bytes, left_out })
}

/// The first bytes, fewer where there are no more, and all bytes.
fn peek(mut bytes: Unbuffered, count: u64) -> io::Result<(Vec<u8>, Unbuffered)> {
    let mut head = Vec::new();
    bytes.by_ref().take(count).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(bytes))))
}
