//! Reading mode: a model reads a text, and what it expects at each position is weighed. The model says nothing itself.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use crate::tokens::TokenId;

use super::error::AttributionError;
use super::shared::{Shared, Text};

/// What models expect after one context.
#[derive(Debug)]
pub struct Expected<'a> {
    /// All ids before the position, in the mark's tokenizer, the begin-of-text ones not among them.
    pub context: &'a [TokenId],
    /// The suspect's probabilities of the mark's tokens.
    pub suspect: &'a [f32],
    /// The base's; none where no base is known.
    pub base: Option<&'a [f32]>,
}

impl Expected<'_> {
    /// The signed Hellinger difference of suspect and base,
    ///
    /// ```text
    /// d(v) = √p(v) − √b(v),   b = 0 without a base
    /// ```
    ///
    /// The square root weighs many small shifts of unlikely tokens more, and few large ones of likely tokens less, than p − b does: what
    /// a bias of the teacher leaves in a student is about the same factor for every token.
    pub fn difference(&self, out: &mut Vec<f32>) {
        out.clear();
        match self.base {
            Some(base) => {
                out.extend(self.suspect.iter().zip(base).map(|(p, b)| p.sqrt() - b.sqrt()));
            }
            None => out.extend(self.suspect.iter().map(|p| p.sqrt())),
        }
    }

    /// The token that the suspect expects most.
    pub fn likeliest(&self) -> TokenId {
        let better =
            |best: usize, at: usize| if self.suspect[at] > self.suspect[best] { at } else { best };
        (1..self.suspect.len()).fold(0, better) as TokenId
    }
}

impl std::ops::AddAssign for Read {
    fn add_assign(&mut self, other: Self) {
        self.positions += other.positions;
        self.repeated += other.repeated;
        self.texts += other.texts;
    }
}

/// Two models that read the same texts.
pub struct Readers<'a> {
    suspect: &'a mut dyn LanguageModel,
    base: Option<&'a mut dyn LanguageModel>,
    begin: &'a [TokenId],
    shared: Option<&'a Shared>,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Positions that were weighed.
    pub positions: u64,
    /// Positions left out because their context had come earlier in the same text.
    pub repeated: u64,
    /// Texts.
    pub texts: u64,
}

impl<'a> Readers<'a> {
    /// Most probabilities of each model that are held at once.
    const HELD: usize = 1 << 24;

    /// A suspect and, where it is known, the model that it was trained from. `begin` are ids that every text begins with.
    ///
    /// # Errors
    /// [`AttributionError::Vocabularies`].
    pub fn new(
        suspect: &'a mut dyn LanguageModel,
        base: Option<&'a mut dyn LanguageModel>,
        begin: &'a [TokenId],
    ) -> Result<Self, AttributionError> {
        if let Some(base) = &base
            && base.vocab_size() != suspect.vocab_size()
        {
            let (suspect, base) = (suspect.vocab_size(), base.vocab_size());
            return Err(AttributionError::Vocabularies { suspect, base });
        }
        Ok(Self { suspect, base, begin, shared: None })
    }

    /// The same for models of another tokenizer than the mark's.
    #[must_use]
    pub fn through(self, shared: Option<&'a Shared>) -> Self {
        Self { shared, ..self }
    }

    /// Most ids of a text that the models can read.
    pub fn window(&self) -> usize {
        let base = self.base.as_ref().map_or(usize::MAX, |base| base.max_positions());
        self.suspect.max_positions().min(base).saturating_sub(self.begin.len())
    }

    /// Reads one text, and calls `visit` for every position that mark and models both know, whose last `width` ids have not come
    /// earlier in it.
    ///
    /// A text that was marked shows pairs of a context and a token on its list; whoever copies from what it read would score them.
    /// With `width` 0 all positions share their context, and none is left out.
    ///
    /// # Errors
    /// [`AttributionError::Model`].
    pub fn read(
        &mut self,
        text: &Text,
        width: usize,
        mut visit: impl FnMut(&Expected<'_>),
    ) -> Result<Read, AttributionError> {
        let ids = text.models_ids();
        let ids = &ids[..ids.len().min(self.window())];
        let mut read = Read { texts: 1, ..Read::default() };
        let fresh = fresh(text.marks_ids(), width);
        let whole = [self.begin, ids].concat();
        let (begin, shared) = (self.begin.len(), self.shared);
        let mut pair = Pair::open(self)?;
        let (mut suspect, mut base) = (Rows::default(), Rows::default());
        // The whole of a text in one step where that fits.
        let rows = (Self::HELD / pair.readers.suspect.vocab_size().max(1)).clamp(16, 512);
        for start in (0..whole.len()).step_by(rows) {
            let end = whole.len().min(start + rows);
            pair.step(&whole[start..end], &mut suspect, &mut base)?;
            for at in start.max(begin.saturating_sub(1))..end {
                // The context is all up to and with this id.
                let length = text.marks_length(at + 1 - begin).filter(|length| *length >= width);
                let Some(length) = length else { continue };
                if !fresh[length] {
                    read.repeated += 1;
                    continue;
                }
                read.positions += 1;
                visit(&Expected {
                    context: &text.marks_ids()[..length],
                    suspect: suspect.row(at - start, shared),
                    base: pair.has_base.then(|| base.row(at - start, shared)),
                });
            }
        }
        pair.close();
        Ok(read)
    }
}

/// By length of the context: whether its last `width` ids come for the first time.
fn fresh(ids: &[TokenId], width: usize) -> Vec<bool> {
    let mut seen = HashSet::new();
    let is_new = |length: usize| {
        length >= width && (width == 0 || seen.insert(&ids[length - width..length]))
    };
    (0..=ids.len()).map(is_new).collect()
}

/// One text under way in both models.
struct Pair<'r, 'a> {
    readers: &'r mut Readers<'a>,
    suspect: SeqId,
    base: Option<SeqId>,
    has_base: bool,
}

impl<'r, 'a> Pair<'r, 'a> {
    fn open(readers: &'r mut Readers<'a>) -> Result<Self, LmError> {
        let suspect = readers.suspect.open()?;
        let base = readers.base.as_mut().map(|base| base.open()).transpose()?;
        Ok(Self { suspect, base, has_base: base.is_some(), readers })
    }

    fn step(
        &mut self,
        ids: &[TokenId],
        suspect: &mut Rows,
        base: &mut Rows,
    ) -> Result<(), LmError> {
        suspect.read(self.readers.suspect, self.suspect, ids)?;
        if let (Some(model), Some(seq)) = (self.readers.base.as_deref_mut(), self.base) {
            base.read(model, seq, ids)?;
        }
        Ok(())
    }

    fn close(self) {
        self.readers.suspect.close(self.suspect);
        if let (Some(model), Some(seq)) = (self.readers.base.as_mut(), self.base) {
            model.close(seq);
        }
    }
}

/// Probabilities of a few positions.
#[derive(Default)]
struct Rows {
    size: usize,
    values: Vec<f32>,
    projected: Vec<f32>,
}

impl Rows {
    fn read(
        &mut self,
        model: &mut dyn LanguageModel,
        seq: SeqId,
        ids: &[TokenId],
    ) -> Result<(), LmError> {
        self.size = model.vocab_size();
        self.values.resize(self.size * ids.len(), 0.0);
        let size = self.size;
        let values = &mut self.values;
        model.step(
            &[Chunk { seq, ids, want: Want::All }],
            &mut |_: usize, at: usize, logits: &[f32]| {
                let row = &mut values[at * size..(at + 1) * size];
                row.copy_from_slice(logits);
                softmax(row);
            },
        )
    }

    /// Probabilities of the mark's tokens at one position.
    fn row(&mut self, at: usize, shared: Option<&Shared>) -> &[f32] {
        let row = &self.values[at * self.size..(at + 1) * self.size];
        let Some(shared) = shared else { return row };
        shared.project(row, &mut self.projected);
        &self.projected
    }
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f64;
    for value in row.iter_mut() {
        *value = (*value - most).exp();
        sum += f64::from(*value);
    }
    let scale = (1.0 / sum) as f32;
    row.iter_mut().for_each(|value| *value *= scale);
}
