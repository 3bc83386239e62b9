//! A model with more tokens.

use serde_json::Value;

use super::noise::sd;
use super::random::Seed;
use super::roles::{Model, Role};
use super::{Change, DeriveError, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// How far new rows lie from the mean of the old ones, in their sd.
const SPREAD: f64 = 0.1;

/// New rows of embedding and output layer: the mean row and a little noise, as is usual before tuning.
pub(super) struct Extend {
    model: Model,
    tokens: usize,
    seed: Seed,
}

impl Extend {
    pub(super) fn new(
        source: &dyn TensorSource,
        tokens: usize,
        seed: Seed,
    ) -> Result<Self, DeriveError> {
        Ok(Self { model: Model::of(source, "extend")?, tokens, seed })
    }

    fn grows(&self, name: &str) -> bool {
        let part = self.model.part(name);
        part.is_some_and(|part| matches!(part.role, Role::Embedding | Role::Head) && !part.bias)
    }
}

impl Change for Extend {
    fn tensors(&self, source: &dyn TensorSource) -> Vec<TensorInfo> {
        let mut tensors = source.tensors().to_vec();
        for info in &mut tensors {
            if self.grows(&info.name)
                && let Some(rows) = info.shape.first_mut()
            {
                *rows += self.tokens;
            }
        }
        tensors
    }

    fn config(&self, config: &mut Value) {
        if let Some(size) = config.get("vocab_size").and_then(Value::as_u64) {
            config["vocab_size"] = (size + self.tokens as u64).into();
        }
    }

    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        if self.grows(&info.name) {
            let mean = mean_row(&values, info.columns());
            let spread = SPREAD * sd(&values);
            for token in 0..self.tokens {
                let mut random = self.seed.random(&info.name, token);
                let noise = std::iter::repeat_with(|| random.normals()).flatten();
                values.extend(mean.iter().zip(noise).map(|(m, e)| (m + spread * e) as f32));
            }
        }
        Ok(values)
    }
}

fn mean_row(values: &[f32], columns: usize) -> Vec<f64> {
    let mut mean = vec![0.0; columns];
    let rows = (values.len() / columns.max(1)).max(1) as f64;
    for row in values.chunks(columns.max(1)) {
        mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / rows);
    }
    mean
}
