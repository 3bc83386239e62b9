//! What the layers above need of a language model, and nothing of how it is run.
//!
//! `engine` implements [`LanguageModel`]; tests fake it in twenty lines. Many sequences of different lengths advance in
//! one call, so that a server can batch and a study can score without knowing the engine. A [`Completer`] is a model that can
//! only be asked, a [`TensorSource`] its weights.

mod completer;
mod tensors;

pub use completer::{
    ChatMessage, CompletedToken, Completer, CompleterError, Completion, Prompt, Request,
};
pub use tensors::{TensorError, TensorInfo, TensorSource};

use crate::tokens::TokenId;

/// Names one open sequence of a [`LanguageModel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqId(pub u64);

/// Which positions of a [`Chunk`] shall give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: only the cache advances.
    None,
    /// The chunk's last position.
    Last,
    /// Every position of the chunk.
    All,
}

/// Ids to append to one sequence in a [`LanguageModel::step`].
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The sequence that grows.
    pub seq: SeqId,
    /// What is appended; at least one id.
    pub ids: &'a [TokenId],
    /// Which rows of logits are wanted.
    pub want: Want,
}

/// Receives logits as they are computed, in pieces: an implementation never holds positions × V at once.
pub trait LogitSink {
    /// One row: `logits` has length V, natural-log scale, before temperature. `chunk` indexes the call's work list,
    /// `position` the chunk's ids.
    fn row(&mut self, chunk: usize, position: usize, logits: &[f32]);

    /// How many of the highest logits of a chunk's rows may be enough; `None`: only whole rows will do.
    ///
    /// A model whose logits lie on another device may then hand over [`highest`](Self::highest) instead of a
    /// [`row`](Self::row), which saves the copy of V numbers.
    fn enough(&self, chunk: usize) -> Option<usize> {
        let _ = chunk;
        None
    }

    /// The [`enough`](Self::enough) highest logits of one row with their tokens, in order of tokens; of equal logits,
    /// those of lower tokens. False when they were not enough: nothing has happened, and the model hands over the row.
    fn highest(
        &mut self,
        chunk: usize,
        position: usize,
        tokens: &[TokenId],
        logits: &[f32],
    ) -> bool {
        let _ = (chunk, position, tokens, logits);
        false
    }
}

impl<F: FnMut(usize, usize, &[f32])> LogitSink for F {
    fn row(&mut self, chunk: usize, position: usize, logits: &[f32]) {
        self(chunk, position, logits);
    }
}

/// A causal language model over cached sequences.
pub trait LanguageModel: Send {
    /// V, the width of a logit row. May exceed the tokenizer's vocabulary.
    fn vocab_size(&self) -> usize;

    /// Greatest length a sequence may reach.
    fn max_positions(&self) -> usize;

    /// Bytes of memory that one position of one sequence takes.
    fn bytes_per_position(&self) -> u64;

    /// Positions for which a sequence that reached `len` ids takes memory: `len`, or more where memory is had in larger
    /// pieces. Never falls as `len` grows. Memory set aside for later growth does not count.
    fn room(&self, len: usize) -> usize {
        len
    }

    /// Opens an empty sequence.
    ///
    /// # Errors
    /// [`LmError::Backend`] when memory for it cannot be had.
    fn open(&mut self) -> Result<SeqId, LmError>;

    /// Opens a sequence that begins with the first `len` ids of `seq` (prefix reuse). Both advance independently.
    ///
    /// # Errors
    /// [`LmError::UnknownSequence`], [`LmError::BeyondEnd`] when `len` exceeds the sequence.
    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError>;

    /// Cuts a sequence back to its first `len` ids. It need not give memory back.
    ///
    /// # Errors
    /// [`LmError::UnknownSequence`], [`LmError::BeyondEnd`] when `len` exceeds the sequence.
    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError>;

    /// Gives a sequence's memory back. Closing an unknown sequence does nothing.
    fn close(&mut self, seq: SeqId);

    /// Number of ids in a sequence.
    ///
    /// # Errors
    /// [`LmError::UnknownSequence`].
    fn len(&self, seq: SeqId) -> Result<usize, LmError>;

    /// Appends every chunk of `work` and hands the wanted rows to `sink`. Chunks name distinct sequences. Either all
    /// chunks are appended or, on error, none.
    ///
    /// # Errors
    /// [`LmError`]: unknown or repeated sequence, an id ≥ V, an empty chunk, a sequence that would outgrow
    /// [`max_positions`](Self::max_positions), or a failure of the backend.
    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError>;
}

/// Why a [`LanguageModel`] could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// The sequence was never opened, or was closed.
    #[error("sequence {0:?} is not open")]
    UnknownSequence(SeqId),
    /// Two chunks of one step name the same sequence.
    #[error("sequence {0:?} appears twice in one step")]
    RepeatedSequence(SeqId),
    /// A chunk without ids.
    #[error("chunk {chunk} has no ids")]
    EmptyChunk {
        /// Index in the work list.
        chunk: usize,
    },
    /// An id outside the vocabulary.
    #[error("token id {id} is outside the model's vocabulary of {vocab_size}")]
    IdOutOfRange {
        /// The id.
        id: TokenId,
        /// V.
        vocab_size: usize,
    },
    /// The context window is full.
    #[error(
        "a sequence of {wanted} tokens does not fit this model's window of {max_positions}; shorten the prompt or ask for fewer tokens"
    )]
    TooLong {
        /// Length the sequence would have.
        wanted: usize,
        /// Greatest length.
        max_positions: usize,
    },
    /// A cut or fork beyond what is there.
    #[error("sequence {seq:?} has {len} tokens, cannot keep {wanted}")]
    BeyondEnd {
        /// The sequence.
        seq: SeqId,
        /// Its length.
        len: usize,
        /// Length asked for.
        wanted: usize,
    },
    /// The engine behind the trait failed.
    #[error("the model failed while computing")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}
