//! The open sequences of a model, and the checks before a step.

use std::collections::{BTreeMap, HashMap};

use super::EngineError;
use super::config::Config;
use crate::lm::{Chunk, LmError, SeqId};

/// What a model remembers of one sequence.
pub(super) trait Cache: Sized {
    /// Number of ids that count.
    fn len(&self) -> usize;

    /// Sets the length: lower cuts, higher makes what was written count.
    fn set_len(&mut self, len: usize);

    /// A copy of the first `len` positions.
    fn prefix(&self, len: usize) -> Result<Self, EngineError>;
}

/// Open sequences by name.
pub(super) struct Sequences<C> {
    open: BTreeMap<SeqId, C>,
    next: u64,
    vocab_size: usize,
    max_positions: usize,
}

impl<C: Cache> Sequences<C> {
    /// None, of a model of this shape.
    pub(super) fn new(config: &Config) -> Self {
        let (vocab_size, max_positions) = (config.vocab_size, config.max_positions);
        Self { open: BTreeMap::new(), next: 0, vocab_size, max_positions }
    }

    pub(super) fn insert(&mut self, cache: C) -> SeqId {
        let seq = SeqId(self.next);
        self.next += 1;
        self.open.insert(seq, cache);
        seq
    }

    pub(super) fn get(&self, seq: SeqId) -> Result<&C, LmError> {
        self.open.get(&seq).ok_or(LmError::UnknownSequence(seq))
    }

    fn checked_len(&self, seq: SeqId, wanted: usize) -> Result<usize, LmError> {
        let len = self.get(seq)?.len();
        if wanted > len { Err(LmError::BeyondEnd { seq, len, wanted }) } else { Ok(wanted) }
    }

    pub(super) fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let len = self.checked_len(seq, len)?;
        let copy = self.get(seq)?.prefix(len).map_err(backend)?;
        Ok(self.insert(copy))
    }

    pub(super) fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        let len = self.checked_len(seq, len)?;
        self.open.get_mut(&seq).ok_or(LmError::UnknownSequence(seq))?.set_len(len);
        Ok(())
    }

    pub(super) fn close(&mut self, seq: SeqId) {
        self.open.remove(&seq);
    }

    /// Refuses a work list that cannot be computed as a whole.
    pub(super) fn check(&self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        let (vocab_size, max_positions) = (self.vocab_size, self.max_positions);
        let mut seen = HashMap::new();
        for (index, chunk) in work.iter().enumerate() {
            let wanted = self.get(chunk.seq)?.len().saturating_add(chunk.ids.len());
            if seen.insert(chunk.seq, index).is_some() {
                return Err(LmError::RepeatedSequence(chunk.seq));
            }
            if chunk.ids.is_empty() {
                return Err(LmError::EmptyChunk { chunk: index });
            }
            if let Some(&id) = chunk.ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(LmError::IdOutOfRange { id, vocab_size });
            }
            if wanted > max_positions {
                return Err(LmError::TooLong { wanted, max_positions });
            }
        }
        Ok(())
    }

    /// The sequences of a checked work list, in its order.
    pub(super) fn named(&mut self, work: &[Chunk<'_>]) -> Vec<&mut C> {
        let order: HashMap<SeqId, usize> =
            work.iter().enumerate().map(|(i, chunk)| (chunk.seq, i)).collect();
        let mut named: Vec<(usize, &mut C)> = self
            .open
            .iter_mut()
            .filter_map(|(seq, cache)| Some((*order.get(seq)?, cache)))
            .collect();
        named.sort_unstable_by_key(|(index, _)| *index);
        named.into_iter().map(|(_, cache)| cache).collect()
    }
}

/// An engine's error as the trait's.
pub(super) fn backend(error: EngineError) -> LmError {
    LmError::Backend(Box::new(error))
}
