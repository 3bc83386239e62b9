//! The Llama transformer (Touvron et al. 2023) over many sequences at once.
//!
//! All ids of a step become the rows of one matrix, whichever sequence they belong to; only attention looks at sequences
//! one by one.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Tensor};

use super::EngineError;
use super::attention::{Attention, Span};
use super::cache::Sequence;
use super::config::Config;
use super::matrix::{Matrix, PackedRows};
use super::ops::{self, Rope};
use super::weights::Weights;
use crate::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId, Want};
use crate::tokens::TokenId;

/// Rows that pass through the layers together. More would fall out of the second-level cache.
const SLAB_ROWS: usize = 256;
/// Logits computed before they are handed on: at most 64 rows, fewer when V is large.
const LOGIT_ROWS: usize = 64;
const LOGIT_VALUES: usize = 1 << 20;

/// A Llama model in memory, with its open sequences.
pub struct Llama {
    model: Model,
    sequences: BTreeMap<SeqId, Sequence>,
    next: u64,
    buffers: Buffers,
}

/// The weights.
struct Model {
    config: Config,
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

/// Memory kept from step to step; as large as the largest slab needed.
#[derive(Default)]
struct Buffers {
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
    logits: Vec<f32>,
}

/// Part of a chunk, small enough for a slab.
#[derive(Clone, Copy)]
struct Piece {
    chunk: usize,
    start: usize,
    len: usize,
}

impl Llama {
    /// Loads a model from a directory with `config.json` and `model.safetensors`, or with shards and their
    /// `model.safetensors.index.json`.
    ///
    /// bf16 weights stay bf16 in memory and are widened exactly as they are used; f16 becomes f32.
    ///
    /// # Errors
    /// [`EngineError`]: files that are missing, damaged or contradict each other, and models of another kind.
    pub fn from_dir(dir: &Path) -> Result<Self, EngineError> {
        let path = dir.join("config.json");
        let config = std::fs::read(&path).map_err(|source| EngineError::Read { path, source })?;
        Self::load(Config::parse(&config)?, Weights::from_dir(dir)?)
    }

    /// Loads a model from the bytes of its `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_bytes(config: &[u8], safetensors: &[u8]) -> Result<Self, EngineError> {
        Self::load(Config::parse(config)?, Weights::from_bytes(safetensors)?)
    }

    fn load(config: Config, mut weights: Weights<'_>) -> Result<Self, EngineError> {
        let model = Model::load(config, &mut weights)?;
        Ok(Self { model, sequences: BTreeMap::new(), next: 0, buffers: Buffers::default() })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    fn get(&self, seq: SeqId) -> Result<&Sequence, LmError> {
        self.sequences.get(&seq).ok_or(LmError::UnknownSequence(seq))
    }

    fn checked_len(&self, seq: SeqId, wanted: usize) -> Result<usize, LmError> {
        let len = self.get(seq)?.len();
        if wanted > len { Err(LmError::BeyondEnd { seq, len, wanted }) } else { Ok(wanted) }
    }

    fn insert(&mut self, sequence: Sequence) -> SeqId {
        let seq = SeqId(self.next);
        self.next += 1;
        self.sequences.insert(seq, sequence);
        seq
    }

    fn check(&self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        let mut seen = HashMap::new();
        for (index, chunk) in work.iter().enumerate() {
            let wanted = self.get(chunk.seq)?.len().saturating_add(chunk.ids.len());
            if seen.insert(chunk.seq, index).is_some() {
                return Err(LmError::RepeatedSequence(chunk.seq));
            }
            if chunk.ids.is_empty() {
                return Err(LmError::EmptyChunk { chunk: index });
            }
            let vocab_size = self.vocab_size();
            if let Some(&id) = chunk.ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(LmError::IdOutOfRange { id, vocab_size });
            }
            let max_positions = self.max_positions();
            if wanted > max_positions {
                return Err(LmError::TooLong { wanted, max_positions });
            }
        }
        Ok(())
    }

    fn reserve(&mut self, work: &[Chunk<'_>]) -> Result<(), LmError> {
        for chunk in work {
            let sequence =
                self.sequences.get_mut(&chunk.seq).ok_or(LmError::UnknownSequence(chunk.seq))?;
            sequence.reserve(sequence.len() + chunk.ids.len()).map_err(backend)?;
        }
        Ok(())
    }
}

impl LanguageModel for Llama {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.max_positions
    }

    fn open(&mut self) -> Result<SeqId, LmError> {
        let sequence = Sequence::new(&self.model.config);
        Ok(self.insert(sequence))
    }

    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let len = self.checked_len(seq, len)?;
        let copy = self.get(seq)?.prefix(len).map_err(backend)?;
        Ok(self.insert(copy))
    }

    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        let len = self.checked_len(seq, len)?;
        self.sequences.get_mut(&seq).ok_or(LmError::UnknownSequence(seq))?.set_len(len);
        Ok(())
    }

    fn close(&mut self, seq: SeqId) {
        self.sequences.remove(&seq);
    }

    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        self.get(seq).map(Sequence::len)
    }

    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        self.check(work)?;
        self.reserve(work)?;
        let mut sequences = named(&mut self.sequences, work);
        for slab in slabs(work) {
            self.model.slab(work, &slab, &mut sequences, &mut self.buffers, sink);
        }
        // Only now do the new positions count: had the sink panicked, the sequences would be as before.
        for (sequence, chunk) in sequences.iter_mut().zip(work) {
            sequence.set_len(sequence.len() + chunk.ids.len());
        }
        Ok(())
    }
}

impl Model {
    fn load(config: Config, weights: &mut Weights<'_>) -> Result<Self, EngineError> {
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

    /// Runs one slab: caches are written, wanted logits handed to `sink`. Lengths stay.
    fn slab(
        &self,
        work: &[Chunk<'_>],
        slab: &[Piece],
        sequences: &mut [&mut Sequence],
        buffers: &mut Buffers,
        sink: &mut dyn LogitSink,
    ) {
        let (first, last) = (slab[0].chunk, slab[slab.len() - 1].chunk);
        let sequences = &mut sequences[first..=last];
        let spans = spans(slab, sequences);
        self.embed(slab.iter().flat_map(|piece| piece.ids(work)), buffers);
        self.turns(&spans, &mut buffers.turns);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attend(index, layer, &spans, sequences, buffers);
            self.feed_forward(layer, buffers);
        }
        self.emit(&wanted(work, slab), buffers, sink);
    }

    fn embed<'a>(&self, ids: impl Iterator<Item = &'a TokenId>, buffers: &mut Buffers) {
        let width = self.config.hidden_size;
        buffers.stream.clear();
        for &id in ids {
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
        buffers: &mut Buffers,
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

    fn feed_forward(&self, layer: &Layer, buffers: &mut Buffers) {
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
    fn normalise(&self, weight: &[f32], buffers: &mut Buffers) {
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
                let row = &buffers.stream[wanted.row * width..][..width];
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

impl Piece {
    fn ids<'a>(&self, work: &[Chunk<'a>]) -> &'a [TokenId] {
        &work[self.chunk].ids[self.start..self.start + self.len]
    }
}

/// A row of the slab whose logits somebody asked for.
struct Wanted {
    row: usize,
    chunk: usize,
    position: usize,
}

fn wanted(work: &[Chunk<'_>], slab: &[Piece]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut row = 0;
    for &Piece { chunk, start, len } in slab {
        let all = start..start + len;
        let last = work[chunk].ids.len() - 1;
        let positions = match work[chunk].want {
            Want::None => 0..0,
            Want::Last if all.contains(&last) => last..last + 1,
            Want::Last => 0..0,
            Want::All => all,
        };
        wanted.extend(positions.map(|position| Wanted {
            row: row + position - start,
            chunk,
            position,
        }));
        row += len;
    }
    wanted
}

/// Cuts the chunks into slabs of at most [`SLAB_ROWS`] rows, in order.
fn slabs(work: &[Chunk<'_>]) -> Vec<Vec<Piece>> {
    let mut slabs = vec![Vec::new()];
    let mut room = SLAB_ROWS;
    for (chunk, ids) in work.iter().map(|chunk| chunk.ids).enumerate() {
        let mut start = 0;
        while start < ids.len() {
            if room == 0 {
                slabs.push(Vec::new());
                room = SLAB_ROWS;
            }
            let len = room.min(ids.len() - start);
            if let Some(slab) = slabs.last_mut() {
                slab.push(Piece { chunk, start, len });
            }
            (start, room) = (start + len, room - len);
        }
    }
    slabs.retain(|slab| !slab.is_empty());
    slabs
}

/// Where the pieces of a slab stand in the batch and in their sequences.
fn spans(slab: &[Piece], sequences: &[&mut Sequence]) -> Vec<Span> {
    let mut row = 0;
    let place = |(piece, sequence): (&Piece, &&mut Sequence)| {
        let span = Span { row, rows: piece.len, position: sequence.len() + piece.start };
        row += piece.len;
        span
    };
    slab.iter().zip(sequences).map(place).collect()
}

/// The sequences of a checked work list, in its order.
fn named<'a>(
    sequences: &'a mut BTreeMap<SeqId, Sequence>,
    work: &[Chunk<'_>],
) -> Vec<&'a mut Sequence> {
    let order: HashMap<SeqId, usize> =
        work.iter().enumerate().map(|(i, chunk)| (chunk.seq, i)).collect();
    let mut named: Vec<(usize, &mut Sequence)> = sequences
        .iter_mut()
        .filter_map(|(seq, sequence)| Some((*order.get(seq)?, sequence)))
        .collect();
    named.sort_unstable_by_key(|(index, _)| *index);
    named.into_iter().map(|(_, sequence)| sequence).collect()
}

fn vector(tensor: &Tensor) -> Result<Vec<f32>, EngineError> {
    Ok(tensor.to_dtype(DType::F32)?.to_vec1()?)
}

fn backend(error: EngineError) -> LmError {
    LmError::Backend(Box::new(error))
}
