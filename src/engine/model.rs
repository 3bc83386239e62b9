//! The decoder-only transformer: weights, and a pass over rows.
//!
//! Llama's form (Touvron et al. 2023), with what other families change. The rows of a slab may belong to any number of
//! sequences; only attention looks at sequences one by one.

use std::iter::repeat_with;

use super::EngineError;
use super::attention::{Attention, Span};
use super::cache::Sequence;
use super::config::{Activation, Config, QkNorm};
use super::matrix::{Matrix, PackedRows};
use super::ops::{self, Rope};
use super::slab::{Slab, Wanted};
use super::threads;
use super::weights::{Part, Role, Weights, gate_up_roles, qkv_roles};
use crate::lm::{Chunk, LogitSink};
use crate::tokens::TokenId;

/// Logits computed before they are handed on: at most 64 rows, fewer when V is large.
const LOGIT_ROWS: usize = 64;
const LOGIT_VALUES: usize = 1 << 20;

/// The weights.
pub(super) struct Model {
    pub(super) config: Config,
    ropes: Vec<Rope>,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// None: the embedding serves.
    head: Option<Matrix>,
}

struct Layer {
    /// Queries, keys, values.
    qkv: Linear,
    head_norms: Option<HeadNorms>,
    output: Linear,
    attention: Block,
    gate_up: Linear,
    down: Linear,
    mlp: Block,
}

/// A matrix, and what is added to its product.
struct Linear {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

/// Normalisation of queries and of keys, of heads or of all heads together.
struct HeadNorms {
    query: Vec<f32>,
    key: Vec<f32>,
}

/// The normalisations around a block.
struct Block {
    before: Option<Vec<f32>>,
    after: Option<Vec<f32>>,
}

/// Memory kept from step to step; as large as the largest step needed.
#[derive(Default)]
pub(super) struct Buffers {
    /// One for each slab computed side by side.
    slabs: Vec<SlabBuffers>,
    normed: Vec<f32>,
    packed: PackedRows,
    logits: Vec<f32>,
}

#[derive(Default)]
struct SlabBuffers {
    /// The residual stream, rows × hidden.
    stream: Vec<f32>,
    normed: Vec<f32>,
    packed: PackedRows,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    activated: Vec<f32>,
    /// What a block adds to the stream.
    update: Vec<f32>,
    /// Rotary cosines and sines of each row, for each rotary embedding.
    turns: Vec<Vec<f32>>,
}

impl Model {
    /// Takes the weights that `config` calls for, and refuses others.
    pub(super) fn load(config: Config, weights: &mut Weights<'_>) -> Result<Self, EngineError> {
        let shape = [config.vocab_size, config.hidden_size];
        let mut take =
            |role| Matrix::stack(vec![weights.weight(&config, Part::whole(role), shape)?]);
        let embedding = take(Role::Embedding)?;
        let head = if config.tied_embeddings { None } else { Some(take(Role::Head)?) };
        let norm =
            weights.vector(&config, Part::whole(Role::FinalNorm), "weight", config.hidden_size)?;
        let layers = (0..config.layers.len())
            .map(|index| LayerLoader { config: &config, index, weights: &mut *weights }.load())
            .collect::<Result<_, _>>()?;
        weights.finish()?;
        let ropes = config.ropes.iter().map(Rope::new).collect();
        Ok(Self { config, ropes, embedding, layers, norm, head })
    }

    /// Runs a step, given the sequences of its work list. Caches are written and wanted logits handed to `sink`; the
    /// sequences' lengths stay.
    pub(super) fn run(
        &self,
        work: &[Chunk<'_>],
        sequences: &mut [&mut Sequence],
        buffers: &mut Buffers,
        sink: &mut dyn LogitSink,
    ) {
        if let Some(shares) = Slab::share(work, threads::threads()) {
            self.side_by_side(work, &shares, sequences, buffers);
            return self.emit(&Slab::wanted(&shares, work), buffers, sink);
        }
        for slab in Slab::cut(work) {
            buffers.slabs.resize_with(1, SlabBuffers::default);
            self.slab(work, &slab, &mut sequences[slab.chunks()], &mut buffers.slabs[0]);
            self.emit(&Slab::wanted(&[slab], work), buffers, sink);
        }
    }

    /// A thread for each slab, which are of whole chunks in order.
    fn side_by_side(
        &self,
        work: &[Chunk<'_>],
        slabs: &[Slab],
        mut sequences: &mut [&mut Sequence],
        buffers: &mut Buffers,
    ) {
        buffers.slabs.extend(
            repeat_with(SlabBuffers::default).take(slabs.len().saturating_sub(buffers.slabs.len())),
        );
        let mut tasks = Vec::new();
        for (slab, buffers) in slabs.iter().zip(&mut buffers.slabs) {
            let (own, rest) = sequences.split_at_mut(slab.chunks().len());
            sequences = rest;
            tasks.push(move || self.slab(work, slab, own, buffers));
        }
        threads::side_by_side(tasks);
    }

    fn slab(
        &self,
        work: &[Chunk<'_>],
        slab: &Slab,
        sequences: &mut [&mut Sequence],
        buffers: &mut SlabBuffers,
    ) {
        let spans = slab.spans(sequences);
        self.embed(slab.ids(work), buffers);
        self.turns(&spans, &mut buffers.turns);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attend(index, layer, &spans, sequences, buffers);
            self.feed_forward(layer, buffers);
        }
    }

    fn embed(&self, ids: impl Iterator<Item = TokenId>, buffers: &mut SlabBuffers) {
        let width = self.config.hidden_size;
        buffers.stream.clear();
        for id in ids {
            let start = buffers.stream.len();
            buffers.stream.resize(start + width, 0.0);
            self.embedding.row(id as usize, &mut buffers.stream[start..]);
        }
        scale(&mut buffers.stream, self.config.embedding_scale);
    }

    fn turns(&self, spans: &[Span], turns: &mut Vec<Vec<f32>>) {
        turns.resize_with(self.ropes.len(), Vec::new);
        for (rope, turns) in self.ropes.iter().zip(turns) {
            turns.clear();
            for span in spans {
                for position in span.position..span.position + span.rows {
                    rope.turns(position, turns);
                }
            }
        }
    }

    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        spans: &[Span],
        sequences: &mut [&mut Sequence],
        buffers: &mut SlabBuffers,
    ) {
        self.enter(&layer.attention, &layer.qkv, buffers);
        layer.qkv.multiply(&buffers.packed, &mut buffers.qkv);
        self.normalise_heads(layer, &mut buffers.qkv);
        self.rotate(index, &mut buffers.qkv, &buffers.turns);
        self.remember(index, spans, &buffers.qkv, sequences);
        let attention = Attention {
            config: &self.config,
            layer: index,
            queries: &buffers.qkv,
            stride: layer.qkv.matrix.outputs(),
            spans,
            sequences,
        };
        attention.run(&mut buffers.attended);
        buffers.packed.pack(&buffers.attended, &layer.output.matrix);
        layer.output.multiply(&buffers.packed, &mut buffers.update);
        self.leave(&layer.attention, buffers);
    }

    fn feed_forward(&self, layer: &Layer, buffers: &mut SlabBuffers) {
        let width = self.config.intermediate_size;
        self.enter(&layer.mlp, &layer.gate_up, buffers);
        layer.gate_up.multiply(&buffers.packed, &mut buffers.gate_up);
        buffers.activated.resize(buffers.gate_up.len() / 2, 0.0);
        let gated = match self.config.activation {
            Activation::Silu => ops::swiglu,
            Activation::GeluTanh => ops::geglu,
        };
        let rows = buffers.gate_up.chunks_exact(2 * width);
        for (gate_up, out) in rows.zip(buffers.activated.chunks_exact_mut(width)) {
            gated(gate_up, out);
        }
        buffers.packed.pack(&buffers.activated, &layer.down.matrix);
        layer.down.multiply(&buffers.packed, &mut buffers.update);
        self.leave(&layer.mlp, buffers);
    }

    /// Packs a block's input for its first product.
    fn enter(&self, block: &Block, first: &Linear, buffers: &mut SlabBuffers) {
        match &block.before {
            None => buffers.packed.pack(&buffers.stream, &first.matrix),
            Some(weight) => {
                self.normalise(weight, &buffers.stream, &mut buffers.normed);
                buffers.packed.pack(&buffers.normed, &first.matrix);
            }
        }
    }

    /// Adds a block's result to the residual stream.
    fn leave(&self, block: &Block, buffers: &mut SlabBuffers) {
        if let Some(weight) = &block.after {
            self.normalise(weight, &buffers.update, &mut buffers.normed);
            std::mem::swap(&mut buffers.update, &mut buffers.normed);
        }
        scale(&mut buffers.update, self.config.residual_scale);
        ops::add(&mut buffers.stream, &buffers.update);
    }

    /// Normalises rows as wide as `weight`.
    fn normalise(&self, weight: &[f32], rows: &[f32], out: &mut Vec<f32>) {
        let width = weight.len();
        out.resize(rows.len(), 0.0);
        for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            ops::rms_norm(row, weight, self.config.rms_norm_eps, out);
        }
    }

    /// Normalises queries and keys, in parts as wide as their weight.
    fn normalise_heads(&self, layer: &Layer, qkv: &mut [f32]) {
        let Some(norms) = &layer.head_norms else { return };
        let (queries, keys) = (self.config.query_width(), self.config.kv_width());
        for row in qkv.chunks_exact_mut(queries + 2 * keys) {
            let (query, rest) = row.split_at_mut(queries);
            for (weight, heads) in [(&norms.query, query), (&norms.key, &mut rest[..keys])] {
                for head in heads.chunks_exact_mut(weight.len()) {
                    ops::rms_norm_in_place(head, weight, self.config.rms_norm_eps);
                }
            }
        }
    }

    /// Turns queries and keys to their positions, and scales queries so that scores need no scaling.
    fn rotate(&self, layer: usize, qkv: &mut [f32], turns: &[Vec<f32>]) {
        let (queries, keys) = (self.config.query_width(), self.config.kv_width());
        let rows = qkv.chunks_exact_mut(queries + 2 * keys);
        if let Some(rope) = self.config.layers[layer].rope {
            let turns = turns[rope].chunks_exact(self.ropes[rope].width());
            for (row, turns) in rows.zip(turns) {
                for head in row[..queries + keys].chunks_exact_mut(self.config.head_dim) {
                    ops::rotate(head, turns);
                }
            }
        }
        for row in qkv.chunks_exact_mut(queries + 2 * keys) {
            ops::scale(&mut row[..queries], self.config.attention_scale);
        }
    }

    fn remember(&self, layer: usize, spans: &[Span], qkv: &[f32], sequences: &mut [&mut Sequence]) {
        let (queries, keys) = (self.config.query_width(), self.config.kv_width());
        let stride = queries + 2 * keys;
        for (span, sequence) in spans.iter().zip(sequences) {
            let rows = qkv[span.row * stride..].chunks_exact(stride).take(span.rows);
            for (i, row) in rows.enumerate() {
                let (key, value) = row[queries..].split_at(keys);
                sequence.write(layer, span.position + i, key, value);
            }
        }
    }

    /// Logits of the wanted rows, a few rows at a time.
    fn emit(&self, wanted: &[Wanted], buffers: &mut Buffers, sink: &mut dyn LogitSink) {
        let width = self.config.hidden_size;
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let at_once = (LOGIT_VALUES / self.config.vocab_size).clamp(1, LOGIT_ROWS);
        for rows in wanted.chunks(at_once) {
            buffers.normed.resize(rows.len() * width, 0.0);
            for (wanted, out) in rows.iter().zip(buffers.normed.chunks_exact_mut(width)) {
                let row = &buffers.slabs[wanted.slab].stream[wanted.row * width..][..width];
                ops::rms_norm(row, &self.norm, self.config.rms_norm_eps, out);
            }
            buffers.packed.pack(&buffers.normed, head);
            head.multiply(&buffers.packed, &mut buffers.logits);
            scale(&mut buffers.logits, self.config.logit_scale);
            if let Some(cap) = self.config.logit_softcap {
                ops::softcap(&mut buffers.logits, cap);
            }
            for (wanted, logits) in
                rows.iter().zip(buffers.logits.chunks_exact(self.config.vocab_size))
            {
                sink.row(wanted.chunk, wanted.position, logits);
            }
        }
    }
}

impl Linear {
    /// `out = x · matrixᵀ + bias`.
    fn multiply(&self, x: &PackedRows, out: &mut Vec<f32>) {
        self.matrix.multiply(x, out);
        if let Some(bias) = &self.bias {
            out.chunks_exact_mut(bias.len()).for_each(|row| ops::add(row, bias));
        }
    }
}

/// `x *= factor`, which most families do by 1.
fn scale(x: &mut [f32], factor: f32) {
    if factor != 1.0 {
        ops::scale(x, factor);
    }
}

/// Takes one layer's weights.
struct LayerLoader<'l, 'w> {
    config: &'l Config,
    index: usize,
    weights: &'l mut Weights<'w>,
}

impl LayerLoader<'_, '_> {
    fn load(&mut self) -> Result<Layer, EngineError> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.query_width();
        Ok(Layer {
            attention: self.block(Role::AttentionNorm, Role::AttentionAfterNorm)?,
            qkv: self.linear(&qkv_roles(config), hidden, config.qkv_bias)?,
            head_norms: self.head_norms()?,
            output: self.linear(&[(Role::Output, hidden)], queries, config.output_bias)?,
            mlp: self.block(Role::MlpNorm, Role::MlpAfterNorm)?,
            gate_up: self.linear(&gate_up_roles(config), hidden, config.mlp_bias)?,
            down: self.linear(&[(Role::Down, hidden)], inner, config.mlp_bias)?,
        })
    }

    fn part(&self, role: Role) -> Part {
        Part { layer: Some(self.index), role }
    }

    /// Layers with these roles and numbers of outputs, stacked.
    fn linear(
        &mut self,
        roles: &[(Role, usize)],
        inputs: usize,
        has_bias: bool,
    ) -> Result<Linear, EngineError> {
        let mut matrices = Vec::new();
        let mut bias = Vec::new();
        for &(role, outputs) in roles {
            let part = self.part(role);
            matrices.push(self.weights.weight(self.config, part, [outputs, inputs])?);
            if has_bias {
                bias.extend(self.weights.vector(self.config, part, "bias", outputs)?);
            }
        }
        Ok(Linear { matrix: Matrix::stack(matrices)?, bias: has_bias.then_some(bias) })
    }

    fn norm(&mut self, role: Role, width: usize) -> Result<Vec<f32>, EngineError> {
        let part = self.part(role);
        self.weights.vector(self.config, part, "weight", width)
    }

    fn block(&mut self, before: Role, after: Role) -> Result<Block, EngineError> {
        let (norms, width) = (self.config.norms, self.config.hidden_size);
        let before = norms.before().then(|| self.norm(before, width)).transpose()?;
        let after = norms.after().then(|| self.norm(after, width)).transpose()?;
        Ok(Block { before, after })
    }

    fn head_norms(&mut self) -> Result<Option<HeadNorms>, EngineError> {
        let config = self.config;
        let (queries, keys) = match config.qk_norm {
            QkNorm::None => return Ok(None),
            QkNorm::Head => (config.head_dim, config.head_dim),
            QkNorm::Whole => (config.query_width(), config.kv_width()),
        };
        let (query, key) = (self.norm(Role::QueryNorm, queries)?, self.norm(Role::KeyNorm, keys)?);
        Ok(Some(HeadNorms { query, key }))
    }
}
