//! [`Llama`]: open sequences around the model, and the checks before a step.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::EngineError;
use super::cache::Sequence;
use super::config::Config;
use super::model::{Buffers, Model};
use super::weights::Weights;
use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId};

/// A Llama model in memory, with its open sequences.
pub struct Llama {
    model: Model,
    sequences: BTreeMap<SeqId, Sequence>,
    next: u64,
    buffers: Buffers,
}

impl Llama {
    /// Loads a model from a directory with `config.json` and `model.safetensors`, or with shards and their
    /// `model.safetensors.index.json`.
    ///
    /// bf16 weights stay bf16 in memory and are widened exactly as they are used; f16 becomes f32.
    ///
    /// # Errors
    /// [`EngineError`]: files that are missing, damaged or contradict each other, and models of another kind.
    pub fn from_dir(dir: &Path) -> Result<Self, EngineError> {
        let path = dir.join("config.json");
        let config = std::fs::read(&path).map_err(|source| EngineError::Read { path, source })?;
        Self::load(Config::parse(&config)?, Weights::from_dir(dir)?)
    }

    /// Loads a model from the bytes of its `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_bytes(config: &[u8], safetensors: &[u8]) -> Result<Self, EngineError> {
        Self::load(Config::parse(config)?, Weights::from_bytes(safetensors)?)
    }

    fn load(config: Config, mut weights: Weights<'_>) -> Result<Self, EngineError> {
        let model = Model::load(config, &mut weights)?;
        Ok(Self { model, sequences: BTreeMap::new(), next: 0, buffers: Buffers::default() })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    fn get(&self, seq: SeqId) -> Result<&Sequence, LmError> {
        self.sequences.get(&seq).ok_or(LmError::UnknownSequence(seq))
    }

    fn checked_len(&self, seq: SeqId, wanted: usize) -> Result<usize, LmError> {
        let len = self.get(seq)?.len();
        if wanted > len { Err(LmError::BeyondEnd { seq, len, wanted }) } else { Ok(wanted) }
    }

    fn insert(&mut self, sequence: Sequence) -> SeqId {
        let seq = SeqId(self.next);
        self.next += 1;
        self.sequences.insert(seq, sequence);
        seq
    }

    fn check(&self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        let mut seen = HashMap::new();
        for (index, chunk) in work.iter().enumerate() {
            let wanted = self.get(chunk.seq)?.len().saturating_add(chunk.ids.len());
            if seen.insert(chunk.seq, index).is_some() {
                return Err(LmError::RepeatedSequence(chunk.seq));
            }
            if chunk.ids.is_empty() {
                return Err(LmError::EmptyChunk { chunk: index });
            }
            let vocab_size = self.vocab_size();
            if let Some(&id) = chunk.ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(LmError::IdOutOfRange { id, vocab_size });
            }
            let max_positions = self.max_positions();
            if wanted > max_positions {
                return Err(LmError::TooLong { wanted, max_positions });
            }
        }
        Ok(())
    }

    fn reserve(&mut self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        for chunk in work {
            let sequence =
                self.sequences.get_mut(&chunk.seq).ok_or(LmError::UnknownSequence(chunk.seq))?;
            sequence.reserve(sequence.len() + chunk.ids.len()).map_err(backend)?;
        }
        Ok(())
    }
}

impl LanguageModel for Llama {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.max_positions
    }

    fn open(&mut self) -> Result<SeqId, LmError> {
        let sequence = Sequence::new(&self.model.config);
        Ok(self.insert(sequence))
    }

    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let len = self.checked_len(seq, len)?;
        let copy = self.get(seq)?.prefix(len).map_err(backend)?;
        Ok(self.insert(copy))
    }

    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        let len = self.checked_len(seq, len)?;
        self.sequences.get_mut(&seq).ok_or(LmError::UnknownSequence(seq))?.set_len(len);
        Ok(())
    }

    fn close(&mut self, seq: SeqId) {
        self.sequences.remove(&seq);
    }

    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        self.get(seq).map(Sequence::len)
    }

    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        self.check(work)?;
        self.reserve(work)?;
        let mut sequences = named(&mut self.sequences, work);
        self.model.run(work, &mut sequences, &mut self.buffers, sink);
        // Only now do the new positions count: had the sink panicked, the sequences would be as before.
        for (sequence, chunk) in sequences.iter_mut().zip(work) {
            sequence.set_len(sequence.len() + chunk.ids.len());
        }
        Ok(())
    }
}

/// The sequences of a checked work list, in its order.
fn named<'a>(
    sequences: &'a mut BTreeMap<SeqId, Sequence>,
    work: &[Chunk<'_>],
) -> Vec<&'a mut Sequence> {
    let order: HashMap<SeqId, usize> =
        work.iter().enumerate().map(|(i, chunk)| (chunk.seq, i)).collect();
    let mut named: Vec<(usize, &mut Sequence)> = sequences
        .iter_mut()
        .filter_map(|(seq, sequence)| Some((*order.get(seq)?, sequence)))
        .collect();
    named.sort_unstable_by_key(|(index, _)| *index);
    named.into_iter().map(|(_, sequence)| sequence).collect()
}

fn backend(error: EngineError) -> LmError {
    LmError::Backend(Box::new(error))
}
