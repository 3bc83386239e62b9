//! From a tensor's bytes to f32.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::engine::blocks::Blocks;
use crate::engine::weights::Entry;
use crate::gguf::GgmlType;

/// A number format that is read. Names as safetensors has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ggml(GgmlType),
    F64,
    F8E4M3,
    F8E5M2,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
}

impl Format {
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let name = match &entry.format {
            Ok(format) => return Some(Self::Ggml(*format)),
            Err(name) => name.as_str(),
        };
        Some(match name {
            "F64" => Self::F64,
            "F8_E4M3" => Self::F8E4M3,
            "F8_E5M2" => Self::F8E5M2,
            "I8" => Self::I8,
            "U8" => Self::U8,
            "I16" => Self::I16,
            "U16" => Self::U16,
            "I32" => Self::I32,
            "U32" => Self::U32,
            "I64" => Self::I64,
            "U64" => Self::U64,
            _ => return None,
        })
    }

    /// Numbers and bytes of a block, the least that can be decoded.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::Ggml(format) => (format.block_len(), format.block_bytes()),
            Self::F8E4M3 | Self::F8E5M2 | Self::I8 | Self::U8 => (1, 1),
            Self::I16 | Self::U16 => (1, 2),
            Self::I32 | Self::U32 => (1, 4),
            Self::F64 | Self::I64 | Self::U64 => (1, 8),
        }
    }

    /// Appends the numbers of whole blocks, rounded to f32 where the format is finer.
    pub(super) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Ggml(GgmlType::F32) => each(bytes, out, f32::from_le_bytes),
            Self::Ggml(GgmlType::Bf16) => {
                each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16));
            }
            Self::Ggml(GgmlType::F16) => halves(bytes, out),
            Self::Ggml(format) => out.extend(Blocks::row(format, bytes).dequantise()),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::F8E4M3 => out.extend(bytes.iter().map(|&b| e4m3(b))),
            Self::F8E5M2 => out.extend(bytes.iter().map(|&b| e5m2(b))),
            Self::I8 => out.extend(bytes.iter().map(|&b| f32::from(b as i8))),
            Self::U8 => out.extend(bytes.iter().map(|&b| f32::from(b))),
            Self::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Self::U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Self::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Self::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Self::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, number: impl Fn([u8; N]) -> f32) {
    out.extend(bytes.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)));
}

/// The processor converts eight at a time where it can.
fn halves(bytes: &[u8], out: &mut Vec<f32>) {
    let mut piece = [f16::ZERO; 1024];
    for bytes in bytes.chunks(2 * piece.len()) {
        let piece = &mut piece[..bytes.len() / 2];
        for (half, &bytes) in piece.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(bytes);
        }
        let first = out.len();
        out.resize(first + piece.len(), 0.0);
        piece.convert_to_f32_slice(&mut out[first..]);
    }
}

/// Sign, four bits of exponent biased by 7, three of mantissa; no infinities, NaN is all ones (Micikevicius et al. 2022, table 1).
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from((byte >> 3) & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The upper half of an f16.
fn e5m2(byte: u8) -> f32 {
    f16::from_bits(u16::from(byte) << 8).to_f32()
}

/// The nearest bf16, ties to even.
pub(super) fn bf16_bytes(value: f32) -> [u8; 2] {
    bf16::from_f32(value).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch's `float8_e4m3fn` and `float8_e5m2`, a few bytes of each kind.
    #[test]
    fn eight_bit_floats() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 0.001_953_125),
            (0x07, 0.013_671_875),
            (0x08, 0.015_625),
            (0x38, 1.0),
            (0x7e, 448.0),
            (0xfe, -448.0),
            (0xc1, -2.25),
        ] {
            assert_eq!(e4m3(byte), value, "{byte:#x}");
        }
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan());
        for (byte, value) in [(0x01, 1.525_878_9e-5), (0x3c, 1.0), (0x7b, 57_344.0), (0xc5, -5.0)] {
            assert_eq!(e5m2(byte), value, "{byte:#x}");
        }
        assert!(e5m2(0x7c).is_infinite() && e5m2(0x7d).is_nan());
    }

    #[test]
    fn halves_of_all_kinds() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut out = Vec::new();
        halves(&bytes, &mut out);
        assert_eq!(out.len(), 1 << 16);
        for (bits, value) in (0..=u16::MAX).zip(out) {
            let wanted = f16::from_bits(bits).to_f32();
            assert!(value == wanted || value.is_nan() && wanted.is_nan(), "{bits:#x}");
        }
    }
}
