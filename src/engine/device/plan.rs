//! How the chunks of a step become passes through the layers.
//!
//! The products of a layer take all rows of a pass at once. Attention takes them in parts: sequences with one token each
//! that lie in neighbouring slots together, several tokens of one sequence alone.

use super::pool::Place;
use crate::lm::{Chunk, Want};
use crate::tokens::TokenId;

/// Most rows of a pass: enough to keep a GPU busy, few enough that what lies between the products stays small.
const PASS_ROWS: usize = 512;
/// Most scores (heads × rows × positions) of a part: 256 MiB in f32, and few enough for candle's 32-bit indices.
const SCORES: usize = 1 << 26;

/// Rows that go through the layers together.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) ids: Vec<TokenId>,
    /// The rows' positions in their sequences.
    pub(super) positions: Vec<usize>,
    pub(super) parts: Vec<Part>,
    pub(super) wanted: Vec<Wanted>,
}

/// Rows whose attention is one product: `tokens` rows of each lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// First row in the pass.
    pub(super) row: usize,
    /// Number of rows; lanes that rest have none.
    pub(super) rows: usize,
    /// Class of the slots.
    pub(super) class: usize,
    /// First slot.
    pub(super) slot: usize,
    /// For each slot from the first on the position of its first token; `None`: its sequence rests.
    pub(super) lanes: Vec<Option<usize>>,
    /// Tokens of each lane; 1 unless there is one lane.
    pub(super) tokens: usize,
}

/// A row whose logits somebody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) row: usize,
    /// Index in the work list.
    pub(super) chunk: usize,
    /// Index in the chunk.
    pub(super) position: usize,
}

/// The passes of a step, given where its sequences lie.
pub(super) fn plan(work: &[Chunk<'_>], places: &[Place], heads: usize) -> Vec<Pass> {
    let mut planner = Planner { work, places, heads, passes: Vec::new() };
    for run in planner.runs() {
        planner.single_tokens(&run);
    }
    for (chunk, ids) in work.iter().map(|chunk| chunk.ids).enumerate() {
        if ids.len() > 1 {
            planner.many_tokens(chunk);
        }
    }
    planner.passes
}

struct Planner<'a> {
    work: &'a [Chunk<'a>],
    places: &'a [Place],
    heads: usize,
    passes: Vec<Pass>,
}

impl Planner<'_> {
    /// The chunks with one token, in runs of neighbouring slots of which at least half are in the step.
    fn runs(&self) -> Vec<Vec<usize>> {
        let mut singles: Vec<usize> =
            (0..self.work.len()).filter(|&chunk| self.work[chunk].ids.len() == 1).collect();
        singles.sort_unstable_by_key(|&chunk| (self.places[chunk].class, self.places[chunk].slot));
        let mut runs: Vec<Vec<usize>> = Vec::new();
        for chunk in singles {
            let place = self.places[chunk];
            let joins = |run: &&mut Vec<usize>| {
                let first = self.places[run[0]];
                let slots = place.slot - first.slot + 1;
                let dense = slots <= 2 * (run.len() + 1);
                let few = run.len() < PASS_ROWS && slots * self.heads * place.class <= SCORES;
                first.class == place.class && dense && few
            };
            match runs.last_mut().filter(|run| self.places[run[0]].slot <= place.slot).filter(joins)
            {
                Some(run) => run.push(chunk),
                None => runs.push(vec![chunk]),
            }
        }
        runs
    }

    /// The pass with room for `rows` more; a new one where the last has none.
    fn pass(&mut self, rows: usize) -> &mut Pass {
        if self.passes.last().is_none_or(|pass| pass.ids.len() + rows > PASS_ROWS) {
            self.passes.push(Pass::default());
        }
        let last = self.passes.len() - 1;
        &mut self.passes[last]
    }

    fn single_tokens(&mut self, run: &[usize]) {
        let (work, places) = (self.work, self.places);
        let (first, last) = (places[run[0]], places[run[run.len() - 1]]);
        let mut lanes = vec![None; last.slot - first.slot + 1];
        let pass = self.pass(run.len());
        let row = pass.ids.len();
        for &chunk in run {
            lanes[places[chunk].slot - first.slot] = Some(places[chunk].len);
            pass.push(work, chunk, 0, places[chunk].len);
        }
        let (class, slot) = (first.class, first.slot);
        pass.parts.push(Part { row, rows: run.len(), class, slot, lanes, tokens: 1 });
    }

    fn many_tokens(&mut self, chunk: usize) {
        let (work, Place { class, slot, len }) = (self.work, self.places[chunk]);
        let most = (SCORES / (self.heads * class)).max(16);
        let mut start = 0;
        while start < work[chunk].ids.len() {
            let pass = self.pass(1);
            let row = pass.ids.len();
            let tokens = most.min(PASS_ROWS - row).min(work[chunk].ids.len() - start);
            for index in start..start + tokens {
                pass.push(work, chunk, index, len + index);
            }
            let lanes = vec![Some(len + start)];
            pass.parts.push(Part { row, rows: tokens, class, slot, lanes, tokens });
            start += tokens;
        }
    }
}

impl Pass {
    fn push(&mut self, work: &[Chunk<'_>], chunk: usize, index: usize, position: usize) {
        let Chunk { ids, want, .. } = work[chunk];
        let wanted = match want {
            Want::None => false,
            Want::Last => index + 1 == ids.len(),
            Want::All => true,
        };
        if wanted {
            self.wanted.push(Wanted { row: self.ids.len(), chunk, position: index });
        }
        self.ids.push(ids[index]);
        self.positions.push(position);
    }
}

impl Part {
    /// Number of slots.
    pub(super) fn slots(&self) -> usize {
        self.lanes.len()
    }

    /// Whether some slot between the first and the last is not in the step.
    pub(super) fn has_gaps(&self) -> bool {
        self.rows < self.slots() * self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::SeqId;

    fn place(class: usize, slot: usize, len: usize) -> Place {
        Place { class, slot, len }
    }

    fn planned(work: &[(usize, Want)], places: &[Place]) -> Vec<Pass> {
        let ids: Vec<TokenId> = (0..5000).collect();
        let work: Vec<Chunk<'_>> = (0u64..)
            .zip(work)
            .map(|(seq, &(len, want))| Chunk { seq: SeqId(seq), ids: &ids[..len], want })
            .collect();
        plan(&work, places, 4)
    }

    #[test]
    fn single_tokens_go_by_slot_and_gaps_stay_few() {
        let places = [
            place(512, 3, 30),
            place(512, 0, 0),
            place(512, 9, 90),
            place(512, 1, 10),
            place(1024, 4, 600),
        ];
        let passes = planned(&[(1, Want::Last); 5], &places);
        let [pass] = &passes[..] else { panic!("{passes:?}") };
        assert_eq!(pass.positions, [0, 10, 30, 90, 600]);
        let lanes: Vec<_> = pass.parts.iter().map(|part| part.lanes.clone()).collect();
        assert_eq!(
            lanes,
            [vec![Some(0), Some(10), None, Some(30)], vec![Some(90)], vec![Some(600)]]
        );
        assert_eq!(pass.parts.iter().map(Part::has_gaps).collect::<Vec<_>>(), [true, false, false]);
        let wanted: Vec<_> = pass.wanted.iter().map(|wanted| (wanted.row, wanted.chunk)).collect();
        assert_eq!(wanted, [(0, 1), (1, 3), (2, 0), (3, 2), (4, 4)]);
    }

    #[test]
    fn long_chunks_are_cut_and_keep_their_order() {
        let places = [place(2048, 0, 100), place(512, 0, 7)];
        let passes = planned(&[(1200, Want::All), (1, Want::None)], &places);
        let rows: Vec<usize> = passes.iter().map(|pass| pass.ids.len()).collect();
        assert_eq!(rows, [512, 512, 177]);
        let own = |wanted: &&Wanted| wanted.chunk == 0;
        let positions: Vec<usize> = passes
            .iter()
            .flat_map(|pass| pass.wanted.iter().filter(own).map(|wanted| wanted.position))
            .collect();
        assert_eq!(positions, (0..1200).collect::<Vec<_>>());
        assert_eq!(passes[1].positions[0], 100 + 511);
        assert_eq!(passes[2].parts[0].lanes, [Some(100 + 511 + 512)]);
        assert_eq!(passes.iter().map(|pass| pass.wanted.len()).sum::<usize>(), 1200);
    }

    #[test]
    fn many_sequences_fill_several_passes() {
        let places: Vec<Place> = (0..1100).map(|slot| place(512, slot, 5)).collect();
        let passes = planned(&[(1, Want::Last); 1100], &places);
        assert_eq!(passes.iter().map(|pass| pass.ids.len()).collect::<Vec<_>>(), [512, 512, 76]);
        // Long ones in parts whose scores are not too many: 4 heads × 2²⁰ positions × 16 slots.
        let places: Vec<Place> = (0..20).map(|slot| place(1 << 20, slot, 1 << 19)).collect();
        let passes = planned(&[(1, Want::Last); 20], &places);
        assert_eq!(passes[0].parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [16, 4]);
    }
}
