//! Every unit of one layer against every unit of the other, in one pass.

use std::ops::Range;

use super::product::{PANEL, Packed, STRIP, Tile, tiles};
use super::units::Features;

/// What one pass leaves of C, where
///
/// ```text
/// C_ij = Σ cos(matching parts of i, of j)  +  | Σ cos(signed parts of i, of j) |
/// ```
///
/// The second term does not see a unit's sign, so that a copy with flipped units is matched like any other. Rows are units of the
/// reference, columns of the suspect; the first m of both carry the same labels.
pub(super) struct Similarity {
    /// m, units whose labels both models have.
    pub common: usize,
    /// Units i < m with C_ii > C_ij for all other j. A tie is no hit.
    pub hits: u64,
    /// Σ_i C_{i, (i+s) mod m} for every shift s; the first is the statistic of the diagonal.
    pub shifts: Vec<f64>,
    /// Mean of Σ_i C_{i, π(i)} over all permutations π of the m labels.
    pub mean: f64,
    /// Its variance: Σ d_ij² / (m−1), d being C less its rows' and columns' means (Hoeffding 1951).
    pub variance: f64,
    /// Pairs of units that are each other's best match by the matching parts alone.
    pub matched: u64,
    /// Those among them whose signed parts agree: Σ cos > 0.
    pub agreeing: u64,
}

impl Similarity {
    /// Of two sets of units. `common` is at most the number of either.
    pub fn of(reference: &Features, suspect: &Features, common: usize, threads: usize) -> Self {
        let features = |parts: &[super::matrix::Matrix]| -> usize {
            parts.iter().map(super::matrix::Matrix::columns).sum()
        };
        let (matching, signed) = (features(&reference.matching), features(&reference.signed));
        let (a, b) = (packed::<STRIP>(reference), packed::<PANEL>(suspect));
        let sections = [0..matching, matching..matching + signed];
        let parts = tiles(
            &a,
            &b,
            &sections,
            threads,
            |rows| Part::new(rows, b.rows(), common),
            |part, row, column, tile| part.add(row, column, tile),
        );
        Merged::of(parts, b.rows()).finish(common)
    }
}

fn packed<const N: usize>(features: &Features) -> Packed<N> {
    let all: Vec<_> = features.matching.iter().chain(&features.signed).collect();
    Packed::new(&all)
}

/// The best match of a unit.
#[derive(Clone, Copy)]
struct Best {
    cosine: f32,
    other: usize,
    /// Σ cos of the signed parts.
    signed: f32,
}

impl Best {
    const NONE: Self = Self { cosine: 0.0, other: usize::MAX, signed: 0.0 };
}

/// What one thread keeps of its rows.
struct Part {
    rows: Range<usize>,
    common: usize,
    /// For each own row: the best match, C_ii, and the greatest other C_ij.
    best: Vec<Best>,
    own: Vec<f32>,
    others: Vec<f32>,
    /// For each column: the best match among own rows.
    columns: Vec<Best>,
    shifts: Vec<f64>,
    row_sums: Vec<f64>,
    column_sums: Vec<f64>,
    square: f64,
}

impl Part {
    fn new(rows: Range<usize>, columns: usize, common: usize) -> Self {
        let n = rows.len();
        Self {
            rows,
            common,
            best: vec![Best::NONE; n],
            own: vec![f32::NEG_INFINITY; n],
            others: vec![f32::NEG_INFINITY; n],
            columns: vec![Best::NONE; columns],
            shifts: vec![0.0; common],
            row_sums: vec![0.0; n],
            column_sums: vec![0.0; common],
            square: 0.0,
        }
    }

    fn add(&mut self, row: usize, column: usize, [matching, signed]: &[Tile; 2]) {
        let width = PANEL.min(self.columns.len() - column);
        for (r, i) in (row..self.rows.end.min(row + STRIP)).enumerate() {
            let (matching, signed) = (&matching[r][..width], &signed[r][..width]);
            self.match_row(i, column, matching, signed);
            if i < self.common {
                self.sum_row(i, column, matching, signed);
            }
        }
    }

    fn match_row(&mut self, i: usize, column: usize, matching: &[f32], signed: &[f32]) {
        let best = &mut self.best[i - self.rows.start];
        let columns = self.columns[column..].iter_mut();
        for (c, ((&cosine, &signed), other)) in matching.iter().zip(signed).zip(columns).enumerate()
        {
            if cosine > best.cosine {
                *best = Best { cosine, other: column + c, signed };
            }
            if cosine > other.cosine {
                *other = Best { cosine, other: i, signed };
            }
        }
    }

    fn sum_row(&mut self, i: usize, column: usize, matching: &[f32], signed: &[f32]) {
        let (at, m) = (i - self.rows.start, self.common);
        let (mut sum, mut square) = (0.0, 0.0);
        for (c, (&matching, &signed)) in matching.iter().zip(signed).enumerate() {
            let (j, value) = (column + c, matching + signed.abs());
            if j == i {
                self.own[at] = value;
            } else {
                self.others[at] = self.others[at].max(value);
            }
            if j < m {
                let value = f64::from(value);
                self.shifts[if j >= i { j - i } else { j + m - i }] += value;
                self.column_sums[j] += value;
                sum += value;
                square += value * value;
            }
        }
        self.row_sums[at] += sum;
        self.square += square;
    }
}

/// What all threads found.
struct Merged {
    best: Vec<Best>,
    columns: Vec<Best>,
    hits: u64,
    shifts: Vec<f64>,
    row_sums: Vec<f64>,
    column_sums: Vec<f64>,
    square: f64,
}

impl Merged {
    fn of(parts: Vec<Part>, columns: usize) -> Self {
        let mut all = Self {
            best: Vec::new(),
            columns: vec![Best::NONE; columns],
            hits: 0,
            shifts: Vec::new(),
            row_sums: Vec::new(),
            column_sums: Vec::new(),
            square: 0.0,
        };
        for part in parts {
            all.hits +=
                part.own.iter().zip(&part.others).filter(|(own, other)| own > other).count() as u64;
            add(&mut all.shifts, &part.shifts);
            add(&mut all.column_sums, &part.column_sums);
            all.row_sums.extend_from_slice(&part.row_sums);
            all.square += part.square;
            all.best.extend_from_slice(&part.best);
            for (column, best) in all.columns.iter_mut().zip(part.columns) {
                if best.cosine > column.cosine {
                    *column = best;
                }
            }
        }
        all
    }

    fn finish(self, common: usize) -> Similarity {
        let m = common as f64;
        let total: f64 = self.column_sums.iter().sum();
        let squares = |sums: &[f64]| sums.iter().map(|sum| sum * sum).sum::<f64>() / m;
        let centred = self.square - squares(&self.row_sums) - squares(&self.column_sums)
            + total * total / (m * m);
        let mutual =
            self.best.iter().enumerate().filter(|(i, best)| {
                self.columns.get(best.other).is_some_and(|back| back.other == *i)
            });
        let signs: Vec<bool> = mutual.map(|(_, best)| best.signed > 0.0).collect();
        Similarity {
            common,
            hits: self.hits,
            shifts: self.shifts,
            mean: if common > 0 { total / m } else { 0.0 },
            variance: if common > 1 { centred.max(0.0) / (m - 1.0) } else { 0.0 },
            matched: signs.len() as u64,
            agreeing: signs.iter().filter(|&&agrees| agrees).count() as u64,
        }
    }
}

fn add(into: &mut Vec<f64>, values: &[f64]) {
    into.resize(values.len().max(into.len()), 0.0);
    into.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::super::matrix::Matrix;
    use super::*;

    fn random(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Matrix {
        let values = (0..rows * columns).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0);
        let mut matrix = Matrix::new(columns, values.collect());
        matrix.normalise_rows();
        matrix
    }

    fn features(rows: usize, rng: &mut ChaCha8Rng) -> Features {
        Features {
            matching: vec![random(rows, 9, rng)],
            signed: vec![random(rows, 9, rng), random(rows, 7, rng)],
        }
    }

    fn cosine(a: &Matrix, i: usize, b: &Matrix, j: usize) -> f64 {
        a.row(i).iter().zip(b.row(j)).map(|(x, y)| f64::from(x * y)).sum()
    }

    #[test]
    fn one_pass_is_the_definition() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (na, nb, threads) in [(40, 40, 1), (40, 57, 2), (70, 50, 3)] {
            let (a, b) = (features(na, &mut rng), features(nb, &mut rng));
            let m = na.min(nb);
            let got = Similarity::of(&a, &b, m, threads);
            let gate = |i, j| cosine(&a.matching[0], i, &b.matching[0], j);
            let sign = |i, j| {
                cosine(&a.signed[0], i, &b.signed[0], j) + cosine(&a.signed[1], i, &b.signed[1], j)
            };
            let c = |i: usize, j: usize| gate(i, j) + sign(i, j).abs();
            let hits = (0..m).filter(|&i| (0..nb).all(|j| j == i || c(i, i) > c(i, j))).count();
            assert_eq!(got.hits, hits as u64);
            for s in [0, 1, m - 1] {
                let plain: f64 = (0..m).map(|i| c(i, (i + s) % m)).sum();
                assert!((got.shifts[s] - plain).abs() < 1e-4, "{} {plain}", got.shifts[s]);
            }
            let total: f64 =
                (0..m).flat_map(|i| (0..m).map(move |j| (i, j))).map(|(i, j)| c(i, j)).sum();
            assert!((got.mean - total / m as f64).abs() < 1e-4);
            let best =
                |i: usize| (0..nb).max_by(|&x, &y| gate(i, x).total_cmp(&gate(i, y))).unwrap();
            let back =
                |j: usize| (0..na).max_by(|&x, &y| gate(x, j).total_cmp(&gate(y, j))).unwrap();
            let mutual: Vec<usize> = (0..na).filter(|&i| back(best(i)) == i).collect();
            assert_eq!(got.matched, mutual.len() as u64);
            let agreeing = mutual.iter().filter(|&&i| sign(i, best(i)) > 0.0).count();
            assert_eq!(got.agreeing, agreeing as u64);
        }
    }

    #[test]
    fn mean_and_variance_are_those_of_all_permutations() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (a, b) = (features(4, &mut rng), features(4, &mut rng));
        let got = Similarity::of(&a, &b, 4, 1);
        let c = |i: usize, j: usize| {
            let signed =
                cosine(&a.signed[0], i, &b.signed[0], j) + cosine(&a.signed[1], i, &b.signed[1], j);
            cosine(&a.matching[0], i, &b.matching[0], j) + signed.abs()
        };
        let mut all = Vec::new();
        for code in 0..256usize {
            let to: [usize; 4] = std::array::from_fn(|i| (code >> (2 * i)) & 3);
            if (0..4).all(|label| to.contains(&label)) {
                all.push((0..4).map(|i| c(i, to[i])).sum::<f64>());
            }
        }
        assert_eq!(all.len(), 24);
        let mean = all.iter().sum::<f64>() / 24.0;
        let variance = all.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / 24.0;
        assert!((got.mean - mean).abs() < 1e-5 && (got.variance - variance).abs() < 1e-5);
    }

    #[test]
    fn a_tie_is_no_hit() {
        let same = Matrix::new(2, vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let features = || Features { matching: vec![same.clone()], signed: Vec::new() };
        assert_eq!(Similarity::of(&features(), &features(), 3, 1).hits, 1);
        let zeros = Features { matching: vec![Matrix::zeros(3, 2)], signed: Vec::new() };
        let got = Similarity::of(&zeros, &features(), 3, 1);
        assert_eq!((got.hits, got.matched), (0, 0));
    }
}
