//! Rows of f32 numbers.

/// A matrix in memory, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// Of `values`, whose number is a multiple of `columns`; what is left over is dropped.
    pub fn new(columns: usize, mut values: Vec<f32>) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        values.truncate(rows * columns);
        Self { rows, columns, values }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.columns..(at + 1) * self.columns]
    }

    pub fn row_mut(&mut self, at: usize) -> &mut [f32] {
        &mut self.values[at * self.columns..(at + 1) * self.columns]
    }

    pub fn transposed(&self) -> Self {
        const BLOCK: usize = 32;
        let mut out = Self::zeros(self.columns, self.rows);
        for r0 in (0..self.rows).step_by(BLOCK) {
            for c0 in (0..self.columns).step_by(BLOCK) {
                for r in r0..(r0 + BLOCK).min(self.rows) {
                    for c in c0..(c0 + BLOCK).min(self.columns) {
                        out.values[c * self.rows + r] = self.values[r * self.columns + c];
                    }
                }
            }
        }
        out
    }

    /// Each column times its factor. Factors of another number are a fault of the caller and leave the matrix as it is.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        if factors.len() != self.columns || factors.is_empty() {
            return;
        }
        for row in self.values.chunks_exact_mut(self.columns) {
            for (value, factor) in row.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }

    /// Each column less its mean.
    pub fn centre_columns(&mut self) {
        let mut means = vec![0f64; self.columns];
        for row in self.values.chunks_exact(self.columns.max(1)) {
            means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value));
        }
        means.iter_mut().for_each(|mean| *mean /= self.rows.max(1) as f64);
        for row in self.values.chunks_exact_mut(self.columns.max(1)) {
            row.iter_mut()
                .zip(&means)
                .for_each(|(value, &mean)| *value = (f64::from(*value) - mean) as f32);
        }
    }

    /// Each row divided by its length; rows of zeros stay.
    pub fn normalise_rows(&mut self) {
        for row in self.values.chunks_exact_mut(self.columns.max(1)) {
            let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            if square > 0.0 {
                let factor = square.sqrt().recip();
                row.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
            }
        }
    }

    /// The sum of all squares.
    pub fn square(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_columns_and_norms() {
        let mut m = Matrix::new(3, vec![3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        m.normalise_rows();
        assert_eq!(m.row(0), [0.6, 0.8, 0.0]);
        assert_eq!(m.row(1), [0.0; 3]);
        let t = m.transposed();
        assert_eq!((t.rows(), t.columns()), (3, 2));
        assert_eq!(t.transposed(), m);
        m.scale_columns(&[2.0, 0.5, 1.0]);
        assert_eq!(m.row(0), [1.2, 0.4, 0.0]);
        m.centre_columns();
        assert_eq!(m.row(0), [0.6, 0.2, 0.0]);
        assert!((m.square() - 0.8).abs() < 1e-6);
    }
}
