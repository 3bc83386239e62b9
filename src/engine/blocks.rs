//! Quantised tensors as files hold them: blocks of small integers under shared scales.
//!
//! Layouts of ggml's block formats (`ggml-common.h`), as facts; `dequantise` is held against the `gguf` package's.

use std::borrow::Cow;

use half::f16;

use super::EngineError;
use crate::gguf::GgmlType;

/// Inputs of a super-block of the K formats.
pub(super) const SUPER: usize = 256;

/// A matrix as a file holds it: a row of blocks for each output.
pub(super) struct Blocks<'a> {
    pub(super) dtype: GgmlType,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    bytes: Cow<'a, [u8]>,
}

/// What all the formats have in common: weight = scale · (q − zero) − min.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many bits a q has in memory.
    pub(super) bits: Bits,
    /// Inputs under one scale, 16 or 32.
    pub(super) group: usize,
    /// Scales are small integers times a factor for 256 inputs; else 16-bit floats.
    pub(super) nested: bool,
    /// There are minima.
    pub(super) mins: bool,
    /// What a weight of zero has for q.
    pub(super) zero: i8,
}

/// Width of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// 0 to 15.
    Four,
    /// 0 to 63.
    Six,
    /// −128 to 127.
    Eight,
}

impl Layout {
    pub(super) fn of(dtype: GgmlType) -> Option<Self> {
        use Bits::{Eight, Four, Six};
        let layout = |bits, group, nested, mins, zero| Self { bits, group, nested, mins, zero };
        Some(match dtype {
            GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => return None,
            GgmlType::Q4_0 => layout(Four, 32, false, false, 8),
            GgmlType::Q4_1 => layout(Four, 32, false, true, 0),
            GgmlType::Q5_0 => layout(Six, 32, false, false, 16),
            GgmlType::Q5_1 => layout(Six, 32, false, true, 0),
            GgmlType::Q8_0 => layout(Eight, 32, false, false, 0),
            GgmlType::Q2K => layout(Four, 16, true, true, 0),
            GgmlType::Q3K => layout(Four, 16, true, false, 4),
            GgmlType::Q4K => layout(Four, 32, true, true, 0),
            GgmlType::Q5K => layout(Six, 32, true, true, 0),
            GgmlType::Q6K => layout(Six, 16, true, false, 32),
        })
    }
}

/// One row of a matrix, taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// One for each input.
    pub(super) q: Vec<i8>,
    /// Scales, one for each group when not nested, else one for each super-block.
    pub(super) scales: Vec<f16>,
    /// Minima likewise.
    pub(super) mins: Vec<f16>,
    /// Nested scales and minima, one for each group.
    pub(super) small_scales: Vec<i8>,
    pub(super) small_mins: Vec<i8>,
}

impl<'a> Blocks<'a> {
    /// The bytes of a tensor.
    ///
    /// # Errors
    /// [`EngineError::Shape`] when they are not as many as the shape asks for, [`EngineError::NotFinite`] when a scale
    /// is not a number.
    pub(super) fn new(
        name: &str,
        dtype: GgmlType,
        [outputs, inputs]: [usize; 2],
        bytes: Cow<'a, [u8]>,
    ) -> Result<Self, EngineError> {
        let row = inputs / dtype.block_len() * dtype.block_bytes();
        if !inputs.is_multiple_of(dtype.block_len())
            || row.checked_mul(outputs) != Some(bytes.len())
        {
            return Err(EngineError::Shape {
                tensor: name.to_owned(),
                expected: vec![outputs, inputs],
                found: vec![bytes.len()],
            });
        }
        let blocks = Self { dtype, outputs, inputs, bytes };
        blocks.check_finite(name)?;
        Ok(blocks)
    }

    /// Whole blocks as one row, whatever their scales are.
    pub(super) fn row(dtype: GgmlType, bytes: &'a [u8]) -> Self {
        let inputs = bytes.len() / dtype.block_bytes() * dtype.block_len();
        Self { dtype, outputs: 1, inputs, bytes: bytes.into() }
    }

    fn check_finite(&self, name: &str) -> Result<(), EngineError> {
        let places = float_places(self.dtype);
        for (index, block) in self.bytes.chunks_exact(self.dtype.block_bytes()).enumerate() {
            if places.iter().any(|&at| !half(block, at).is_finite()) {
                let index = index * self.dtype.block_len();
                return Err(EngineError::NotFinite { tensor: name.to_owned(), index });
            }
        }
        Ok(())
    }

    /// Puts rows in another order: row `i` becomes what row `order(i)` was.
    pub(super) fn reorder(&mut self, order: impl Fn(usize) -> usize) {
        let row = self.row_bytes();
        let moved = (0..self.outputs).flat_map(|i| &self.bytes[order(i) * row..][..row]).copied();
        self.bytes = Cow::Owned(moved.collect());
    }

    fn row_bytes(&self) -> usize {
        self.inputs / self.dtype.block_len() * self.dtype.block_bytes()
    }

    /// Takes the row of one output apart.
    pub(super) fn unpack(&self, output: usize, row: &mut Row) {
        let len = self.row_bytes();
        row.clear();
        for block in self.bytes[output * len..][..len].chunks_exact(self.dtype.block_bytes()) {
            row.push(self.dtype, block);
        }
    }

    /// All weights as f32, row-major.
    pub(super) fn dequantise(&self) -> Vec<f32> {
        let mut row = Row::default();
        let mut out = Vec::with_capacity(self.outputs * self.inputs);
        if let Some(layout) = Layout::of(self.dtype) {
            for output in 0..self.outputs {
                self.unpack(output, &mut row);
                out.extend((0..self.inputs).map(|input| row.weight(layout, input)));
            }
        }
        out
    }
}

impl Row {
    fn clear(&mut self) {
        self.q.clear();
        self.scales.clear();
        self.mins.clear();
        self.small_scales.clear();
        self.small_mins.clear();
    }

    /// scale · (q − zero) − min, rounded as ggml rounds.
    fn weight(&self, layout: Layout, input: usize) -> f32 {
        let group = input / layout.group;
        let q = f32::from(self.q[input] - layout.zero);
        let nested = |factors: &[f16], small: &[i8]| {
            factors[input / SUPER].to_f32() * f32::from(small[group])
        };
        let (scale, min) = match (layout.nested, layout.mins) {
            (false, false) => (self.scales[group].to_f32(), 0.0),
            (false, true) => (self.scales[group].to_f32(), self.mins[group].to_f32()),
            (true, false) => (nested(&self.scales, &self.small_scales), 0.0),
            (true, true) => {
                (nested(&self.scales, &self.small_scales), nested(&self.mins, &self.small_mins))
            }
        };
        scale * q - min
    }

    fn push(&mut self, dtype: GgmlType, block: &[u8]) {
        match dtype {
            GgmlType::Q4_0 => {
                self.scales.push(half(block, 0));
                self.nibbles(&block[2..18]);
            }
            GgmlType::Q4_1 => {
                self.scales.push(half(block, 0));
                self.mins.push(-half(block, 2));
                self.nibbles(&block[4..20]);
            }
            GgmlType::Q5_0 => {
                self.scales.push(half(block, 0));
                self.fives(&block[2..6], &block[6..22]);
            }
            GgmlType::Q5_1 => {
                self.scales.push(half(block, 0));
                self.mins.push(-half(block, 2));
                self.fives(&block[4..8], &block[8..24]);
            }
            GgmlType::Q8_0 => {
                self.scales.push(half(block, 0));
                self.q.extend(block[2..34].iter().map(|&q| q as i8));
            }
            GgmlType::Q2K => self.push_q2k(block),
            GgmlType::Q3K => self.push_q3k(block),
            GgmlType::Q4K => {
                self.push_nested(block);
                block[16..144].chunks_exact(32).for_each(|qs| self.nibbles(qs));
            }
            GgmlType::Q5K => self.push_q5k(block),
            GgmlType::Q6K => self.push_q6k(block),
            GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => {}
        }
    }

    /// Low halves, then high halves.
    fn nibbles(&mut self, bytes: &[u8]) {
        self.q.extend(bytes.iter().map(|byte| (byte & 15) as i8));
        self.q.extend(bytes.iter().map(|byte| (byte >> 4) as i8));
    }

    /// 32 nibbles, each with a fifth bit from `high`.
    fn fives(&mut self, high: &[u8], bytes: &[u8]) {
        let first = self.q.len();
        self.nibbles(bytes);
        for (i, q) in self.q[first..].iter_mut().enumerate() {
            *q |= (((high[i / 8] >> (i % 8)) & 1) << 4) as i8;
        }
    }

    /// The head that Q4_K and Q5_K share: two factors, eight 6-bit scales and minima in twelve bytes.
    fn push_nested(&mut self, block: &[u8]) {
        self.scales.push(half(block, 0));
        self.mins.push(half(block, 2));
        let packed = &block[4..16];
        for i in 0..4 {
            self.small_scales.push((packed[i] & 63) as i8);
            self.small_mins.push((packed[i + 4] & 63) as i8);
        }
        for i in 0..4 {
            let (low, high) = (packed[i + 8], (packed[i] >> 6, packed[i + 4] >> 6));
            self.small_scales.push(((low & 15) | (high.0 << 4)) as i8);
            self.small_mins.push(((low >> 4) | (high.1 << 4)) as i8);
        }
    }

    /// Sixteen bytes of scale and minimum, 64 of q, two factors.
    fn push_q2k(&mut self, block: &[u8]) {
        self.scales.push(half(block, 80));
        self.mins.push(half(block, 82));
        self.small_scales.extend(block[..16].iter().map(|byte| (byte & 15) as i8));
        self.small_mins.extend(block[..16].iter().map(|byte| (byte >> 4) as i8));
        for bytes in block[16..80].chunks_exact(32) {
            for shift in [0, 2, 4, 6] {
                self.q.extend(bytes.iter().map(|byte| ((byte >> shift) & 3) as i8));
            }
        }
    }

    /// 32 bytes of third bits, 64 of low bits, sixteen 6-bit scales in twelve bytes, a factor.
    fn push_q3k(&mut self, block: &[u8]) {
        self.scales.push(half(block, 108));
        let (high, packed) = (&block[..32], &block[96..108]);
        for i in 0..16 {
            let low = (packed[i % 8] >> (4 * (i / 8))) & 15;
            let top = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
            self.small_scales.push((low | (top << 4)) as i8 - 32);
        }
        for (part, bytes) in block[32..96].chunks_exact(32).enumerate() {
            for j in 0..4 {
                let q = bytes.iter().zip(high).map(|(byte, high)| {
                    ((byte >> (2 * j)) & 3) | (((high >> (4 * part + j)) & 1) << 2)
                });
                self.q.extend(q.map(|q| q as i8));
            }
        }
    }

    /// As Q4_K, with a fifth bit for each q in 32 bytes.
    fn push_q5k(&mut self, block: &[u8]) {
        self.push_nested(block);
        let high = &block[16..48];
        for (part, bytes) in block[48..176].chunks_exact(32).enumerate() {
            let first = self.q.len();
            self.nibbles(bytes);
            for (i, q) in self.q[first..].iter_mut().enumerate() {
                *q |= (((high[i % 32] >> (2 * part + i / 32)) & 1) << 4) as i8;
            }
        }
    }

    /// 128 bytes of low nibbles, 64 of upper bit pairs, sixteen 8-bit scales, a factor.
    fn push_q6k(&mut self, block: &[u8]) {
        self.scales.push(half(block, 208));
        self.small_scales.extend(block[192..208].iter().map(|&scale| scale as i8));
        for (low, high) in block[..128].chunks_exact(64).zip(block[128..192].chunks_exact(32)) {
            for j in 0..4 {
                let q = (0..32).map(|i| {
                    let nibble = (low[i + 32 * (j % 2)] >> (4 * (j / 2))) & 15;
                    (nibble | (((high[i] >> (2 * j)) & 3) << 4)) as i8
                });
                self.q.extend(q);
            }
        }
    }
}

/// Where a block has 16-bit floats.
fn float_places(dtype: GgmlType) -> &'static [usize] {
    match dtype {
        GgmlType::Q4_0 | GgmlType::Q5_0 | GgmlType::Q8_0 => &[0],
        GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4K | GgmlType::Q5K => &[0, 2],
        GgmlType::Q2K => &[80, 82],
        GgmlType::Q3K => &[108],
        GgmlType::Q6K => &[208],
        GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => &[],
    }
}

fn half(block: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([block[at], block[at + 1]])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every quantised format, by the name that the golden file has for it.
    const FORMATS: [(&str, GgmlType); 10] = [
        ("Q4_0", GgmlType::Q4_0),
        ("Q4_1", GgmlType::Q4_1),
        ("Q5_0", GgmlType::Q5_0),
        ("Q5_1", GgmlType::Q5_1),
        ("Q8_0", GgmlType::Q8_0),
        ("Q2_K", GgmlType::Q2K),
        ("Q3_K", GgmlType::Q3K),
        ("Q4_K", GgmlType::Q4K),
        ("Q5_K", GgmlType::Q5K),
        ("Q6_K", GgmlType::Q6K),
    ];

    fn bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn every_format_is_what_the_gguf_package_makes_of_it() {
        let golden = include_str!("../../tests/it/golden/ggml_blocks.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), FORMATS.len());
        for (case, (name, dtype)) in cases.iter().zip(FORMATS) {
            assert_eq!(case["type"], name);
            let expected = bytes(&case["values"]);
            let expected = expected.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            let expected: Vec<f32> = expected.collect();
            let shape = [1, expected.len()];
            let blocks = Blocks::new("w", dtype, shape, bytes(&case["bytes"]).into()).unwrap();
            // Zeros may differ in sign.
            assert!(blocks.dequantise() == expected, "{name}");
        }
    }

    #[test]
    fn wrong_lengths_and_scales_are_refused() {
        for (_, dtype) in FORMATS {
            let (len, size) = (dtype.block_len(), dtype.block_bytes());
            let new = |shape, bytes: Vec<u8>| Blocks::new("w", dtype, shape, bytes.into()).err();
            assert!(new([2, len], vec![0; 2 * size]).is_none());
            for (shape, bytes) in [
                ([2, len], vec![0; 2 * size - 1]),
                ([2, len], vec![]),
                ([1, len / 2], vec![0; size]),
                ([usize::MAX, len], vec![0; size]),
            ] {
                assert!(matches!(new(shape, bytes), Some(EngineError::Shape { .. })));
            }
            for &place in float_places(dtype) {
                let mut bytes = vec![0; 2 * size];
                bytes[size + place + 1] = 0x7c;
                let error = new([2, len], bytes);
                assert!(
                    matches!(error, Some(EngineError::NotFinite { index, .. }) if index == len)
                );
            }
        }
    }
}
