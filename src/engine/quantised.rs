//! A quantised matrix stored in panels for the integer kernel, and rows made ready for it.
//!
//! The integers of a file stay what they are, in 4, 6 or 8 bits. What is rounded is the other
//! side: 32 inputs of a row at a time become 16-bit integers under one scale, an error of at most 2⁻¹⁶ of the greatest of
//! them (llama.cpp takes 8 bits). Products of integers are exact, so every processor gives the same bits, and a row's do
//! not depend on its neighbours.

use half::f16;

use super::EngineError;
use super::blocks::{Bits, Blocks, Layout, Row, SUPER};
use super::integer::{self, PairIsa};
use super::kernel::{MAX_ROWS, PANEL, Tile};

/// Inputs that share a scale on the rows' side.
pub(super) const BLOCK: usize = 32;
/// Greatest number of rows that one call of the kernel handles.
pub(super) const PAIR_ROWS: usize = 8;
/// Bytes of two pairs of six-bit integers: 64 low halves twice, then their upper bits.
pub(super) const SIX: usize = 3 * PANEL;
/// Inputs whose sum is kept: the smallest group.
const SUM: usize = 16;

/// Rows as 16-bit integers.
#[derive(Default)]
pub(super) struct IntegerRows {
    pub(super) inputs: usize,
    /// Row-major.
    pub(super) values: Vec<i16>,
    /// One for each block of 32 inputs, row-major.
    pub(super) scales: Vec<f32>,
    /// Sums of 16 values each, row-major.
    pub(super) sums: Vec<i32>,
}

impl IntegerRows {
    /// Rounds row-major `rows` of `inputs` values, a multiple of 32, reusing the memory held.
    pub(super) fn round(&mut self, rows: &[f32], inputs: usize) {
        self.inputs = inputs;
        self.values.resize(rows.len(), 0);
        self.scales.resize(rows.len() / BLOCK, 0.0);
        self.sums.resize(rows.len() / SUM, 0);
        integer::round(rows, &mut self.values, &mut self.scales);
        for (sum, values) in self.sums.iter_mut().zip(self.values.chunks_exact(SUM)) {
            *sum = values.iter().map(|&value| i32::from(value)).sum();
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.inputs.max(1)
    }
}

/// An `outputs` × `inputs` matrix of one format, in panels of 32 outputs, the last one padded with zeros.
pub(super) struct Quantised {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) layout: Layout,
    /// For each panel, block and pair of inputs: 32 outputs' two integers.
    data: Vec<u8>,
    /// For each panel and group: 32 scales, then 32 minima.
    small: Vec<u8>,
    /// For each panel and super-block: 32 factors, then 32 of the minima, if nested.
    factors: Vec<f16>,
}

/// One panel.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) layout: Layout,
    pub(super) data: &'a [u8],
    pub(super) small: &'a [u8],
    pub(super) factors: &'a [f16],
}

/// Scales of a group of a panel, and its minima.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    pub(super) scales: [f32; PANEL],
    pub(super) mins: [f32; PANEL],
}

impl Quantised {
    /// Rearranges a file's blocks. `inputs` is a multiple of 32 in every format.
    pub(super) fn pack(blocks: &Blocks<'_>) -> Result<Self, EngineError> {
        let Some(layout) = Layout::of(blocks.dtype) else {
            return Err(EngineError::NotOnCpu);
        };
        let (outputs, inputs) = (blocks.outputs, blocks.inputs);
        let panels = outputs.div_ceil(PANEL);
        let mut matrix = Self {
            outputs,
            inputs,
            layout,
            data: zeroed(panels * layout.panel_data(inputs))?,
            small: zeroed(panels * layout.panel_small(inputs))?,
            factors: zeroed(panels * layout.panel_factors(inputs))?,
        };
        let mut row = Row::default();
        for output in 0..outputs {
            blocks.unpack(output, &mut row);
            matrix.place(output, &row);
        }
        Ok(matrix)
    }

    fn place(&mut self, output: usize, row: &Row) {
        let (panel, lane) = (output / PANEL, output % PANEL);
        let (layout, inputs) = (self.layout, self.inputs);
        let data = &mut self.data[panel * layout.panel_data(inputs)..][..layout.panel_data(inputs)];
        for (input, &q) in row.q.iter().enumerate() {
            layout.write(data, input, lane, q);
        }
        let small = &mut self.small[panel * layout.panel_small(inputs)..];
        if layout.nested {
            for (group, &scale) in row.small_scales.iter().enumerate() {
                small[group * layout.small_stride() + lane] = scale as u8;
            }
            for (group, &min) in row.small_mins.iter().enumerate() {
                small[group * layout.small_stride() + PANEL + lane] = min as u8;
            }
            let stride = layout.halves();
            let factors = &mut self.factors[panel * layout.panel_factors(inputs)..];
            for (index, &scale) in row.scales.iter().enumerate() {
                factors[index * stride + lane] = scale;
            }
            for (index, &min) in row.mins.iter().enumerate() {
                factors[index * stride + PANEL + lane] = min;
            }
            return;
        }
        let stride = layout.halves();
        let factors = &mut self.factors[panel * layout.panel_factors(inputs)..];
        for (group, &scale) in row.scales.iter().enumerate() {
            factors[group * stride + lane] = scale;
        }
        for (group, &min) in row.mins.iter().enumerate() {
            factors[group * stride + PANEL + lane] = min;
        }
    }

    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    fn panel(&self, panel: usize) -> Panel<'_> {
        let (layout, inputs) = (self.layout, self.inputs);
        fn part<T>(all: &[T], panel: usize, len: usize) -> &[T] {
            &all[panel * len..(panel + 1) * len]
        }
        Panel {
            layout,
            data: part(&self.data, panel, layout.panel_data(inputs)),
            small: part(&self.small, panel, layout.panel_small(inputs)),
            factors: part(&self.factors, panel, layout.panel_factors(inputs)),
        }
    }

    /// Copies the weights of one output into `out`.
    pub(super) fn row(&self, output: usize, out: &mut [f32]) {
        let (panel, lane) = (self.panel(output / PANEL), output % PANEL);
        let layout = self.layout;
        for (group, out) in out.chunks_exact_mut(layout.group).enumerate() {
            let scales = panel.scales(group);
            for (i, out) in out.iter_mut().enumerate() {
                let q = layout.read(panel.data, group * layout.group + i, lane);
                *out = scales.scales[lane] * f32::from(q - layout.zero) - scales.mins[lane];
            }
        }
    }

    /// Products of rows `first..first + count` with one panel, `count` from [`PairIsa::block`].
    pub(super) fn tile(
        &self,
        isa: PairIsa,
        x: &IntegerRows,
        (first, count): (usize, usize),
        panel: usize,
        out: &mut Tile,
    ) {
        const { assert!(PAIR_ROWS <= MAX_ROWS) };
        integer::tile(isa, x, (first, count), self.panel(panel), out);
    }
}

impl Layout {
    /// Puts an output's integer for one input into a panel that holds zeros there.
    fn write(self, data: &mut [u8], input: usize, lane: usize, q: i8) {
        let (at, shift) = self.low_bits(input, lane);
        if self.bits == Bits::Eight {
            data[at] = q as u8;
            return;
        }
        data[at] |= (q as u8 & 15) << shift;
        if self.bits == Bits::Six {
            let (at, shift) = high_bits(input, lane);
            data[at] |= (q as u8 >> 4) << shift;
        }
    }

    /// An output's integer for one input, from a panel.
    #[inline(always)]
    pub(super) fn read(self, data: &[u8], input: usize, lane: usize) -> i8 {
        let (at, shift) = self.low_bits(input, lane);
        match self.bits {
            Bits::Eight => data[at] as i8,
            Bits::Four => ((data[at] >> shift) & 15) as i8,
            Bits::Six => {
                let (high, high_shift) = high_bits(input, lane);
                (((data[at] >> shift) & 15) | (((data[high] >> high_shift) & 3) << 4)) as i8
            }
        }
    }

    /// Byte and shift, in a panel, of an integer or its low half. A pair of inputs takes 64 bytes, two for an output, or
    /// 32: the low halves are the first 16 outputs', the high ones the others'. Of six bits, two pairs' low halves come
    /// before their high bits.
    #[inline(always)]
    fn low_bits(self, input: usize, lane: usize) -> (usize, u32) {
        let (pair, parity) = (input / 2, input % 2);
        let half = lane % 16 * 2 + parity;
        let shift = if lane < 16 { 0 } else { 4 };
        match self.bits {
            Bits::Eight => (pair * 2 * PANEL + lane * 2 + parity, 0),
            Bits::Four => (pair * PANEL + half, shift),
            Bits::Six => (pair / 2 * SIX + pair % 2 * PANEL + half, shift),
        }
    }

    /// Bytes of a matrix in memory.
    pub(super) fn bytes(self, outputs: usize, inputs: usize) -> usize {
        let (data, small) = (self.panel_data(inputs), self.panel_small(inputs));
        outputs.div_ceil(PANEL) * (data + small + self.panel_factors(inputs) * size_of::<f16>())
    }

    /// Bytes of integers of a panel.
    fn panel_data(self, inputs: usize) -> usize {
        match self.bits {
            Bits::Four => inputs / 2 * PANEL,
            Bits::Six => inputs / 4 * SIX,
            Bits::Eight => inputs * PANEL,
        }
    }

    fn panel_small(self, inputs: usize) -> usize {
        if self.nested { inputs / self.group * self.small_stride() } else { 0 }
    }

    fn small_stride(self) -> usize {
        if self.mins { 2 * PANEL } else { PANEL }
    }

    fn panel_factors(self, inputs: usize) -> usize {
        inputs / if self.nested { SUPER } else { self.group } * self.halves()
    }

    fn halves(self) -> usize {
        if self.mins { 2 * PANEL } else { PANEL }
    }
}

/// Byte and shift, in a panel, of the upper two of six bits: four of them in a byte, for the outputs that share a byte of
/// low halves, of two pairs.
#[inline(always)]
fn high_bits(input: usize, lane: usize) -> (usize, u32) {
    let (pair, parity) = (input / 2, input % 2);
    let field = pair % 2 * 2 + lane / 16;
    (pair / 2 * SIX + 2 * PANEL + lane % 16 * 2 + parity, 2 * field as u32)
}

impl Panel<'_> {
    /// Scales and minima of a group, as f32.
    #[inline(always)]
    pub(super) fn scales(&self, group: usize) -> Scales {
        let layout = self.layout;
        let whole = if layout.nested { group * layout.group / SUPER } else { group };
        let factors = &self.factors[whole * layout.halves()..][..layout.halves()];
        let mut scales = Scales { scales: [0.0; PANEL], mins: [0.0; PANEL] };
        let (of_scales, of_mins) = factors.split_at(PANEL);
        fill(&mut scales.scales, of_scales);
        fill(&mut scales.mins, of_mins);
        if layout.nested {
            let small = &self.small[group * layout.small_stride()..][..layout.small_stride()];
            let (of_scales, of_mins) = small.split_at(PANEL);
            multiply(&mut scales.scales, of_scales);
            multiply(&mut scales.mins, of_mins);
        }
        scales
    }
}

#[inline(always)]
fn fill(out: &mut [f32; PANEL], halves: &[f16]) {
    for (out, half) in out.iter_mut().zip(halves) {
        *out = half.to_f32();
    }
}

#[inline(always)]
fn multiply(out: &mut [f32; PANEL], small: &[u8]) {
    for (out, &small) in out.iter_mut().zip(small) {
        *out *= f32::from(small as i8);
    }
}

fn zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>, EngineError> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(len)
        .map_err(|_| EngineError::Memory { bytes: len.saturating_mul(size_of::<T>()) })?;
    values.resize(len, T::default());
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::GgmlType;

    const FORMATS: [GgmlType; 10] = [
        GgmlType::Q4_0,
        GgmlType::Q4_1,
        GgmlType::Q5_0,
        GgmlType::Q5_1,
        GgmlType::Q8_0,
        GgmlType::Q2K,
        GgmlType::Q3K,
        GgmlType::Q4K,
        GgmlType::Q5K,
        GgmlType::Q6K,
    ];
    /// No multiple of a panel, two super-blocks.
    const SHAPE: [usize; 2] = [45, 512];

    fn noise(state: &mut u64) -> u32 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as u32
    }

    /// Random blocks; bits of 16-bit floats are cut to values below 1 in size.
    fn blocks(dtype: GgmlType) -> Blocks<'static> {
        let mut state = 7 + dtype.number() as u64;
        let len = SHAPE[0] * SHAPE[1] / dtype.block_len() * dtype.block_bytes();
        let mut bytes: Vec<u8> = (0..len).map(|_| noise(&mut state) as u8).collect();
        for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
            for at in [0, 2, 80, 82, 108, 208] {
                if let Some(high) = block.get_mut(at + 1) {
                    *high &= 0xb3;
                }
            }
        }
        Blocks::new("w", dtype, SHAPE, bytes.into()).unwrap()
    }

    fn rows(count: usize) -> Vec<f32> {
        let mut state = 99;
        let value = |state: &mut u64| noise(state) as f32 / (1u32 << 30) as f32 - 1.0;
        (0..count * SHAPE[1])
            .map(|i| value(&mut state) * if i % 77 == 0 { 30.0 } else { 1.0 })
            .collect()
    }

    fn isas() -> Vec<PairIsa> {
        let mut all = vec![PairIsa::Portable];
        #[cfg(target_arch = "x86_64")]
        match PairIsa::detect() {
            PairIsa::Vnni => all.extend([PairIsa::Avx2, PairIsa::Vnni]),
            best => all.push(best),
        }
        all
    }

    fn product(matrix: &Quantised, isa: PairIsa, x: &IntegerRows) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.rows() * matrix.outputs];
        let mut tile = [[0.0; PANEL]; MAX_ROWS];
        let mut first = 0;
        while first < x.rows() {
            let count = isa.block(x.rows() - first);
            for panel in 0..matrix.panels() {
                matrix.tile(isa, x, (first, count), panel, &mut tile);
                let columns = PANEL.min(matrix.outputs - panel * PANEL);
                for (r, tile) in tile.iter().enumerate().take(count) {
                    out[(first + r) * matrix.outputs + panel * PANEL..][..columns]
                        .copy_from_slice(&tile[..columns]);
                }
            }
            first += count;
        }
        out
    }

    #[test]
    fn products_are_those_of_the_dequantised_weights() {
        let rows = rows(15);
        let mut x = IntegerRows::default();
        x.round(&rows, SHAPE[1]);
        for dtype in FORMATS {
            let blocks = blocks(dtype);
            let weights = blocks.dequantise();
            let matrix = Quantised::pack(&blocks).unwrap();
            let out = product(&matrix, PairIsa::detect(), &x);
            for (row, out) in rows.chunks_exact(SHAPE[1]).zip(out.chunks_exact(SHAPE[0])) {
                for (weights, &out) in weights.chunks_exact(SHAPE[1]).zip(out) {
                    let (mut plain, mut bound) = (0.0, 0.0);
                    for (weights, row) in weights.chunks_exact(BLOCK).zip(row.chunks_exact(BLOCK)) {
                        let greatest = row.iter().fold(0.0, |a: f64, v| a.max(f64::from(v.abs())));
                        for (&w, &x) in weights.iter().zip(row) {
                            let (w, x) = (f64::from(w), f64::from(x));
                            plain += w * x;
                            // Half a step of the rounding, and sums in f32. Weights with a minimum are differences
                            // of products up to 63 · 31 factors, each below 1.
                            bound += w.abs() * greatest / 65_534.0 * 1.01
                                + (w.abs() + 40.0) * x.abs() * 1e-6;
                        }
                    }
                    assert!(
                        (f64::from(out) - plain).abs() <= bound,
                        "{dtype:?}: {out} {plain} {bound}"
                    );
                }
            }
        }
    }

    #[test]
    fn bits_depend_neither_on_the_processor_nor_on_the_batch() {
        let rows = rows(15);
        let (mut all, mut one) = (IntegerRows::default(), IntegerRows::default());
        all.round(&rows, SHAPE[1]);
        for dtype in FORMATS {
            let matrix = Quantised::pack(&blocks(dtype)).unwrap();
            let expected = product(&matrix, PairIsa::detect(), &all);
            // Without fused multiply-add the portable kernel rounds differently.
            let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
            for isa in isas().into_iter().filter(|isa| fused || *isa != PairIsa::Portable) {
                assert!(product(&matrix, isa, &all) == expected, "{dtype:?} {isa:?}");
                for (row, expected) in
                    rows.chunks_exact(SHAPE[1]).zip(expected.chunks_exact(SHAPE[0]))
                {
                    one.round(row, SHAPE[1]);
                    assert!(product(&matrix, isa, &one) == expected, "{dtype:?} {isa:?}");
                }
            }
            let portable = product(&matrix, PairIsa::Portable, &all);
            for (a, b) in portable.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-5 * (SHAPE[1] as f32).max(b.abs()), "{dtype:?}");
            }
        }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        for dtype in FORMATS {
            let blocks = blocks(dtype);
            let matrix = Quantised::pack(&blocks).unwrap();
            let mut row = vec![0.0; SHAPE[1]];
            for (output, expected) in blocks.dequantise().chunks_exact(SHAPE[1]).enumerate() {
                matrix.row(output, &mut row);
                assert!(row == expected, "{dtype:?}");
            }
        }
    }

    #[test]
    fn rounding_keeps_zeros_extremes_and_tiny_values() {
        let mut x = IntegerRows::default();
        let mut row = vec![0.0f32; 96];
        (row[3], row[40], row[41], row[70]) = (-2.0, 1e-38, -5e-39, 3e38);
        x.round(&row, 96);
        assert_eq!((x.values[3], x.scales[0]), (-32767, 2.0 / 32767.0));
        assert_eq!((x.values[40], x.values[41]), (0, 0));
        assert_eq!(x.values[70], 32767);
        assert!(x.scales.iter().all(|scale| scale.is_finite()));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            row[50] = value;
            x.round(&row, 96);
            let finite: Vec<bool> = x.scales.iter().map(|scale| scale.is_finite()).collect();
            assert_eq!(finite, [true, false, true], "{value}");
        }
    }
}
