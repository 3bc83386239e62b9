//! [`DeviceDecoder`]: a model on a GPU, over candle's tensors.
//!
//! The same [`Config`] and the same files as [`Decoder`](super::Decoder), which has kernels of its own and is the form
//! for CPUs. On candle's CPU device this form computes the same thing much slower; tests compare it with transformers
//! there. Logits of a position depend on its neighbours in a step in their last bits, since products of other shapes add
//! in another order.
//!
//! # Number formats
//! Weights, the residual stream, keys and values are in one format, f32, bf16 or f16. Statistics of normalisation,
//! rotation, scores and their softmax are in f32. Logits are widened to f32 as they leave the output layer's product,
//! then scaled and capped; in bf16 they have 8 bits, as transformers' have.
//!
//! # What a step launches
//! A GPU waits for launches, not for bytes, when few sequences decode: so the fewer the better. Before the layers: ids,
//! cosines and sines, and with several sequences positions and masks are uploaded, and the embedding is read. Then in
//! each layer, for n sequences that bring one token each and lie in neighbouring slots:
//!
//! | | f32 | bf16, f16 |
//! |---|---|---|
//! | normalisation, queries-keys-values product | 2 | 2 |
//! | queries and keys side by side, widened (n > 1 or not f32) | 0, n > 1: 1 | 1 |
//! | rotation of both | 1 | 1 |
//! | queries, keys, values narrowed or side by side | 0, n > 1: 3 | 2, n > 1: 3 |
//! | keys and values into the cache | 2 | 2 |
//! | scores, widened, mask (n > 1), softmax, narrowed, mixture | 3, n > 1: 4 | 5, n > 1: 6 |
//! | output product, addition | 2 | 2 |
//! | normalisation, gate-up product, activation, product, down product, addition | 6 | 6 |
//! | all | 16, n > 1: 21 | 21, n > 1: 23 |
//!
//! Biases, normalisation of queries and keys, normalisation after blocks, soft caps and scales add theirs. Sequences in
//! slots that do not neighbour, or in another class of length, are further parts: their attention's launches come again,
//! the rest does not. Several tokens of one sequence (prefill) are such a part too, in pieces of up to 512 rows. After
//! the layers: normalisation, output product, and the copy to the host, which is the only wait of a step. Where the sink
//! says that the highest logits may do, they are found first (`highest`: some 10 launches and 4 for each round of
//! pieces, two rounds for 50 of 128,000), and only they are copied.
//!
//! # What is not measured
//! This form was written without a GPU at hand. To be measured on one: tokens a second at batch 1, 8 and 64 against the
//! limit of memory bandwidth; whether gate and up are better as two contiguous products; the strided operands at n > 1,
//! for each of which candle uploads its strides; `highest` against copying whole rows, at V from 32,000 to 256,000 and
//! batches from 1 to 64; 512 as the smallest class and as the rows of a pass.
//!
//! # What is left out
//! `mkl` and `accelerate`, candle's other products for the CPU: the CPU form does not use candle's products. flash-attn:
//! its build needs a checkout of CUTLASS and compiles 53 kernels, and it has no single call for slots of different
//! lengths with soft caps.
//!
//! # Threads
//! candle gives every thread that calls it a stream of its own. A step ends only when the device is done, so a model may
//! move from one thread to another between calls.

mod choice;
mod highest;
mod inputs;
mod model;
mod plan;
mod pool;
mod weights;

use std::sync::{Arc, Mutex};

use candle_core::DType;

pub use choice::{Device, DeviceInfo, devices, load};

use super::config::Config;
use super::sequences::{Cache, Sequences, backend};
use super::{Dtype, EngineError, Source};
use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId};
use model::Model;
use pool::{Place, Pools, SharedPools, Slot};

/// A decoder-only model on a device, with its open sequences.
pub struct DeviceDecoder {
    model: Model,
    pools: SharedPools,
    sequences: Sequences<Slot>,
}

impl DeviceDecoder {
    /// Loads a model onto a device. [`Dtype::Auto`] is f32 on the CPU, and elsewhere what most of the
    /// files' values have, bf16 when they are quantised.
    ///
    /// # Errors
    /// [`EngineError`]: files that are missing, damaged or contradict each other, models of another kind, values that
    /// the number format cannot hold, and a device that the program was not built for, that does not answer or that is
    /// too small.
    pub fn load(source: &Source<'_>, device: Device, dtype: Dtype) -> Result<Self, EngineError> {
        Self::load_on(source, device.open()?, dtype)
    }

    fn load_on(
        source: &Source<'_>,
        device: candle_core::Device,
        dtype: Dtype,
    ) -> Result<Self, EngineError> {
        let (config, mut weights) = source.open()?;
        let automatic = if device.is_cpu() { DType::F32 } else { weights.float_format() };
        let dtype = dtype.chosen().unwrap_or(automatic);
        weights.dtype = Some(dtype);
        let model = Model::load(config, &mut weights, dtype, device)?;
        model.device.synchronize()?;
        let pools = Arc::new(Mutex::new(Pools::new(&model.config, dtype, &model.device)));
        let sequences = Sequences::new(&model.config);
        Ok(Self { model, pools, sequences })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    fn run(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), EngineError> {
        let mut sequences = self.sequences.named(work);
        for (sequence, chunk) in sequences.iter_mut().zip(work) {
            sequence.reserve(sequence.len() + chunk.ids.len())?;
        }
        let places: Vec<Place> = sequences.iter().map(|sequence| sequence.place()).collect();
        let pools = pool::lock(&self.pools);
        for pass in plan::plan(work, &places, self.model.config.heads) {
            self.model.run(&pass, &pools, sink)?;
        }
        Ok(self.model.device.synchronize()?)
    }
}

impl LanguageModel for DeviceDecoder {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.max_positions
    }

    fn bytes_per_position(&self) -> u64 {
        pool::lock(&self.pools).bytes(1) as u64
    }

    fn room(&self, len: usize) -> usize {
        pool::lock(&self.pools).class(len)
    }

    fn open(&mut self) -> Result<SeqId, LmError> {
        let slot = Slot::new(&self.pools).map_err(backend)?;
        Ok(self.sequences.insert(slot))
    }

    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let fork = self.sequences.fork(seq, len)?;
        self.model.device.synchronize().map_err(|error| backend(error.into()))?;
        Ok(fork)
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
        self.run(work, sink).map_err(backend)?;
        // Only now do the new positions count: on an error, the sequences are as before.
        for (sequence, chunk) in self.sequences.named(work).into_iter().zip(work) {
            sequence.set_len(sequence.len() + chunk.ids.len());
        }
        Ok(())
    }
}
