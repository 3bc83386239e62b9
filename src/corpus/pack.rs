//! Writing what may be packed, by the name's ending.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use zstd::stream::write::Encoder;

/// How bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), `.gz`.
    Gzip,
    /// zstd (RFC 8878), `.zst`.
    Zstd,
}

impl Packing {
    /// By the name's ending.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some(ending) if ending.eq_ignore_ascii_case("gz") => Self::Gzip,
            Some(ending) if ending.eq_ignore_ascii_case("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Packs what is written to it.
pub enum Packed<W: Write> {
    /// As it is.
    Plain(W),
    /// As gzip.
    Gzip(GzEncoder<W>),
    /// As zstd.
    Zstd(Encoder<'static, W>),
}

impl<W: Write> Packed<W> {
    /// Begins to pack.
    ///
    /// # Errors
    /// The packer cannot be set up.
    pub fn new(out: W, packing: Packing) -> io::Result<Self> {
        Ok(match packing {
            Packing::Plain => Self::Plain(out),
            Packing::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Packing::Zstd => Self::Zstd(Encoder::new(out, 0)?),
        })
    }

    /// Ends what is packed; without this it is torn.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(out) => out.finish(),
            Self::Zstd(out) => out.finish(),
        }
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
        }
    }
}
