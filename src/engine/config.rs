//! `config.json`: the shape of a model, every field checked.

use serde_json::{Map, Value};

use super::EngineError;

/// Greatest value accepted for a dimension; keeps every product of two of them far from overflow.
const MAX_DIMENSION: u64 = 1 << 24;

/// The shape of a Llama-like transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// V, the rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Key-value heads of a layer; divides `heads` (grouped-query attention).
    pub kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Greatest length of a sequence.
    pub max_positions: usize,
    /// Base of the rotary embedding.
    pub rope_theta: f32,
    /// Added to the mean square in normalisation.
    pub rms_norm_eps: f32,
    /// The output layer is the embedding.
    pub tied_embeddings: bool,
}

impl Config {
    /// Reads a Hugging Face `config.json`. Fields that change what a model computes and that this engine does not
    /// implement are refused, never ignored.
    ///
    /// # Errors
    /// [`EngineError::ConfigSyntax`], [`EngineError::ConfigField`], [`EngineError::Unsupported`].
    pub fn parse(json: &[u8]) -> Result<Self, EngineError> {
        let fields = Fields(serde_json::from_slice(json).map_err(EngineError::ConfigSyntax)?);
        fields.check_supported()?;
        let heads = fields.dimension("num_attention_heads", None)?;
        let hidden_size = fields.dimension("hidden_size", None)?;
        let config = Self {
            vocab_size: fields.dimension("vocab_size", None)?,
            hidden_size,
            intermediate_size: fields.dimension("intermediate_size", None)?,
            layers: fields.dimension("num_hidden_layers", None)?,
            heads,
            kv_heads: fields.dimension("num_key_value_heads", Some(heads))?,
            head_dim: fields.dimension("head_dim", Some(hidden_size / heads))?,
            max_positions: fields.dimension("max_position_embeddings", None)?,
            rope_theta: fields.rope_theta()?,
            rms_norm_eps: fields.positive("rms_norm_eps", 1e-6)?,
            tied_embeddings: fields.flag("tie_word_embeddings")?,
        };
        config.check_heads(&fields)
    }

    fn check_heads(self, fields: &Fields) -> Result<Self, EngineError> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(fields.invalid("num_key_value_heads", "a divisor of num_attention_heads"));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(fields.invalid("head_dim", "an even number"));
        }
        if fields.get("head_dim").is_none() && !self.hidden_size.is_multiple_of(self.heads) {
            return Err(fields.invalid("hidden_size", "a multiple of num_attention_heads"));
        }
        Ok(self)
    }

    /// Width of all query heads.
    pub(super) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads, and of all value heads.
    pub(super) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn check_supported(&self) -> Result<(), EngineError> {
        self.only("model_type", &Value::from("llama"))?;
        if self.get("model_type").is_none() {
            return Err(self.invalid("model_type", "\"llama\""));
        }
        self.only("hidden_act", &Value::from("silu"))?;
        self.only("attention_bias", &Value::from(false))?;
        self.only("mlp_bias", &Value::from(false))?;
        self.only("is_decoder", &Value::from(true))
            .or_else(|_| self.only("is_decoder", &Value::from(false)))?;
        for absent in ["rope_scaling", "quantization_config", "sliding_window"] {
            self.only(absent, &Value::Null)?;
        }
        for one in ["pretraining_tp", "partial_rotary_factor"] {
            if self.get(one).is_some_and(|value| value.as_f64() != Some(1.0)) {
                return Err(self.unsupported(one, "1"));
            }
        }
        Ok(())
    }

    /// Refuses a field that is there with any value but `supported`.
    fn only(&self, name: &'static str, supported: &Value) -> Result<(), EngineError> {
        match self.get(name) {
            Some(value) if value != supported => {
                Err(self.unsupported(name, &supported.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn dimension(&self, name: &'static str, default: Option<usize>) -> Result<usize, EngineError> {
        let value = match (self.get(name), default) {
            (Some(value), _) => value.as_u64(),
            (None, default) => default.map(|value| value as u64),
        };
        value
            .filter(|value| (1..=MAX_DIMENSION).contains(value))
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| self.invalid(name, "a whole number from 1 to 16777216"))
    }

    fn positive(&self, name: &'static str, default: f64) -> Result<f32, EngineError> {
        let value = self.get(name).map_or(Some(default), Value::as_f64).map(|value| value as f32);
        value
            .filter(|value| value.is_finite() && *value > 0.0)
            .ok_or_else(|| self.invalid(name, "a positive number"))
    }

    fn flag(&self, name: &'static str) -> Result<bool, EngineError> {
        self.get(name)
            .map_or(Some(false), Value::as_bool)
            .ok_or_else(|| self.invalid(name, "true or false"))
    }

    /// At the top, or in the newer `rope_parameters` object.
    fn rope_theta(&self) -> Result<f32, EngineError> {
        let Some(parameters) = self.get("rope_parameters") else {
            return self.positive("rope_theta", 10_000.0);
        };
        let object =
            parameters.as_object().ok_or_else(|| self.invalid("rope_parameters", "an object"))?;
        let plain = object.iter().all(|(name, value)| match name.as_str() {
            "rope_theta" => true,
            "rope_type" | "type" => value == "default",
            "partial_rotary_factor" => value.as_f64() == Some(1.0),
            _ => value.is_null(),
        });
        if !plain {
            return Err(self.unsupported("rope_parameters", "rope_type \"default\""));
        }
        Self(object.clone()).positive("rope_theta", 10_000.0)
    }

    fn shown(&self, name: &str) -> String {
        let mut text = self.0.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
        if let Some((end, _)) = text.char_indices().nth(80) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    fn invalid(&self, field: &'static str, expected: &'static str) -> EngineError {
        EngineError::ConfigField { field, value: self.shown(field), expected }
    }

    fn unsupported(&self, field: &'static str, supported: &str) -> EngineError {
        EngineError::Unsupported {
            field,
            value: self.shown(field),
            supported: supported.to_owned(),
        }
    }
}
