//! Merge weights by least squares.

use serde::{Deserialize, Serialize};

/// Numbers whose products are summed in f32 before they go to f64.
const PIECE: usize = 1024;

/// suspect ≈ Σ_k α_k · model_k, fitted over all tensors that are [`add`](Self::add)ed.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeFit {
    names: Vec<String>,
    /// Products of the models, the suspect last.
    gram: Vec<f64>,
    count: u64,
}

/// What was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merged {
    /// For each model.
    pub weights: Vec<MergeWeights>,
    /// 1 − |residual|² / |suspect|².
    pub r2: f64,
    /// Numbers that were fitted.
    pub n: u64,
}

/// A model's part in a merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeWeights {
    /// The model.
    pub model: String,
    /// α.
    pub weight: f64,
    /// Its standard error, for residuals that are independent and of one size.
    pub standard_error: f64,
}

impl MergeFit {
    /// For these models, the reference among them.
    pub fn new(models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = models.into_iter().map(Into::into).collect();
        let side = names.len() + 1;
        Self { names, gram: vec![0.0; side * side], count: 0 }
    }

    /// Adds a tensor of each model, in their order, and the suspect's; units aligned. Where any is no number, all are left out.
    pub fn add(&mut self, models: &[&[f32]], suspect: &[f32]) {
        let side = self.names.len() + 1;
        let all: Vec<&[f32]> = models.iter().copied().chain([suspect]).collect();
        let length = all.iter().map(|values| values.len()).min().unwrap_or(0);
        if all.len() != side {
            return;
        }
        for start in (0..length).step_by(PIECE) {
            let end = length.min(start + PIECE);
            let pieces: Vec<&[f32]> = all.iter().map(|values| &values[start..end]).collect();
            if !pieces.iter().all(|piece| piece.iter().all(|value| value.is_finite())) {
                continue;
            }
            self.count += (end - start) as u64;
            for i in 0..side {
                for j in 0..=i {
                    self.gram[i * side + j] += dot(pieces[i], pieces[j]);
                }
            }
        }
    }

    /// The weights; `None` where models are multiples of one another, or there are fewer numbers than models.
    pub fn fit(&self) -> Option<Merged> {
        let (models, side) = (self.names.len(), self.names.len() + 1);
        let entry = |i: usize, j: usize| self.gram[i.max(j) * side + i.min(j)];
        let left: Vec<f64> = (0..models)
            .flat_map(|i| (0..models).map(move |j| (i, j)))
            .map(|(i, j)| entry(i, j))
            .collect();
        let inverse = inverse(left, models)?;
        let right: Vec<f64> = (0..models).map(|i| entry(i, models)).collect();
        let row = |i: usize| &inverse[i * models..][..models];
        let weights: Vec<f64> =
            (0..models).map(|i| row(i).iter().zip(&right).map(|(a, b)| a * b).sum()).collect();
        let total = entry(models, models);
        let explained: f64 = weights.iter().zip(&right).map(|(a, b)| a * b).sum();
        let freedom = self.count.checked_sub(models as u64).filter(|&freedom| freedom > 0)? as f64;
        let residual = (total - explained).max(0.0);
        let error = |i: usize| (residual / freedom * row(i)[i].max(0.0)).sqrt();
        let named = self.names.iter().zip(&weights).enumerate();
        Some(Merged {
            weights: named
                .map(|(i, (model, &weight))| MergeWeights {
                    model: model.clone(),
                    weight,
                    standard_error: error(i),
                })
                .collect(),
            r2: if total > 0.0 { 1.0 - residual / total } else { return None },
            n: self.count,
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f32; 16];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        for lane in 0..16 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() + f64::from(rest)
}

/// The inverse of a symmetric positive definite matrix, by Gauss and Jordan with its diagonal scaled to one; `None` where it is
/// singular but for rounding.
fn inverse(mut matrix: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let scale: Vec<f64> = (0..n).map(|i| matrix[i * n + i].sqrt()).collect();
    if scale.iter().any(|&scale| scale.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater)) {
        return None;
    }
    for i in 0..n {
        for j in 0..n {
            matrix[i * n + j] /= scale[i] * scale[j];
        }
    }
    let mut inverse = vec![0.0; n * n];
    (0..n).for_each(|i| inverse[i * n + i] = 1.0);
    for k in 0..n {
        let pivot = matrix[k * n + k];
        if pivot.is_nan() || pivot < 1e-9 {
            return None;
        }
        for side in [&mut matrix, &mut inverse] {
            side[k * n..(k + 1) * n].iter_mut().for_each(|value| *value /= pivot);
        }
        for i in (0..n).filter(|&i| i != k) {
            let factor = matrix[i * n + k];
            for side in [&mut matrix, &mut inverse] {
                for j in 0..n {
                    side[i * n + j] -= factor * side[k * n + j];
                }
            }
        }
    }
    for i in 0..n {
        for j in 0..n {
            inverse[i * n + j] /= scale[i] * scale[j];
        }
    }
    Some(inverse)
}
