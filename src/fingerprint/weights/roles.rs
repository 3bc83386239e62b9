//! Which tensor plays which part, by its name.
//!
//! | family | layer prefix | feed-forward |
//! |---|---|---|
//! | Llama, Mistral, Qwen 2 and 3, Gemma, `StableLM` | `model.layers.N.` | `mlp.gate_proj`, `up_proj`, `down_proj` |
//! | Phi-3 | `model.layers.N.` | `mlp.gate_up_proj` (gate rows first) |
//! | Meta's own files | `layers.N.` | `feed_forward.w1`, `w3`, `w2` |
//! | Phi-1, Phi-2 | `model.layers.N.` | `mlp.fc1`, `fc2` |
//! | GPT-2 (inputs × outputs) | `h.N.` | `mlp.c_fc`, `c_proj` |
//! | GPT-NeoX, Falcon, BLOOM | `layers.N.`, `h.N.` | `mlp.dense_h_to_4h`, `dense_4h_to_h` |
//! | GGUF, any of them | `blk.N.` | `ffn_gate`, `ffn_up`, `ffn_down` |
//!
//! Mixtures of experts are not taken apart: their expert tensors have no role.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::lm::{TensorInfo, TensorSource};

use super::WeightsError;

/// Some outputs of a linear layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The tensor.
    pub tensor: String,
    /// Which of its outputs.
    pub outputs: Range<usize>,
    /// Length of the other axis.
    pub inputs: usize,
    /// Whether the tensor is stored inputs × outputs, as GPT-2's are.
    pub transposed: bool,
}

/// The tensors of one layer. What a model does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Queries.
    pub q: Option<Part>,
    /// Keys.
    pub k: Option<Part>,
    /// Values.
    pub v: Option<Part>,
    /// Queries, keys and values in one tensor, interleaved by heads (GPT-NeoX, Falcon, BLOOM).
    pub qkv: Option<Part>,
    /// Output of attention.
    pub o: Option<Part>,
    /// Gate of the feed-forward part; absent where it has none.
    pub gate: Option<Part>,
    /// Its way up: a row a hidden unit.
    pub up: Option<Part>,
    /// Its way down: a column a hidden unit.
    pub down: Option<Part>,
    /// Gain before attention.
    pub attention_norm: Option<String>,
    /// Gain before the feed-forward part.
    pub mlp_norm: Option<String>,
}

/// The tensors of a model by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Token rows.
    pub embedding: Option<Part>,
    /// Token rows of the output, where it has its own.
    pub unembedding: Option<Part>,
    /// Gain before the output.
    pub final_norm: Option<String>,
    /// Layers in order.
    pub layers: Vec<Layer>,
    /// Heads that keys and values have, by the configuration.
    pub value_heads: Option<usize>,
    /// Whether gains are stored less one (Gemma's own files).
    pub gains_less_one: bool,
    /// Tensors without a role: biases, rotary tables, experts, others.
    pub others: Vec<String>,
}

impl Roles {
    /// The roles of a model's tensors.
    ///
    /// # Errors
    /// [`WeightsError::NoRoles`] when no name is known, [`WeightsError::Shape`] when a shape does not fit a role.
    pub fn of(model: &'static str, source: &dyn TensorSource) -> Result<Self, WeightsError> {
        let heads = Heads::of(source.config());
        let mut roles = Self {
            gains_less_one: gains_less_one(source),
            value_heads: heads.keys,
            ..Self::default()
        };
        let mut layers: BTreeMap<usize, Layer> = BTreeMap::new();
        for info in source.tensors() {
            if !roles.place(model, info, &heads, &mut layers)? {
                roles.others.push(info.name.clone());
            }
        }
        if roles.embedding.is_none() && layers.is_empty() {
            let first = source.tensors().first().map_or_else(String::new, |info| info.name.clone());
            return Err(WeightsError::NoRoles { model, tensors: source.tensors().len(), first });
        }
        roles.layers = layers.into_values().map(Layer::settled).collect();
        Ok(roles)
    }

    /// Length of the residual stream, by the embedding or else by the first layer.
    pub fn width(&self) -> Option<usize> {
        let first = self.layers.first();
        let part = self.embedding.as_ref();
        part.or_else(|| first.and_then(|layer| layer.up.as_ref())).map(|part| part.inputs)
    }

    fn place(
        &mut self,
        model: &'static str,
        info: &TensorInfo,
        heads: &Heads,
        layers: &mut BTreeMap<usize, Layer>,
    ) -> Result<bool, WeightsError> {
        let Some(stem) = info.name.strip_suffix(".weight") else { return Ok(false) };
        if ["vision", "visual", "audio"].iter().any(|tower| stem.contains(tower)) {
            return Ok(false);
        }
        let Some((layer, leaf)) = layer_of(stem) else {
            return self.place_outside(model, info, stem);
        };
        if let Some(norm) = Norm::of(leaf) {
            norm.put(layers.entry(layer).or_default(), info.name.clone());
            return Ok(true);
        }
        let Some(shape) = Fused::of(leaf) else { return Ok(false) };
        let whole = matrix(model, info, shape.transposed)?;
        shape.put(model, info, whole, heads, layers.entry(layer).or_default())?;
        Ok(true)
    }

    fn place_outside(
        &mut self,
        model: &'static str,
        info: &TensorInfo,
        stem: &str,
    ) -> Result<bool, WeightsError> {
        match stem.rsplit('.').next().unwrap_or(stem) {
            "embed_tokens" | "wte" | "embed_in" | "word_embeddings" | "tok_embeddings"
            | "token_embd" => self.embedding = Some(matrix(model, info, false)?),
            "lm_head" | "embed_out" | "output" => {
                self.unembedding = Some(matrix(model, info, false)?);
            }
            "norm" | "ln_f" | "final_layer_norm" | "final_layernorm" | "output_norm" => {
                self.final_norm = Some(info.name.clone());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Layer {
    /// In GGUF files of Phi-3 `ffn_up` holds gate and up, one after the other: it has twice as many outputs as `ffn_down` has inputs.
    fn settled(mut self) -> Self {
        if let (None, Some(up), Some(down)) = (&self.gate, &self.up, &self.down)
            && up.outputs.len() == 2 * down.inputs
        {
            let (half, whole) = (down.inputs, up.clone());
            self.gate = Some(Part { outputs: 0..half, ..whole.clone() });
            self.up = Some(Part { outputs: half..2 * half, ..whole });
        }
        self
    }
}

/// The layer's number and what follows it: `model.layers.3.mlp.up_proj` is 3 and `mlp.up_proj`.
fn layer_of(stem: &str) -> Option<(usize, &str)> {
    let mut rest = stem;
    while let Some((part, after)) = rest.split_once('.') {
        if let Ok(layer) = part.parse() {
            return Some((layer, after));
        }
        rest = after;
    }
    None
}

/// The gains of a layer.
#[derive(Clone, Copy)]
enum Norm {
    Attention,
    Mlp,
    /// The only name of it in Gemma 2 and 3, where `post_attention_layernorm` means another thing.
    MlpForSure,
}

impl Norm {
    fn of(leaf: &str) -> Option<Self> {
        Some(match leaf {
            "input_layernorm" | "ln_1" | "attention_norm" | "attn_norm" => Self::Attention,
            "post_attention_layernorm" | "ln_2" | "ffn_norm" => Self::Mlp,
            "pre_feedforward_layernorm" => Self::MlpForSure,
            _ => return None,
        })
    }

    fn put(self, layer: &mut Layer, name: String) {
        match self {
            Self::Attention => layer.attention_norm = Some(name),
            Self::MlpForSure => layer.mlp_norm = Some(name),
            Self::Mlp => {
                let sure = layer.mlp_norm.as_ref();
                if !sure.is_some_and(|name| name.contains("pre_feedforward")) {
                    layer.mlp_norm = Some(name);
                }
            }
        }
    }
}

/// What a linear layer's tensor holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
    /// Queries, keys, values, one after the other.
    InTurn,
    /// Queries, keys, values, interleaved by heads.
    Interleaved,
    /// Gate, then up.
    GateUp,
}

struct Fused {
    holds: Holds,
    transposed: bool,
}

impl Fused {
    fn of(leaf: &str) -> Option<Self> {
        let holds = match leaf {
            "self_attn.q_proj" | "attention.wq" | "attn_q" => Holds::Q,
            "self_attn.k_proj" | "attention.wk" | "attn_k" => Holds::K,
            "self_attn.v_proj" | "attention.wv" | "attn_v" => Holds::V,
            "self_attn.o_proj"
            | "self_attn.dense"
            | "self_attn.out_proj"
            | "attention.wo"
            | "attention.dense"
            | "self_attention.dense"
            | "attn_output"
            | "attn.c_proj" => Holds::O,
            "self_attn.qkv_proj" | "attn.c_attn" | "attn_qkv" => Holds::InTurn,
            "attention.query_key_value"
            | "self_attention.query_key_value"
            | "self_attn.query_key_value" => Holds::Interleaved,
            "mlp.gate_proj" | "feed_forward.w1" | "ffn_gate" => Holds::Gate,
            "mlp.up_proj" | "feed_forward.w3" | "ffn_up" | "mlp.fc1" | "mlp.c_fc"
            | "mlp.dense_h_to_4h" => Holds::Up,
            "mlp.down_proj" | "feed_forward.w2" | "ffn_down" | "mlp.fc2" | "mlp.c_proj"
            | "mlp.dense_4h_to_h" => Holds::Down,
            "mlp.gate_up_proj" => Holds::GateUp,
            _ => return None,
        };
        let transposed = matches!(leaf, "attn.c_attn" | "attn.c_proj" | "mlp.c_fc" | "mlp.c_proj");
        Some(Self { holds, transposed })
    }

    fn put(
        &self,
        model: &'static str,
        info: &TensorInfo,
        whole: Part,
        heads: &Heads,
        layer: &mut Layer,
    ) -> Result<(), WeightsError> {
        match self.holds {
            Holds::Q => layer.q = Some(whole),
            Holds::K => layer.k = Some(whole),
            Holds::V => layer.v = Some(whole),
            Holds::O => layer.o = Some(whole),
            Holds::Gate => layer.gate = Some(whole),
            Holds::Up => layer.up = Some(whole),
            Holds::Down => layer.down = Some(whole),
            Holds::Interleaved => layer.qkv = Some(whole),
            Holds::InTurn => {
                let [q, k, v] = heads.in_turn(model, info, whole)?;
                (layer.q, layer.k, layer.v) = (Some(q), Some(k), Some(v));
            }
            Holds::GateUp => {
                let [gate, up] = halves(model, info, whole)?;
                (layer.gate, layer.up) = (Some(gate), Some(up));
            }
        }
        Ok(())
    }
}

/// The whole tensor as a part.
fn matrix(model: &'static str, info: &TensorInfo, transposed: bool) -> Result<Part, WeightsError> {
    let [first, second] = *info.shape.as_slice() else {
        return Err(unfit(model, info, "a linear layer's weight has two axes".to_owned()));
    };
    let (outputs, inputs) = if transposed { (second, first) } else { (first, second) };
    if outputs == 0 || inputs == 0 {
        return Err(unfit(model, info, "no axis may be empty".to_owned()));
    }
    Ok(Part { tensor: info.name.clone(), outputs: 0..outputs, inputs, transposed })
}

fn halves(model: &'static str, info: &TensorInfo, whole: Part) -> Result<[Part; 2], WeightsError> {
    let outputs = whole.outputs.end;
    if !outputs.is_multiple_of(2) {
        return Err(unfit(model, info, "gate and up need an even number of outputs".to_owned()));
    }
    let half = outputs / 2;
    Ok([Part { outputs: 0..half, ..whole.clone() }, Part { outputs: half..outputs, ..whole }])
}

fn unfit(model: &'static str, info: &TensorInfo, wanted: String) -> WeightsError {
    WeightsError::Shape { model, tensor: info.name.clone(), shape: info.shape.clone(), wanted }
}

/// Heads by the configuration.
struct Heads {
    queries: Option<usize>,
    keys: Option<usize>,
}

impl Heads {
    fn of(config: Option<&Value>) -> Self {
        let number = |names: &[&str]| {
            let config = config?;
            let found = names.iter().find_map(|name| config.get(name)?.as_u64())?;
            usize::try_from(found).ok().filter(|&heads| heads > 0)
        };
        let queries = number(&["num_attention_heads", "n_head"]);
        Self { queries, keys: number(&["num_key_value_heads"]).or(queries) }
    }

    /// Rows of queries, keys and values: as many heads each as the configuration says; thirds without one.
    fn in_turn(
        &self,
        model: &'static str,
        info: &TensorInfo,
        whole: Part,
    ) -> Result<[Part; 3], WeightsError> {
        let (queries, keys) = self.queries.zip(self.keys).unwrap_or((1, 1));
        let (outputs, heads) = (whole.outputs.end, queries + 2 * keys);
        if !outputs.is_multiple_of(heads) {
            let wanted =
                format!("{queries} query heads and {keys} key-value heads do not divide it");
            return Err(unfit(model, info, wanted));
        }
        let size = outputs / heads;
        let (k, v) = (queries * size, (queries + keys) * size);
        let part = |outputs| Part { outputs, ..whole.clone() };
        Ok([part(0..k), part(k..v), part(v..outputs)])
    }
}

/// Gemma stores its gains less one; llama.cpp adds the one when it converts.
fn gains_less_one(source: &dyn TensorSource) -> bool {
    let gguf = source.tensors().iter().any(|info| info.name.starts_with("blk."));
    let family = source.config().and_then(|config| config.get("model_type")?.as_str());
    !gguf && family.is_some_and(|family| family.starts_with("gemma"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::memory::Memory;
    use super::*;

    fn roles(config: Value, tensors: &[(&str, &[usize])]) -> Result<Roles, WeightsError> {
        let source = Memory::of_zeros(Some(config), tensors);
        Roles::of("suspect", &source)
    }

    #[test]
    fn llama_and_its_gguf_are_alike() {
        let ours = roles(
            json!({"model_type": "llama"}),
            &[
                ("model.embed_tokens.weight", &[10, 4]),
                ("model.norm.weight", &[4]),
                ("model.layers.0.input_layernorm.weight", &[4]),
                ("model.layers.0.post_attention_layernorm.weight", &[4]),
                ("model.layers.0.self_attn.q_proj.weight", &[4, 4]),
                ("model.layers.0.self_attn.q_proj.bias", &[4]),
                ("model.layers.0.mlp.gate_proj.weight", &[6, 4]),
                ("model.layers.0.mlp.up_proj.weight", &[6, 4]),
                ("model.layers.0.mlp.down_proj.weight", &[4, 6]),
            ],
        )
        .unwrap();
        let gguf = roles(
            json!({}),
            &[
                ("token_embd.weight", &[10, 4]),
                ("output_norm.weight", &[4]),
                ("blk.0.attn_norm.weight", &[4]),
                ("blk.0.ffn_norm.weight", &[4]),
                ("blk.0.attn_q.weight", &[4, 4]),
                ("blk.0.attn_q.bias", &[4]),
                ("blk.0.ffn_gate.weight", &[6, 4]),
                ("blk.0.ffn_up.weight", &[6, 4]),
                ("blk.0.ffn_down.weight", &[4, 6]),
            ],
        )
        .unwrap();
        for roles in [&ours, &gguf] {
            let layer = &roles.layers[0];
            assert!(roles.embedding.is_some() && roles.final_norm.is_some());
            assert!(layer.attention_norm.is_some() && layer.mlp_norm.is_some());
            assert_eq!(layer.gate.as_ref().map(|p| p.outputs.clone()), Some(0..6));
            assert_eq!(layer.down.as_ref().map(|p| p.inputs), Some(6));
            assert_eq!(roles.width(), Some(4));
            assert_eq!(roles.others.len(), 1);
        }
    }

    #[test]
    fn fused_tensors_are_split_by_heads() {
        let roles = roles(
            json!({"num_attention_heads": 4, "num_key_value_heads": 2}),
            &[
                ("model.layers.1.self_attn.qkv_proj.weight", &[16, 8]),
                ("model.layers.1.mlp.gate_up_proj.weight", &[12, 8]),
                ("model.layers.0.self_attn.qkv_proj.weight", &[16, 8]),
            ],
        )
        .unwrap();
        let layer = &roles.layers[1];
        let outputs = |part: &Option<Part>| part.as_ref().map(|part| part.outputs.clone());
        assert_eq!(outputs(&layer.q), Some(0..8));
        assert_eq!(outputs(&layer.k), Some(8..12));
        assert_eq!(outputs(&layer.v), Some(12..16));
        assert_eq!((outputs(&layer.gate), outputs(&layer.up)), (Some(0..6), Some(6..12)));
    }

    #[test]
    fn gpt2_is_stored_the_other_way() {
        let roles = roles(
            json!({"n_head": 2}),
            &[
                ("transformer.wte.weight", &[10, 4]),
                ("transformer.h.0.attn.c_attn.weight", &[4, 12]),
                ("transformer.h.0.mlp.c_fc.weight", &[4, 16]),
                ("transformer.h.0.mlp.c_proj.weight", &[16, 4]),
            ],
        )
        .unwrap();
        let layer = &roles.layers[0];
        let up = layer.up.as_ref().unwrap();
        assert!(up.transposed && layer.gate.is_none());
        assert_eq!((up.outputs.clone(), up.inputs), (0..16, 4));
        assert_eq!(layer.v.as_ref().map(|part| part.outputs.clone()), Some(8..12));
    }

    #[test]
    fn gemma_has_a_gain_of_its_own_before_the_feed_forward_part() {
        let names: [(&str, &[usize]); 3] = [
            ("model.layers.0.mlp.up_proj.weight", &[6, 4]),
            ("model.layers.0.post_attention_layernorm.weight", &[4]),
            ("model.layers.0.pre_feedforward_layernorm.weight", &[4]),
        ];
        let roles = roles(json!({"model_type": "gemma2"}), &names).unwrap();
        assert!(roles.gains_less_one);
        let norm = roles.layers[0].mlp_norm.as_deref().unwrap();
        assert!(norm.contains("pre_feedforward"), "{norm}");
    }

    #[test]
    fn nonsense_is_an_error() {
        let none = roles(json!({}), &[("a.weight", &[2, 2])]).unwrap_err();
        assert!(matches!(none, WeightsError::NoRoles { tensors: 1, .. }), "{none}");
        let flat = roles(json!({}), &[("model.layers.0.mlp.up_proj.weight", &[6])]).unwrap_err();
        assert!(matches!(flat, WeightsError::Shape { .. }), "{flat}");
        let odd = roles(
            json!({"num_attention_heads": 3}),
            &[("model.layers.0.self_attn.qkv_proj.weight", &[16, 8])],
        );
        assert!(odd.unwrap_err().to_string().contains("3 query heads"));
    }
}
