//! Rounding to 16-bit floats.

use super::{Change, for_rows, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// A 16-bit float format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Eight bits of precision, the exponents of f32.
    Bf16,
    /// Eleven bits of precision, up to 65,504.
    F16,
}

impl Half {
    /// The nearest number of the format, ties to even.
    pub fn nearest(self, value: f32) -> f32 {
        let dropped = match self {
            Self::Bf16 => 16,
            Self::F16 if value.abs() < 2f32.powi(-14) => {
                return (value * 2f32.powi(24)).round_ties_even() * 2f32.powi(-24);
            }
            Self::F16 => 13,
        };
        if !value.is_finite() {
            return value;
        }
        let bits = value.to_bits();
        let half_less_one = (1 << (dropped - 1)) - 1;
        let rounded = bits + half_less_one + ((bits >> dropped) & 1);
        let rounded = f32::from_bits(rounded >> dropped << dropped);
        if self == Self::F16 && rounded.abs() > 65_504.0 {
            return f32::INFINITY.copysign(value);
        }
        rounded
    }
}

pub(super) struct Round(pub(super) Half);

impl Change for Round {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        for_rows(&mut values, info.columns(), |_, row| {
            row.iter_mut().for_each(|value| *value = self.0.nearest(*value));
        });
        Ok(values)
    }
}
