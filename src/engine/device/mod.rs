//! The form of the engine for devices other than the CPU, over candle's tensors.
//!
//! All rows of a step, of whatever sequences, go through the linear layers together. Attention is one batched product
//! over all sequences when each brings one token (decoding), and a product for each sequence otherwise (prompts). What a
//! step launches in a layer: four matrix products, two for attention, and some thirty small operations; nothing waits
//! for the host before the logits. On a GPU the launches, not the bytes, are what small models would wait for: tokens a
//! second against the memory's bandwidth would be measured at batch 1 and 64.
//!
//! candle's features for faster products on the CPU (`mkl`, `accelerate`) have nothing to do here, since the CPU form
//! has kernels of its own; its flash attention needs sources and an hour of compiling of its own and is left out.

mod arena;
mod choice;
mod highest;
mod model;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device as CandleDevice};

use super::config::Config;
use super::sequences::{Cache, Sequences, backend};
use super::slab::Slab;
use super::{Dtype, EngineError, Source};
use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId};

pub use choice::{Device, SeenDevice, devices, load};

use arena::{Arena, Slot};
use model::DeviceModel;

/// A decoder-only model on any device that candle computes on, with its open sequences.
pub struct DeviceDecoder {
    model: DeviceModel,
    arena: Arc<Mutex<Arena>>,
    sequences: Sequences<Slot>,
}

impl DeviceDecoder {
    /// Loads a model onto a device. [`Dtype::Auto`] is f32 on the CPU, and elsewhere what the embedding has; quantised
    /// weights are widened to bf16 there.
    ///
    /// # Errors
    /// [`EngineError`]: as [`Decoder::load`](super::Decoder::load), and what the device reports.
    pub fn load(
        source: &Source<'_>,
        device: &CandleDevice,
        dtype: Dtype,
    ) -> Result<Self, EngineError> {
        let (config, mut weights) = source.open()?;
        let dtype = match dtype.chosen() {
            Some(dtype) => dtype,
            None if device.is_cpu() => DType::F32,
            None => weights.float_format(),
        };
        let arena = Arc::new(Mutex::new(Arena::new(&config, dtype, device)?));
        let sequences = Sequences::new(&config);
        let model = DeviceModel::load(config, &mut weights, device, dtype)?;
        Ok(Self { model, arena, sequences })
    }

    /// The same on the CPU, by candle's own products: what the tests compare.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn on_cpu(source: &Source<'_>, dtype: Dtype) -> Result<Self, EngineError> {
        Self::load(source, &CandleDevice::Cpu, dtype)
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    fn compute(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), EngineError> {
        let slots = self.sequences.named(work);
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let longest =
            slots.iter().zip(work).map(|(slot, chunk)| slot.len() + chunk.ids.len()).max();
        arena.reserve(longest.unwrap_or(0))?;
        for slab in Slab::cut(work) {
            let spans = slab.spans_from(|chunk| slots[chunk].len());
            let at: Vec<usize> = slab.chunks().map(|chunk| slots[chunk].index()).collect();
            let ids: Vec<u32> = slab.ids(work).collect();
            let rows = self.model.rows(&ids, &spans, &at, &arena)?;
            self.model.emit(&rows, &Slab::wanted(std::slice::from_ref(&slab), work), sink)?;
        }
        Ok(())
    }
}

impl LanguageModel for DeviceDecoder {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.max_positions
    }

    fn open(&mut self) -> Result<SeqId, LmError> {
        let slot = Slot::open(&self.arena).map_err(backend)?;
        Ok(self.sequences.insert(slot))
    }

    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        self.sequences.fork(seq, len)
    }

    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        self.sequences.truncate(seq, len)
    }

    fn close(&mut self, seq: SeqId) {
        self.sequences.close(seq);
    }

    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        self.sequences.get(seq).map(Slot::len)
    }

    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        self.sequences.check(work)?;
        self.compute(work, sink).map_err(backend)?;
        for (slot, chunk) in self.sequences.named(work).into_iter().zip(work) {
            slot.set_len(slot.len() + chunk.ids.len());
        }
        Ok(())
    }
}
