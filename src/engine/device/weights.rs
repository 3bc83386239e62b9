//! A model's weights on the device.

use candle_core::{D, DType, Device, Tensor};

use crate::engine::EngineError;
use crate::engine::config::{Config, QkNorm};
use crate::engine::weights::{Part, Role, Weights, gate_up_roles, qkv_roles};

/// One layer.
pub(super) struct Layer {
    /// Queries, keys, values.
    pub(super) qkv: Linear,
    pub(super) head_norms: Option<HeadNorms>,
    pub(super) output: Linear,
    pub(super) attention: Block,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
    pub(super) mlp: Block,
}

/// A matrix (outputs × inputs), and what is added to its product.
pub(super) struct Linear {
    matrix: Tensor,
    bias: Option<Tensor>,
}

/// Weights, in f32, that normalise queries and keys.
pub(super) enum HeadNorms {
    /// Each head by itself: ones as wide as a head, then for every head its weight.
    Head { ones: Tensor, weights: Tensor },
    /// All heads of a position together.
    Whole { query: Tensor, key: Tensor },
}

/// The normalisations around a block.
pub(super) struct Block {
    pub(super) before: Option<Norm>,
    pub(super) after: Option<Norm>,
}

/// A root-mean-square normalisation.
pub(super) struct Norm {
    weight: Tensor,
    eps: f32,
}

impl Linear {
    /// `x · matrixᵀ + bias`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let product = x.matmul(&self.matrix.t()?)?;
        match &self.bias {
            Some(bias) => Ok(product.broadcast_add(bias)?),
            None => Ok(product),
        }
    }
}

impl Norm {
    /// A weight that `dtype` would round (Gemma's, one plus what the file holds) stays in f32.
    fn new(weight: &Tensor, eps: f32, dtype: DType, device: &Device) -> Result<Self, EngineError> {
        let narrow = weight.to_dtype(dtype)?;
        let same = narrow.to_dtype(DType::F32)?.to_vec1::<f32>()? == weight.to_vec1::<f32>()?;
        let weight = if same { narrow } else { weight.clone() };
        Ok(Self { weight: weight.to_device(device)?, eps })
    }

    /// `x · weight / √(mean x² + eps)` of each row, the mean in f32.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let wide = x.to_dtype(self.weight.dtype())?;
        let normed = candle_nn::ops::rms_norm(&wide, &self.weight, self.eps)?;
        Ok(normed.to_dtype(x.dtype())?)
    }
}

/// Takes weights from files to the device.
pub(super) struct Loader<'l, 'w> {
    pub(super) config: &'l Config,
    pub(super) weights: &'l mut Weights<'w>,
    pub(super) dtype: DType,
    pub(super) device: &'l Device,
}

impl Loader<'_, '_> {
    /// A matrix outside the layers.
    pub(super) fn matrix(&mut self, role: Role, shape: [usize; 2]) -> Result<Tensor, EngineError> {
        let matrix = self.weights.matrix(self.config, Part::whole(role), shape)?;
        Ok(matrix.to_dtype(self.dtype)?.to_device(self.device)?)
    }

    /// The normalisation before the output layer.
    pub(super) fn final_norm(&mut self) -> Result<Norm, EngineError> {
        self.norm(Part::whole(Role::FinalNorm))
    }

    pub(super) fn layer(&mut self, index: usize) -> Result<Layer, EngineError> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.query_width();
        let order = head_order(config, index);
        let at = |role| Part { layer: Some(index), role };
        Ok(Layer {
            attention: self.block(at(Role::AttentionNorm), at(Role::AttentionAfterNorm))?,
            qkv: self.linear(index, &qkv_roles(config), hidden, config.qkv_bias, &order)?,
            head_norms: self.head_norms(index, &order)?,
            output: self.linear(
                index,
                &[(Role::Output, hidden)],
                queries,
                config.output_bias,
                &[],
            )?,
            mlp: self.block(at(Role::MlpNorm), at(Role::MlpAfterNorm))?,
            gate_up: self.linear(index, &gate_up_roles(config), hidden, config.mlp_bias, &[])?,
            down: self.linear(index, &[(Role::Down, hidden)], inner, config.mlp_bias, &[])?,
        })
    }

    /// Layers with these roles and numbers of outputs, stacked; `order` rearranges the dimensions of the heads of queries
    /// and keys.
    fn linear(
        &mut self,
        layer: usize,
        roles: &[(Role, usize)],
        inputs: usize,
        has_bias: bool,
        order: &[u32],
    ) -> Result<Linear, EngineError> {
        let (mut matrices, mut biases) = (Vec::new(), Vec::new());
        for &(role, outputs) in roles {
            let part = Part { layer: Some(layer), role };
            let matrix = self.weights.matrix(self.config, part, [outputs, inputs])?;
            matrices.push(matrix.to_dtype(self.dtype)?);
            if has_bias {
                biases.extend(self.weights.vector(self.config, part, "bias", outputs)?);
            }
        }
        let matrix = self.rearrange(Tensor::cat(&matrices, 0)?, order)?.to_device(self.device)?;
        let bias = if has_bias {
            let bias = self.rearrange(Tensor::new(biases, &Device::Cpu)?, order)?;
            Some(bias.to_dtype(self.dtype)?.to_device(self.device)?)
        } else {
            None
        };
        Ok(Linear { matrix, bias })
    }

    /// Rearranges rows of queries and keys, head by head; what follows them stays.
    fn rearrange(&self, rows: Tensor, order: &[u32]) -> Result<Tensor, EngineError> {
        if order.is_empty() {
            return Ok(rows);
        }
        let heads = self.config.heads + self.config.kv_heads;
        let order = of_heads(order, heads, rows.dim(0)?);
        Ok(rows.index_select(&Tensor::new(order, &Device::Cpu)?, 0)?)
    }

    fn norm(&mut self, part: Part) -> Result<Norm, EngineError> {
        let config = self.config;
        let weight = self.weights.vector(config, part, "weight", config.hidden_size)?;
        let weight = Tensor::new(weight, &Device::Cpu)?;
        Norm::new(&weight, config.rms_norm_eps, self.dtype, self.device)
    }

    fn block(&mut self, before: Part, after: Part) -> Result<Block, EngineError> {
        let norms = self.config.norms;
        let before = norms.before().then(|| self.norm(before)).transpose()?;
        let after = norms.after().then(|| self.norm(after)).transpose()?;
        Ok(Block { before, after })
    }

    fn head_norms(
        &mut self,
        layer: usize,
        order: &[u32],
    ) -> Result<Option<HeadNorms>, EngineError> {
        let (config, dim) = (self.config, self.config.head_dim);
        let (queries, keys) = match config.qk_norm {
            QkNorm::None => return Ok(None),
            QkNorm::Head => (dim, dim),
            QkNorm::Whole => (config.query_width(), config.kv_width()),
        };
        let mut take = |role, width| {
            let part = Part { layer: Some(layer), role };
            let weight = self.weights.vector(config, part, "weight", width)?;
            let weight = Tensor::new(weight, &Device::Cpu)?;
            if order.is_empty() {
                return Ok(weight.to_device(self.device)?);
            }
            let order = Tensor::new(of_heads(order, width / dim, width), &Device::Cpu)?;
            Ok::<_, EngineError>(weight.index_select(&order, 0)?.to_device(self.device)?)
        };
        let (query, key) = (take(Role::QueryNorm, queries)?, take(Role::KeyNorm, keys)?);
        if config.qk_norm == QkNorm::Whole {
            return Ok(Some(HeadNorms::Whole { query, key }));
        }
        let weights =
            [query.broadcast_as((config.heads, dim))?, key.broadcast_as((config.kv_heads, dim))?];
        let ones = query.ones_like()?;
        Ok(Some(HeadNorms::Head { ones, weights: Tensor::cat(&weights, D::Minus2)? }))
    }
}

/// The order of a head's dimensions in which candle's rotation fits a layer: it turns dimension i with i + head_dim/2,
/// and where fewer dimensions turn, i turns with i + dims/2 in the files. Products of queries and keys do not depend on
/// the order. Empty: as it is.
fn head_order(config: &Config, layer: usize) -> Vec<u32> {
    let dim = config.head_dim as u32;
    let rope = config.layers[layer].rope.map(|rope| &config.ropes[rope]);
    let Some(dims) = rope.map(|rope| rope.dims as u32).filter(|dims| *dims < dim) else {
        return Vec::new();
    };
    let (turning, staying) = (dims / 2, (dim - dims) / 2);
    let half = |i: u32| {
        let turned = i * turning..(i + 1) * turning;
        turned.chain(dims + i * staying..dims + (i + 1) * staying)
    };
    half(0).chain(half(1)).collect()
}

/// `order` in each of `heads` heads, and the rest of `rows` rows as they are.
fn of_heads(order: &[u32], heads: usize, rows: usize) -> Vec<u32> {
    let dim = order.len() as u32;
    let rearranged = (0..heads as u32).flat_map(|head| order.iter().map(move |i| head * dim + i));
    rearranged.chain((heads as u32 * dim)..rows as u32).collect()
}
