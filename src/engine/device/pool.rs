//! Keys and values of all open sequences on the device.
//!
//! A sequence has a slot in the pool of its class, the least power of two of positions that it fits in; a sequence that
//! outgrows its class moves to the next, and a pool without a free slot doubles. So memory is at most four times what the
//! sequences need, one long sequence does not lengthen the others' slots, and neighbouring slots can be read by one
//! product without being gathered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};

use crate::engine::EngineError;
use crate::engine::config::Config;
use crate::engine::sequences::Cache;

/// Positions of the smallest class: most prompts and answers are in one class, whose sequences decode in one product.
const LEAST_POSITIONS: usize = 512;

/// The pools of a model, one for each class.
pub(super) struct Pools {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    max_positions: usize,
    dtype: DType,
    device: Device,
    classes: BTreeMap<usize, Pool>,
}

/// The slots of one class.
#[derive(Default)]
pub(super) struct Pool {
    /// For every layer slots × kv_heads × positions × head_dim.
    pub(super) keys: Vec<Tensor>,
    pub(super) values: Vec<Tensor>,
    slots: Vec<SlotState>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotState {
    Clean,
    Taken,
    /// Holds what a closed sequence left.
    Stale,
}

impl Pools {
    pub(super) fn new(config: &Config, dtype: DType, device: &Device) -> Self {
        Self {
            layers: config.layers.len(),
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            max_positions: config.max_positions,
            dtype,
            device: device.clone(),
            classes: BTreeMap::new(),
        }
    }

    /// The pool of a class.
    pub(super) fn pool(&self, class: usize) -> Result<&Pool, EngineError> {
        // Every open sequence's class has a pool; this cannot fail while the sequence is open.
        self.classes.get(&class).ok_or(EngineError::Memory { bytes: self.bytes(class) })
    }

    /// Positions of the slots for sequences of this length.
    pub(super) fn class(&self, len: usize) -> usize {
        len.max(LEAST_POSITIONS).next_power_of_two().min(self.max_positions)
    }

    /// Bytes of a slot.
    pub(super) fn bytes(&self, class: usize) -> usize {
        2 * self.layers * self.kv_heads * class * self.head_dim * self.dtype.size_in_bytes()
    }

    /// A free slot, all zero: what masked positions hold must be numbers, since zero times NaN is NaN.
    fn take(&mut self, class: usize) -> Result<usize, EngineError> {
        let states = &self.classes.entry(class).or_default().slots;
        let slot = states.iter().position(|state| *state != SlotState::Taken);
        let slot = slot.unwrap_or(states.len());
        if slot == states.len() {
            self.grow(class, (2 * slot).max(1))?;
        }
        let Some(pool) = self.classes.get_mut(&class) else { return Ok(slot) };
        if pool.slots[slot] == SlotState::Stale {
            for tensor in pool.keys.iter().chain(&pool.values) {
                tensor.narrow(0, slot, 1)?.zero_set()?;
            }
        }
        pool.slots[slot] = SlotState::Taken;
        Ok(slot)
    }

    /// Lengthens a pool, layer by layer, so that at most one layer is there twice. Where memory runs out in between, the
    /// next call goes on.
    fn grow(&mut self, class: usize, slots: usize) -> Result<(), EngineError> {
        let shape = [slots, self.kv_heads, class, self.head_dim];
        let zeros = || Tensor::zeros(&shape[..], self.dtype, &self.device);
        let pool = self.classes.entry(class).or_default();
        for tensors in [&mut pool.keys, &mut pool.values] {
            for tensor in &mut *tensors {
                let before = tensor.dim(0)?;
                if before < slots {
                    let longer = zeros()?;
                    // Slot by slot: candle's copy counts elements in 32 bits.
                    for slot in 0..before {
                        let own = tensor.narrow(0, slot, 1)?;
                        longer.slice_set(&own, 0, slot)?;
                    }
                    *tensor = longer;
                }
            }
            while tensors.len() < self.layers {
                tensors.push(zeros()?);
            }
        }
        pool.slots.resize(slots, SlotState::Clean);
        Ok(())
    }

    /// Gives a slot back; a pool without sequences gives its memory back.
    fn release(&mut self, class: usize, slot: usize) {
        let Some(pool) = self.classes.get_mut(&class) else { return };
        pool.slots[slot] = SlotState::Stale;
        if !pool.slots.contains(&SlotState::Taken) {
            self.classes.remove(&class);
        }
    }

    /// Copies the first `len` positions of one slot to another.
    fn copy(&self, from: Place, to: Place, len: usize) -> Result<(), EngineError> {
        if len == 0 {
            return Ok(());
        }
        let (from_pool, to_pool) = (self.pool(from.class)?, self.pool(to.class)?);
        let tensors = from_pool.keys.iter().chain(&from_pool.values);
        for (source, target) in tensors.zip(to_pool.keys.iter().chain(&to_pool.values)) {
            let prefix = source.narrow(0, from.slot, 1)?.narrow(2, 0, len)?.force_contiguous()?;
            target.narrow(0, to.slot, 1)?.slice_set(&prefix, 2, 0)?;
        }
        Ok(())
    }
}

/// Where a sequence lies, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) class: usize,
    pub(super) slot: usize,
    pub(super) len: usize,
}

/// Pools that sequences share.
pub(super) type SharedPools = Arc<Mutex<Pools>>;

pub(super) fn lock(pools: &SharedPools) -> MutexGuard<'_, Pools> {
    // A sink that panicked left nothing half done that a later step would read.
    pools.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The slot of one sequence; it is given back when this is dropped.
pub(super) struct Slot {
    pools: SharedPools,
    place: Place,
}

impl Slot {
    /// An empty sequence.
    pub(super) fn new(pools: &SharedPools) -> Result<Self, EngineError> {
        Self::with_room(pools, 0)
    }

    fn with_room(pools: &SharedPools, len: usize) -> Result<Self, EngineError> {
        let mut locked = lock(pools);
        let class = locked.class(len);
        let slot = locked.take(class)?;
        Ok(Self { pools: pools.clone(), place: Place { class, slot, len: 0 } })
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Makes room for `len` positions.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), EngineError> {
        if len > self.place.class {
            *self = self.copied(self.place.len, len)?;
        }
        Ok(())
    }

    /// A copy of the first `len` positions with room for `room`.
    fn copied(&self, len: usize, room: usize) -> Result<Self, EngineError> {
        let mut copy = Self::with_room(&self.pools, room)?;
        lock(&self.pools).copy(self.place, copy.place, len)?;
        copy.place.len = len;
        Ok(copy)
    }
}

impl Cache for Slot {
    fn len(&self) -> usize {
        self.place.len
    }

    fn set_len(&mut self, len: usize) {
        self.place.len = len;
    }

    fn prefix(&self, len: usize) -> Result<Self, EngineError> {
        self.copied(len, len)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.pools).release(self.place.class, self.place.slot);
    }
}
