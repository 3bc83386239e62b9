//! The sketches most like a text, out of very many.

use super::ledger::MatchKind;
use super::receipt::ReceiptError;
use super::similarity::{Overlap, Similarity};
use super::sketch::{Query, SketchView};
use crate::stats::StatsError;

/// A search through sketches, one after the other.
#[derive(Debug)]
pub struct Search<'a> {
    query: &'a Query,
    limit: usize,
    searched: u64,
    best: Vec<(u64, Overlap)>,
}

impl<'a> Search<'a> {
    /// Looks for the `limit` sketches that have most of the query.
    pub fn new(query: &'a Query, limit: usize) -> Self {
        Self { query, limit, searched: 0, best: Vec::new() }
    }

    /// Looks at the sketch of a receipt, as bytes.
    ///
    /// # Errors
    /// [`ReceiptError::Sketch`] when they are none.
    pub fn offer(&mut self, sequence: u64, sketch: &[u8]) -> Result<(), ReceiptError> {
        self.searched += 1;
        let sketch = SketchView::of(sketch)?;
        let overlap = Overlap::of(self.query, sketch);
        if overlap.shared >= Similarity::FEWEST || sketch.whole == self.query.whole {
            self.best.push((sequence, overlap));
            if self.best.len() >= 2 * self.limit.max(512) {
                self.prune();
            }
        }
        Ok(())
    }

    /// How many sketches were looked at.
    pub fn searched(&self) -> u64 {
        self.searched
    }

    /// Numbers of the receipts whose sketches have most of the query, the closest first; of kind `SameWords` or `Near`.
    ///
    /// # Errors
    /// [`StatsError`] from an interval.
    pub fn finish(mut self) -> Result<Vec<(u64, MatchKind, Similarity)>, StatsError> {
        self.prune();
        let similarity = |(sequence, overlap): &(u64, Overlap)| {
            let kind = if overlap.same_words { MatchKind::SameWords } else { MatchKind::Near };
            Ok((*sequence, kind, Similarity::of(overlap, self.searched)?))
        };
        self.best.iter().map(similarity).collect()
    }

    fn prune(&mut self) {
        self.best.sort_by(|(a_at, a), (b_at, b)| {
            let order = b.same_words.cmp(&a.same_words);
            let order = order.then(b.containment().total_cmp(&a.containment()));
            order.then(b.shared.cmp(&a.shared)).then(a.values.cmp(&b.values)).then(b_at.cmp(a_at))
        });
        self.best.truncate(self.limit);
    }
}
