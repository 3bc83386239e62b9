//! What a new model is.

use serde_json::{Value, json};

use crate::tokens::TokenId;

/// The shape of a Llama model to be trained from nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// V.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Inner width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Longest sequence.
    pub max_positions: usize,
    /// θ of the rotary embedding.
    pub rope_theta: f64,
    /// The output layer is the embedding.
    pub tied: bool,
    /// The token that ends a text.
    pub end: TokenId,
}

impl Shape {
    /// Two layers of width 64: some 100,000 weights besides the embedding.
    pub fn tiny(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 64,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            intermediate_size: 176,
            max_positions: 256,
            rope_theta: 10_000.0,
            tied: true,
            end: 0,
        }
    }

    /// As `config.json` has it. Heads are as wide as they fill the stream.
    pub fn config(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden_size.checked_div(self.heads).unwrap_or(0),
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_positions,
            "rope_theta": self.rope_theta,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": self.tied,
            "attention_bias": false,
            "mlp_bias": false,
            "bos_token_id": self.end,
            "eos_token_id": self.end,
            "torch_dtype": "float32",
        })
    }
}
