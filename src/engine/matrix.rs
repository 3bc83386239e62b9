//! A weight matrix stored in panels, and its product with rows.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use half::{bf16, f16};

use super::EngineError;
use super::blocks::Blocks;
use super::integer::PairIsa;
use super::kernel::{self, Element, Isa, Lanes, MAX_ROWS, PANEL};
use super::quantised::{IntegerRows, Quantised};
use super::threads::{self, SharedRows};

/// Rows made ready for a product.
#[derive(Default)]
pub(super) struct PackedRows {
    floats: FloatRows,
    integers: IntegerRows,
}

impl PackedRows {
    /// Packs row-major `rows` for `matrix`, reusing the memory held.
    pub(super) fn pack(&mut self, rows: &[f32], matrix: &Matrix) {
        match &matrix.panels {
            Panels::Quantised(_) => self.integers.round(rows, matrix.inputs),
            Panels::F32(_) | Panels::F16(_) | Panels::Bf16(_) => {
                self.floats.pack(rows, matrix.inputs)
            }
        }
    }
}

/// Rows rearranged for the kernel: blocks of up to 12 rows, and in a block the rows' values side by side.
#[derive(Default)]
struct FloatRows {
    data: Vec<f32>,
    /// First row and number of rows of each block.
    blocks: Vec<(usize, usize)>,
    width: usize,
}

impl FloatRows {
    fn pack(&mut self, rows: &[f32], width: usize) {
        let isa = Isa::detect();
        self.data.resize(rows.len(), 0.0);
        self.blocks.clear();
        self.width = width;
        let (mut first, count) = (0, rows.len() / width);
        while first < count {
            let size = isa.block(count - first);
            let range = first * width..(first + size) * width;
            interleave(&rows[range.clone()], width, &mut self.data[range]);
            self.blocks.push((first, size));
            first += size;
        }
    }

    fn rows(&self) -> usize {
        self.data.len() / self.width.max(1)
    }
}

/// Transposes `rows` (each `width` long) so that the values of one index stand together.
fn interleave(rows: &[f32], width: usize, out: &mut [f32]) {
    let count = rows.len() / width;
    for (r, row) in rows.chunks_exact(width).enumerate() {
        for (&value, slot) in row.iter().zip(out[r..].iter_mut().step_by(count)) {
            *slot = value;
        }
    }
}

/// An `outputs` × `inputs` matrix.
///
/// Floats: panels of 32 outputs, each `inputs` × 32, the last one padded with zeros. 16-bit floats stay what they are,
/// which halves what a decode step reads from memory; the kernel widens them exactly. Quantised: see `quantised`.
pub(super) struct Matrix {
    outputs: usize,
    inputs: usize,
    panels: Panels,
}

enum Panels {
    F32(Vec<Lanes<f32>>),
    F16(Vec<Lanes<f16>>),
    Bf16(Vec<Lanes<bf16>>),
    /// Matrices on top of each other, each in a format of its own.
    Quantised(Vec<Quantised>),
}

/// A matrix as it comes from a file.
pub(super) enum Weight {
    /// (outputs, inputs) on the CPU, f32, f16 or bf16.
    Floats(Tensor),
    Blocks(Blocks<'static>),
}

impl Weight {
    /// As floats, those of blocks f32.
    pub(super) fn floats(self) -> Result<Tensor, EngineError> {
        match self {
            Self::Floats(tensor) => Ok(tensor),
            Self::Blocks(blocks) => {
                let shape = (blocks.outputs, blocks.inputs);
                Ok(Tensor::from_vec(blocks.dequantise(), shape, &Device::Cpu)?)
            }
        }
    }
}

impl Matrix {
    /// Stacks matrices of one width on top of each other, so that several linear layers share one product. Quantised
    /// ones stay so when all are.
    pub(super) fn stack(parts: Vec<Weight>) -> Result<Self, EngineError> {
        let all = |kind: fn(&Weight) -> bool| parts.iter().all(kind);
        if !parts.is_empty() && all(|part| matches!(part, Weight::Blocks(_))) {
            return Self::of_blocks(&parts);
        }
        let floats = parts.into_iter().map(Weight::floats).collect::<Result<Vec<_>, _>>()?;
        Self::of_floats(&floats)
    }

    fn of_blocks(parts: &[Weight]) -> Result<Self, EngineError> {
        let blocks = parts.iter().filter_map(|part| match part {
            Weight::Blocks(blocks) => Some(Quantised::pack(blocks)),
            Weight::Floats(_) => None,
        });
        let parts: Vec<Quantised> = blocks.collect::<Result<_, _>>()?;
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs = parts.iter().map(|part| part.outputs).sum();
        Ok(Self { outputs, inputs, panels: Panels::Quantised(parts) })
    }

    fn of_floats(parts: &[Tensor]) -> Result<Self, EngineError> {
        let inputs = parts.first().map_or(Ok(0), |part| part.dim(1))?;
        let outputs = parts.iter().map(|part| part.dim(0)).sum::<Result<usize, _>>()?;
        let all = |dtype| parts.iter().all(|part| part.dtype() == dtype);
        let panels = if all(DType::BF16) {
            Panels::Bf16(pack(parts, outputs, inputs, |storage| match storage {
                CpuStorage::BF16(values) => Some(values),
                _ => None,
            })?)
        } else if all(DType::F16) {
            Panels::F16(pack(parts, outputs, inputs, |storage| match storage {
                CpuStorage::F16(values) => Some(values),
                _ => None,
            })?)
        } else {
            let parts: Vec<Tensor> =
                parts.iter().map(|part| part.to_dtype(DType::F32)).collect::<Result<_, _>>()?;
            Panels::F32(pack(&parts, outputs, inputs, |storage| match storage {
                CpuStorage::F32(values) => Some(values),
                _ => None,
            })?)
        };
        Ok(Self { outputs, inputs, panels })
    }

    /// Number of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Copies row `index` (the weights of one output; an embedding) into `out`.
    pub(super) fn row(&self, index: usize, out: &mut [f32]) {
        let (first, lane) = (index / PANEL * self.inputs, index % PANEL);
        match &self.panels {
            Panels::F32(panels) => copy_lane(&panels[first..], lane, out),
            Panels::F16(panels) => copy_lane(&panels[first..], lane, out),
            Panels::Quantised(parts) => {
                let mut index = index;
                for part in parts {
                    if index < part.outputs {
                        return part.row(index, out);
                    }
                    index -= part.outputs;
                }
            }
            Panels::Bf16(panels) => copy_lane(&panels[first..], lane, out),
        }
    }

    /// `out = x · selfᵀ`: row-major, as many rows as were packed for this matrix, `outputs` wide.
    pub(super) fn multiply(&self, x: &PackedRows, out: &mut Vec<f32>) {
        let rows = match &self.panels {
            Panels::Quantised(_) => x.integers.rows(),
            Panels::F32(_) | Panels::F16(_) | Panels::Bf16(_) => x.floats.rows(),
        };
        out.resize(rows * self.outputs, 0.0);
        match &self.panels {
            Panels::F32(panels) => self.multiply_panels(panels, &x.floats, out),
            Panels::F16(panels) => self.multiply_panels(panels, &x.floats, out),
            Panels::Bf16(panels) => self.multiply_panels(panels, &x.floats, out),
            Panels::Quantised(parts) => self.multiply_parts(parts, &x.integers, out),
        }
    }

    fn multiply_panels<W: Element>(&self, panels: &[Lanes<W>], x: &FloatRows, out: &mut [f32]) {
        let isa = Isa::detect();
        let out = SharedRows::new(out, self.outputs);
        let work = x.rows() * self.inputs * PANEL;
        threads::for_each(self.outputs.div_ceil(PANEL), work, |p| {
            let panel = &panels[p * self.inputs..(p + 1) * self.inputs];
            let columns = PANEL.min(self.outputs - p * PANEL);
            let mut tile = [[0.0; PANEL]; MAX_ROWS];
            for &(first, rows) in &x.blocks {
                let block = &x.data[first * self.inputs..(first + rows) * self.inputs];
                kernel::tile(isa, rows, block, panel, &mut tile);
                for (r, tile) in tile.iter().enumerate().take(rows) {
                    // SAFETY: each panel is computed once, and panels do not share columns.
                    unsafe { out.write(first + r, p * PANEL, &tile[..columns]) };
                }
            }
        });
    }

    fn multiply_parts(&self, parts: &[Quantised], x: &IntegerRows, out: &mut [f32]) {
        let isa = PairIsa::detect();
        let out = SharedRows::new(out, self.outputs);
        // A panel's part, its index there, and the part's first column.
        let mut panels = Vec::new();
        let mut first_column = 0;
        for part in parts {
            panels.extend((0..part.panels()).map(|p| (part, p, first_column)));
            first_column += part.outputs;
        }
        // An integer product does the work of two.
        let work = x.rows() * self.inputs * PANEL / 2;
        threads::for_each(panels.len(), work, |index| {
            let (part, p, first_column) = panels[index];
            let columns = PANEL.min(part.outputs - p * PANEL);
            let mut tile = [[0.0; PANEL]; MAX_ROWS];
            let mut first = 0;
            while first < x.rows() {
                let rows = isa.block(x.rows() - first);
                part.tile(isa, x, (first, rows), p, &mut tile);
                for (r, tile) in tile.iter().enumerate().take(rows) {
                    // SAFETY: each panel is computed once, and panels do not share columns.
                    unsafe { out.write(first + r, first_column + p * PANEL, &tile[..columns]) };
                }
                first += rows;
            }
        });
    }
}

fn copy_lane<W: Element>(lanes: &[Lanes<W>], lane: usize, out: &mut [f32]) {
    for (lanes, out) in lanes.iter().zip(out) {
        *out = lanes[lane].widen();
    }
}

fn pack<W: Element>(
    parts: &[Tensor],
    outputs: usize,
    inputs: usize,
    values: impl Fn(&CpuStorage) -> Option<&Vec<W>>,
) -> Result<Vec<Lanes<W>>, EngineError> {
    let mut panels = zeroed(outputs.div_ceil(PANEL) * inputs)?;
    let mut output = 0;
    for part in parts {
        let part = part.contiguous()?;
        let (storage, layout) = part.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Err(EngineError::NotOnCpu) };
        let values = values(storage).ok_or(EngineError::NotOnCpu)?;
        for row in values[layout.start_offset()..].chunks_exact(inputs).take(part.dim(0)?) {
            let first = output / PANEL * inputs;
            for (lanes, &value) in panels[first..].iter_mut().zip(row) {
                lanes[output % PANEL] = value;
            }
            output += 1;
        }
    }
    Ok(panels)
}

fn zeroed<W: Element>(len: usize) -> Result<Vec<Lanes<W>>, EngineError> {
    let mut lanes = Vec::new();
    lanes
        .try_reserve_exact(len)
        .map_err(|_| EngineError::Memory { bytes: len.saturating_mul(size_of::<Lanes<W>>()) })?;
    lanes.resize(len, [W::default(); PANEL]);
    Ok(lanes)
}
