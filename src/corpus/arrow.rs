//! Arrow IPC: a record batch at a time.
//!
//! A file is a stream between a mark and an index of its messages (Arrow columnar format, "IPC File Format"), so that both
//! are read as streams, without seeking. Lengths are checked before memory is asked for: a stream may state any.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::columns::Columns;
use super::open::Opened;
use super::rows::{self, Batch, guarded};
use super::{DocumentError, Fields};

const FILE_MARK: &[u8] = b"ARROW1\0\0";
/// Words of zeros after the mark: an alignment of 64 bytes, and as much again.
const MOST_PADDING: usize = 32;
const CONTINUED: [u8; 4] = [0xFF; 4];
/// Most bytes of a message's description.
const LARGEST_HEAD: usize = 64 << 20;
/// Most bytes of a batch, packed and unpacked: what 32-bit offsets reach.
const LARGEST_BATCH: u64 = 1 << 31;

/// The batches of one stream.
pub struct Batches {
    opened: Opened,
    schema: SchemaRef,
    /// Columns of the stream that are read.
    read: Vec<usize>,
    columns: Columns,
    before: u64,
    ended: bool,
}

impl Batches {
    pub fn new(opened: Opened, fields: &Fields) -> Result<Self, DocumentError> {
        let mut batches = Self {
            opened,
            schema: SchemaRef::new(Schema::empty()),
            read: Vec::new(),
            columns: Columns::default(),
            before: 0,
            ended: false,
        };
        let source = batches.opened.name.clone();
        batches.schema = guarded(&source, "arrow", || batches.schema())?;
        let columns = rows::find(fields, &source, &batches.schema)?;
        (batches.read, batches.columns) = rows::projected(columns);
        Ok(batches)
    }

    fn schema(&mut self) -> Result<SchemaRef, ArrowError> {
        let mut word = self.word()?;
        if word.as_slice() == &FILE_MARK[..4] {
            self.word()?;
            // Writers pad the mark to the alignment of their buffers.
            for _ in 0..MOST_PADDING {
                word = self.word()?;
                if word != [0; 4] {
                    break;
                }
            }
        }
        let head = self.head(word)?.ok_or_else(|| broken("there is no schema"))?;
        let message = root_as_message(&head).map_err(|error| broken(&error.to_string()))?;
        let schema = message.header_as_schema().ok_or_else(|| broken("no schema comes first"))?;
        Ok(SchemaRef::new(arrow_ipc::convert::fb_to_schema(schema)))
    }

    fn word(&mut self) -> io::Result<[u8; 4]> {
        let mut word = [0; 4];
        self.opened.bytes.read_exact(&mut word)?;
        Ok(word)
    }

    /// The description of the message that begins with a word; none at the end.
    fn head(&mut self, mut word: [u8; 4]) -> Result<Option<Vec<u8>>, ArrowError> {
        if word == CONTINUED {
            word = self.word()?;
        }
        let length = u32::from_le_bytes(word) as usize;
        if length > LARGEST_HEAD {
            return Err(broken("a message states a description of more than 64 MiB"));
        }
        Ok(if length == 0 { None } else { Some(self.bytes(length as u64)?) })
    }

    /// Exactly so many bytes; memory grows with what is there, not with what is stated.
    fn bytes(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.opened.bytes.by_ref().take(count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        loop {
            // A stream may end without saying so.
            if self.opened.bytes.fill_buf()?.is_empty() {
                return Ok(None);
            }
            let word = self.word()?;
            let Some(head) = self.head(word)? else { return Ok(None) };
            let message = root_as_message(&head).map_err(|error| broken(&error.to_string()))?;
            let length = u64::try_from(message.bodyLength())
                .map_err(|_| broken("a message states a length below 0"))?;
            let Some(batch) = message.header_as_record_batch() else {
                self.pass_over(message.header_type(), length)?;
                continue;
            };
            if length > LARGEST_BATCH {
                return Err(broken("a batch of more than 2 GiB; write it with fewer rows a batch"));
            }
            let body = self.bytes(length)?;
            check_unpacked(&batch, &body)?;
            let (body, version) = (Buffer::from(body), message.version());
            let dictionaries = HashMap::new();
            let schema = self.schema.clone();
            let rows = RecordBatchDecoder::try_new(&body, batch, schema, &dictionaries, &version)?
                .with_projection(Some(&self.read))
                .read_record_batch()?;
            return Ok(Some(rows));
        }
    }

    /// Dictionaries are of columns that are not read: those that are have no such type.
    fn pass_over(&mut self, header: MessageHeader, length: u64) -> Result<(), ArrowError> {
        if header != MessageHeader::DictionaryBatch {
            return Err(broken(&format!("a message {header:?} among the batches")));
        }
        let read = io::copy(&mut self.opened.bytes.by_ref().take(length), &mut io::sink())?;
        if read < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

impl rows::Batches for Batches {
    fn columns(&self) -> Columns {
        self.columns
    }

    fn before_fault(&self) -> u64 {
        self.before
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let source = self.opened.name.clone();
        match guarded(&source, "arrow", || self.batch()) {
            Ok(Some(rows)) => {
                let before = self.before;
                self.before += rows.num_rows() as u64;
                Some(Ok(Batch { before, rows }))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

/// Packed buffers begin with their length unpacked (-1: not packed), which the decoder would reserve.
fn check_unpacked(batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), ArrowError> {
    if batch.compression().is_none() {
        return Ok(());
    }
    let mut unpacked = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = usize::try_from(buffer.offset()).ok().and_then(|start| body.get(start..));
        let Some(length) = bytes.and_then(|bytes| bytes.first_chunk::<8>()) else { continue };
        let length = if buffer.length() < 8 { 0 } else { i64::from_le_bytes(*length) };
        unpacked = unpacked.saturating_add(length.max(0) as u64);
    }
    if unpacked > LARGEST_BATCH {
        return Err(broken(
            "a batch of more than 2 GiB unpacked; write it with fewer rows a batch",
        ));
    }
    Ok(())
}

fn broken(why: &str) -> ArrowError {
    ArrowError::IpcError(why.to_owned())
}
