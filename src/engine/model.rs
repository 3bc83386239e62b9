//! The Llama transformer (Touvron et al. 2023): weights, and a pass over rows.
//!
//! The rows of a slab may belong to any number of sequences; only attention looks at sequences one by one.

use std::iter::repeat_with;

use candle_core::{DType, Tensor};

use super::EngineError;
use super::attention::{Attention, Span};
use super::cache::Sequence;
use super::config::Config;
use super::matrix::{Matrix, PackedRows};
use super::ops::{self, Rope};
use super::slab::{Slab, Wanted};
use super::threads;
use super::weights::Weights;
use crate::lm::{Chunk, LogitSink};
use crate::tokens::TokenId;

/// Logits computed before they are handed on: at most 64 rows, fewer when V is large.
const LOGIT_ROWS: usize = 64;
const LOGIT_VALUES: usize = 1 << 20;

/// The weights.
pub(super) struct Model {
    pub(super) config: Config,
    rope: Rope,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// None: the embedding serves.
    head: Option<Matrix>,
}

struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys, values.
    qkv: Matrix,
    output: Matrix,
    mlp_norm: Vec<f32>,
    gate_up: Matrix,
    down: Matrix,
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
    /// Rotary cosines and sines of each row.
    turns: Vec<f32>,
}

impl Model {
    /// Takes the weights that `config` calls for, and refuses others.
    pub(super) fn load(config: Config, weights: &mut Weights<'_>) -> Result<Self, EngineError> {
        let vocabulary = [config.vocab_size, config.hidden_size];
        let embedding = Matrix::stack(&[weights.take("model.embed_tokens.weight", &vocabulary)?])?;
        let mut layers = Vec::new();
        for index in 0..config.layers {
            layers.push(Layer::load(&config, index, weights)?);
        }
        let norm = vector(&weights.take("model.norm.weight", &[config.hidden_size])?)?;
        let head = if config.tied_embeddings {
            None
        } else {
            Some(Matrix::stack(&[weights.take("lm_head.weight", &vocabulary)?])?)
        };
        // Files of tied models may repeat the embedding, and old files list the rotary frequencies.
        weights
            .finish(|name| name == "lm_head.weight" || name.ends_with(".rotary_emb.inv_freq"))?;
        let rope = Rope::new(config.head_dim, config.rope_theta);
        Ok(Self { config, rope, embedding, layers, norm, head })
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
    }

    fn turns(&self, spans: &[Span], turns: &mut Vec<f32>) {
        turns.clear();
        for span in spans {
            for position in span.position..span.position + span.rows {
                self.rope.turns(position, turns);
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
        self.normalise(&layer.attention_norm, buffers);
        layer.qkv.multiply(&buffers.packed, &mut buffers.qkv);
        self.rotate(&mut buffers.qkv, &buffers.turns);
        self.remember(index, spans, &buffers.qkv, sequences);
        let attention = Attention {
            config: &self.config,
            layer: index,
            queries: &buffers.qkv,
            stride: layer.qkv.outputs(),
            spans,
            sequences,
        };
        attention.run(&mut buffers.attended);
        buffers.packed.pack(&buffers.attended, self.config.query_width());
        layer.output.multiply(&buffers.packed, &mut buffers.update);
        ops::add(&mut buffers.stream, &buffers.update);
    }

    fn feed_forward(&self, layer: &Layer, buffers: &mut SlabBuffers) {
        let width = self.config.intermediate_size;
        self.normalise(&layer.mlp_norm, buffers);
        layer.gate_up.multiply(&buffers.packed, &mut buffers.gate_up);
        buffers.activated.resize(buffers.gate_up.len() / 2, 0.0);
        let rows = buffers.gate_up.chunks_exact(2 * width);
        for (gate_up, out) in rows.zip(buffers.activated.chunks_exact_mut(width)) {
            ops::swiglu(gate_up, out);
        }
        buffers.packed.pack(&buffers.activated, width);
        layer.down.multiply(&buffers.packed, &mut buffers.update);
        ops::add(&mut buffers.stream, &buffers.update);
    }

    /// Packs the normalised stream for the next product.
    fn normalise(&self, weight: &[f32], buffers: &mut SlabBuffers) {
        let width = self.config.hidden_size;
        buffers.normed.resize(buffers.stream.len(), 0.0);
        let rows = buffers.stream.chunks_exact(width);
        for (row, out) in rows.zip(buffers.normed.chunks_exact_mut(width)) {
            ops::rms_norm(row, weight, self.config.rms_norm_eps, out);
        }
        buffers.packed.pack(&buffers.normed, width);
    }

    /// Turns queries and keys to their positions, and scales queries by 1/√d so that scores need no scaling.
    fn rotate(&self, qkv: &mut [f32], turns: &[f32]) {
        let (queries, keys) = (self.config.query_width(), self.config.kv_width());
        let scale = 1.0 / (self.config.head_dim as f32).sqrt();
        let rows = qkv.chunks_exact_mut(queries + 2 * keys);
        for (row, turns) in rows.zip(turns.chunks_exact(self.rope.width())) {
            for head in row[..queries + keys].chunks_exact_mut(self.config.head_dim) {
                ops::rotate(head, turns);
            }
            row[..queries].iter_mut().for_each(|query| *query *= scale);
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
            buffers.packed.pack(&buffers.normed, width);
            head.multiply(&buffers.packed, &mut buffers.logits);
            for (wanted, logits) in
                rows.iter().zip(buffers.logits.chunks_exact(self.config.vocab_size))
            {
                sink.row(wanted.chunk, wanted.position, logits);
            }
        }
    }
}

impl Layer {
    fn load(config: &Config, index: usize, weights: &mut Weights<'_>) -> Result<Self, EngineError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.query_width(), config.kv_width());
        let mut take = |name: &str, shape: &[usize]| {
            weights.take(&format!("model.layers.{index}.{name}.weight"), shape)
        };
        Ok(Self {
            attention_norm: vector(&take("input_layernorm", &[hidden])?)?,
            qkv: Matrix::stack(&[
                take("self_attn.q_proj", &[queries, hidden])?,
                take("self_attn.k_proj", &[keys, hidden])?,
                take("self_attn.v_proj", &[keys, hidden])?,
            ])?,
            output: Matrix::stack(&[take("self_attn.o_proj", &[hidden, queries])?])?,
            mlp_norm: vector(&take("post_attention_layernorm", &[hidden])?)?,
            gate_up: Matrix::stack(&[
                take("mlp.gate_proj", &[inner, hidden])?,
                take("mlp.up_proj", &[inner, hidden])?,
            ])?,
            down: Matrix::stack(&[take("mlp.down_proj", &[hidden, inner])?])?,
        })
    }
}

fn vector(tensor: &Tensor) -> Result<Vec<f32>, EngineError> {
    Ok(tensor.to_dtype(DType::F32)?.to_vec1()?)
}
