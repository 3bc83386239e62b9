//! Sources that are one document.

use std::io::Read;

use super::open::Opened;
use super::{Content, Document, DocumentError, Place};

/// The whole source.
pub fn whole(opened: Opened, limit: usize) -> Result<Document, DocumentError> {
    let Opened { name: source, bytes: reader, left_out: offset, .. } = opened;
    let mut bytes = Vec::new();
    if let Err(error) = reader.take(limit as u64 + 1).read_to_end(&mut bytes) {
        return Err(DocumentError::Read { source_name: source, error });
    }
    if bytes.len() > limit {
        return Err(DocumentError::TooLong { source_name: source, place: Place::Whole, limit });
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let content = Content::Text(text);
            Ok(Document { id: source.clone(), source, offset, content, prompt: None, line: None })
        }
        Err(error) => Err(DocumentError::Utf8 {
            source_name: source,
            place: Place::Whole,
            valid: error.utf8_error().valid_up_to(),
        }),
    }
}
