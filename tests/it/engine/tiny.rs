//! A random Llama of a few thousand parameters, its files, and its plain definition in f64.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView, serialize};
use touchmark::engine::Decoder;
use touchmark::lm::{LanguageModel, Want};
use touchmark::tokens::TokenId;

use super::append;

pub const HIDDEN: usize = 16;
pub const INNER: usize = 24;
pub const LAYERS: usize = 2;
pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const HEAD_DIM: usize = 6;
/// No multiple of a panel.
pub const VOCAB: usize = 37;
pub const MAX_POSITIONS: usize = 300;

/// Named tensors with shapes and values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "llama", "hidden_act": "silu", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "max_position_embeddings": MAX_POSITIONS,
        "rope_theta": 500.0, "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "rope_scaling": null
    })
}

pub fn config_bytes() -> Vec<u8> {
    serde_json::to_vec(&config()).unwrap()
}

pub fn tensors() -> Tensors {
    let mut tensors = Tensors::new();
    let mut state = 1u64;
    let mut add = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.8
        });
        // Exact in bf16 and f16, so that every dtype holds one and the same model.
        let values =
            values.map(|v| bf16::from_f32(v).to_f32()).map(|v| f16::from_f32(v).to_f32()).collect();
        tensors.insert(name, (shape.to_vec(), values));
    };
    add("model.embed_tokens.weight".into(), &[VOCAB, HIDDEN]);
    add("lm_head.weight".into(), &[VOCAB, HIDDEN]);
    add("model.norm.weight".into(), &[HIDDEN]);
    for layer in 0..LAYERS {
        let mut add =
            |name: &str, shape: &[usize]| add(format!("model.layers.{layer}.{name}.weight"), shape);
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.k_proj", &[KV_HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.v_proj", &[KV_HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HEADS * HEAD_DIM]);
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
    }
    tensors
}

pub fn file(tensors: &Tensors, dtype: Dtype) -> Vec<u8> {
    let bytes = |values: &[f32]| -> Vec<u8> {
        match dtype {
            Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            Dtype::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    };
    let data: Vec<(&String, &Vec<usize>, Vec<u8>)> =
        tensors.iter().map(|(name, (shape, values))| (name, shape, bytes(values))).collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(dtype, shape.to_vec(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

pub fn model(dtype: Dtype) -> Decoder {
    Decoder::from_bytes(&config_bytes(), &file(&tensors(), dtype)).unwrap()
}

/// The definition, in f64, position by position: logits of the last id.
fn plain(tensors: &Tensors, ids: &[TokenId]) -> Vec<f64> {
    let get = |name: &str| -> Vec<f64> { tensors[name].1.iter().map(|&v| f64::from(v)).collect() };
    let layer = |l: usize, name: &str| get(&format!("model.layers.{l}.{name}.weight"));
    let times = |w: &[f64], x: &[f64]| -> Vec<f64> {
        w.chunks(x.len()).map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let norm = |x: &[f64], w: &[f64]| -> Vec<f64> {
        let scale = (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
        x.iter().zip(w).map(|(x, w)| x / scale * w).collect()
    };
    let rope = |x: &mut [f64], position: usize| {
        let half = HEAD_DIM / 2;
        for head in x.chunks_mut(HEAD_DIM) {
            for i in 0..half {
                let angle = position as f64 * 500f64.powf(-((2 * i) as f64) / HEAD_DIM as f64);
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * angle.cos() - b * angle.sin();
                head[i + half] = b * angle.cos() + a * angle.sin();
            }
        }
    };
    let embedding = get("model.embed_tokens.weight");
    let mut stream: Vec<Vec<f64>> =
        ids.iter().map(|&id| embedding[id as usize * HIDDEN..][..HIDDEN].to_vec()).collect();
    for l in 0..LAYERS {
        let (mut queries, mut keys, mut values) = (vec![], vec![], vec![]);
        for (position, x) in stream.iter().enumerate() {
            let x = norm(x, &layer(l, "input_layernorm"));
            let mut query = times(&layer(l, "self_attn.q_proj"), &x);
            let mut key = times(&layer(l, "self_attn.k_proj"), &x);
            rope(&mut query, position);
            rope(&mut key, position);
            queries.push(query);
            keys.push(key);
            values.push(times(&layer(l, "self_attn.v_proj"), &x));
        }
        for (position, x) in stream.iter_mut().enumerate() {
            let mut attended = vec![0.0; HEADS * HEAD_DIM];
            for head in 0..HEADS {
                let own = head * HEAD_DIM..(head + 1) * HEAD_DIM;
                let shared = head / (HEADS / KV_HEADS) * HEAD_DIM;
                let shared = shared..shared + HEAD_DIM;
                let score = |p: usize| -> f64 {
                    let pairs = queries[position][own.clone()].iter().zip(&keys[p][shared.clone()]);
                    pairs.map(|(q, k)| q * k).sum::<f64>() / (HEAD_DIM as f64).sqrt()
                };
                let weights: Vec<f64> = (0..=position).map(|p| score(p).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (p, weight) in weights.iter().enumerate() {
                    let values = &values[p][shared.clone()];
                    attended[own.clone()]
                        .iter_mut()
                        .zip(values)
                        .for_each(|(o, v)| *o += weight / total * v);
                }
            }
            let update = times(&layer(l, "self_attn.o_proj"), &attended);
            x.iter_mut().zip(update).for_each(|(x, u)| *x += u);
            let normed = norm(x, &layer(l, "post_attention_layernorm"));
            let gate = times(&layer(l, "mlp.gate_proj"), &normed);
            let up = times(&layer(l, "mlp.up_proj"), &normed);
            let inner: Vec<f64> =
                gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            x.iter_mut().zip(times(&layer(l, "mlp.down_proj"), &inner)).for_each(|(x, u)| *x += u);
        }
    }
    times(&get("lm_head.weight"), &norm(stream.last().unwrap(), &get("model.norm.weight")))
}

#[test]
fn odd_shapes_follow_the_definition_in_every_dtype() {
    let ids: Vec<TokenId> = (0..45).map(|i| (i * i * 7 + 3) % VOCAB as u32).collect();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let mut model = model(dtype);
        let seq = model.open().unwrap();
        let rows = append(&mut model, seq, &ids, Want::All);
        for (i, row) in rows.iter().enumerate() {
            let plain = plain(&tensors(), &ids[..=i]);
            assert_eq!(row.len(), VOCAB);
            for (got, expected) in row.iter().zip(&plain) {
                assert!(
                    (f64::from(*got) - expected).abs() < 1e-5,
                    "{dtype:?}, position {i}: {got}, {expected}"
                );
            }
        }
    }
}
