//! Normal noise.

use super::random::Seed;
use super::{Change, for_rows, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// w + relative · sd(w) · ε, ε standard normal, for matrices; vectors (norms, biases) stay.
pub(super) struct Noise {
    pub(super) relative: f64,
    pub(super) seed: Seed,
}

impl Change for Noise {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        if info.shape.len() >= 2 {
            let sd = self.relative * sd(&values);
            for_rows(&mut values, info.columns(), |row, values| {
                let mut random = self.seed.random(&info.name, row);
                for pair in values.chunks_mut(2) {
                    for (value, normal) in pair.iter_mut().zip(random.normals()) {
                        *value += (sd * normal) as f32;
                    }
                }
            });
        }
        Ok(values)
    }
}

/// Standard deviation; 0 of nothing.
pub(super) fn sd(values: &[f32]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n).sqrt()
}
