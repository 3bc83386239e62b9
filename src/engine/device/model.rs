//! The transformer over candle's tensors.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::{rms_norm, softmax_last_dim, swiglu};
use candle_nn::rotary_emb::rope_thd;

use super::arena::Arena;
use super::highest;
use crate::engine::EngineError;
use crate::engine::attention::Span;
use crate::engine::config::{Activation, Config, QkNorm};
use crate::engine::ops::Rope;
use crate::engine::slab::Wanted;
use crate::engine::weights::{Part, Role, Weights, gate_up_roles, qkv_roles};
use crate::lm::LogitSink;

/// Logits computed before they are handed on.
const LOGIT_VALUES: usize = 1 << 22;

/// The weights, on the device.
pub(super) struct DeviceModel {
    pub(super) config: Config,
    device: Device,
    dtype: DType,
    ropes: Vec<Rope>,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Option<Tensor>,
}

struct Layer {
    qkv: Linear,
    head_norms: Option<[Tensor; 2]>,
    output: Linear,
    attention: Block,
    gate_up: Linear,
    down: Linear,
    mlp: Block,
}

struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

struct Block {
    before: Option<Tensor>,
    after: Option<Tensor>,
}

/// What all layers of a step share, made on the host and sent once.
struct Plan {
    spans: Vec<Span>,
    slots: Vec<usize>,
    /// Where keys and values go: kv_heads × rows × head_dim.
    places: Tensor,
    /// Cosines and sines of each rotary embedding: rows × dims/2.
    turns: Vec<[Tensor; 2]>,
    reach: Reach,
}

/// Who sees what, by window.
enum Reach {
    /// Every sequence brings one row, and one product serves all slots: which row a slot asks for, which slot answers a
    /// row, and masks of slots × length.
    Together { rows: Tensor, slots: Tensor, len: usize, masks: BTreeMap<Option<usize>, Tensor> },
    /// For each span masks of rows × length.
    Apart(Vec<BTreeMap<Option<usize>, Tensor>>),
}

impl DeviceModel {
    pub(super) fn load(
        config: Config,
        weights: &mut Weights<'_>,
        device: &Device,
        dtype: DType,
    ) -> std::result::Result<Self, EngineError> {
        let shape = [config.vocab_size, config.hidden_size];
        let mut loader = Loader { config: &config, weights, device, dtype };
        let embedding = loader.matrix(Part::whole(Role::Embedding), shape)?;
        let head = match config.tied_embeddings {
            true => None,
            false => Some(loader.matrix(Part::whole(Role::Head), shape)?),
        };
        let norm = loader.vector(Part::whole(Role::FinalNorm), "weight", config.hidden_size)?;
        let layers = (0..config.layers.len())
            .map(|index| loader.layer(index))
            .collect::<std::result::Result<_, _>>()?;
        weights.finish()?;
        let ropes = config.ropes.iter().map(Rope::new).collect();
        Ok(Self { ropes, embedding, layers, norm, head, device: device.clone(), dtype, config })
    }

    /// The residual stream after all layers: rows × hidden. Keys and values are written.
    pub(super) fn rows(
        &self,
        ids: &[u32],
        spans: &[Span],
        slots: &[usize],
        arena: &Arena,
    ) -> Result<Tensor> {
        let plan = self.plan(spans, slots, arena)?;
        let ids = Tensor::new(ids, &self.device)?;
        let mut stream =
            scaled(self.embedding.index_select(&ids, 0)?, self.config.embedding_scale)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let x = self.enter(&layer.attention, &stream)?;
            let x = self.attend(index, layer, &x, &plan, arena)?;
            stream = self.leave(&layer.attention, stream, layer.output.multiply(&x)?)?;
            let x = layer.gate_up.multiply(&self.enter(&layer.mlp, &stream)?)?;
            let x = match self.config.activation {
                Activation::Silu => swiglu(&x)?,
                Activation::GeluTanh => {
                    let halves = x.chunk(2, D::Minus1)?;
                    (halves[0].gelu()? * &halves[1])?
                }
            };
            stream = self.leave(&layer.mlp, stream, layer.down.multiply(&x)?)?;
        }
        Ok(stream)
    }

    fn plan(&self, spans: &[Span], slots: &[usize], arena: &Arena) -> Result<Plan> {
        let (kv_heads, head_dim) = (self.config.kv_heads, self.config.head_dim);
        let positions = |span: &Span| span.position..span.position + span.rows;
        let at: Vec<u32> = spans
            .iter()
            .zip(slots)
            .flat_map(|(span, &slot)| {
                positions(span).map(move |position| arena.row(slot, position))
            })
            .collect();
        let rows = at.len();
        let places = Tensor::from_vec(at, (1, rows, 1), &self.device)?;
        let turns = self.ropes.iter().map(|rope| {
            let half = rope.width() / 2;
            let mut parts = [Vec::new(), Vec::new()];
            let mut both = Vec::new();
            for position in spans.iter().flat_map(positions) {
                both.clear();
                rope.turns(position, &mut both);
                parts[0].extend_from_slice(&both[..half]);
                parts[1].extend_from_slice(&both[half..]);
            }
            let tensor = |part: Vec<f32>| {
                Tensor::from_vec(part, (rows, half), &self.device)?.to_dtype(self.dtype)
            };
            let [cos, sin] = parts;
            Ok([tensor(cos)?, tensor(sin)?])
        });
        Ok(Plan {
            spans: spans.to_vec(),
            slots: slots.to_vec(),
            places: places.broadcast_as((kv_heads, rows, head_dim))?.contiguous()?,
            turns: turns.collect::<Result<_>>()?,
            reach: self.reach(spans, slots, arena)?,
        })
    }

    fn reach(&self, spans: &[Span], slots: &[usize], arena: &Arena) -> Result<Reach> {
        // Idle slots are computed too, so it pays only when most are in the step.
        let together = spans.iter().all(|span| span.rows == 1) && 2 * spans.len() >= arena.slots();
        if !together {
            let masks = spans.iter().map(|span| {
                let positions: Vec<usize> = (span.position..span.position + span.rows).collect();
                self.masks(&positions, span.position + span.rows)
            });
            return Ok(Reach::Apart(masks.collect::<Result<_>>()?));
        }
        let len = spans.iter().map(|span| span.position + 1).max().unwrap_or(1);
        let (mut rows, mut positions) = (vec![0; arena.slots()], vec![0; arena.slots()]);
        for (span, &slot) in spans.iter().zip(slots) {
            (rows[slot], positions[slot]) = (span.row as u32, span.position);
        }
        let slots: Vec<u32> = slots.iter().map(|&slot| slot as u32).collect();
        Ok(Reach::Together {
            rows: Tensor::new(rows, &self.device)?,
            slots: Tensor::new(slots, &self.device)?,
            len,
            masks: self.masks(&positions, len)?,
        })
    }

    /// For each window of the model 0 where a position sees, −∞ where not.
    fn masks(&self, positions: &[usize], len: usize) -> Result<BTreeMap<Option<usize>, Tensor>> {
        let mut masks = BTreeMap::new();
        for window in self.config.layers.iter().map(|layer| layer.window) {
            if masks.contains_key(&window) {
                continue;
            }
            let sees = |position: usize, at: usize| {
                at <= position && window.is_none_or(|window| at + window > position)
            };
            let mask: Vec<f32> = positions
                .iter()
                .flat_map(|&position| (0..len).map(move |at| (position, at)))
                .map(|(position, at)| if sees(position, at) { 0.0 } else { f32::NEG_INFINITY })
                .collect();
            masks.insert(window, Tensor::from_vec(mask, (positions.len(), len), &self.device)?);
        }
        Ok(masks)
    }

    /// The heads' outputs side by side: rows × query width.
    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        x: &Tensor,
        plan: &Plan,
        arena: &Arena,
    ) -> Result<Tensor> {
        let config = &self.config;
        let (queries, keys, dim) = (config.query_width(), config.kv_width(), config.head_dim);
        let qkv = layer.qkv.multiply(x)?;
        let rows = qkv.dim(0)?;
        let part = |from, width| qkv.narrow(1, from, width)?.contiguous();
        let (mut q, mut k) = (part(0, queries)?, part(queries, keys)?);
        let v = part(queries + keys, keys)?.reshape((rows, config.kv_heads, dim))?;
        if let Some([query_norm, key_norm]) = &layer.head_norms {
            (q, k) = (self.normalise_heads(&q, query_norm)?, self.normalise_heads(&k, key_norm)?);
        }
        let turned = |x: Tensor, heads| self.turn(index, x.reshape((1, rows, heads, dim))?, plan);
        let q = scaled(turned(q, config.heads)?, config.attention_scale)?;
        let k = turned(k, config.kv_heads)?.reshape((rows, config.kv_heads, dim))?;
        let [all_keys, all_values] = arena.layer(index);
        all_keys.scatter_set(&plan.places, &k.transpose(0, 1)?.contiguous()?, 1)?;
        all_values.scatter_set(&plan.places, &v.transpose(0, 1)?.contiguous()?, 1)?;
        let q = q.reshape((rows, queries))?;
        match &plan.reach {
            Reach::Together { rows, slots, len, masks } => {
                let mask = mask_of(masks, config.layers[index].window)?.unsqueeze(1)?;
                let [keys, values] = arena.of_all(index, *len)?;
                let group = config.heads / config.kv_heads;
                let q = q.index_select(rows, 0)?.reshape(((), config.kv_heads, group, dim))?;
                let q = q.transpose(0, 1)?.contiguous()?;
                let out = self.weigh(&q, &keys, &values, &mask)?;
                out.transpose(0, 1)?.reshape(((), queries))?.index_select(slots, 0)
            }
            Reach::Apart(masks) => {
                let each = plan.spans.iter().zip(&plan.slots).zip(masks);
                let out = each.map(|((span, &slot), masks)| {
                    let mask = mask_of(masks, config.layers[index].window)?;
                    let [keys, values] = arena.of_one(index, slot, span.position + span.rows)?;
                    self.attend_alone(&q.narrow(0, span.row, span.rows)?, &keys, &values, mask)
                });
                Tensor::cat(&out.collect::<Result<Vec<_>>>()?, 0)
            }
        }
    }

    /// Attention of one sequence's rows: rows × query width in and out.
    fn attend_alone(
        &self,
        q: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: &Tensor,
    ) -> Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let (rows, group) = (q.dim(0)?, heads / kv_heads);
        let q =
            q.reshape((rows, kv_heads, group, head_dim))?.permute((1, 2, 0, 3))?.contiguous()?;
        // The rows of a group of heads meet the same keys.
        let q = q.reshape((kv_heads, group * rows, head_dim))?;
        let out = self.weigh(&q, keys, values, &mask.repeat((group, 1))?)?;
        let out = out.reshape((kv_heads, group, rows, head_dim))?.permute((2, 0, 1, 3))?;
        out.reshape((rows, heads * head_dim))
    }

    /// softmax(q·kᵀ + mask)·v over the last two dimensions; probabilities in f32.
    fn weigh(&self, q: &Tensor, keys: &Tensor, values: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let mut scores = q.matmul(&keys.t()?)?.to_dtype(DType::F32)?;
        if let Some(cap) = self.config.attention_softcap {
            scores = capped(scores, cap)?;
        }
        let weights = softmax_last_dim(&scores.broadcast_add(mask)?.contiguous()?)?;
        weights.to_dtype(self.dtype)?.matmul(values)
    }

    /// Turns heads (1 × rows × heads × head_dim) to their rows' positions.
    fn turn(&self, layer: usize, x: Tensor, plan: &Plan) -> Result<Tensor> {
        let Some(rope) = self.config.layers[layer].rope else { return Ok(x) };
        let ([cos, sin], dims) = (&plan.turns[rope], self.ropes[rope].width());
        let dim = x.dim(3)?;
        if dims == dim {
            return rope_thd(&x, cos, sin);
        }
        let turned = rope_thd(&x.narrow(3, 0, dims)?.contiguous()?, cos, sin)?;
        Tensor::cat(&[turned, x.narrow(3, dims, dim - dims)?], 3)
    }

    fn normalise(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(&x.contiguous()?, weight, self.config.rms_norm_eps)
    }

    /// Normalises parts of rows that are as wide as the weight.
    fn normalise_heads(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.normalise(&x.reshape(((), weight.dim(0)?))?, weight)?.reshape(x.shape())
    }

    fn enter(&self, block: &Block, stream: &Tensor) -> Result<Tensor> {
        block.before.as_ref().map_or_else(|| Ok(stream.clone()), |w| self.normalise(stream, w))
    }

    fn leave(&self, block: &Block, stream: Tensor, mut update: Tensor) -> Result<Tensor> {
        if let Some(weight) = &block.after {
            update = self.normalise(&update, weight)?;
        }
        stream + scaled(update, self.config.residual_scale)?
    }

    /// Hands over the logits of the wanted rows, or the highest of them where the sink says that they may do.
    pub(super) fn emit(
        &self,
        stream: &Tensor,
        wanted: &[Wanted],
        sink: &mut dyn LogitSink,
    ) -> std::result::Result<(), EngineError> {
        let at_once = (LOGIT_VALUES / self.config.vocab_size).max(1);
        for wanted in wanted.chunks(at_once) {
            let rows: Vec<u32> = wanted.iter().map(|wanted| wanted.row as u32).collect();
            let rows = stream.index_select(&Tensor::new(rows, &self.device)?, 0)?;
            let head = self.head.as_ref().unwrap_or(&self.embedding);
            let logits = self.normalise(&rows, &self.norm)?.matmul(&head.t()?)?;
            let mut logits = scaled(logits.to_dtype(DType::F32)?, self.config.logit_scale)?;
            if let Some(cap) = self.config.logit_softcap {
                logits = capped(logits, cap)?;
            }
            highest::hand_over(&logits, wanted, sink)?;
        }
        Ok(())
    }
}

impl Linear {
    fn multiply(&self, x: &Tensor) -> Result<Tensor> {
        let out = x.matmul(&self.weight.t()?)?;
        self.bias.as_ref().map_or(Ok(out.clone()), |bias| out.broadcast_add(bias))
    }
}

fn scaled(x: Tensor, factor: f32) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { x * f64::from(factor) }
}

/// cap · tanh(x / cap).
fn capped(x: Tensor, cap: f32) -> Result<Tensor> {
    let cap = f64::from(cap);
    (x / cap)?.tanh()? * cap
}

fn mask_of(masks: &BTreeMap<Option<usize>, Tensor>, window: Option<usize>) -> Result<&Tensor> {
    masks
        .get(&window)
        .ok_or_else(|| candle_core::Error::msg("no mask was made for a layer's window"))
}

/// Takes weights to the device.
struct Loader<'l, 'w> {
    config: &'l Config,
    weights: &'l mut Weights<'w>,
    device: &'l Device,
    dtype: DType,
}

type Loaded<T> = std::result::Result<T, EngineError>;

impl Loader<'_, '_> {
    fn matrix(&mut self, part: Part, shape: [usize; 2]) -> Loaded<Tensor> {
        let tensor = self.weights.matrix(self.config, part, shape)?;
        Ok(tensor.to_dtype(self.dtype)?.to_device(self.device)?)
    }

    fn vector(&mut self, part: Part, what: &str, len: usize) -> Loaded<Tensor> {
        let values = self.weights.vector(self.config, part, what, len)?;
        Ok(Tensor::from_vec(values, len, self.device)?.to_dtype(self.dtype)?)
    }

    fn layer(&mut self, index: usize) -> Loaded<Layer> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.query_width();
        Ok(Layer {
            attention: self.block(index, Role::AttentionNorm, Role::AttentionAfterNorm)?,
            qkv: self.linear(index, &qkv_roles(config), hidden, config.qkv_bias)?,
            head_norms: self.head_norms(index)?,
            output: self.linear(index, &[(Role::Output, hidden)], queries, config.output_bias)?,
            mlp: self.block(index, Role::MlpNorm, Role::MlpAfterNorm)?,
            gate_up: self.linear(index, &gate_up_roles(config), hidden, config.mlp_bias)?,
            down: self.linear(index, &[(Role::Down, hidden)], inner, config.mlp_bias)?,
        })
    }

    fn linear(
        &mut self,
        layer: usize,
        roles: &[(Role, usize)],
        inputs: usize,
        has_bias: bool,
    ) -> Loaded<Linear> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for &(role, outputs) in roles {
            let part = Part { layer: Some(layer), role };
            weights.push(self.matrix(part, [outputs, inputs])?);
            if has_bias {
                biases.push(self.vector(part, "bias", outputs)?);
            }
        }
        let bias = if has_bias { Some(Tensor::cat(&biases, 0)?) } else { None };
        Ok(Linear { weight: Tensor::cat(&weights, 0)?, bias })
    }

    fn block(&mut self, layer: usize, before: Role, after: Role) -> Loaded<Block> {
        let (norms, width) = (self.config.norms, self.config.hidden_size);
        let mut norm = |role| self.vector(Part { layer: Some(layer), role }, "weight", width);
        let before = if norms.before() { Some(norm(before)?) } else { None };
        let after = if norms.after() { Some(norm(after)?) } else { None };
        Ok(Block { before, after })
    }

    fn head_norms(&mut self, layer: usize) -> Loaded<Option<[Tensor; 2]>> {
        let config = self.config;
        let (queries, keys) = match config.qk_norm {
            QkNorm::None => return Ok(None),
            QkNorm::Head => (config.head_dim, config.head_dim),
            QkNorm::Whole => (config.query_width(), config.kv_width()),
        };
        let mut norm =
            |role, width| self.vector(Part { layer: Some(layer), role }, "weight", width);
        Ok(Some([norm(Role::QueryNorm, queries)?, norm(Role::KeyNorm, keys)?]))
    }
}
