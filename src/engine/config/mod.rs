//! What a model is: the shape of a decoder-only transformer, and where the families differ.
//!
//! One [`Config`] describes every family, so there is one implementation: a family is a way to read its `config.json`
//! (`families`) or the metadata of a GGUF file (`gguf`), not a model of its own.

mod families;
mod fields;
pub(super) mod gguf;
mod rope;

pub use families::Family;
pub use gguf::GgufConfigError;
pub use rope::{RopeScaling, RopeSpec};

use super::EngineError;

/// The shape of a decoder-only transformer with rotary positions, root-mean-square normalisation and gated feed-forward
/// layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who the model descends from.
    pub family: Family,
    /// V, the rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Key-value heads of a layer; divides `heads` (grouped-query attention, Ainslie et al. 2023).
    pub kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Greatest length of a sequence.
    pub max_positions: usize,
    /// What differs from layer to layer, one for each layer.
    pub layers: Vec<LayerSpec>,
    /// The rotary embeddings that layers refer to.
    pub ropes: Vec<RopeSpec>,
    /// Added to the mean square in normalisation.
    pub rms_norm_eps: f32,
    /// Where the residual stream is normalised.
    pub norms: Norms,
    /// Normalisation of queries and keys before they turn.
    pub qk_norm: QkNorm,
    /// Queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// The attention's output layer has a bias.
    pub output_bias: bool,
    /// The feed-forward layers have biases.
    pub mlp_bias: bool,
    /// The gate's activation.
    pub activation: Activation,
    /// Query–key products are multiplied by this.
    pub attention_scale: f32,
    /// c: scores become c·tanh(score / c) (Gemma 2, Riviere et al. 2024, section 2).
    pub attention_softcap: Option<f32>,
    /// The same for logits.
    pub logit_softcap: Option<f32>,
    /// Embeddings are multiplied by this.
    pub embedding_scale: f32,
    /// What a block adds to the residual stream is multiplied by this.
    pub residual_scale: f32,
    /// Logits are multiplied by this, before the soft cap.
    pub logit_scale: f32,
    /// The output layer is the embedding.
    pub tied_embeddings: bool,
}

/// What one layer does differently from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// A position sees itself and this many less one before it; `None`: all before it.
    pub window: Option<usize>,
    /// Index in [`Config::ropes`]; `None`: positions are not told apart.
    pub rope: Option<usize>,
}

/// Where a block's normalisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before each block.
    Before,
    /// After each block, before its result is added.
    After,
    /// Both.
    Around,
}

impl Norms {
    /// Whether a block's input is normalised.
    pub fn before(self) -> bool {
        self != Self::After
    }

    /// Whether a block's result is normalised.
    pub fn after(self) -> bool {
        self != Self::Before
    }
}

/// Normalisation of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head by itself, one weight for all heads.
    Head,
    /// All heads of a position together.
    Whole,
}

/// The activation σ of a gated feed-forward layer, down(σ(gate x) · up x) (Shazeer 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e⁻ˣ).
    Silu,
    /// x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks and Gimpel 2016, section 2).
    GeluTanh,
}

impl Config {
    /// Reads a Hugging Face `config.json`. Fields that change what a model computes and that this engine does not
    /// implement are refused, never ignored.
    ///
    /// # Errors
    /// [`EngineError::ConfigSyntax`], [`EngineError::ConfigField`], [`EngineError::Unsupported`].
    pub fn parse(json: &[u8]) -> Result<Self, EngineError> {
        families::parse(json)
    }

    /// Width of all query heads.
    pub(super) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads, and of all value heads.
    pub(super) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        let [v, d, f] =
            [self.vocab_size, self.hidden_size, self.intermediate_size].map(|n| n as u64);
        let attention = d * 2 * (self.query_width() + self.kv_width()) as u64;
        let vocabulary = if self.tied_embeddings { v * d } else { 2 * v * d };
        vocabulary + self.layers.len() as u64 * (attention + 3 * d * f)
    }

    /// Bytes that the keys and values of one position take.
    pub fn cache_bytes(&self) -> u64 {
        (2 * size_of::<f32>() * self.layers.len() * self.kv_width()) as u64
    }
}
