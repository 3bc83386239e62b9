//! What a tensor is for, and what files call it.

use crate::engine::config::{Config, Norms};

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The transformers library.
    Transformers,
    /// llama.cpp's converter.
    Gguf,
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Role {
    Embedding,
    /// The output layer.
    Head,
    /// Before the output layer.
    FinalNorm,
    /// Before and after a block.
    AttentionNorm,
    AttentionAfterNorm,
    MlpNorm,
    MlpAfterNorm,
    Query,
    Key,
    Value,
    /// The three in one.
    Qkv,
    QueryNorm,
    KeyNorm,
    Output,
    Gate,
    Up,
    /// The two in one.
    GateUp,
    Down,
}

impl Role {
    pub(super) fn is_norm(self) -> bool {
        matches!(
            self,
            Self::FinalNorm
                | Self::AttentionNorm
                | Self::AttentionAfterNorm
                | Self::MlpNorm
                | Self::MlpAfterNorm
                | Self::QueryNorm
                | Self::KeyNorm
        )
    }
}

/// A role in a layer, or in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Part {
    pub(in crate::engine) layer: Option<usize>,
    pub(in crate::engine) role: Role,
}

impl Part {
    /// A role outside the layers.
    pub(in crate::engine) fn whole(role: Role) -> Self {
        Self { layer: None, role }
    }

    /// The name that the transformers library gives its weight.
    #[cfg(feature = "train")]
    pub(in crate::engine) fn weight_name(self, config: &Config) -> String {
        self.in_transformers(config, "weight")
    }

    /// The tensor's name; `what` is "weight" or "bias".
    pub(super) fn name(self, naming: Naming, config: &Config, what: &str) -> String {
        match naming {
            Naming::Transformers => self.in_transformers(config, what),
            Naming::Gguf => self.in_gguf(what),
        }
    }

    fn in_gguf(self, what: &str) -> String {
        let module = match self.role {
            Role::Embedding => "token_embd",
            Role::Head => "output",
            Role::FinalNorm => "output_norm",
            Role::AttentionNorm => "attn_norm",
            Role::AttentionAfterNorm => "post_attention_norm",
            Role::MlpNorm => "ffn_norm",
            Role::MlpAfterNorm => "post_ffw_norm",
            Role::Query => "attn_q",
            Role::Key => "attn_k",
            Role::Value => "attn_v",
            Role::Qkv => "attn_qkv",
            Role::QueryNorm => "attn_q_norm",
            Role::KeyNorm => "attn_k_norm",
            Role::Output => "attn_output",
            Role::Gate => "ffn_gate",
            Role::Up | Role::GateUp => "ffn_up",
            Role::Down => "ffn_down",
        };
        match self.layer {
            Some(layer) => format!("blk.{layer}.{module}.{what}"),
            None => format!("{module}.{what}"),
        }
    }

    fn in_transformers(self, config: &Config, what: &str) -> String {
        let module = match self.role {
            Role::Embedding => "model.embed_tokens",
            Role::Head => "lm_head",
            Role::FinalNorm => "model.norm",
            Role::AttentionNorm => "input_layernorm",
            Role::AttentionAfterNorm => "post_attention_layernorm",
            Role::MlpNorm if config.norms == Norms::Before => "post_attention_layernorm",
            Role::MlpNorm => "pre_feedforward_layernorm",
            Role::MlpAfterNorm => "post_feedforward_layernorm",
            Role::Query => "self_attn.q_proj",
            Role::Key => "self_attn.k_proj",
            Role::Value => "self_attn.v_proj",
            Role::Qkv => "self_attn.qkv_proj",
            Role::QueryNorm => "self_attn.q_norm",
            Role::KeyNorm => "self_attn.k_norm",
            Role::Output => "self_attn.o_proj",
            Role::Gate => "mlp.gate_proj",
            Role::Up => "mlp.up_proj",
            Role::GateUp => "mlp.gate_up_proj",
            Role::Down => "mlp.down_proj",
        };
        match self.layer {
            Some(layer) => format!("model.layers.{layer}.{module}.{what}"),
            None => format!("{module}.{what}"),
        }
    }
}

/// The matrices that stack to queries, keys and values, with their outputs.
pub(in crate::engine) fn qkv_roles(config: &Config) -> Vec<(Role, usize)> {
    let (queries, keys) = (config.query_width(), config.kv_width());
    if config.family.is_fused() {
        return vec![(Role::Qkv, queries + 2 * keys)];
    }
    vec![(Role::Query, queries), (Role::Key, keys), (Role::Value, keys)]
}

/// The matrices that stack to gate and up, with their outputs.
pub(in crate::engine) fn gate_up_roles(config: &Config) -> Vec<(Role, usize)> {
    let inner = config.intermediate_size;
    if config.family.is_fused() {
        return vec![(Role::GateUp, 2 * inner)];
    }
    vec![(Role::Gate, inner), (Role::Up, inner)]
}
