//! Rows of cells under a row of names, quoted as in RFC 4180.

use std::io::{self, BufRead};

use csv_core::ReadFieldResult;

use super::columns::Columns;
use super::open::Opened;
use super::record::{Cell, Record};
use super::records::Numbered;
use super::{Document, DocumentError, Place, Reading};
use crate::tokens::TokenId;

/// The records of one source.
pub struct Rows {
    opened: Opened,
    parser: csv_core::Reader,
    reading: Reading,
    columns: Columns,
    /// How many columns there are.
    width: usize,
    row: u64,
    offset: u64,
    ended: bool,
    /// Whether the last item was a fault of the source.
    failed: bool,
}

/// The cells of a row that are kept, and how many it has.
#[derive(Default)]
struct Cells {
    kept: Vec<(usize, Vec<u8>)>,
    count: usize,
    too_long: bool,
}

impl Rows {
    /// Reads the names of the columns. A source without a byte has no rows.
    pub fn new(opened: Opened, delimiter: u8, reading: Reading) -> Result<Self, DocumentError> {
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let (columns, offset) = (Columns::default(), opened.left_out);
        let mut rows = Self {
            opened,
            parser,
            reading,
            columns,
            width: 0,
            row: 0,
            offset,
            ended: false,
            failed: false,
        };
        let names = rows.read(|_| true).map_err(|error| rows.fault(error))?;
        let Some(names) = names else { return Ok(Self { ended: true, ..rows }) };
        if names.too_long {
            return Err(rows.too_long());
        }
        let name = |(_, name): (usize, Vec<u8>)| String::from_utf8_lossy(&name).into_owned();
        let names: Vec<String> = names.kept.into_iter().map(name).collect();
        let (fields, source) = (&rows.reading.fields, &rows.opened.name);
        rows.columns = Columns::find(fields, source, names.iter().map(String::as_str))?;
        rows.width = names.len();
        Ok(rows)
    }

    /// Reads a row, without its other cells and without those that the limit forbids.
    fn read(&mut self, keep: impl Fn(usize) -> bool) -> io::Result<Option<Cells>> {
        self.skip_line_ends()?;
        let (mut cells, mut cell, mut held) = (Cells::default(), Vec::new(), 0);
        let mut out = [0; 1 << 13];
        loop {
            let input = self.opened.bytes.fill_buf()?;
            let (result, read, written) = self.parser.read_field(input, &mut out);
            self.opened.bytes.consume(read);
            self.offset += read as u64;
            if keep(cells.count) && !cells.too_long {
                held += written;
                cell.extend_from_slice(&out[..written]);
            }
            if let ReadFieldResult::Field { .. } = result {
                if keep(cells.count) && !cells.too_long {
                    held += size_of::<(usize, Vec<u8>)>();
                    cells.kept.push((cells.count, std::mem::take(&mut cell)));
                }
                cells.count += 1;
            }
            if held > self.reading.max_document {
                (cells.too_long, held) = (true, 0);
                (cells.kept, cell) = (Vec::new(), Vec::new());
            }
            match result {
                ReadFieldResult::End => return Ok(None),
                ReadFieldResult::Field { record_end: true } => return Ok(Some(cells)),
                _ => {}
            }
        }
    }

    /// The parser would pass over them too, but a row's offset is that of its first cell.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let input = self.opened.bytes.fill_buf()?;
            let ends = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if ends == 0 {
                return Ok(());
            }
            self.opened.bytes.consume(ends);
            self.offset += ends as u64;
        }
    }

    fn document(&self, cells: Cells, offset: u64) -> Result<Document, DocumentError> {
        let (source, place) = (&self.opened.name, Place::Row(self.row));
        if cells.too_long {
            return Err(self.too_long());
        }
        if cells.count != self.width {
            return Err(DocumentError::Cells {
                source_name: source.clone(),
                row: self.row,
                cells: cells.count,
                columns: self.width,
            });
        }
        let cell = |column: Option<usize>| {
            let cell = cells.kept.iter().find(|(at, _)| Some(*at) == column);
            let Some((_, bytes)) = cell else { return Ok(Cell::Missing) };
            let text = std::str::from_utf8(bytes).map_err(|error| DocumentError::Utf8 {
                source_name: source.clone(),
                place,
                valid: error.valid_up_to(),
            })?;
            Ok(Cell::Text(text.to_owned()))
        };
        let columns = &self.columns;
        let tokens = match cell(columns.tokens)? {
            Cell::Text(list) => ids(&list).map_or_else(
                || Cell::Other("a text that is no list of token ids".into()),
                Cell::Ids,
            ),
            cell => cell,
        };
        // An empty name is none.
        let id = Some(cell(columns.id)?).filter(|id| *id != Cell::Text(String::new()));
        let record = Record {
            id: id.unwrap_or_default(),
            text: cell(columns.text)?,
            tokens,
            prompt: cell(columns.prompt)?,
        };
        record.document(&self.reading.fields, source, place, offset)
    }

    fn fault(&self, error: io::Error) -> DocumentError {
        DocumentError::Read { source_name: self.opened.name.clone(), error }
    }

    fn too_long(&self) -> DocumentError {
        let limit = self.reading.max_document;
        let place = Place::Row(self.row);
        DocumentError::TooLong { source_name: self.opened.name.clone(), place, limit }
    }
}

impl Iterator for Rows {
    type Item = Result<Document, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // The offset after line ends, which reading a row begins with.
        if let Err(error) = self.skip_line_ends() {
            (self.ended, self.failed) = (true, true);
            return Some(Err(self.fault(error)));
        }
        let (offset, columns) = (self.offset, self.columns);
        match self.read(|column| columns.wants(column)) {
            Ok(Some(cells)) => {
                self.row += 1;
                Some(self.document(cells, offset))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                (self.ended, self.failed) = (true, true);
                Some(Err(self.fault(error)))
            }
        }
    }
}

impl Numbered for Rows {
    fn number(&self) -> u64 {
        // A fault of the source ends it after its last row.
        self.row.saturating_sub(u64::from(!self.failed))
    }

    fn skip_to(&mut self, number: u64) {
        while !self.ended && self.row < number {
            match self.read(|_| false) {
                Ok(Some(_)) => self.row += 1,
                Ok(None) | Err(_) => self.ended = true,
            }
        }
    }
}

/// Ids with commas or blanks between, in brackets or not.
fn ids(list: &str) -> Option<Vec<TokenId>> {
    let list = list.trim();
    let list = match list.strip_prefix('[') {
        Some(list) => list.strip_suffix(']')?,
        None => list,
    };
    let parts = list.split(|c: char| c == ',' || c.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}
