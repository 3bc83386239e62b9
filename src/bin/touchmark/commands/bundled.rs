//! The models inside this program.

use crate::models::TokenizerSource;

macro_rules! model_file {
    ($path:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $path)
    };
}

pub const CONFIG: &[u8] = include_bytes!(model_file!("scribe-16m/config.json"));
pub const WEIGHTS: &[u8] = include_bytes!(model_file!("scribe-16m/model.safetensors"));
pub const CHAT_WEIGHTS: &[u8] = include_bytes!(model_file!("scribe-16m-chat/model.safetensors"));
pub const TOKENIZER: &[u8] = include_bytes!(model_file!("scribe-16m/tokenizer.json"));
pub const TOKENIZER_CONFIG: &str = include_str!(model_file!("scribe-16m/tokenizer_config.json"));
pub const CARD: &str = include_str!(model_file!("scribe-16m/README.md"));

/// Width of both models' logits.
const VOCAB_SIZE: u32 = 8192;

/// Mean entropy of their next token at temperature 1, in nats: the loss on text they were not trained on.
const ENTROPY: f64 = 3.3;

pub fn tokenizer_source() -> TokenizerSource {
    TokenizerSource {
        file: TOKENIZER.to_vec(),
        vocab_size: VOCAB_SIZE,
        name: "scribe-16m".to_owned(),
        entropy: ENTROPY,
    }
}
