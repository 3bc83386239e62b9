//! What a pass needs beside the weights, computed on the host and uploaded before the first layer.

use candle_core::{Device, Tensor};

use super::plan::{Part, Pass};
use crate::engine::EngineError;
use crate::engine::config::Config;
use crate::engine::ops::Rope;

/// The inputs of a pass.
pub(super) struct Inputs {
    /// Ids of the rows.
    pub(super) ids: Tensor,
    /// Cosines and sines of the rows, each rows × 1 × head_dim / 2, for each table of [`Tables`].
    pub(super) turns: Vec<(Tensor, Tensor)>,
    /// One for each part.
    pub(super) parts: Vec<PartInputs>,
}

/// What attention over one part needs.
pub(super) struct PartInputs {
    /// With gaps: which row each lane takes, and which lane each row.
    pub(super) gaps: Option<(Tensor, Tensor)>,
    /// With several lanes: where each writes its key, lanes × kv_heads × 1 × head_dim.
    pub(super) write: Option<Tensor>,
    /// For each window of [`Windows`] what is seen through it.
    pub(super) seen: Vec<Seen>,
}

/// The positions that some lane sees.
pub(super) struct Seen {
    pub(super) from: usize,
    pub(super) len: usize,
    /// What is added to scores, 0 or −∞, lanes × 1 × tokens × 1 × len or as large as the scores; `None` where every row
    /// sees all of them.
    pub(super) mask: Option<Tensor>,
}

/// The distinct windows of a model's layers.
pub(super) struct Windows(Vec<Option<usize>>);

impl Windows {
    pub(super) fn new(config: &Config) -> Self {
        let mut windows: Vec<_> = config.layers.iter().map(|layer| layer.window).collect();
        windows.sort_unstable();
        windows.dedup();
        Self(windows)
    }

    /// Index of a layer's window.
    pub(super) fn index(&self, window: Option<usize>) -> usize {
        self.0.iter().position(|known| *known == window).unwrap_or(0)
    }
}

/// Cosines and sines: a table for each rotary embedding, and one that turns nothing.
///
/// All are multiplied by √scale, so that the product of a query and a key, both turned, needs no scaling.
pub(super) struct Tables {
    ropes: Vec<Rope>,
    scale: f32,
    half: usize,
}

impl Tables {
    pub(super) fn new(config: &Config) -> Self {
        let ropes = config.ropes.iter().map(Rope::new).collect();
        Self { ropes, scale: config.attention_scale.sqrt(), half: config.head_dim / 2 }
    }

    /// Index of a layer's table.
    pub(super) fn index(&self, rope: Option<usize>) -> usize {
        rope.unwrap_or(self.ropes.len())
    }

    fn turns(
        &self,
        positions: &[usize],
        device: &Device,
    ) -> Result<Vec<(Tensor, Tensor)>, EngineError> {
        let (tables, rows) = (self.ropes.len() + 1, positions.len());
        let mut values = Vec::with_capacity(tables * 2 * rows * self.half);
        let mut row = Vec::new();
        for table in 0..tables {
            let mut sines = Vec::with_capacity(rows * self.half);
            for &position in positions {
                row.clear();
                if let Some(rope) = self.ropes.get(table) {
                    rope.turns(position, &mut row);
                }
                let (cos, sin) = row.split_at(row.len() / 2);
                self.push(cos, 1.0, &mut values);
                self.push(sin, 0.0, &mut sines);
            }
            values.append(&mut sines);
        }
        let all = Tensor::from_vec(values, (tables, 2, rows, 1, self.half), device)?;
        let one = |table: usize| {
            let table = all.get(table)?;
            Ok((table.get(0)?, table.get(1)?))
        };
        (0..tables).map(one).collect()
    }

    /// Values of the dimensions that turn, then `rest` for those that stay.
    fn push(&self, turning: &[f32], rest: f32, out: &mut Vec<f32>) {
        let end = out.len() + self.half;
        out.extend(turning.iter().map(|value| value * self.scale));
        out.resize(end, rest * self.scale);
    }
}

impl Inputs {
    pub(super) fn new(
        pass: &Pass,
        config: &Config,
        tables: &Tables,
        windows: &Windows,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let part = |part: &Part| PartInputs::new(part, config, windows, device);
        Ok(Self {
            ids: Tensor::new(&pass.ids[..], device)?,
            turns: tables.turns(&pass.positions, device)?,
            parts: pass.parts.iter().map(part).collect::<Result<_, _>>()?,
        })
    }
}

impl PartInputs {
    fn new(
        part: &Part,
        config: &Config,
        windows: &Windows,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let seen = |window: &Option<usize>| Seen::new(part, *window, config, device);
        Ok(Self {
            gaps: part.has_gaps().then(|| gaps(part, device)).transpose()?,
            write: (part.slots() > 1).then(|| write(part, config, device)).transpose()?,
            seen: windows.0.iter().map(seen).collect::<Result<_, _>>()?,
        })
    }
}

/// A row for each lane (the first for lanes that rest), and a lane for each row.
fn gaps(part: &Part, device: &Device) -> Result<(Tensor, Tensor), EngineError> {
    let (mut rows, mut lanes) = (Vec::new(), Vec::new());
    for (lane, position) in (0u32..).zip(&part.lanes) {
        rows.push(if position.is_some() { lanes.len() as u32 } else { 0 });
        lanes.extend(position.map(|_| lane));
    }
    Ok((Tensor::new(rows, device)?, Tensor::new(lanes, device)?))
}

/// Lanes that rest write nothing: candle's scatter leaves the greatest index out.
fn write(part: &Part, config: &Config, device: &Device) -> Result<Tensor, EngineError> {
    let position = |lane: &Option<usize>| lane.map_or(u32::MAX, |position| position as u32);
    let positions: Vec<u32> = part.lanes.iter().map(position).collect();
    let shape = (part.slots(), config.kv_heads, 1, config.head_dim);
    let positions = Tensor::from_vec(positions, (part.slots(), 1, 1, 1), device)?;
    Ok(positions.broadcast_as(shape)?.contiguous()?)
}

impl Seen {
    fn new(
        part: &Part,
        window: Option<usize>,
        config: &Config,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let sees = |position: usize| {
            (window.map_or(0, |window| (position + 1).saturating_sub(window)), position + 1)
        };
        let ranges: Vec<Option<(usize, usize)>> = part
            .lanes
            .iter()
            .flat_map(|lane| (0..part.tokens).map(|token| lane.map(|lane| sees(lane + token))))
            .collect();
        let from = ranges.iter().flatten().map(|range| range.0).min().unwrap_or(0);
        let to = ranges.iter().flatten().map(|range| range.1).max().unwrap_or(1);
        let len = to - from;
        if ranges.iter().flatten().all(|range| *range == (from, to)) {
            return Ok(Self { from, len, mask: None });
        }
        let mut mask = Vec::with_capacity(ranges.len() * len);
        for range in ranges {
            let (start, end) = range.unwrap_or((from, to));
            let hidden = |position| position < start || position >= end;
            mask.extend((from..to).map(|p| if hidden(p) { f32::NEG_INFINITY } else { 0.0 }));
        }
        let mask = Tensor::from_vec(mask, (part.slots(), 1, part.tokens, 1, len), device)?;
        let mask = if part.tokens == 1 { spread(&mask, config, len)? } else { mask };
        Ok(Self { from, len, mask: Some(mask) })
    }
}

/// A mask of single tokens as large as the scores: spread once a step rather than once a layer.
fn spread(mask: &Tensor, config: &Config, len: usize) -> Result<Tensor, EngineError> {
    let group = config.heads / config.kv_heads;
    let shape = (mask.dim(0)?, config.kv_heads, 1, group, len);
    Ok(mask.broadcast_as(shape)?.contiguous()?)
}
