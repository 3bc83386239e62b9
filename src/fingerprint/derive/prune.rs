//! Setting small weights to zero.

use super::how::Pattern;
use super::{Change, for_rows, is_linear, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

pub(super) struct Prune(pub(super) Pattern);

impl Change for Prune {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        if is_linear(info) {
            match self.0 {
                Pattern::Share(share) => smallest(&mut values, share),
                Pattern::Of { keep, of } => for_rows(&mut values, info.columns(), |_, row| {
                    row.chunks_exact_mut(of).for_each(|group| keep_largest(group, keep));
                }),
            }
        }
        Ok(values)
    }
}

/// Zeroes this share of the values, of equal ones the first.
fn smallest(values: &mut [f32], share: f64) {
    let count = (share * values.len() as f64) as usize;
    let mut sizes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    if count == 0 || count >= sizes.len() {
        return;
    }
    let (below, &mut limit, _) = sizes.select_nth_unstable_by(count, f32::total_cmp);
    let mut ties = count - below.iter().filter(|&&size| size < limit).count();
    for value in values {
        let tie = value.abs() == limit && ties > 0;
        ties -= usize::from(tie);
        if tie || value.abs() < limit {
            *value = 0.0;
        }
    }
}

fn keep_largest(group: &mut [f32], keep: usize) {
    let mut order: Vec<usize> = (0..group.len()).collect();
    order.sort_by(|&a, &b| group[b].abs().total_cmp(&group[a].abs()));
    for &small in &order[keep..] {
        group[small] = 0.0;
    }
}
