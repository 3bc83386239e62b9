//! Any bytes are refused as the weights of a tiny model, or make one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark::engine::Decoder;

const CONFIG: &[u8] = br#"{
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 3, "hidden_size": 4,
    "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
    "max_position_embeddings": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": true,
    "hidden_act": "silu"
}"#;

fuzz_target!(|bytes: &[u8]| {
    let _ = Decoder::from_bytes(CONFIG, bytes);
});
