//! How the chunks of a step become rows: cut to a size that caches like, or shared out among threads.

use std::ops::Range;

use super::attention::Span;
use super::cache::Sequence;
use super::sequences::Cache;
use crate::lm::{Chunk, Want};
use crate::tokens::TokenId;

/// Rows that pass through the layers together. More would fall out of the second-level cache.
const SLAB_ROWS: usize = 256;
/// Rows below which a thread of its own does not pay: every thread reads all the weights.
const SHARE_ROWS: usize = 4;

/// Consecutive rows of a step.
pub(super) struct Slab {
    pieces: Vec<Piece>,
}

/// Part of a chunk.
struct Piece {
    chunk: usize,
    start: usize,
    len: usize,
}

/// A row whose logits somebody asked for.
pub(super) struct Wanted {
    /// Index of its slab.
    pub(super) slab: usize,
    /// Row in the slab.
    pub(super) row: usize,
    /// Index in the work list.
    pub(super) chunk: usize,
    /// Index in the chunk.
    pub(super) position: usize,
}

impl Slab {
    /// Cuts a step into slabs that are computed one after the other.
    pub(super) fn cut(work: &[Chunk<'_>]) -> Vec<Self> {
        let mut slabs: Vec<Self> = Vec::new();
        let mut room = 0;
        for (chunk, ids) in work.iter().map(|chunk| chunk.ids).enumerate() {
            let mut start = 0;
            while start < ids.len() {
                if room == 0 {
                    slabs.push(Self { pieces: Vec::new() });
                    room = SLAB_ROWS;
                }
                let len = room.min(ids.len() - start);
                if let Some(slab) = slabs.last_mut() {
                    slab.pieces.push(Piece { chunk, start, len });
                }
                (start, room) = (start + len, room - len);
            }
        }
        slabs
    }

    /// Shares a step's sequences out among threads, to be computed side by side. None when that would not pay: one
    /// thread, one sequence, few rows, or so many that a share is more than a slab.
    pub(super) fn share(work: &[Chunk<'_>], threads: usize) -> Option<Vec<Self>> {
        let rows: usize = work.iter().map(|chunk| chunk.ids.len()).sum();
        let parts = threads.min(work.len()).min(rows / SHARE_ROWS);
        if parts < 2 {
            return None;
        }
        let mut shares: Vec<Self> = Vec::new();
        let (mut before, mut quota) = (0, 0);
        for (chunk, ids) in work.iter().map(|chunk| chunk.ids).enumerate() {
            if before >= quota {
                shares.push(Self { pieces: Vec::new() });
                quota = (rows * shares.len()).div_ceil(parts);
            }
            if let Some(share) = shares.last_mut() {
                share.pieces.push(Piece { chunk, start: 0, len: ids.len() });
            }
            before += ids.len();
        }
        let fits = shares.len() > 1 && shares.iter().all(|share| share.rows() <= SLAB_ROWS);
        fits.then_some(shares)
    }

    /// The chunks it has rows of.
    pub(super) fn chunks(&self) -> Range<usize> {
        let first = self.pieces.first().map_or(0, |piece| piece.chunk);
        first..first + self.pieces.len()
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// The rows' ids.
    pub(super) fn ids<'a>(&'a self, work: &'a [Chunk<'_>]) -> impl Iterator<Item = TokenId> + 'a {
        let of = |piece: &Piece| work[piece.chunk].ids[piece.start..piece.start + piece.len].iter();
        self.pieces.iter().flat_map(of).copied()
    }

    /// Where the rows stand, given the sequences of [`chunks`](Self::chunks).
    pub(super) fn spans(&self, sequences: &[&mut Sequence]) -> Vec<Span> {
        let first = self.chunks().start;
        self.spans_from(|chunk| sequences[chunk - first].len())
    }

    /// Where the rows stand, given the lengths of the sequences of all chunks.
    pub(super) fn spans_from(&self, len: impl Fn(usize) -> usize) -> Vec<Span> {
        let mut row = 0;
        let place = |piece: &Piece| {
            let span = Span { row, rows: piece.len, position: len(piece.chunk) + piece.start };
            row += piece.len;
            span
        };
        self.pieces.iter().map(place).collect()
    }

    /// The rows of these slabs that shall give logits, in order.
    pub(super) fn wanted(slabs: &[Self], work: &[Chunk<'_>]) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (slab, pieces) in slabs.iter().map(|slab| &slab.pieces).enumerate() {
            let mut row = 0;
            for &Piece { chunk, start, len } in pieces {
                let here = start..start + len;
                let positions = match work[chunk].want {
                    Want::None => 0..0,
                    Want::Last => here.end.max(work[chunk].ids.len()) - 1..here.end,
                    Want::All => here,
                };
                wanted.extend(positions.map(|position| Wanted {
                    slab,
                    row: row + position - start,
                    chunk,
                    position,
                }));
                row += len;
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::SeqId;

    fn lens(slabs: &[Slab]) -> Vec<usize> {
        slabs.iter().map(Slab::rows).collect()
    }

    fn work(ids: &[TokenId], lens: &[usize], want: Want) -> Vec<Chunk<'static>> {
        let ids: &'static [TokenId] = Vec::leak(ids.to_vec());
        let chunk =
            |(i, &len): (usize, &usize)| Chunk { seq: SeqId(i as u64), ids: &ids[..len], want };
        lens.iter().enumerate().map(chunk).collect()
    }

    #[test]
    fn every_row_is_in_one_slab() {
        let ids: Vec<TokenId> = (0..900).collect();
        let work = work(&ids, &[1, 600, 3, 255, 300], Want::Last);
        let slabs = Slab::cut(&work);
        assert_eq!(lens(&slabs), [256, 256, 256, 256, 135]);
        let wanted: Vec<_> = Slab::wanted(&slabs, &work)
            .iter()
            .map(|w| (w.slab, w.row, w.chunk, w.position))
            .collect();
        assert_eq!(
            wanted,
            [(0, 0, 0, 0), (2, 88, 1, 599), (2, 91, 2, 2), (3, 90, 3, 254), (4, 134, 4, 299)]
        );
        let rows: Vec<TokenId> = slabs.iter().flat_map(|slab| slab.ids(&work)).collect();
        let expected: Vec<TokenId> = work.iter().flat_map(|chunk| chunk.ids).copied().collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn shares_are_even_and_whole_chunks() {
        let ids: Vec<TokenId> = (0..900).collect();
        let share = |lens_of: &[usize], threads| {
            Slab::share(&work(&ids, lens_of, Want::All), threads).map(|shares| lens(&shares))
        };
        assert_eq!(share(&[1; 32], 2), Some(vec![16, 16]));
        assert_eq!(share(&[1; 10], 3), Some(vec![5, 5]));
        assert_eq!(share(&[30, 1, 1, 1], 2), Some(vec![30, 3]));
        assert_eq!(share(&[1; 7], 2), None);
        assert_eq!(share(&[1; 32], 1), None);
        assert_eq!(share(&[100], 2), None);
        assert_eq!(share(&[300, 300], 2), None);
    }
}
