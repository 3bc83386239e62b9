//! How each family writes its `config.json`: names, defaults, and what it leaves unsaid.
//!
//! Defaults are those of the transformers library, which published files rely on when they leave a field out.

use serde_json::Value;

use super::fields::Fields;
use super::rope::RopeReader;
use super::{Activation, Config, LayerSpec, Norms, QkNorm};
use crate::engine::EngineError;

/// More layers than any model has; bounds what a damaged file makes this program hold.
pub(super) const MAX_LAYERS: usize = 10_000;

/// Families of models, each tested against transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the families' own")]
pub enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Gemma,
    Gemma2,
    Gemma3,
    Phi3,
    Olmo2,
    Olmo3,
    Granite,
    SmolLm3,
}

impl Family {
    const NAMES: [(&str, Self); 12] = [
        ("llama", Self::Llama),
        ("mistral", Self::Mistral),
        ("qwen2", Self::Qwen2),
        ("qwen3", Self::Qwen3),
        ("gemma", Self::Gemma),
        ("gemma2", Self::Gemma2),
        ("gemma3_text", Self::Gemma3),
        ("phi3", Self::Phi3),
        ("olmo2", Self::Olmo2),
        ("olmo3", Self::Olmo3),
        ("granite", Self::Granite),
        ("smollm3", Self::SmolLm3),
    ];

    /// The family that a `model_type` names.
    pub fn of_model_type(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
    }

    /// The `model_type` in a `config.json`.
    pub fn model_type(self) -> &'static str {
        Self::NAMES.iter().find(|(_, family)| *family == self).map_or("", |(name, _)| name)
    }

    /// Every `model_type` that is known, in words.
    pub fn all() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }

    /// Whether it is one of the Gemma models, whose normalisation weights are stored less one.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2 | Self::Gemma3)
    }

    /// Queries, keys and values are one matrix in the file, and so are gate and up.
    pub(crate) fn is_fused(self) -> bool {
        self == Self::Phi3
    }

    pub(super) fn norms(self) -> Norms {
        match self {
            Self::Gemma2 | Self::Gemma3 => Norms::Around,
            Self::Olmo2 | Self::Olmo3 => Norms::After,
            _ => Norms::Before,
        }
    }

    pub(super) fn qk_norm(self) -> QkNorm {
        match self {
            Self::Qwen3 | Self::Gemma3 => QkNorm::Head,
            Self::Olmo2 | Self::Olmo3 => QkNorm::Whole,
            _ => QkNorm::None,
        }
    }

    /// Layers with a window have a rotary embedding of their own.
    fn has_local_rope(self) -> bool {
        matches!(self, Self::Gemma3 | Self::Olmo3)
    }

    fn ties_by_default(self) -> bool {
        self.is_gemma() || self == Self::SmolLm3
    }

    fn default_theta(self) -> f64 {
        match self {
            Self::Gemma3 => 1_000_000.0,
            Self::Olmo3 => 500_000.0,
            Self::SmolLm3 => 2_000_000.0,
            _ => 10_000.0,
        }
    }

    fn default_eps(self) -> f64 {
        if matches!(self, Self::Olmo2 | Self::Olmo3 | Self::Phi3) { 1e-5 } else { 1e-6 }
    }

    /// Width of a head where the file does not say.
    fn default_head_dim(self, hidden_size: usize, heads: usize) -> usize {
        match self {
            Self::Gemma | Self::Gemma2 | Self::Gemma3 => 256,
            Self::Qwen3 => 128,
            _ => hidden_size / heads,
        }
    }

    fn default_window(self) -> Option<usize> {
        matches!(self, Self::Mistral | Self::Gemma2 | Self::Gemma3 | Self::Olmo3).then_some(4096)
    }
}

/// Reads a `config.json` of any family.
pub(super) fn parse(json: &[u8]) -> Result<Config, EngineError> {
    let fields = Fields(serde_json::from_slice(json).map_err(EngineError::ConfigSyntax)?);
    let name = fields
        .text("model_type")?
        .ok_or_else(|| fields.invalid("model_type", "the name of a family"))?;
    let family = Family::of_model_type(name)
        .ok_or_else(|| fields.unsupported("model_type", &Family::all()))?;
    let file = File { fields: &fields, family };
    file.check_supported()?;
    file.config()
}

struct File<'a> {
    fields: &'a Fields,
    family: Family,
}

impl File<'_> {
    fn check_supported(&self) -> Result<(), EngineError> {
        let fields = self.fields;
        fields.only("quantization_config", &Value::Null)?;
        fields
            .only("is_decoder", &true.into())
            .or_else(|_| fields.only("is_decoder", &false.into()))?;
        if fields.get("pretraining_tp").is_some_and(|value| value.as_f64() != Some(1.0)) {
            return Err(fields.unsupported("pretraining_tp", "1"));
        }
        fields.only("use_bidirectional_attention", &false.into())?;
        match self.family {
            // Families that never have a window must not name one.
            Family::Llama | Family::Gemma | Family::Olmo2 | Family::Granite => {
                fields.only("sliding_window", &Value::Null)
            }
            Family::SmolLm3 => fields.only("use_sliding_window", &false.into()),
            _ => Ok(()),
        }
    }

    fn config(&self) -> Result<Config, EngineError> {
        let (fields, family) = (self.fields, self.family);
        let hidden_size = fields.dimension("hidden_size", None)?;
        let heads = fields.dimension("num_attention_heads", None)?;
        let head_dim = family.default_head_dim(hidden_size, heads);
        let head_dim = fields.dimension("head_dim", Some(head_dim))?;
        let kv_heads = fields.dimension("num_key_value_heads", Some(heads))?;
        let mut config = Config {
            family,
            vocab_size: fields.dimension("vocab_size", None)?,
            hidden_size,
            intermediate_size: fields.dimension("intermediate_size", None)?,
            heads,
            kv_heads,
            head_dim,
            max_positions: fields.dimension("max_position_embeddings", None)?,
            layers: Vec::new(),
            ropes: Vec::new(),
            rms_norm_eps: fields.positive("rms_norm_eps", family.default_eps())?,
            norms: family.norms(),
            qk_norm: family.qk_norm(),
            qkv_bias: family == Family::Qwen2,
            output_bias: false,
            mlp_bias: false,
            activation: self.activation()?,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            attention_softcap: None,
            logit_softcap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            tied_embeddings: fields.flag("tie_word_embeddings", family.ties_by_default())?,
        };
        self.check_heads(&config)?;
        self.biases(&mut config)?;
        self.scales(&mut config)?;
        self.layers(&mut config)?;
        Ok(config)
    }

    fn check_heads(&self, config: &Config) -> Result<(), EngineError> {
        let fields = self.fields;
        if !config.heads.is_multiple_of(config.kv_heads) {
            return Err(fields.invalid("num_key_value_heads", "a divisor of num_attention_heads"));
        }
        if !config.head_dim.is_multiple_of(2) {
            return Err(fields.invalid("head_dim", "an even number"));
        }
        if fields.get("head_dim").is_none() && !config.hidden_size.is_multiple_of(config.heads) {
            return Err(fields.invalid("hidden_size", "a multiple of num_attention_heads"));
        }
        Ok(())
    }

    /// `hidden_activation` is what the Gemma family's code reads; the others have `hidden_act` alone.
    fn activation(&self) -> Result<Activation, EngineError> {
        let fields = self.fields;
        if !self.family.is_gemma() {
            fields.only("hidden_act", &"silu".into())?;
            return Ok(Activation::Silu);
        }
        let name = if fields.get("hidden_activation").is_some() {
            "hidden_activation"
        } else {
            "hidden_act"
        };
        // The first Gemma's first files say "gelu" and mean its tanh form.
        fields
            .only(name, &"gelu_pytorch_tanh".into())
            .or_else(|error| fields.only(name, &"gelu".into()).map_err(|_| error))?;
        Ok(Activation::GeluTanh)
    }

    fn biases(&self, config: &mut Config) -> Result<(), EngineError> {
        // Of these flags Qwen 2's code knows none, Phi 3's neither: their published files leave them out.
        let fields = self.fields;
        if matches!(self.family, Family::Llama | Family::Granite | Family::SmolLm3) {
            config.mlp_bias = fields.flag("mlp_bias", false)?;
        } else {
            fields.only("mlp_bias", &false.into())?;
        }
        if matches!(self.family, Family::Qwen2 | Family::Phi3 | Family::Mistral) {
            return fields.only("attention_bias", &false.into());
        }
        if fields.flag("attention_bias", false)? {
            (config.qkv_bias, config.output_bias) = (true, true);
        }
        Ok(())
    }

    fn scales(&self, config: &mut Config) -> Result<(), EngineError> {
        let fields = self.fields;
        if self.family.is_gemma() {
            config.embedding_scale = (config.hidden_size as f32).sqrt();
        }
        if matches!(self.family, Family::Gemma2 | Family::Gemma3) {
            let caps =
                if self.family == Family::Gemma2 { (Some(50.0), Some(30.0)) } else { (None, None) };
            config.attention_scale = 1.0 / fields.positive("query_pre_attn_scalar", 256.0)?.sqrt();
            config.attention_softcap = fields.cap("attn_logit_softcapping", caps.0)?;
            config.logit_softcap = fields.cap("final_logit_softcapping", caps.1)?;
        }
        if self.family == Family::Granite {
            config.attention_scale = fields.positive("attention_multiplier", 1.0)?;
            config.embedding_scale = fields.positive("embedding_multiplier", 1.0)?;
            config.residual_scale = fields.positive("residual_multiplier", 1.0)?;
            config.logit_scale = 1.0 / fields.positive("logits_scaling", 1.0)?;
        }
        Ok(())
    }

    fn layers(&self, config: &mut Config) -> Result<(), EngineError> {
        let count = self.fields.dimension("num_hidden_layers", None)?;
        if count > MAX_LAYERS {
            return Err(self.fields.invalid("num_hidden_layers", "at most 10000"));
        }
        let windows = self.windows(count)?;
        let reader = RopeReader {
            fields: self.fields,
            head_dim: config.head_dim,
            theta: self.family.default_theta(),
            max_positions: config.max_positions,
        };
        let (global, max_positions) = reader.read("full_attention")?;
        config.max_positions = max_positions;
        config.ropes = vec![global];
        if self.family.has_local_rope() {
            config.ropes.push(self.local_rope(&reader)?);
        }
        let turns = self.turning_layers(count)?;
        let spec = |(window, turns): (Option<usize>, bool)| {
            let local = window.is_some() && self.family.has_local_rope();
            LayerSpec { window, rope: turns.then_some(usize::from(local)) }
        };
        config.layers = windows.into_iter().zip(turns).map(spec).collect();
        Ok(())
    }

    /// The embedding of layers with a window, which is never stretched in old files; Gemma 3's has a base of its own.
    fn local_rope(&self, reader: &RopeReader<'_>) -> Result<super::RopeSpec, EngineError> {
        if self.fields.get("rope_parameters").is_some() {
            return Ok(reader.read("sliding_attention")?.0);
        }
        let theta = if self.family == Family::Gemma3 {
            self.fields.positive("rope_local_base_freq", 10_000.0)?
        } else {
            self.fields.positive("rope_theta", reader.theta)?
        };
        Ok(super::RopeSpec::plain(theta, reader.head_dim))
    }

    /// The window of each layer.
    fn windows(&self, count: usize) -> Result<Vec<Option<usize>>, EngineError> {
        let fields = self.fields;
        let window = match fields.0.get("sliding_window") {
            None => self.family.default_window(),
            Some(_) => fields.optional("sliding_window")?,
        };
        let used = match self.family {
            Family::Qwen2 | Family::Qwen3 => fields.flag("use_sliding_window", false)?,
            Family::SmolLm3 => false,
            _ => true,
        };
        let Some(window) = window.filter(|_| used) else { return Ok(vec![None; count]) };
        let windowed = self.windowed_layers(count)?;
        Ok(windowed.into_iter().map(|windowed| windowed.then_some(window)).collect())
    }

    /// Which layers have the window.
    fn windowed_layers(&self, count: usize) -> Result<Vec<bool>, EngineError> {
        let fields = self.fields;
        if let Some(kinds) = fields.per_layer("layer_types", count)? {
            return kinds.iter().map(|kind| self.is_windowed(kind)).collect();
        }
        let every = |pattern: usize| (0..count).map(|layer| (layer + 1) % pattern != 0).collect();
        Ok(match self.family {
            Family::Qwen2 | Family::Qwen3 => {
                let first = match fields.get("max_window_layers").and_then(Value::as_u64) {
                    Some(first) => usize::try_from(first).unwrap_or(usize::MAX),
                    None => 28,
                };
                (0..count).map(|layer| layer >= first).collect()
            }
            Family::Gemma2 => every(2),
            Family::Olmo3 => every(4),
            Family::Gemma3 => {
                let name = if fields.get("sliding_window_pattern").is_some() {
                    "sliding_window_pattern"
                } else {
                    "_sliding_window_pattern"
                };
                every(fields.dimension(name, Some(6))?)
            }
            _ => vec![true; count],
        })
    }

    fn is_windowed(&self, kind: &Value) -> Result<bool, EngineError> {
        match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(self.fields.unsupported("layer_types", "full_attention, sliding_attention")),
        }
    }

    /// Which layers tell positions apart. SmolLM 3 leaves every fourth without.
    fn turning_layers(&self, count: usize) -> Result<Vec<bool>, EngineError> {
        let fields = self.fields;
        if self.family != Family::SmolLm3 {
            return Ok(vec![true; count]);
        }
        if let Some(list) = fields.per_layer("no_rope_layers", count)? {
            return Ok(list.iter().map(|turns| turns.as_u64() != Some(0)).collect());
        }
        let interval = fields.dimension("no_rope_layer_interval", Some(4))?;
        Ok((0..count).map(|layer| (layer + 1) % interval != 0).collect())
    }
}
