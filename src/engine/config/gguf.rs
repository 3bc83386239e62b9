//! What a GGUF file says of its model.
//!
//! Keys and their meaning as llama.cpp's converter writes them and its loader reads them. What neither writes down, such
//! as which of Gemma's layers have a window, is fixed by the architecture's name.

use std::io::{Read, Seek};

use super::families::{Family, MAX_LAYERS};
use super::{Activation, Config, LayerSpec, RopeScaling, RopeSpec};
use crate::gguf::{FromValue, Gguf, GgufError};

/// Greatest value accepted for a dimension, as in a `config.json`.
const MAX_DIMENSION: usize = 1 << 24;

/// Architectures and their families. Mistral's files call themselves llama.
const ARCHITECTURES: [(&str, Family); 9] = [
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("gemma", Family::Gemma),
    ("gemma2", Family::Gemma2),
    ("gemma3", Family::Gemma3),
    ("phi3", Family::Phi3),
    ("olmo2", Family::Olmo2),
    ("granite", Family::Granite),
];

/// Reads the shape of a model from its file's header; `reader` gives the rotary factors, which are a tensor.
pub(in crate::engine) fn parse(
    gguf: &Gguf,
    reader: &mut (impl Read + Seek),
) -> Result<Config, GgufConfigError> {
    let name: &str = gguf.require("general.architecture")?;
    let known = ARCHITECTURES.iter().find(|(known, _)| *known == name);
    let &(architecture, family) = known.ok_or_else(|| GgufConfigError::Architecture {
        found: name.to_owned(),
        supported: ARCHITECTURES.map(|(name, _)| name).join(", "),
    })?;
    Header { gguf, architecture, family }.config(reader)
}

/// Why the metadata of a GGUF file do not describe a model that can be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufConfigError {
    /// The file itself is damaged, or lacks a key.
    #[error(transparent)]
    File(#[from] GgufError),
    /// An architecture that this engine does not run.
    #[error(
        "the model's architecture is \"{found}\"; those that run from GGUF files are {supported}"
    )]
    Architecture {
        /// Its name.
        found: String,
        /// The names of those that run.
        supported: String,
    },
    /// A key's value makes no sense, or asks for something that is not computed.
    #[error(
        "{key} is {value}, expected {expected}; use the model's safetensors files if it has any"
    )]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
}

struct Header<'a> {
    gguf: &'a Gguf,
    architecture: &'static str,
    family: Family,
}

impl Header<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get<'a, T: FromValue<'a>>(&'a self, name: &str) -> Result<Option<T>, GgufError> {
        self.gguf.get(&self.key(name))
    }

    fn wrong(&self, name: &str, value: impl ToString, expected: &'static str) -> GgufConfigError {
        GgufConfigError::Value { key: self.key(name), value: value.to_string(), expected }
    }

    fn dimension(&self, name: &str, default: Option<usize>) -> Result<usize, GgufConfigError> {
        let value = match default {
            Some(default) => self.get(name)?.unwrap_or(default),
            None => self.gguf.require(&self.key(name))?,
        };
        if (1..=MAX_DIMENSION).contains(&value) {
            return Ok(value);
        }
        Err(self.wrong(name, value, "a whole number from 1 to 16777216"))
    }

    fn positive(&self, name: &str, default: Option<f32>) -> Result<f32, GgufConfigError> {
        let value = match default {
            Some(default) => self.get(name)?.unwrap_or(default),
            None => self.gguf.require(&self.key(name))?,
        };
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        Err(self.wrong(name, value, "a positive number"))
    }

    /// Whether the first layer has this tensor; layers are alike.
    fn has(&self, tensor: &str) -> bool {
        self.gguf.tensors.contains_key(&format!("blk.0.{tensor}"))
    }

    fn config(&self, reader: &mut (impl Read + Seek)) -> Result<Config, GgufConfigError> {
        let family = self.family;
        let hidden_size = self.dimension("embedding_length", None)?;
        let heads = self.dimension("attention.head_count", None)?;
        let head_dim = self.dimension("attention.key_length", Some(hidden_size / heads))?;
        let mut config = Config {
            family,
            vocab_size: self.vocab_size()?,
            hidden_size,
            intermediate_size: self.dimension("feed_forward_length", None)?,
            heads,
            kv_heads: self.dimension("attention.head_count_kv", Some(heads))?,
            head_dim,
            max_positions: self.dimension("context_length", None)?,
            layers: Vec::new(),
            ropes: Vec::new(),
            rms_norm_eps: self.positive("attention.layer_norm_rms_epsilon", None)?,
            norms: family.norms(),
            qk_norm: family.qk_norm(),
            qkv_bias: self.has("attn_q.bias") || self.has("attn_qkv.bias"),
            output_bias: self.has("attn_output.bias"),
            mlp_bias: self.has("ffn_down.bias"),
            activation: if family.is_gemma() { Activation::GeluTanh } else { Activation::Silu },
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            attention_softcap: None,
            logit_softcap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            tied_embeddings: !self.gguf.tensors.contains_key("output.weight"),
        };
        self.check_heads(&config)?;
        self.scales(&mut config)?;
        self.layers(&mut config, reader)?;
        Ok(config)
    }

    /// Rows of the embedding: the vocabulary in the file may be shorter.
    fn vocab_size(&self) -> Result<usize, GgufConfigError> {
        let missing = || GgufError::MissingTensor { tensor: "token_embd.weight".to_owned() };
        let embedding = self.gguf.tensors.get("token_embd.weight").ok_or_else(missing)?;
        let rows = embedding.shape.first().copied().unwrap_or(0);
        if (1..=MAX_DIMENSION).contains(&rows) {
            return Ok(rows);
        }
        Err(GgufConfigError::Value {
            key: "token_embd.weight".to_owned(),
            value: format!("a tensor of {rows} rows"),
            expected: "from 1 to 16777216 rows",
        })
    }

    fn check_heads(&self, config: &Config) -> Result<(), GgufConfigError> {
        let Config { heads, kv_heads, head_dim, .. } = *config;
        if !heads.is_multiple_of(kv_heads) {
            return Err(self.wrong("attention.head_count_kv", kv_heads, "a divisor of head_count"));
        }
        let values = self.dimension("attention.value_length", Some(head_dim))?;
        if !head_dim.is_multiple_of(2) || values != head_dim {
            return Err(self.wrong("attention.value_length", values, "an even key_length"));
        }
        Ok(())
    }

    fn scales(&self, config: &mut Config) -> Result<(), GgufConfigError> {
        if self.family.is_gemma() {
            config.embedding_scale = (config.hidden_size as f32).sqrt();
        }
        if self.family == Family::Gemma2 {
            config.attention_softcap = Some(self.positive("attn_logit_softcapping", Some(50.0))?);
            config.logit_softcap = Some(self.positive("final_logit_softcapping", Some(30.0))?);
        }
        // The 27 B models alone divide by the width that the hidden size gives a head; files do not say so.
        let layers = self.dimension("block_count", None)?;
        if matches!((self.family, layers), (Family::Gemma2, 46) | (Family::Gemma3, 62)) {
            config.attention_scale = 1.0 / (config.hidden_size as f32 / config.heads as f32).sqrt();
        }
        if self.family == Family::Granite {
            config.attention_scale =
                self.positive("attention.scale", Some(config.attention_scale))?;
            config.embedding_scale = self.positive("embedding_scale", Some(1.0))?;
            config.residual_scale = self.positive("residual_scale", Some(1.0))?;
            config.logit_scale = 1.0 / self.positive("logit_scale", Some(1.0))?;
        }
        Ok(())
    }

    fn layers(
        &self,
        config: &mut Config,
        reader: &mut (impl Read + Seek),
    ) -> Result<(), GgufConfigError> {
        let count = self.dimension("block_count", None)?;
        if count > MAX_LAYERS {
            return Err(self.wrong("block_count", count, "at most 10000"));
        }
        config.ropes = vec![self.rope(config, reader)?];
        if self.family == Family::Gemma3 {
            let theta = self.positive("rope.freq_base_swa", Some(10_000.0))?;
            config.ropes.push(RopeSpec::plain(theta, config.head_dim));
        }
        let window = self.window()?;
        let local_rope = usize::from(self.family == Family::Gemma3);
        let spec = |layer: usize| match window {
            Some((window, every)) if !(layer + 1).is_multiple_of(every) => {
                LayerSpec { window: Some(window), rope: Some(local_rope) }
            }
            _ => LayerSpec { window: None, rope: Some(0) },
        };
        config.layers = (0..count).map(spec).collect();
        Ok(())
    }

    /// The window, and the distance between layers without one.
    fn window(&self) -> Result<Option<(usize, usize)>, GgufConfigError> {
        let name = "attention.sliding_window";
        let window = self.get::<usize>(name)?.filter(|window| *window > 0);
        let every = match (self.family, window) {
            (_, None) => return Ok(None),
            (Family::Gemma2, _) => 2,
            (Family::Gemma3, _) => 6,
            (Family::Phi3, _) => usize::MAX,
            (_, Some(window)) => {
                return Err(self.wrong(name, window, "no window in this architecture"));
            }
        };
        Ok(window.map(|window| (window, every)))
    }

    fn rope(
        &self,
        config: &Config,
        reader: &mut (impl Read + Seek),
    ) -> Result<RopeSpec, GgufConfigError> {
        let theta = self.positive("rope.freq_base", Some(10_000.0))?;
        let dims = self.dimension("rope.dimension_count", Some(config.head_dim))?;
        if dims > config.head_dim || !dims.is_multiple_of(2) {
            return Err(self.wrong(
                "rope.dimension_count",
                dims,
                "an even number up to the head's width",
            ));
        }
        let scaling = match self.get::<&str>("rope.scaling.type")?.unwrap_or("none") {
            "none" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: self.positive("rope.scaling.factor", None)? },
            other => return Err(self.wrong("rope.scaling.type", other, "none or linear")),
        };
        let scaling = match self.divisors(dims, reader)? {
            Some(divisors) => RopeScaling::Divided { divisors, attention_factor: 1.0 },
            None => scaling,
        };
        Ok(RopeSpec { theta, dims, scaling })
    }

    /// Llama 3's stretching, worked out by the converter.
    fn divisors(
        &self,
        dims: usize,
        reader: &mut (impl Read + Seek),
    ) -> Result<Option<Vec<f32>>, GgufConfigError> {
        let name = "rope_freqs.weight";
        if !self.gguf.tensors.contains_key(name) {
            return Ok(None);
        }
        let bytes = self.gguf.read_tensor(reader, name)?;
        let divisors: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let sound = divisors.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0);
        if sound && divisors.len() == dims / 2 && bytes.len() == 2 * dims {
            return Ok(Some(divisors));
        }
        Err(GgufConfigError::Value {
            key: name.to_owned(),
            value: format!("{} bytes", bytes.len()),
            expected: "a positive f32 for every two rotary dimensions",
        })
    }
}
