//! Singular values of a difference, from a sketch of it.
//!
//! Y = S D T, where S and T fold rows and columns into a few, each row and column with a pseudo-random sign: one addition an element.
//! A difference of rank r gives a sketch of rank min(r, 128), and white noise a white sketch, whose singular values follow Marchenko
//! and Pastur's law. The noise's size comes from the median singular value, and values above ω(β) times the median are signal
//! (Gavish and Donoho 2014, equations 4 and 5, for unknown noise).

use serde::{Deserialize, Serialize};

use super::{Pair, on_shares};

/// Sides of the sketch.
const ROWS: usize = 128;
const COLUMNS: usize = 512;
/// Sketches with a shorter side tell nothing.
const LEAST: usize = 8;

/// Singular values of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// How many stand above noise: at most half of the sketch's shorter side.
    pub rank: usize,
    /// Shorter side of the sketch, at most 128.
    pub of: usize,
    /// Share of the sum of squares that these hold.
    pub energy: f64,
    /// The least of these divided by the greatest of the others: large for a difference of exactly this rank.
    pub gap: f64,
    /// Share of the sum of squares that white noise of the median's size holds.
    pub white: f64,
    /// Shares of the sum of squares in the greatest 1, 2, 4, 8, 16, 32 and 64 singular values.
    pub energy_of_greatest: [f64; 7],
}

impl Spectrum {
    /// Of suspect − reference; `None` where the tensors are small or equal.
    pub fn of(pair: Pair<'_>, threads: usize) -> Option<Self> {
        let rows = pair.reference.len() / pair.columns;
        let (sketch, height, width) = sketch(pair, rows, threads);
        let (short, long) = (height.min(width), height.max(width));
        if short < LEAST {
            return None;
        }
        let mut squares = eigenvalues(gram(&sketch, height, width), short);
        squares.iter_mut().for_each(|square| *square = square.max(0.0));
        squares.sort_by(|a, b| b.total_cmp(a));
        Self::judge(&squares, long)
    }

    /// From squared singular values, greatest first.
    fn judge(squares: &[f64], long: usize) -> Option<Self> {
        let (short, total) = (squares.len(), squares.iter().sum::<f64>());
        if total.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) || !total.is_finite() {
            return None;
        }
        let beta = short as f64 / long as f64;
        let median = (squares[short / 2] + squares[(short - 1) / 2]) / 2.0;
        let limit = omega(beta).powi(2) * median;
        let rank = squares.iter().take_while(|&&square| square > limit).count();
        let share = |count: usize| squares.iter().take(count).sum::<f64>() / total;
        // λ(β)² is the limit over the noise's own size, ω(β)² over the median: their ratio is the law's median.
        let size = median * (omega(beta) / lambda(beta)).powi(2);
        let gap = match (rank.checked_sub(1).map(|last| squares[last]), squares.get(rank)) {
            (Some(last), Some(&next)) => (last / next.max(1e-24 * total)).sqrt(),
            _ => 1.0,
        };
        Some(Self {
            rank,
            of: short,
            energy: share(rank),
            gap,
            white: (size * short as f64 / total).min(1.0),
            energy_of_greatest: [1, 2, 4, 8, 16, 32, 64].map(share),
        })
    }

    /// The rank, if the difference is of low rank but for noise.
    pub fn low_rank(&self) -> Option<usize> {
        let signal = self.energy + self.white * (1.0 - self.rank as f64 / self.of as f64);
        let low = self.rank > 0 && 2 * self.rank < self.of - 1;
        (low && self.energy > 0.5 && signal > 0.97 && self.gap > 1.5).then_some(self.rank)
    }
}

/// The sketch, row-major, with its sides: no longer than the tensor's.
fn sketch(pair: Pair<'_>, rows: usize, threads: usize) -> (Vec<f32>, usize, usize) {
    let columns = pair.columns;
    let (height, width) = (rows.min(ROWS), columns.min(COLUMNS));
    let column_signs: Vec<f32> = (0..columns).map(|column| sign(1, column)).collect();
    let parts = on_shares(rows, threads, |range| {
        let mut part = vec![0f32; height * width];
        for row in range {
            let at = row * columns..(row + 1) * columns;
            let (a, b) = (&pair.reference[at.clone()], &pair.suspect[at]);
            let out = &mut part[row % height * width..][..width];
            fold(out, a, b, &column_signs, sign(0, row));
        }
        part
    });
    let mut whole = vec![0f32; height * width];
    for part in parts {
        whole.iter_mut().zip(part).for_each(|(whole, part)| *whole += part);
    }
    (whole, height, width)
}

fn fold(out: &mut [f32], a: &[f32], b: &[f32], signs: &[f32], sign: f32) {
    let width = out.len();
    for ((a, b), signs) in a.chunks(width).zip(b.chunks(width)).zip(signs.chunks(width)) {
        for (((out, a), b), column) in out.iter_mut().zip(a).zip(b).zip(signs) {
            let difference = b - a;
            // Not a number, and infinities.
            let difference = if difference.abs() <= f32::MAX { difference } else { 0.0 };
            *out += sign * column * difference;
        }
    }
}

/// A pseudo-random sign: the top bit of a multiplicative hash.
fn sign(side: u64, index: usize) -> f32 {
    let mut z = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ side << 32;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    if z >> 63 == 0 { 1.0 } else { -1.0 }
}

/// Products of rows, or of columns where these are fewer.
fn gram(sketch: &[f32], height: usize, width: usize) -> Vec<f64> {
    let short = height.min(width);
    let wide: Vec<f64> = if height <= width {
        sketch.iter().map(|&value| value.into()).collect()
    } else {
        (0..width)
            .flat_map(|j| (0..height).map(move |i| f64::from(sketch[i * width + j])))
            .collect()
    };
    let long = height.max(width);
    let mut gram = vec![0.0; short * short];
    for i in 0..short {
        for j in 0..=i {
            let (a, b) = (&wide[i * long..][..long], &wide[j * long..][..long]);
            let dot: f64 = dot(a, b);
            (gram[i * short + j], gram[j * short + i]) = (dot, dot);
        }
    }
    gram
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0f64; 8];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// Eigenvalues of a symmetric matrix: Householder's reduction to three diagonals, then Sturm counts and bisection (Barth, Martin and
/// Wilkinson 1967), which needs no luck.
fn eigenvalues(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    let (diagonal, off) = tridiagonal(&mut matrix, n);
    let reach = |i: usize| off[i].abs() + if i + 1 < n { off[i + 1].abs() } else { 0.0 };
    let low = (0..n).map(|i| diagonal[i] - reach(i)).fold(f64::INFINITY, f64::min);
    let high = (0..n).map(|i| diagonal[i] + reach(i)).fold(f64::NEG_INFINITY, f64::max);
    let squares: Vec<f64> = off.iter().map(|e| e * e).collect();
    let tiny = f64::EPSILON * high.abs().max(low.abs()).max(f64::MIN_POSITIVE);
    // Eigenvalues below x: negative terms of the Sturm sequence.
    let below = |x: f64| {
        let mut term = 1.0;
        let mut count = 0;
        for (d, e2) in diagonal.iter().zip(&squares) {
            let last = if term == 0.0 { tiny * f64::EPSILON } else { term };
            term = d - x - e2 / last;
            count += usize::from(term < 0.0);
        }
        count
    };
    let find = |index: usize| {
        let (mut low, mut high) = (low, high);
        while high - low > 2.0 * tiny {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if below(middle) <= index { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    };
    (0..n).map(find).collect()
}

/// The diagonal, and what stands left of it (first 0).
fn tridiagonal(matrix: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut off = vec![0.0; n];
    for k in 0..n.saturating_sub(2) {
        let mut v: Vec<f64> = (k + 1..n).map(|i| matrix[i * n + k]).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let head = -norm.copysign(v[0]);
        off[k + 1] = head;
        v[0] -= head;
        let square: f64 = v.iter().map(|x| x * x).sum();
        if square == 0.0 {
            continue;
        }
        // A ← H A H, H = I − 2 v vᵀ / vᵀv, on what is left.
        let part = |matrix: &[f64], i: usize| -> f64 {
            dot(&matrix[(k + 1 + i) * n + k + 1..][..v.len()], &v)
        };
        let p: Vec<f64> = (0..v.len()).map(|i| 2.0 * part(matrix, i) / square).collect();
        let half = v.iter().zip(&p).map(|(v, p)| v * p).sum::<f64>() / square;
        let q: Vec<f64> = p.iter().zip(&v).map(|(p, v)| p - half * v).collect();
        for i in 0..v.len() {
            let row = &mut matrix[(k + 1 + i) * n + k + 1..][..v.len()];
            for (j, value) in row.iter_mut().enumerate() {
                *value -= v[i] * q[j] + q[i] * v[j];
            }
        }
    }
    if n >= 2 {
        off[n - 1] = matrix[(n - 1) * n + n - 2];
    }
    ((0..n).map(|i| matrix[i * n + i]).collect(), off)
}

/// The limit for noise of known size.
fn lambda(beta: f64) -> f64 {
    let root = (beta * beta + 14.0 * beta + 1.0).sqrt();
    (2.0 * (beta + 1.0) + 8.0 * beta / (beta + 1.0 + root)).sqrt()
}

/// The limit over the median singular value.
fn omega(beta: f64) -> f64 {
    0.56 * beta.powi(3) - 0.95 * beta.powi(2) + 1.82 * beta + 1.43
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_known_matrices() {
        // The second difference: 2 − 2 cos(kπ / (n + 1)).
        let n = 40;
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            matrix[i * n + i] = 2.0;
            if i + 1 < n {
                (matrix[i * n + i + 1], matrix[(i + 1) * n + i]) = (-1.0, -1.0);
            }
        }
        for (k, value) in eigenvalues(matrix, n).into_iter().enumerate() {
            let wanted = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - wanted).abs() < 1e-12, "{k}: {value} {wanted}");
        }
        // A dense one: I + 1 1ᵀ.
        let ones: Vec<f64> = (0..49).map(|i| if i % 8 == 0 { 2.0 } else { 1.0 }).collect();
        let values = eigenvalues(ones, 7);
        assert!(values[..6].iter().all(|value| (value - 1.0).abs() < 1e-12));
        assert!((values[6] - 8.0).abs() < 1e-12);
        assert_eq!(eigenvalues(vec![3.0], 1).len(), 1);
    }
}
