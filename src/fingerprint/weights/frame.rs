//! Coordinates of the residual stream.
//!
//! Turning the residual stream by an orthogonal matrix, gains folded into the weights behind them, leaves what an RMS-normalised model
//! computes unchanged, and destroys every comparison of rows. Embeddings of the shared vocabulary give the turn away: for a turned
//! copy E_B = E_A Q, and the orthogonal factor of E_Aᵀ E_B is Q. Where the streams have different lengths it is a partial isometry.
//!
//! Tests on hidden units keep their null laws in any frame that is a function of embeddings alone: given these, the order and the
//! signs of hidden units are as free as before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::WeightsError;
use super::matrix::Matrix;
use super::product::product;
use super::reader::Reader;
use super::units::{below, shuffle};

/// Most token rows that are read.
const TOKENS: usize = 8192;
/// Longest residual stream whose turn is looked for.
pub(super) const WIDEST: usize = 4096;
/// Fewest shared tokens for each dimension of the stream.
const TOKENS_PER_DIMENSION: usize = 2;

/// How coordinates of the suspect become those of the reference.
pub(super) enum Frame {
    /// As stored.
    Stored,
    /// Turned by this matrix, reference × suspect.
    Aligned(Matrix),
}

impl Frame {
    /// Rows that are vectors of the suspect's residual stream, in the reference's coordinates.
    pub fn apply(&self, rows: Matrix, threads: usize) -> Matrix {
        match self {
            Self::Stored => rows,
            Self::Aligned(turn) => product(&rows, turn, threads),
        }
    }
}

/// Embeddings of tokens that both models have.
pub(super) struct Embeddings {
    /// Tokens × residual dimensions.
    pub reference: Matrix,
    pub suspect: Matrix,
    /// Tokens that both have, of which the rows are a sample.
    pub shared: usize,
}

impl Embeddings {
    /// Of a keyed sample of the tokens whose ids both have; `None` where one has no embedding.
    pub fn read(
        reference: &Reader<'_>,
        suspect: &Reader<'_>,
        seed: u64,
    ) -> Result<Option<Self>, WeightsError> {
        let (Some(a), Some(b)) = (&reference.roles.embedding, &suspect.roles.embedding) else {
            return Ok(None);
        };
        let shared = a.outputs.len().min(b.outputs.len());
        let tokens = sample(shared, TOKENS, seed);
        Ok(Some(Self {
            reference: reference.outputs(a, &tokens)?,
            suspect: suspect.outputs(b, &tokens)?,
            shared,
        }))
    }

    /// The frame in which the suspect's embeddings are nearest the reference's; `None` where there are too few tokens to tell or the
    /// stream is too wide.
    pub fn align(&self, threads: usize) -> Option<Frame> {
        let widest = self.reference.columns().max(self.suspect.columns());
        if widest > WIDEST || self.reference.rows() < TOKENS_PER_DIMENSION * widest {
            return None;
        }
        let (mut a, mut b) = (self.reference.clone(), self.suspect.clone());
        a.centre_columns();
        b.centre_columns();
        let covariance = product(&a.transposed(), &b.transposed(), threads);
        Some(Frame::Aligned(orthogonal_factor(covariance, threads)?))
    }
}

/// `most` different numbers below `n`, or all of them, in ascending order.
fn sample(n: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    if n <= 4 * most {
        let mut all: Vec<usize> = (0..n).collect();
        shuffle(&mut all, &mut random);
        all.truncate(most);
        all.sort_unstable();
        return all;
    }
    let mut drawn = std::collections::BTreeSet::new();
    while drawn.len() < most {
        drawn.insert(below(&mut random, n as u64) as usize);
    }
    drawn.into_iter().collect()
}

/// U Vᵀ for M = U Σ Vᵀ, by iteration on polynomials of odd degree, which change nothing but Σ: first one that lifts small singular
/// values fast (x ↦ 3.4445 x − 4.7750 x³ + 2.0315 x⁵, K. Jordan's for the Muon optimiser), then Newton and Schulz's, which takes all
/// of them to one. Directions whose singular value is below about 10⁻⁶ of the greatest are left short: any frame is valid, a good one
/// finds more. `None` for a matrix of zeros.
fn orthogonal_factor(m: Matrix, threads: usize) -> Option<Matrix> {
    let wide = m.rows() <= m.columns();
    // Grams on the shorter side.
    let mut x = if wide { m } else { m.transposed() };
    let norm = x.square().sqrt();
    if norm.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) || !norm.is_finite() {
        return None;
    }
    x.values_mut().iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    for _ in 0..14 {
        x = odd_polynomial(&x, [3.4445, -4.7750, 2.0315], threads);
    }
    for _ in 0..8 {
        x = odd_polynomial(&x, [1.5, -0.5, 0.0], threads);
    }
    Some(if wide { x } else { x.transposed() })
}

/// (a I + b G + c G²) X with G = X Xᵀ.
fn odd_polynomial(x: &Matrix, [a, b, c]: [f32; 3], threads: usize) -> Matrix {
    let gram = product(x, x, threads);
    let mut factor = gram.clone();
    factor.values_mut().iter_mut().for_each(|v| *v *= b);
    if c != 0.0 {
        // G is symmetric, so G Gᵀ is G².
        let square = product(&gram, &gram, threads);
        factor.values_mut().iter_mut().zip(square.values()).for_each(|(v, &s)| *v += c * s);
    }
    for i in 0..factor.rows() {
        factor.row_mut(i)[i] += a;
    }
    product(&factor, &x.transposed(), threads)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::*;

    fn noise(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values = (0..rows * columns).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0);
        Matrix::new(columns, values.collect())
    }

    #[test]
    fn a_turn_is_found() {
        let turn = orthogonal_factor(noise(24, 24, 1), 1).unwrap();
        let gram = product(&turn, &turn, 1);
        for i in 0..24 {
            for j in 0..24 {
                let wanted = if i == j { 1.0 } else { 0.0 };
                assert!((gram.row(i)[j] - wanted).abs() < 0.02, "{i}, {j}: {}", gram.row(i)[j]);
            }
        }
        let reference = noise(400, 24, 2);
        // E_B = E_A Q.
        let suspect = product(&reference, &turn.transposed(), 1);
        let embeddings =
            Embeddings { reference: reference.clone(), suspect: suspect.clone(), shared: 400 };
        let frame = embeddings.align(2).unwrap();
        let back = frame.apply(suspect, 1);
        let worst = back
            .values()
            .iter()
            .zip(reference.values())
            .map(|(x, y)| (x - y).abs())
            .fold(0.0, f32::max);
        assert!(worst < 0.05, "off by {worst}");
    }

    #[test]
    fn streams_of_different_lengths_and_of_none() {
        let embeddings =
            Embeddings { reference: noise(300, 20, 3), suspect: noise(300, 12, 4), shared: 300 };
        let frame = embeddings.align(1).unwrap();
        assert_eq!(frame.apply(noise(5, 12, 5), 1).columns(), 20);
        let few = Embeddings { reference: noise(30, 20, 3), suspect: noise(30, 20, 4), shared: 30 };
        assert!(few.align(1).is_none());
        let none = Embeddings {
            reference: Matrix::zeros(300, 20),
            suspect: Matrix::zeros(300, 20),
            shared: 300,
        };
        assert!(none.align(1).is_none());
    }

    #[test]
    fn samples_are_sorted_and_distinct() {
        for n in [10, 1000, 100_000] {
            let got = sample(n, 100, 1);
            assert_eq!(got.len(), n.min(100));
            assert!(got.windows(2).all(|pair| pair[0] < pair[1]) && got[got.len() - 1] < n);
        }
    }
}
