//! [`Decoder`]: a model on the CPU with its open sequences.

use std::path::Path;

use super::cache::Sequence;
use super::config::Config;
use super::model::{Buffers, Model};
use super::sequences::{Cache, Sequences, backend};
use super::{Dtype, EngineError, Source};
use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId};

/// A decoder-only model in memory, with its open sequences.
pub struct Decoder {
    model: Model,
    sequences: Sequences<Sequence>,
    buffers: Buffers,
}

impl Decoder {
    /// Loads a model. Weights stay in memory in the number format of the file, or in the one asked for, and are widened
    /// exactly as they are used: arithmetic is in f32.
    ///
    /// # Errors
    /// [`EngineError`]: files that are missing, damaged or contradict each other, and models of another kind.
    pub fn load(source: &Source<'_>, dtype: Dtype) -> Result<Self, EngineError> {
        let (config, mut weights) = source.open()?;
        weights.dtype = dtype.chosen();
        let model = Model::load(config, &mut weights)?;
        let sequences = Sequences::new(&model.config);
        Ok(Self { model, sequences, buffers: Buffers::default() })
    }

    /// Loads a model from a directory, as it is.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_dir(dir: &Path) -> Result<Self, EngineError> {
        Self::load(&Source::Dir(dir), Dtype::Auto)
    }

    /// Loads a model from the bytes of its `config.json` and `model.safetensors`, as it is.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(config: &[u8], safetensors: &[u8]) -> Result<Self, EngineError> {
        Self::load(&Source::Bytes { config, safetensors }, Dtype::Auto)
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    fn reserve(&mut self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        for (sequence, chunk) in self.sequences.named(work).into_iter().zip(work) {
            sequence.reserve(sequence.len() + chunk.ids.len()).map_err(backend)?;
        }
        Ok(())
    }
}

impl LanguageModel for Decoder {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.max_positions
    }

    fn bytes_per_position(&self) -> u64 {
        Sequence::bytes(&self.model.config)
    }

    fn room(&self, len: usize) -> usize {
        Sequence::room(len)
    }

    fn open(&mut self) -> Result<SeqId, LmError> {
        let sequence = Sequence::new(&self.model.config);
        Ok(self.sequences.insert(sequence))
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
        self.sequences.get(seq).map(Sequence::len)
    }

    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        self.sequences.check(work)?;
        self.reserve(work)?;
        let mut sequences = self.sequences.named(work);
        self.model.run(work, &mut sequences, &mut self.buffers, sink);
        // Only now do the new positions count: had the sink panicked, the sequences would be as before.
        for (sequence, chunk) in sequences.iter_mut().zip(work) {
            sequence.set_len(sequence.len() + chunk.ids.len());
        }
        Ok(())
    }
}
