//! Hashes of tensors: lineage by equality.
//!
//! Two hashes a tensor, both BLAKE3. *Raw*: the bytes as the file has them. *Canonical*: shape and numbers, so that a tensor that was
//! only stored otherwise (BF16 as F32, safetensors as GGUF) is still the same. Its input is the number of axes and each axis as
//! little-endian u64, then every number as little-endian f32, where −0 is written as +0 and every NaN as 0x7FC00000. Formats of at most
//! 24 bits of precision are f32 exactly; F64 and wide integers are rounded to it.

use serde::{Deserialize, Serialize};

/// BLAKE3, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("\"{text}\" is not 64 hexadecimal digits"))
        })
    }
}

/// 32 bytes from 64 hexadecimal digits.
fn parse(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

/// The canonical hash, from numbers that come in pieces.
pub(super) struct Canonical {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl Canonical {
    pub fn new(shape: &[usize]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(shape.len() as u64).to_le_bytes());
        for &axis in shape {
            hasher.update(&(axis as u64).to_le_bytes());
        }
        Self { hasher, bytes: Vec::new() }
    }

    pub fn update(&mut self, values: &[f32]) {
        for values in values.chunks(1 << 14) {
            self.bytes.clear();
            self.bytes.extend(values.iter().flat_map(|&value| canonical(value).to_le_bytes()));
            self.hasher.update(&self.bytes);
        }
    }

    pub fn finish(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

fn canonical(value: f32) -> u32 {
    let value = if value == 0.0 { 0.0 } else { value };
    if value.is_nan() { 0x7FC0_0000 } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(shape: &[usize], pieces: &[&[f32]]) -> Digest {
        let mut canonical = Canonical::new(shape);
        pieces.iter().for_each(|piece| canonical.update(piece));
        canonical.finish()
    }

    #[test]
    fn zeros_and_nan_have_one_form_and_shapes_count() {
        let plain = hash(&[2, 2], &[&[0.0, 1.0, f32::NAN, 3.0]]);
        let negative_nan = f32::from_bits(0xFFC1_2345);
        assert_eq!(plain, hash(&[2, 2], &[&[-0.0], &[1.0, negative_nan], &[3.0]]));
        assert_ne!(plain, hash(&[4], &[&[0.0, 1.0, f32::NAN, 3.0]]));
        assert_ne!(plain, hash(&[2, 2], &[&[0.0, 1.0, 2.0, 3.0]]));
        assert_ne!(hash(&[1], &[&[1.0]]), hash(&[1], &[&[-1.0]]));
        // The definition, spelt out.
        let mut bytes = Vec::new();
        for word in [2u64, 2, 2] {
            bytes.extend(word.to_le_bytes());
        }
        for word in [0u32, 1f32.to_bits(), 0x7FC0_0000, 3f32.to_bits()] {
            bytes.extend(word.to_le_bytes());
        }
        assert_eq!(plain.0, *blake3::hash(&bytes).as_bytes());
    }

    #[test]
    fn digests_are_written_as_hexadecimal_digits() {
        let digest = hash(&[], &[&[1.0]]);
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text.len(), 66);
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        for wrong in ["\"\"", "\"zz\"", "3", &format!("\"{}\"", "g".repeat(64))] {
            assert!(serde_json::from_str::<Digest>(wrong).is_err(), "{wrong}");
        }
    }
}
