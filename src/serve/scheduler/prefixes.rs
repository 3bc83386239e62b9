//! Sequences of the model that are kept for their beginnings.

use std::collections::VecDeque;

use crate::lm::SeqId;
use crate::tokens::TokenId;

/// Fewer ids than this are read again sooner than copied.
pub(super) const LEAST_REUSED: usize = 16;
/// Most sequences kept: each is looked at for every job.
const MOST_KEPT: usize = 1024;

/// An open sequence and what is in it.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: SeqId,
    pub(super) ids: Vec<TokenId>,
    /// The greatest length it ever had: cutting a sequence gives no memory back.
    peak: usize,
}

impl Sequence {
    /// A sequence that holds `ids`.
    pub(super) fn new(id: SeqId, ids: &[TokenId]) -> Self {
        Self { id, ids: ids.to_vec(), peak: ids.len() }
    }

    pub(super) fn push(&mut self, ids: &[TokenId]) {
        self.ids.extend_from_slice(ids);
        self.peak = self.peak.max(self.ids.len());
    }

    /// Its first `len` ids.
    pub(super) fn cut(mut self, len: usize) -> Self {
        self.ids.truncate(len);
        self
    }

    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// How much of a prompt is in it. A prompt's last id is always read, since its logits are wanted.
    pub(super) fn shared(&self, prompt: &[TokenId]) -> usize {
        shared(&self.ids, prompt)
    }
}

/// Length of the beginning that `prompt`, less its last id, has in common with `ids`.
pub(super) fn shared(ids: &[TokenId], prompt: &[TokenId]) -> usize {
    let most = prompt.len().saturating_sub(1);
    ids.iter().zip(&prompt[..most]).take_while(|(a, b)| a == b).count()
}

/// Sequences that nobody writes to.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// The one used last is at the back.
    kept: VecDeque<Kept>,
    positions: usize,
}

#[derive(Debug)]
struct Kept {
    account: String,
    sequence: Sequence,
    /// Positions that it takes.
    room: usize,
}

impl Idle {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Positions that all of them take.
    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    /// Keeps a sequence; what must be closed for it comes back.
    pub(super) fn keep(
        &mut self,
        account: &str,
        sequence: Sequence,
        room: usize,
    ) -> Option<Sequence> {
        if sequence.ids.len() < LEAST_REUSED {
            return Some(sequence);
        }
        self.positions += room;
        self.kept.push_back(Kept { account: account.to_owned(), sequence, room });
        if self.kept.len() > MOST_KEPT { self.evict() } else { None }
    }

    /// The account's sequence that has most of a prompt, with how much it has.
    pub(super) fn longest(&self, account: &str, prompt: &[TokenId]) -> Option<(usize, usize)> {
        let own = self.kept.iter().enumerate().filter(|(_, kept)| kept.account == account);
        own.map(|(at, kept)| (at, kept.sequence.shared(prompt))).max_by_key(|(_, shared)| *shared)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Sequence> {
        self.kept.get(at).map(|kept| &kept.sequence)
    }

    pub(super) fn has(&self, id: SeqId) -> bool {
        self.kept.iter().any(|kept| kept.sequence.id == id)
    }

    /// Makes a sequence the one used last.
    pub(super) fn touch(&mut self, at: usize) {
        if let Some(kept) = self.kept.remove(at) {
            self.kept.push_back(kept);
        }
    }

    /// Takes a sequence out.
    pub(super) fn take(&mut self, at: usize) -> Option<Sequence> {
        let kept = self.kept.remove(at)?;
        self.positions -= kept.room;
        Some(kept.sequence)
    }

    /// Takes out the one that was not used for longest.
    pub(super) fn evict(&mut self) -> Option<Sequence> {
        self.take(0)
    }
}
