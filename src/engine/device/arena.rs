//! Keys and values of all sequences, in slots.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use crate::engine::EngineError;
use crate::engine::config::Config;
use crate::engine::sequences::Cache;

/// Positions that a slot has at first; doubled when they do not suffice.
const FIRST_POSITIONS: usize = 256;

/// For each layer the keys and the values: kv_heads × (slots · positions) × head_dim.
///
/// A position is written where it belongs, without a copy of the rest. Growing copies.
pub(super) struct Arena {
    layers: Vec<[Tensor; 2]>,
    /// Whether a slot is taken.
    taken: Vec<bool>,
    positions: usize,
    max_positions: usize,
}

impl Arena {
    pub(super) fn new(config: &Config, dtype: DType, device: &Device) -> Result<Self, EngineError> {
        let positions = FIRST_POSITIONS.min(config.max_positions);
        let empty = || Tensor::zeros((config.kv_heads, positions, config.head_dim), dtype, device);
        let layers = (0..config.layers.len())
            .map(|_| Ok([empty()?, empty()?]))
            .collect::<Result<_, EngineError>>()?;
        Ok(Self { layers, taken: vec![false], positions, max_positions: config.max_positions })
    }

    pub(super) fn slots(&self) -> usize {
        self.taken.len()
    }

    /// Row, in the second dimension, of a slot's position.
    pub(super) fn row(&self, slot: usize, position: usize) -> u32 {
        (slot * self.positions + position) as u32
    }

    /// Keys and values of a layer, to be written at the [`row`](Self::row)s.
    pub(super) fn layer(&self, layer: usize) -> &[Tensor; 2] {
        &self.layers[layer]
    }

    /// Keys and values of a layer up to a length: kv_heads × slots × length × head_dim.
    pub(super) fn of_all(&self, layer: usize, len: usize) -> candle_core::Result<[Tensor; 2]> {
        let [keys, values] = &self.layers[layer];
        Ok([self.by_slot(keys)?.narrow(2, 0, len)?, self.by_slot(values)?.narrow(2, 0, len)?])
    }

    /// The same of one slot: kv_heads × length × head_dim.
    pub(super) fn of_one(
        &self,
        layer: usize,
        slot: usize,
        len: usize,
    ) -> candle_core::Result<[Tensor; 2]> {
        let [keys, values] = &self.layers[layer];
        let (at, len) = (slot * self.positions, len);
        Ok([keys.narrow(1, at, len)?, values.narrow(1, at, len)?])
    }

    /// Makes room for `len` positions in every slot.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), EngineError> {
        if len <= self.positions {
            return Ok(());
        }
        let positions = len.next_power_of_two().min(self.max_positions).max(len);
        self.regrow(2, positions - self.positions)?;
        self.positions = positions;
        Ok(())
    }

    fn take(&mut self) -> Result<usize, EngineError> {
        if let Some(free) = self.taken.iter().position(|taken| !taken) {
            self.taken[free] = true;
            self.clear(free)?;
            return Ok(free);
        }
        let slots = self.slots();
        self.regrow(1, slots)?;
        self.taken.resize(2 * slots, false);
        self.taken[slots] = true;
        Ok(slots)
    }

    /// Adds zeros to the slots (dimension 1) or to each slot's positions (2).
    fn regrow(&mut self, dimension: usize, more: usize) -> Result<(), EngineError> {
        let grown = |tensor: &Tensor| {
            let larger = self.by_slot(tensor)?.pad_with_zeros(dimension, 0, more)?;
            larger.flatten(1, 2)?.contiguous()
        };
        let layers = self.layers.iter().map(|[keys, values]| Ok([grown(keys)?, grown(values)?]));
        self.layers = layers.collect::<Result<_, candle_core::Error>>()?;
        Ok(())
    }

    /// Zeros where a sequence was: a value that is no number would spoil sums even under a weight of zero.
    fn clear(&self, slot: usize) -> Result<(), EngineError> {
        for tensor in self.layers.iter().flatten() {
            let all = self.by_slot(tensor)?;
            all.slice_set(&all.narrow(1, slot, 1)?.zeros_like()?, 1, slot)?;
        }
        Ok(())
    }

    fn copy(&self, from: usize, to: usize) -> Result<(), EngineError> {
        for tensor in self.layers.iter().flatten() {
            let all = self.by_slot(tensor)?;
            all.slice_set(&all.narrow(1, from, 1)?.force_contiguous()?, 1, to)?;
        }
        Ok(())
    }

    fn by_slot(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        let (kv_heads, _, head_dim) = tensor.dims3()?;
        tensor.reshape((kv_heads, self.slots(), self.positions, head_dim))
    }
}

/// One sequence's place.
pub(super) struct Slot {
    index: usize,
    len: usize,
    arena: Arc<Mutex<Arena>>,
}

impl Slot {
    pub(super) fn open(arena: &Arc<Mutex<Arena>>) -> Result<Self, EngineError> {
        let index = arena.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Ok(Self { index, len: 0, arena: Arc::clone(arena) })
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Cache for Slot {
    fn len(&self) -> usize {
        self.len
    }

    fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    fn prefix(&self, len: usize) -> Result<Self, EngineError> {
        let mut copy = Self::open(&self.arena)?;
        copy.len = len;
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).copy(self.index, copy.index)?;
        Ok(copy)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).taken[self.index] = false;
    }
}
