//! The transformer over candle tensors.

use candle_core::{D, DType, Device, Tensor};

use super::highest;
use super::inputs::{Inputs, PartInputs, Tables, Windows};
use super::plan::{Part, Pass, Wanted};
use super::pool::{Pool, Pools};
use super::weights::{Block, HeadNorms, Layer, Loader, Norm};
use crate::engine::EngineError;
use crate::engine::config::{Activation, Config};
use crate::engine::weights::{Role, Weights};
use crate::lm::LogitSink;
use crate::tokens::TokenId;

/// Logits computed before they are handed on.
const LOGIT_VALUES: usize = 1 << 22;

/// The weights on their device.
pub(super) struct Model {
    pub(super) config: Config,
    pub(super) device: Device,
    pub(super) dtype: DType,
    tables: Tables,
    windows: Windows,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
    /// None: the embedding serves.
    head: Option<Tensor>,
}

impl Model {
    /// Takes the weights that `config` calls for, and refuses others.
    pub(super) fn load(
        config: Config,
        weights: &mut Weights<'_>,
        dtype: DType,
        device: Device,
    ) -> Result<Self, EngineError> {
        let mut loader = Loader { config: &config, weights, dtype, device: &device };
        let shape = [config.vocab_size, config.hidden_size];
        let embedding = loader.matrix(Role::Embedding, shape)?;
        let head = (!config.tied_embeddings).then(|| loader.matrix(Role::Head, shape));
        let head = head.transpose()?;
        let norm = loader.final_norm()?;
        let layers =
            (0..config.layers.len()).map(|index| loader.layer(index)).collect::<Result<_, _>>()?;
        weights.finish()?;
        let (tables, windows) = (Tables::new(&config), Windows::new(&config));
        Ok(Self { config, device, dtype, tables, windows, embedding, layers, norm, head })
    }

    /// Runs a pass. Keys and values are written to `pools` and wanted logits handed to `sink`.
    pub(super) fn run(
        &self,
        pass: &Pass,
        pools: &Pools,
        sink: &mut dyn LogitSink,
    ) -> Result<(), EngineError> {
        let inputs = Inputs::new(pass, &self.config, &self.tables, &self.windows, &self.device)?;
        let mut stream = self.embedding.index_select(&inputs.ids, 0)?;
        stream = scaled(stream, self.config.embedding_scale)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let update = self.attend(index, layer, &stream, pass, &inputs, pools)?;
            stream = self.leave(&layer.attention, stream, update)?;
            let update = self.feed_forward(layer, &stream)?;
            stream = self.leave(&layer.mlp, stream, update)?;
        }
        self.emit(&stream, &pass.wanted, sink)
    }

    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        stream: &Tensor,
        pass: &Pass,
        inputs: &Inputs,
        pools: &Pools,
    ) -> Result<Tensor, EngineError> {
        let qkv = layer.qkv.forward(&enter(&layer.attention, stream)?)?;
        let turned = self.turn(index, layer, &qkv, inputs)?;
        let keys = self.config.kv_width();
        let values = qkv.narrow(1, self.config.query_width() + keys, keys)?;
        let mut outputs = Vec::new();
        for (part, inputs) in pass.parts.iter().zip(&inputs.parts) {
            let rows = turned.narrow(0, part.row, part.rows)?;
            let values = values.narrow(0, part.row, part.rows)?;
            let pool = pools.pool(part.class)?;
            outputs.push(self.attend_part(index, part, inputs, pool, rows, values)?);
        }
        let all = match &outputs[..] {
            [one] => one.clone(),
            many => Tensor::cat(many, 0)?,
        };
        layer.output.forward(&all)
    }

    /// Queries and keys, rows × heads × head_dim in f32, normalised where the family does so, turned to their positions.
    fn turn(
        &self,
        index: usize,
        layer: &Layer,
        qkv: &Tensor,
        inputs: &Inputs,
    ) -> Result<Tensor, EngineError> {
        let (rows, dim, eps) = (qkv.dim(0)?, self.config.head_dim, self.config.rms_norm_eps);
        let heads = self.config.heads + self.config.kv_heads;
        let part = |from: usize, heads: usize| -> Result<Tensor, EngineError> {
            Ok(qkv.narrow(1, from * dim, heads * dim)?.to_dtype(DType::F32)?.contiguous()?)
        };
        let normed = match &layer.head_norms {
            None => part(0, heads)?,
            Some(HeadNorms::Head { ones, weights }) => {
                let all = part(0, heads)?.reshape((rows, heads, dim))?;
                candle_nn::ops::rms_norm(&all, ones, eps)?.broadcast_mul(weights)?
            }
            Some(HeadNorms::Whole { query, key }) => {
                let queries = part(0, self.config.heads)?;
                let keys = part(self.config.heads, self.config.kv_heads)?;
                let queries = candle_nn::ops::rms_norm(&queries, query, eps)?;
                Tensor::cat(&[queries, candle_nn::ops::rms_norm(&keys, key, eps)?], 1)?
            }
        };
        let (cos, sin) = &inputs.turns[self.tables.index(self.config.layers[index].rope)];
        // Every row is a batch of its own to candle's rotation, with its own cosines and sines.
        let turned =
            candle_nn::rotary_emb::rope(&normed.reshape((rows, heads, 1, dim))?, cos, sin)?;
        Ok(turned.reshape((rows, heads, dim))?)
    }

    /// The heads' outputs for one part's rows, rows × (heads · head_dim).
    fn attend_part(
        &self,
        layer: usize,
        part: &Part,
        inputs: &PartInputs,
        pool: &Pool,
        turned: Tensor,
        values: Tensor,
    ) -> Result<Tensor, EngineError> {
        let (turned, values) = match &inputs.gaps {
            None => (turned, values),
            Some((rows, _)) => {
                (turned.index_select(rows, 0)?, values.contiguous()?.index_select(rows, 0)?)
            }
        };
        let (heads, kv_heads, dim) =
            (self.config.heads, self.config.kv_heads, self.config.head_dim);
        let rows = part.slots() * part.tokens;
        let keys = turned.narrow(1, heads, kv_heads)?.to_dtype(self.dtype)?;
        let values = values.contiguous()?.reshape((rows, kv_heads, dim))?;
        self.remember(part, inputs, &pool.keys[layer], keys)?;
        self.remember(part, inputs, &pool.values[layer], values)?;
        let queries = turned.narrow(1, 0, heads)?.to_dtype(self.dtype)?.contiguous()?;
        let mixed = self.mix(layer, part, inputs, pool, &queries)?;
        match &inputs.gaps {
            None => Ok(mixed),
            Some((_, lanes)) => Ok(mixed.index_select(lanes, 0)?),
        }
    }

    /// Writes a part's keys or values, rows × kv_heads × head_dim, into their slots.
    fn remember(
        &self,
        part: &Part,
        inputs: &PartInputs,
        pool: &Tensor,
        rows: Tensor,
    ) -> Result<(), EngineError> {
        let slots = pool.narrow(0, part.slot, part.slots())?;
        if let Some(write) = &inputs.write {
            let rows = rows.contiguous()?.reshape(write.dims())?;
            slots.scatter_set(write, &rows, 2)?;
        } else if let Some(&Some(position)) = part.lanes.first() {
            let rows = rows.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
            slots.slice_set(&rows, 2, position)?;
        }
        Ok(())
    }

    /// Causal grouped-query attention of queries (lanes · tokens × heads × head_dim). The queries that share a key head
    /// are rows of one product with it.
    fn mix(
        &self,
        layer: usize,
        part: &Part,
        inputs: &PartInputs,
        pool: &Pool,
        queries: &Tensor,
    ) -> Result<Tensor, EngineError> {
        let (lanes, tokens, kv_heads) = (part.slots(), part.tokens, self.config.kv_heads);
        let (group, dim) = (self.config.heads / kv_heads, self.config.head_dim);
        let seen = &inputs.seen[self.windows.index(self.config.layers[layer].window)];
        let slots =
            |pool: &Tensor| pool.narrow(0, part.slot, lanes)?.narrow(2, seen.from, seen.len);
        let queries = queries
            .reshape((lanes, tokens, kv_heads, group, dim))?
            .permute((0, 2, 1, 3, 4))?
            .contiguous()?
            .reshape((lanes, kv_heads, tokens * group, dim))?;
        let mut scores = queries.matmul(&slots(&pool.keys[layer])?.t()?)?.to_dtype(DType::F32)?;
        if let Some(cap) = self.config.attention_softcap {
            scores = softcapped(&scores, cap)?;
        }
        if let Some(mask) = &seen.mask {
            let apart = scores.reshape((lanes, kv_heads, tokens, group, seen.len))?;
            scores = apart.broadcast_add(mask)?.reshape(scores.dims())?;
        }
        let shares = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(self.dtype)?;
        Ok(shares
            .matmul(&slots(&pool.values[layer])?)?
            .reshape((lanes, kv_heads, tokens, group, dim))?
            .permute((0, 2, 1, 3, 4))?
            .contiguous()?
            .reshape((lanes * tokens, self.config.query_width()))?)
    }

    fn feed_forward(&self, layer: &Layer, stream: &Tensor) -> Result<Tensor, EngineError> {
        let width = self.config.intermediate_size;
        let gate_up = layer.gate_up.forward(&enter(&layer.mlp, stream)?)?;
        let (gate, up) = (gate_up.narrow(1, 0, width)?, gate_up.narrow(1, width, width)?);
        let gate = match self.config.activation {
            Activation::Silu => gate.silu()?,
            // candle's `gelu` is the tanh form.
            Activation::GeluTanh => gate.gelu()?,
        };
        layer.down.forward(&(gate * up)?)
    }

    /// Adds a block's result to the residual stream.
    fn leave(&self, block: &Block, stream: Tensor, update: Tensor) -> Result<Tensor, EngineError> {
        let update = match &block.after {
            Some(norm) => norm.forward(&update)?,
            None => update,
        };
        Ok((stream + scaled(update, self.config.residual_scale)?)?)
    }

    /// Logits of the wanted rows, a few rows at a time.
    fn emit(
        &self,
        stream: &Tensor,
        wanted: &[Wanted],
        sink: &mut dyn LogitSink,
    ) -> Result<(), EngineError> {
        let at_once = (LOGIT_VALUES / self.config.vocab_size).max(1);
        for wanted in wanted.chunks(at_once) {
            let rows: Vec<u32> = wanted.iter().map(|wanted| wanted.row as u32).collect();
            hand_over(&self.logits(&pick(stream, &rows)?)?, wanted, sink)?;
        }
        Ok(())
    }

    /// Logits in f32, rows × V. The product has the precision of the weights.
    fn logits(&self, stream: &Tensor) -> Result<Tensor, EngineError> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let logits = self.norm.forward(stream)?.matmul(&head.t()?)?.to_dtype(DType::F32)?;
        let logits = scaled(logits, self.config.logit_scale)?;
        match self.config.logit_softcap {
            Some(cap) => softcapped(&logits, cap),
            None => Ok(logits),
        }
    }
}

/// Some rows; all of them in order need no copy.
fn pick(all: &Tensor, rows: &[u32]) -> Result<Tensor, EngineError> {
    if rows.len() == all.dim(0)? && rows.iter().zip(0..).all(|(row, index)| *row == index) {
        return Ok(all.clone());
    }
    Ok(all.index_select(&Tensor::new(rows, all.device())?, 0)?)
}

/// Hands rows of logits to the sink: the highest of each where they may be enough, else whole.
fn hand_over(
    logits: &Tensor,
    wanted: &[Wanted],
    sink: &mut dyn LogitSink,
) -> Result<(), EngineError> {
    let asked = |wanted: &Wanted| -> Result<usize, EngineError> {
        let count = sink.enough(wanted.chunk).unwrap_or(0);
        Ok(if highest::applies(logits, count)? { count } else { 0 })
    };
    let counts = wanted.iter().map(asked).collect::<Result<Vec<_>, _>>()?;
    let most = counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        let all = logits.flatten_all()?.to_vec1::<f32>()?;
        for (wanted, row) in wanted.iter().zip(all.chunks_exact(logits.dim(D::Minus1)?)) {
            sink.row(wanted.chunk, wanted.position, row);
        }
        return Ok(());
    }
    let rows: Vec<u32> = (0..).zip(&counts).filter(|(_, c)| **c > 0).map(|(row, _)| row).collect();
    let mut found = highest::highest(&pick(logits, &rows)?, most)?.into_iter();
    for (row, (wanted, &count)) in wanted.iter().zip(&counts).enumerate() {
        let found = if count > 0 { found.next().flatten() } else { None };
        if !found.is_some_and(|highest| hand_over_highest(highest, count, wanted, sink)) {
            sink.row(wanted.chunk, wanted.position, &logits.get(row)?.to_vec1::<f32>()?);
        }
    }
    Ok(())
}

fn hand_over_highest(
    mut highest: highest::Row,
    count: usize,
    wanted: &Wanted,
    sink: &mut dyn LogitSink,
) -> bool {
    highest.truncate(count);
    highest.sort_unstable_by_key(|(token, _)| *token);
    let (tokens, logits): (Vec<TokenId>, Vec<f32>) = highest.into_iter().unzip();
    sink.highest(wanted.chunk, wanted.position, &tokens, &logits)
}

/// A block's input.
fn enter(block: &Block, stream: &Tensor) -> Result<Tensor, EngineError> {
    match &block.before {
        Some(norm) => norm.forward(stream),
        None => Ok(stream.clone()),
    }
}

/// `x · factor`, which most families do by 1.
fn scaled(x: Tensor, factor: f32) -> Result<Tensor, EngineError> {
    if factor == 1.0 { Ok(x) } else { Ok(x.affine(f64::from(factor), 0.0)?) }
}

/// `cap · tanh(x / cap)`.
fn softcapped(x: &Tensor, cap: f32) -> Result<Tensor, EngineError> {
    let cap = f64::from(cap);
    Ok(x.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)?)
}
