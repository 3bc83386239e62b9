//! Causal grouped-query attention (Vaswani et al. 2017, eq. 1; Ainslie et al. 2023) of rows over their own caches.

use std::cell::RefCell;
use std::ops::Range;

use super::cache::{Head, Sequence};
use super::config::Config;
use super::kernel::{self, Isa, MAX_ROWS, PANEL};
use super::ops;
use super::threads::{self, SharedRows};

/// Consecutive rows of the batch that belong to one sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// First row.
    pub(super) row: usize,
    /// Number of rows.
    pub(super) rows: usize,
    /// Position of the first row in its sequence.
    pub(super) position: usize,
}

/// What one call computes over: rotated and scaled queries, and the caches that hold their keys and values already.
pub(super) struct Attention<'a> {
    pub(super) config: &'a Config,
    pub(super) layer: usize,
    /// Rows of `stride` values, of which the first heads × head_dim are the queries.
    pub(super) queries: &'a [f32],
    pub(super) stride: usize,
    pub(super) spans: &'a [Span],
    /// One for each span.
    pub(super) sequences: &'a [&'a mut Sequence],
}

/// Queries that share a key-value head, few enough for one call of the kernel. Query `q` of a key-value head belongs to
/// row `q / group`.
struct Block {
    span: usize,
    kv_head: usize,
    first: usize,
    count: usize,
}

/// Buffers that a thread keeps.
#[derive(Default)]
struct Scratch {
    /// Queries, then probabilities, packed for the kernel.
    packed: Vec<f32>,
    scores: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Attention<'_> {
    /// Writes the heads' outputs into `out`: a row for each row of the batch, heads × head_dim wide.
    pub(super) fn run(&self, out: &mut Vec<f32>) {
        let width = self.config.query_width();
        let rows = self.queries.len() / self.stride;
        out.resize(rows * width, 0.0);
        let out = SharedRows::new(out, width);
        let blocks = self.blocks();
        threads::for_each(blocks.len(), self.work(&blocks), |b| {
            SCRATCH.with_borrow_mut(|scratch| self.block(&blocks[b], scratch, &out));
        });
    }

    fn group(&self) -> usize {
        self.config.heads / self.config.kv_heads
    }

    fn blocks(&self) -> Vec<Block> {
        let isa = Isa::detect();
        let mut blocks = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            for kv_head in 0..self.config.kv_heads {
                let (mut first, queries) = (0, span.rows * self.group());
                while first < queries {
                    let count = isa.block(queries - first);
                    blocks.push(Block { span: index, kv_head, first, count });
                    first += count;
                }
            }
        }
        blocks
    }

    /// Multiply-adds of a block, on average.
    fn work(&self, blocks: &[Block]) -> usize {
        let seen = |span: &Span| span.rows * (span.position + span.rows);
        let all = self.spans.iter().map(seen).sum::<usize>() * self.config.query_width() * 2;
        all / blocks.len().max(1)
    }

    fn block(&self, block: &Block, scratch: &mut Scratch, out: &SharedRows<'_>) {
        let isa = Isa::detect();
        let span = self.spans[block.span];
        let head = self.sequences[block.span].head(self.layer, block.kv_head);
        let last = (block.first + block.count - 1) / self.group();
        // Whole panels of positions: from the first that the block's first row sees, to its last row's own.
        let from = self.sees(span.position + block.first / self.group()).start / PANEL * PANEL;
        let width = (span.position + last + 1).div_ceil(PANEL) * PANEL - from;
        self.pack_queries(block, &mut scratch.packed);
        score(isa, block.count, head, &scratch.packed, from..from + width, &mut scratch.scores);
        if let Some(cap) = self.config.attention_softcap {
            ops::softcap(&mut scratch.scores, cap);
        }
        let mut sums = [1.0; MAX_ROWS];
        for (q, scores) in scratch.scores.chunks_exact_mut(width).enumerate() {
            let seen = self.sees(span.position + (block.first + q) / self.group());
            sums[q] = ops::softmax(scores, seen.start - from, seen.end - from);
        }
        pack_scores(&scratch.scores, block.count, &mut scratch.packed);
        self.mix(isa, block, from, &scratch.packed, &sums, out);
    }

    /// The positions that a position sees.
    fn sees(&self, position: usize) -> Range<usize> {
        let window = self.config.layers[self.layer].window;
        let start = window.map_or(0, |window| (position + 1).saturating_sub(window));
        start..position + 1
    }

    /// Where query `q` of a key-value head lives: its row in the batch and its head.
    fn place(&self, block: &Block, q: usize) -> (usize, usize) {
        let query = block.first + q;
        (
            self.spans[block.span].row + query / self.group(),
            block.kv_head * self.group() + query % self.group(),
        )
    }

    fn pack_queries(&self, block: &Block, packed: &mut Vec<f32>) {
        let dim = self.config.head_dim;
        packed.clear();
        packed.resize(dim * block.count, 0.0);
        for q in 0..block.count {
            let (row, head) = self.place(block, q);
            let query = &self.queries[row * self.stride + head * dim..][..dim];
            for (slot, &value) in packed[q..].iter_mut().step_by(block.count).zip(query) {
                *slot = value;
            }
        }
    }

    /// Outputs: probabilities times values from position `from` on, divided by the probabilities' sum.
    fn mix(
        &self,
        isa: Isa,
        block: &Block,
        from: usize,
        packed: &[f32],
        sums: &[f32; MAX_ROWS],
        out: &SharedRows<'_>,
    ) {
        let dim = self.config.head_dim;
        let head = self.sequences[block.span].head(self.layer, block.kv_head);
        let mut tile = [[0.0; PANEL]; MAX_ROWS];
        for (p, panel) in head.values().iter().enumerate() {
            kernel::tile(isa, block.count, packed, &panel[from..], &mut tile);
            let columns = PANEL.min(dim - p * PANEL);
            for (q, tile) in tile.iter_mut().enumerate().take(block.count) {
                tile.iter_mut().for_each(|value| *value /= sums[q]);
                let (row, head) = self.place(block, q);
                // SAFETY: a row's head belongs to one block, and a block is computed once.
                unsafe { out.write(row, head * dim + p * PANEL, &tile[..columns]) };
            }
        }
    }
}

/// Scores of `count` packed queries with the keys at `positions`, which are whole panels: a row for each query.
fn score(
    isa: Isa,
    count: usize,
    head: &Head,
    packed: &[f32],
    positions: Range<usize>,
    scores: &mut Vec<f32>,
) {
    let (dim, width) = (packed.len() / count, positions.len());
    scores.resize(count * width, 0.0);
    let mut tile = [[0.0; PANEL]; MAX_ROWS];
    let panels = head.keys().chunks_exact(dim).skip(positions.start / PANEL);
    for (p, panel) in panels.take(width / PANEL).enumerate() {
        kernel::tile(isa, count, packed, panel, &mut tile);
        for (q, tile) in tile.iter().enumerate().take(count) {
            scores[q * width + p * PANEL..][..PANEL].copy_from_slice(tile);
        }
    }
}

fn pack_scores(scores: &[f32], count: usize, packed: &mut Vec<f32>) {
    let width = scores.len() / count;
    packed.resize(scores.len(), 0.0);
    for (q, scores) in scores.chunks_exact(width).enumerate() {
        for (slot, &score) in packed[q..].iter_mut().step_by(count).zip(scores) {
            *slot = score;
        }
    }
}
