//! Rounding to a grid of few levels.

use super::{Change, for_rows, is_linear, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// q = round(w / s), s = max |w| / levels over a group of a row (or the row); the copy holds s · q.
pub(super) struct Quantise {
    /// Greatest |q|.
    pub(super) levels: f32,
    /// Weights under one scale.
    pub(super) group: Option<usize>,
}

impl Change for Quantise {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        if is_linear(info) {
            let group = self.group.unwrap_or_else(|| info.columns()).min(info.columns());
            for_rows(&mut values, info.columns(), |_, row| {
                row.chunks_mut(group).for_each(|group| round(group, self.levels));
            });
        }
        Ok(values)
    }
}

fn round(group: &mut [f32], levels: f32) {
    let largest = group.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / levels;
    if scale > 0.0 && scale.is_finite() {
        for value in group {
            *value = (*value / scale).round_ties_even().clamp(-levels, levels) * scale;
        }
    }
}
