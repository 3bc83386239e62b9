//! The transformer in operations that candle differentiates.

use candle_core::{D, Device, Tensor, Var};

use super::TrainError;
use super::adapter::{Linear, LowRank, Target};
use super::plan::Tuning;
use super::random::Random;
use crate::engine::config::{Activation, Config, Norms, QkNorm};
use crate::engine::weights::{Part, Role, Weights};

pub(super) struct Network {
    pub(super) config: Config,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    /// The output layer; the embedding where that serves.
    head: Linear,
    /// Matrices of a role and vectors that are trained, adapters aside.
    variables: Vec<Var>,
    /// Cosines and sines, positions × half a head.
    turns: [Tensor; 2],
}

struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    mlp_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Where weights come from, and which of them are trained.
struct Builder<'a, 'w> {
    config: &'a Config,
    from: Origin<'a, 'w>,
    tuning: &'a Tuning,
    random: Random,
    variables: Vec<Var>,
}

enum Origin<'a, 'w> {
    Files(&'a mut Weights<'w>),
    Nothing,
}

impl Network {
    /// Takes a model's weights.
    pub(super) fn load(
        config: Config,
        weights: &mut Weights<'_>,
        tuning: &Tuning,
        seed: u64,
    ) -> Result<Self, TrainError> {
        Self::build(config, Origin::Files(weights), tuning, seed)
    }

    /// Normal weights of standard deviation 0.02, those that write to the residual stream less by √(2·layers) (Radford et al.
    /// 2019); vectors of ones.
    pub(super) fn from_nothing(config: Config, seed: u64) -> Result<Self, TrainError> {
        Self::build(config, Origin::Nothing, &Tuning::Full, seed)
    }

    fn build(
        config: Config,
        from: Origin<'_, '_>,
        tuning: &Tuning,
        seed: u64,
    ) -> Result<Self, TrainError> {
        check(&config)?;
        let mut builder =
            Builder { config: &config, from, tuning, random: Random(seed), variables: vec![] };
        let shape = (config.vocab_size, config.hidden_size);
        let embedding = builder.matrix(Part::whole(Role::Embedding), shape)?;
        let is_trained = matches!(tuning, Tuning::Full);
        let head = match config.tied_embeddings {
            true if is_trained => Linear::Trained(builder.variables[0].clone()),
            true => Linear::Frozen(embedding.clone()),
            false => builder.plain(Part::whole(Role::Head), shape)?,
        };
        let norm = builder.vector(Part::whole(Role::FinalNorm))?;
        let layers =
            (0..config.layers.len()).map(|index| builder.layer(index)).collect::<Result<_, _>>()?;
        if let Origin::Files(weights) = builder.from {
            weights.finish()?;
        }
        let variables = builder.variables;
        let turns = turns(&config)?;
        Ok(Self { embedding, layers, norm, head, variables, turns, config })
    }

    /// The residual stream after all layers: (sequences · positions, hidden), from ids (sequences, positions).
    pub(super) fn stream(&self, ids: &Tensor) -> candle_core::Result<Tensor> {
        let (sequences, positions) = ids.dims2()?;
        let mask = self.mask(positions)?;
        let turns =
            [self.turns[0].narrow(0, 0, positions)?, self.turns[1].narrow(0, 0, positions)?];
        let mut stream = self.embedding.index_select(&ids.flatten_all()?, 0)?;
        for layer in &self.layers {
            let normed = self.normalised(&stream, &layer.attention_norm)?;
            let attended = self.attended(layer, &normed, (sequences, positions), &mask, &turns)?;
            stream = (stream + attended)?;
            let normed = self.normalised(&stream, &layer.mlp_norm)?;
            let gate = layer.gate.forward(&normed)?.silu()?;
            let inner = (gate * layer.up.forward(&normed)?)?;
            stream = (stream + layer.down.forward(&inner)?)?;
        }
        Ok(stream)
    }

    /// Logits of rows of the stream.
    pub(super) fn logits(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        self.head.forward(&self.normalised(rows, &self.norm)?)
    }

    fn normalised(&self, x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let eps = f64::from(self.config.rms_norm_eps);
        let size = x.sqr()?.mean_keepdim(D::Minus1)?.affine(1.0, eps)?.sqrt()?;
        x.broadcast_div(&size)?.broadcast_mul(weight)
    }

    /// Causal self-attention. Queries of one key head lie one after the other: (sequences, key heads, group · positions, width).
    fn attended(
        &self,
        layer: &Layer,
        normed: &Tensor,
        (sequences, positions): (usize, usize),
        mask: &Tensor,
        turns: &[Tensor; 2],
    ) -> candle_core::Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let split = |x: Tensor, heads: usize| {
            x.reshape((sequences, positions, heads, head_dim))?.transpose(1, 2)?.contiguous()
        };
        let query = turned(&split(layer.query.forward(normed)?, heads)?, turns)?;
        let key = turned(&split(layer.key.forward(normed)?, kv_heads)?, turns)?;
        let value = split(layer.value.forward(normed)?, kv_heads)?;
        let rows = heads / kv_heads * positions;
        let query = query.reshape((sequences, kv_heads, rows, head_dim))?;
        let scale = f64::from(self.config.attention_scale);
        let scores = query.affine(scale, 0.0)?.matmul(&key.t()?)?.broadcast_add(mask)?;
        let attended = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&value)?;
        let attended =
            attended.reshape((sequences, heads, positions, head_dim))?.transpose(1, 2)?;
        layer.output.forward(&attended.reshape((sequences * positions, heads * head_dim))?)
    }

    /// −∞ for positions to come: (group · positions, positions).
    fn mask(&self, positions: usize) -> candle_core::Result<Tensor> {
        let group = self.config.heads / self.config.kv_heads;
        let seen = |row: usize, at: usize| if at <= row { 0.0 } else { f32::NEG_INFINITY };
        let values: Vec<f32> = (0..group * positions)
            .flat_map(|row| (0..positions).map(move |at| seen(row % positions, at)))
            .collect();
        Tensor::from_vec(values, (group * positions, positions), &Device::Cpu)
    }

    /// What is trained: matrices and vectors.
    pub(super) fn variables(&self) -> Vec<Var> {
        let adapters =
            self.layers.iter().flat_map(|layer| layer.linears()).filter_map(|(_, linear)| {
                match linear {
                    Linear::Adapted { .. } => Some(linear.variables()),
                    _ => None,
                }
            });
        self.variables.iter().cloned().chain(adapters.flatten()).collect()
    }

    /// All tensors by the names that the transformers library gives them, adapters merged.
    pub(super) fn tensors(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let mut all = Vec::new();
        let whole = [(Role::Embedding, &self.embedding), (Role::FinalNorm, &self.norm)];
        for (role, tensor) in whole {
            all.push((Part::whole(role).weight_name(&self.config), tensor.clone()));
        }
        if !self.config.tied_embeddings {
            all.push((Part::whole(Role::Head).weight_name(&self.config), self.head.merged()?));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let name = |role| Part { layer: Some(index), role }.weight_name(&self.config);
            all.push((name(Role::AttentionNorm), layer.attention_norm.clone()));
            all.push((name(Role::MlpNorm), layer.mlp_norm.clone()));
            for (role, linear) in layer.linears() {
                all.push((name(role), linear.merged()?));
            }
        }
        Ok(all)
    }
}

impl Layer {
    fn linears(&self) -> [(Role, &Linear); 7] {
        [
            (Role::Query, &self.query),
            (Role::Key, &self.key),
            (Role::Value, &self.value),
            (Role::Output, &self.output),
            (Role::Gate, &self.gate),
            (Role::Up, &self.up),
            (Role::Down, &self.down),
        ]
    }
}

impl Builder<'_, '_> {
    fn layer(&mut self, index: usize) -> Result<Layer, TrainError> {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let (queries, keys) = (self.config.query_width(), self.config.kv_width());
        let part = |role| Part { layer: Some(index), role };
        Ok(Layer {
            attention_norm: self.vector(part(Role::AttentionNorm))?,
            query: self.linear(part(Role::Query), Target::Query, (queries, hidden))?,
            key: self.linear(part(Role::Key), Target::Key, (keys, hidden))?,
            value: self.linear(part(Role::Value), Target::Value, (keys, hidden))?,
            output: self.linear(part(Role::Output), Target::Output, (hidden, queries))?,
            mlp_norm: self.vector(part(Role::MlpNorm))?,
            gate: self.linear(part(Role::Gate), Target::Gate, (inner, hidden))?,
            up: self.linear(part(Role::Up), Target::Up, (inner, hidden))?,
            down: self.linear(part(Role::Down), Target::Down, (hidden, inner))?,
        })
    }

    fn values(&mut self, part: Part, shape: (usize, usize)) -> Result<Tensor, TrainError> {
        Ok(match &mut self.from {
            Origin::Files(weights) => {
                let found = weights.matrix(self.config, part, [shape.0, shape.1])?;
                found.to_dtype(candle_core::DType::F32)?
            }
            Origin::Nothing => {
                let writes = matches!(part.role, Role::Output | Role::Down);
                let depth = (2.0 * self.config.layers.len() as f64).sqrt();
                self.random.normal(shape, if writes { 0.02 / depth } else { 0.02 })?
            }
        })
    }

    /// A matrix that is trained or not.
    fn matrix(&mut self, part: Part, shape: (usize, usize)) -> Result<Tensor, TrainError> {
        let values = self.values(part, shape)?;
        Ok(self.watched(values)?)
    }

    fn watched(&mut self, values: Tensor) -> candle_core::Result<Tensor> {
        if matches!(self.tuning, Tuning::LowRank(_)) {
            return Ok(values);
        }
        let variable = Var::from_tensor(&values)?;
        self.variables.push(variable.clone());
        Ok(variable.as_tensor().clone())
    }

    fn vector(&mut self, part: Part) -> Result<Tensor, TrainError> {
        let width = self.config.hidden_size;
        let values = match &mut self.from {
            Origin::Files(weights) => weights.vector(self.config, part, "weight", width)?,
            Origin::Nothing => vec![1.0; width],
        };
        Ok(self.watched(Tensor::from_vec(values, width, &Device::Cpu)?)?)
    }

    fn plain(&mut self, part: Part, shape: (usize, usize)) -> Result<Linear, TrainError> {
        let values = self.values(part, shape)?;
        if matches!(self.tuning, Tuning::LowRank(_)) {
            return Ok(Linear::Frozen(values));
        }
        let variable = Var::from_tensor(&values)?;
        self.variables.push(variable.clone());
        Ok(Linear::Trained(variable))
    }

    fn linear(
        &mut self,
        part: Part,
        target: Target,
        shape: (usize, usize),
    ) -> Result<Linear, TrainError> {
        match self.tuning {
            Tuning::LowRank(low_rank) if low_rank.targets.contains(&target) => {
                let values = self.values(part, shape)?;
                let low_rank: &LowRank = low_rank;
                Ok(Linear::adapted(values, low_rank, &mut self.random)?)
            }
            _ => self.plain(part, shape),
        }
    }
}

/// Refuses what the forward pass here does not compute.
fn check(config: &Config) -> Result<(), TrainError> {
    let differences = [
        (config.norms != Norms::Before, "normalisation after its blocks"),
        (config.qk_norm != QkNorm::None, "normalised queries and keys"),
        (config.qkv_bias || config.output_bias || config.mlp_bias, "biases"),
        (config.activation != Activation::Silu, "another activation than SiLU"),
        (config.attention_softcap.is_some() || config.logit_softcap.is_some(), "soft caps"),
        (
            config.embedding_scale != 1.0
                || config.residual_scale != 1.0
                || config.logit_scale != 1.0,
            "scaled embeddings, blocks or logits",
        ),
        (config.family.is_fused(), "fused matrices"),
        (config.family.is_gemma(), "normalisation weights stored less one"),
        (config.layers.iter().any(|layer| layer.window.is_some()), "windows of attention"),
        (config.layers.iter().any(|layer| layer.rope != Some(0)), "layers of different positions"),
        (
            config.ropes.first().is_none_or(|rope| rope.dims != config.head_dim),
            "heads of which a part turns",
        ),
    ];
    match differences.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(TrainError::Unsupported { what }),
        None => Ok(()),
    }
}

/// Cosines and sines of all positions.
fn turns(config: &Config) -> Result<[Tensor; 2], TrainError> {
    let rope = config.ropes.first().ok_or(TrainError::Unsupported { what: "no positions" })?;
    let (frequencies, factor) = (rope.frequencies(), rope.attention_factor());
    let table = |turn: fn(f32) -> f32| {
        let values: Vec<f32> = (0..config.max_positions)
            .flat_map(|position| {
                frequencies.iter().map(move |frequency| factor * turn(position as f32 * frequency))
            })
            .collect();
        Tensor::from_vec(values, (config.max_positions, frequencies.len()), &Device::Cpu)
    };
    Ok([table(f32::cos)?, table(f32::sin)?])
}

/// Turns heads to their positions: (sequences, heads, positions, width), halves together.
fn turned(x: &Tensor, [cos, sin]: &[Tensor; 2]) -> candle_core::Result<Tensor> {
    let half = cos.dim(1)?;
    let (low, high) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let first = (low.broadcast_mul(cos)? - high.broadcast_mul(sin)?)?;
    let second = (high.broadcast_mul(cos)? + low.broadcast_mul(sin)?)?;
    Tensor::cat(&[first, second], D::Minus1)
}
