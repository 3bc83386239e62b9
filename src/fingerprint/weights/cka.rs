//! Centred kernel alignment of two Gram matrices, without the bias that makes unrelated matrices look alike.

use super::matrix::Matrix;

/// Unbiased linear CKA of two symmetric n × n Gram matrices over the same objects.
///
/// ```text
/// K' = K with a zero diagonal;  u_i = Σ_j K'_ij / (n−2) − Σ K' / (2(n−1)(n−2));  K''_ij = K'_ij − u_i − u_j off the diagonal
/// CKA = ⟨K'', L''⟩ / √(⟨K'', K''⟩ ⟨L'', L''⟩)
/// ```
///
/// About 0 for independent objects, 1 for equal ones (Székely & Rizzo 2014; Kornblith et al. 2019; Song et al. 2012). `None` for
/// matrices of other sizes, fewer than four objects, or no variation.
pub(super) fn unbiased_cka(k: Matrix, l: Matrix) -> Option<f64> {
    let n = k.rows();
    if n < 4 || k.columns() != n || l.rows() != n || l.columns() != n {
        return None;
    }
    let (k, l) = (centred(k), centred(l));
    let inner = |x: &Matrix, y: &Matrix| -> f64 {
        x.values().iter().zip(y.values()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let scale = (inner(&k, &k) * inner(&l, &l)).sqrt();
    (scale > 0.0).then(|| inner(&k, &l) / scale)
}

fn centred(mut k: Matrix) -> Matrix {
    let n = k.rows();
    for i in 0..n {
        k.row_mut(i)[i] = 0.0;
    }
    let sums: Vec<f64> = (0..n).map(|i| k.row(i).iter().map(|&v| f64::from(v)).sum()).collect();
    let size = n as f64;
    let half = sums.iter().sum::<f64>() / (2.0 * (size - 1.0) * (size - 2.0));
    let u: Vec<f64> = sums.iter().map(|sum| sum / (size - 2.0) - half).collect();
    for i in 0..n {
        for (j, value) in k.row_mut(i).iter_mut().enumerate() {
            *value = if i == j { 0.0 } else { (f64::from(*value) - u[i] - u[j]) as f32 };
        }
    }
    k
}

/// (Σ λ)² / Σ λ² of a Gram matrix: how many directions its singular values spread over. Neither turns nor permutations change it.
pub(super) fn effective_rank(gram: &Matrix) -> f64 {
    let trace: f64 = (0..gram.rows()).map(|i| f64::from(gram.row(i)[i])).sum();
    let square = gram.square();
    if square > 0.0 { trace * trace / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::super::product::product;
    use super::*;

    fn noise(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values = (0..rows * columns).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0);
        Matrix::new(columns, values.collect())
    }

    #[test]
    fn one_for_equal_and_none_for_independent() {
        let mut values = Vec::new();
        for seed in 0..40 {
            let (x, y) = (noise(30, 20, 2 * seed), noise(30, 20, 2 * seed + 1));
            let (k, l) = (product(&x, &x, 1), product(&y, &y, 1));
            assert!((unbiased_cka(k.clone(), k.clone()).unwrap() - 1.0).abs() < 1e-6);
            values.push(unbiased_cka(k, l).unwrap());
        }
        let mean = values.iter().sum::<f64>() / 40.0;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn too_small_or_constant_has_none() {
        assert_eq!(unbiased_cka(Matrix::zeros(3, 3), Matrix::zeros(3, 3)), None);
        assert_eq!(unbiased_cka(Matrix::zeros(5, 5), noise(5, 5, 1)), None);
        assert_eq!(unbiased_cka(Matrix::zeros(5, 5), Matrix::zeros(6, 6)), None);
    }

    #[test]
    fn effective_rank_counts_directions() {
        let mut identity = Matrix::zeros(6, 6);
        (0..6).for_each(|i| identity.row_mut(i)[i] = 1.0);
        assert!((effective_rank(&identity) - 6.0).abs() < 1e-9);
        assert_eq!(effective_rank(&Matrix::zeros(2, 2)), 0.0);
    }
}
