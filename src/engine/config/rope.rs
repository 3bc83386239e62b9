//! Rotary position embeddings (Su et al. 2021) and the ways of stretching them to longer texts.

use std::f32::consts::TAU;

use serde_json::Value;

use super::EngineError;
use super::fields::Fields;

/// A rotary embedding: dimension i of a head turns with dimension i + dims/2, by position · frequency(i).
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// Base θ: frequency(i) = θ^(−2i/dims) radians a position, before scaling.
    pub theta: f32,
    /// Dimensions of a head that turn, even; the rest stay.
    pub dims: usize,
    /// How frequencies are stretched.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched beyond the length a model was first trained for.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by the factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Low frequencies divided by the factor, high ones kept, a blend between (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f32,
        /// Wavelengths above `original / low_freq_factor` are stretched whole.
        low_freq_factor: f32,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// Length of the first training.
        original: usize,
    },
    /// YaRN (Peng et al. 2023, section 3): a ramp over dimensions, and cosines and sines times `attention_factor`.
    Yarn {
        /// The factor.
        factor: f32,
        /// Dimensions that turn more often than this over `original` are kept.
        beta_fast: f32,
        /// Dimensions that turn less often than this are stretched whole.
        beta_slow: f32,
        /// Ends of the ramp are rounded outwards to whole dimensions.
        truncate: bool,
        /// Length of the first training.
        original: usize,
        /// Cosines and sines are multiplied by this.
        attention_factor: f32,
    },
    /// Each frequency divided by its own factor, and cosines and sines times `attention_factor` (LongRoPE, Ding et al.
    /// 2024, the factors for lengths up to that of the first training).
    Divided {
        /// One for every two dimensions.
        divisors: Vec<f32>,
        /// Cosines and sines are multiplied by this.
        attention_factor: f32,
    },
}

impl RopeSpec {
    /// An embedding that is not stretched.
    pub(crate) fn plain(theta: f32, dims: usize) -> Self {
        Self { theta, dims, scaling: RopeScaling::None }
    }

    /// Frequencies in radians a position, one for every two dimensions.
    ///
    /// Rounded to f32 where the reference implementation rounds, for the angle at position 1,000 has an error of 1e-5.
    pub(crate) fn frequencies(&self) -> Vec<f32> {
        let powers = (0..self.dims / 2)
            .map(|i| self.theta.powf((2 * i) as f32 / self.dims as f32))
            .collect::<Vec<f32>>();
        match &self.scaling {
            RopeScaling::None => powers.iter().map(|power| 1.0 / power).collect(),
            RopeScaling::Linear { factor } => {
                powers.iter().map(|power| 1.0 / power / factor).collect()
            }
            RopeScaling::Divided { divisors, .. } => powers
                .iter()
                .zip(divisors)
                .map(|(power, divisor)| 1.0 / (divisor * power))
                .collect(),
            &RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let stretch = |power: &f32| {
                    let frequency = 1.0 / power;
                    let turns = original as f32 * frequency / TAU;
                    let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    blend(frequency / factor, frequency, kept.clamp(0.0, 1.0))
                };
                powers.iter().map(stretch).collect()
            }
            &RopeScaling::Yarn { factor, beta_fast, beta_slow, truncate, original, .. } => {
                let (low, high) = self.yarn_ramp(beta_fast, beta_slow, truncate, original);
                let stretch = |(i, power): (usize, &f32)| {
                    let stretched = ((i as f32 - low) / (high - low)).clamp(0.0, 1.0);
                    blend(1.0 / (factor * power), 1.0 / power, 1.0 - stretched)
                };
                powers.iter().enumerate().map(stretch).collect()
            }
        }
    }

    /// The dimensions (halved) between which YaRN goes from keeping to stretching.
    fn yarn_ramp(&self, fast: f32, slow: f32, truncate: bool, original: usize) -> (f32, f32) {
        let (dims, theta) = (self.dims as f64, f64::from(self.theta));
        let dimension = |turns: f32| {
            let wavelength = original as f64 / (f64::from(turns) * std::f64::consts::TAU);
            dims * wavelength.ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (dimension(fast), dimension(slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(dims - 1.0));
        // A ramp without width would divide by zero.
        let high = if low == high { high + 0.001 } else { high };
        (low as f32, high as f32)
    }

    /// What cosines and sines are multiplied by.
    pub(crate) fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. }
            | RopeScaling::Divided { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }
}

fn blend(stretched: f32, kept: f32, share_kept: f32) -> f32 {
    (1.0 - share_kept) * stretched + share_kept * kept
}

/// A rotary embedding as a `config.json` describes it.
pub(super) struct RopeReader<'a> {
    /// The whole file.
    pub(super) fields: &'a Fields,
    /// Width of a head.
    pub(super) head_dim: usize,
    /// θ where the file says nothing.
    pub(super) theta: f64,
    /// `max_position_embeddings`.
    pub(super) max_positions: usize,
}

impl RopeReader<'_> {
    /// The embedding, and the greatest length it serves.
    ///
    /// New files hold an object `rope_parameters` (one for each kind of layer where kinds differ: `kind` names it), old
    /// ones `rope_theta` and `rope_scaling`.
    pub(super) fn read(&self, kind: &'static str) -> Result<(RopeSpec, usize), EngineError> {
        let parameters = match self.fields.object("rope_parameters")? {
            Some(parameters) => parameters.object(kind)?.or(Some(parameters)),
            None => None,
        };
        let theta = match &parameters {
            Some(parameters) if parameters.get("rope_theta").is_some() => parameters,
            _ => self.fields,
        }
        .positive("rope_theta", self.theta)?;
        let scaling = match parameters {
            Some(parameters) => Some(parameters),
            None => self.fields.object("rope_scaling")?,
        };
        let dims = self.dims(scaling.as_ref())?;
        let Some(scaling) = scaling else {
            return Ok((RopeSpec::plain(theta, dims), self.max_positions));
        };
        let (scaling, max_positions) = self.scaling(&scaling, dims)?;
        Ok((RopeSpec { theta, dims, scaling }, max_positions))
    }

    fn dims(&self, scaling: Option<&Fields>) -> Result<usize, EngineError> {
        let name = "partial_rotary_factor";
        let holder = scaling.filter(|fields| fields.get(name).is_some()).unwrap_or(self.fields);
        let share = holder.positive(name, 1.0)?;
        let dims = (self.head_dim as f32 * share) as usize;
        if share > 1.0 || dims == 0 || !dims.is_multiple_of(2) {
            return Err(
                holder.invalid(name, "a share of the head that is an even number of dimensions")
            );
        }
        Ok(dims)
    }

    fn scaling(&self, fields: &Fields, dims: usize) -> Result<(RopeScaling, usize), EngineError> {
        let name = if fields.get("rope_type").is_some() { "rope_type" } else { "type" };
        let scaling = match fields.text(name)?.unwrap_or("default") {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: fields.required("factor")? },
            "llama3" => self.llama3(fields)?,
            "yarn" => self.yarn(fields)?,
            // "su" is what the first published files call it.
            "longrope" | "su" => return self.longrope(fields, dims),
            _ => return Err(fields.unsupported(name, "default, linear, llama3, yarn, longrope")),
        };
        Ok((scaling, self.max_positions))
    }

    fn original(&self, fields: &Fields) -> Result<Option<usize>, EngineError> {
        let name = "original_max_position_embeddings";
        Ok(fields.optional(name)?.or(self.fields.optional(name)?))
    }

    fn llama3(&self, fields: &Fields) -> Result<RopeScaling, EngineError> {
        let (low, high) =
            (fields.required("low_freq_factor")?, fields.required("high_freq_factor")?);
        if low >= high {
            return Err(fields.invalid("high_freq_factor", "more than low_freq_factor"));
        }
        let original = self
            .original(fields)?
            .ok_or_else(|| fields.invalid("original_max_position_embeddings", "a whole number"))?;
        Ok(RopeScaling::Llama3 {
            factor: fields.required("factor")?,
            low_freq_factor: low,
            high_freq_factor: high,
            original,
        })
    }

    fn yarn(&self, fields: &Fields) -> Result<RopeScaling, EngineError> {
        for unknown in ["mscale", "mscale_all_dim"] {
            fields.only(unknown, &Value::Null)?;
        }
        let original = self.original(fields)?.unwrap_or(self.max_positions);
        let factor = fields.required("factor")?;
        let default = if factor > 1.0 { 0.1 * f64::from(factor).ln() + 1.0 } else { 1.0 };
        Ok(RopeScaling::Yarn {
            factor,
            beta_fast: fields.positive("beta_fast", 32.0)?,
            beta_slow: fields.positive("beta_slow", 1.0)?,
            truncate: fields.flag("truncate", true)?,
            original,
            attention_factor: fields.positive("attention_factor", default)?,
        })
    }

    /// The factors for short texts. Beyond the length of the first training the reference implementation changes to
    /// other factors, with which keys that are cached already do not agree; so sequences end there.
    fn longrope(&self, fields: &Fields, dims: usize) -> Result<(RopeScaling, usize), EngineError> {
        let original = self
            .original(fields)?
            .ok_or_else(|| fields.invalid("original_max_position_embeddings", "a whole number"))?;
        let stretched = self.max_positions as f64 / original as f64;
        let factor = f64::from(fields.positive("factor", stretched)?);
        let default =
            if factor > 1.0 { (1.0 + factor.ln() / (original as f64).ln()).sqrt() } else { 1.0 };
        let scaling = RopeScaling::Divided {
            divisors: fields.numbers("short_factor", dims / 2)?,
            attention_factor: fields.positive("attention_factor", default)?,
        };
        Ok((scaling, self.max_positions.min(original)))
    }
}
