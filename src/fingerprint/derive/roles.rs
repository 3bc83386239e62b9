//! What the tensors of a Llama-shaped model are for, by name and configuration.

use serde_json::Value;

use super::DeriveError;
use crate::lm::{TensorInfo, TensorSource};

/// Families of one shape: normalisation before each block, separate projections, gated feed-forward layers.
const FAMILIES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];
/// Greatest value accepted for a dimension.
const MAX_DIMENSION: u64 = 1 << 24;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Embedding,
    Head,
    FinalNorm,
    AttentionNorm,
    MlpNorm,
    Query,
    Key,
    Value,
    QueryNorm,
    KeyNorm,
    Output,
    Gate,
    Up,
    Down,
}

/// A role with its layer, 0 for those outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) layer: usize,
    pub(super) role: Role,
    pub(super) bias: bool,
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        let (module, kind) = name.rsplit_once('.')?;
        let bias = match kind {
            "weight" => false,
            "bias" => true,
            _ => return None,
        };
        let whole = |role| Some(Self { layer: 0, role, bias });
        match module {
            "model.embed_tokens" => return whole(Role::Embedding),
            "lm_head" => return whole(Role::Head),
            "model.norm" => return whole(Role::FinalNorm),
            _ => {}
        }
        let (layer, module) = module.strip_prefix("model.layers.")?.split_once('.')?;
        let role = match module {
            "input_layernorm" => Role::AttentionNorm,
            "post_attention_layernorm" => Role::MlpNorm,
            "self_attn.q_proj" => Role::Query,
            "self_attn.k_proj" => Role::Key,
            "self_attn.v_proj" => Role::Value,
            "self_attn.q_norm" => Role::QueryNorm,
            "self_attn.k_norm" => Role::KeyNorm,
            "self_attn.o_proj" => Role::Output,
            "mlp.gate_proj" => Role::Gate,
            "mlp.up_proj" => Role::Up,
            "mlp.down_proj" => Role::Down,
            _ => return None,
        };
        Some(Self { layer: layer.parse().ok()?, role, bias })
    }
}

/// The shape of a model whose every tensor is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    /// There is no output layer of its own.
    pub(super) tied: bool,
}

impl Model {
    /// Reads the configuration and holds every tensor against it.
    pub(super) fn of(source: &dyn TensorSource, how: &str) -> Result<Self, DeriveError> {
        let no_config = || DeriveError::NoConfig { how: how.to_owned() };
        let config = source.config().ok_or_else(no_config)?;
        let family = config.get("model_type").and_then(Value::as_str).unwrap_or("unknown");
        if !FAMILIES.contains(&family) {
            let (how, family) = (how.to_owned(), family.to_owned());
            return Err(DeriveError::Family { how, family, supported: FAMILIES.join(", ") });
        }
        let field = |field: &'static str, default: Option<usize>| {
            let value = config.get(field).filter(|value| !value.is_null());
            let number = value.and_then(Value::as_u64).filter(|n| (1..=MAX_DIMENSION).contains(n));
            let number = number.map(|n| n as usize).or_else(|| default.filter(|_| value.is_none()));
            number.ok_or_else(|| DeriveError::Config {
                how: how.to_owned(),
                field,
                value: value.map_or_else(|| "absent".to_owned(), Value::to_string),
            })
        };
        let (hidden, heads) = (field("hidden_size", None)?, field("num_attention_heads", None)?);
        let model = Self {
            layers: field("num_hidden_layers", None)?,
            hidden,
            inner: field("intermediate_size", None)?,
            heads,
            kv_heads: field("num_key_value_heads", Some(heads))?,
            head_dim: field("head_dim", Some(hidden / heads))?,
            tied: source.info("lm_head.weight").is_none(),
        };
        if !model.heads.is_multiple_of(model.kv_heads) {
            let value = model.kv_heads.to_string();
            let (how, field) = (how.to_owned(), "num_key_value_heads");
            return Err(DeriveError::Config { how, field, value });
        }
        model.check(source, how)?;
        Ok(model)
    }

    fn check(&self, source: &dyn TensorSource, how: &str) -> Result<(), DeriveError> {
        for info in source.tensors() {
            let unknown = || DeriveError::Tensor { how: how.to_owned(), tensor: info.name.clone() };
            let part = self.part(&info.name).ok_or_else(unknown)?;
            let expected = self.shape(part, info);
            if info.shape != expected {
                let (tensor, found) = (info.name.clone(), info.shape.clone());
                return Err(DeriveError::Shape { tensor, expected, found });
            }
        }
        Ok(())
    }

    /// What a tensor is for.
    pub(super) fn part(&self, name: &str) -> Option<Part> {
        Part::named(name).filter(|part| part.layer < self.layers)
    }

    fn shape(&self, part: Part, info: &TensorInfo) -> Vec<usize> {
        let (hidden, queries, keys) =
            (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let shape = match part.role {
            // As many tokens as there are.
            Role::Embedding | Role::Head => vec![info.rows(), hidden],
            Role::FinalNorm | Role::AttentionNorm | Role::MlpNorm => vec![hidden],
            Role::QueryNorm | Role::KeyNorm => vec![self.head_dim],
            Role::Query => vec![queries, hidden],
            Role::Key | Role::Value => vec![keys, hidden],
            Role::Output => vec![hidden, queries],
            Role::Gate | Role::Up => vec![self.inner, hidden],
            Role::Down => vec![hidden, self.inner],
        };
        if part.bias { shape[..1].to_vec() } else { shape }
    }

    /// The key-value head of a query head.
    pub(super) fn group(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads)
    }
}
