//! What a GGUF file says of its model, in the words of a `config.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engine::weights::Entry;
use crate::gguf::Gguf;

/// Keys that both have, but for the architecture before the first.
const WHOLE: [(&str, &str); 7] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("feed_forward_length", "intermediate_size"),
    ("context_length", "max_position_embeddings"),
];
const REAL: [(&str, &str); 2] =
    [("rope.freq_base", "rope_theta"), ("attention.layer_norm_rms_epsilon", "rms_norm_eps")];

/// The configuration, of any architecture. What the file does not say in a plain number (some models list a value for every
/// layer) is left out: nothing is run from this.
pub(super) fn of_gguf(gguf: &Gguf, tensors: &BTreeMap<String, Entry>) -> Value {
    let mut config = Map::new();
    let architecture = gguf.get::<&str>("general.architecture").ok().flatten().unwrap_or_default();
    config.insert("model_type".to_owned(), architecture.into());
    for (key, name) in WHOLE {
        if let Ok(Some(value)) = gguf.get::<u64>(&format!("{architecture}.{key}")) {
            config.insert(name.to_owned(), value.into());
        }
    }
    for (key, name) in REAL {
        if let Ok(Some(value)) = gguf.get::<f32>(&format!("{architecture}.{key}")) {
            config.insert(name.to_owned(), f64::from(value).into());
        }
    }
    let whole = |name: &str| config.get(name).and_then(Value::as_u64).filter(|&value| value > 0);
    let (width, heads) = (whole("hidden_size"), whole("num_attention_heads"));
    if let (None, Some(width), Some(heads)) = (whole("head_dim"), width, heads) {
        config.insert("head_dim".to_owned(), (width / heads).into());
    }
    if let (None, Some(heads)) = (config.get("num_key_value_heads"), heads) {
        config.insert("num_key_value_heads".to_owned(), heads.into());
    }
    if let Some(rows) = tensors.get("token_embd.weight").and_then(|entry| entry.shape.first()) {
        config.insert("vocab_size".to_owned(), (*rows).into());
    }
    let tied = !tensors.contains_key("output.weight");
    config.insert("tie_word_embeddings".to_owned(), tied.into());
    config.into()
}
