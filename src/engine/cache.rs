//! Keys and values of one sequence.

use super::EngineError;
use super::config::Config;
use super::kernel::{Lanes, PANEL};
use super::sequences::Cache;

/// What one key-value head of one layer remembers, laid out as panels for the kernel.
///
/// Memory doubles when it runs out; there is no copy a token. What lies beyond the sequence's length is stale.
#[derive(Default)]
pub(super) struct Head {
    /// Panels of 32 positions, each head_dim × 32.
    keys: Vec<Lanes<f32>>,
    /// For every 32 dimensions of the head a panel of positions × 32.
    values: Vec<Vec<Lanes<f32>>>,
}

impl Head {
    /// Key panels, each `head_dim` long, from position 0 on.
    pub(super) fn keys(&self) -> &[Lanes<f32>] {
        &self.keys
    }

    /// Value panels, one for every 32 dimensions, each at least as long as the sequence.
    pub(super) fn values(&self) -> &[Vec<Lanes<f32>>] {
        &self.values
    }

    fn reserve(
        &mut self,
        len: usize,
        head_dim: usize,
    ) -> Result<(), std::collections::TryReserveError> {
        self.values.resize_with(head_dim.div_ceil(PANEL), Vec::new);
        let keys = len.div_ceil(PANEL) * head_dim;
        self.keys.try_reserve(keys.saturating_sub(self.keys.len()))?;
        for panel in &mut self.values {
            panel.try_reserve(len.saturating_sub(panel.len()))?;
        }
        Ok(())
    }

    fn write(&mut self, position: usize, key: &[f32], value: &[f32]) {
        let first = position / PANEL * key.len();
        if self.keys.len() < first + key.len() {
            self.keys.resize(first + key.len(), [0.0; PANEL]);
        }
        for (lanes, &key) in self.keys[first..].iter_mut().zip(key) {
            lanes[position % PANEL] = key;
        }
        for (panel, value) in self.values.iter_mut().zip(value.chunks(PANEL)) {
            if panel.len() <= position {
                panel.resize(position + 1, [0.0; PANEL]);
            }
            panel[position][..value.len()].copy_from_slice(value);
        }
    }

    fn prefix(
        &self,
        len: usize,
        head_dim: usize,
    ) -> Result<Self, std::collections::TryReserveError> {
        let mut copy = Self::default();
        copy.reserve(len, head_dim)?;
        copy.keys.extend_from_slice(&self.keys[..len.div_ceil(PANEL) * head_dim]);
        for (copy, panel) in copy.values.iter_mut().zip(&self.values) {
            copy.extend_from_slice(&panel[..len]);
        }
        Ok(copy)
    }
}

/// The cache of one sequence: its length and, for every layer, its heads.
#[derive(Default)]
pub(super) struct Sequence {
    len: usize,
    heads: Vec<Head>,
    kv_heads: usize,
    head_dim: usize,
}

impl Sequence {
    /// An empty sequence for a model of this shape.
    pub(super) fn new(config: &Config) -> Self {
        let heads = config.layers.len() * config.kv_heads;
        Self {
            len: 0,
            heads: std::iter::repeat_with(Head::default).take(heads).collect(),
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        }
    }

    /// Bytes of one position: a key and a value of every head, the value in whole panels.
    pub(super) fn bytes(config: &Config) -> u64 {
        let lanes = config.head_dim + config.head_dim.next_multiple_of(PANEL);
        (size_of::<f32>() * config.layers.len() * config.kv_heads * lanes) as u64
    }

    /// Positions that `len` take: keys are in whole panels.
    pub(super) fn room(len: usize) -> usize {
        len.next_multiple_of(PANEL)
    }

    /// Makes room for `len` positions, so that writing them cannot fail.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), EngineError> {
        let bytes = 2 * size_of::<f32>() * len * self.heads.len() * self.head_dim;
        self.heads
            .iter_mut()
            .try_for_each(|head| head.reserve(len, self.head_dim))
            .map_err(|_| EngineError::Memory { bytes })
    }

    /// Remembers the keys and values of one position in one layer: each kv_heads × head_dim.
    pub(super) fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let heads = &mut self.heads[layer * self.kv_heads..(layer + 1) * self.kv_heads];
        let parts = keys.chunks_exact(self.head_dim).zip(values.chunks_exact(self.head_dim));
        for (head, (key, value)) in heads.iter_mut().zip(parts) {
            head.write(position, key, value);
        }
    }

    /// One key-value head of one layer.
    pub(super) fn head(&self, layer: usize, kv_head: usize) -> &Head {
        &self.heads[layer * self.kv_heads + kv_head]
    }
}

impl Cache for Sequence {
    fn len(&self) -> usize {
        self.len
    }

    fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    fn prefix(&self, len: usize) -> Result<Self, EngineError> {
        let bytes = 2 * size_of::<f32>() * len * self.heads.len() * self.head_dim;
        let heads = self.heads.iter().map(|head| head.prefix(len, self.head_dim));
        let heads = heads.collect::<Result<_, _>>().map_err(|_| EngineError::Memory { bytes })?;
        Ok(Self { len, heads, kv_heads: self.kv_heads, head_dim: self.head_dim })
    }
}
