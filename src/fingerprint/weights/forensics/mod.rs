//! How a copy was made: numbers that describe two models whose tensors are aligned. No evidence: that a suspect is a copy is for the
//! tests to say, and a [`Way`] named here is the plainest reading of the numbers beside it, not the only one.
//!
//! | what is seen | how |
//! |---|---|
//! | a small change everywhere | moments of the difference (`moments`) |
//! | adapters: a difference of low rank | singular values of a two-sided sketch of the difference (`spectrum`) |
//! | quantisation | residuals from the grids that quantisers use, for each row and group (`lattice`) |
//! | pruning | zeros that the reference does not have, and their pattern (`moments`) |
//! | added noise | a difference that is white: no large singular values, rows of one size, normal tails |
//! | merging | least squares on candidate models ([`MergeFit`]) |
//! | 16-bit rounding | values that are exactly the reference's, rounded (`moments`) |
//!
//! A tensor is passed over twice, on all threads, and its rows sampled for grids. Numbers that are not finite are counted, and taken
//! for zeros on both sides.

mod lattice;
mod merge;
mod moments;
mod spectrum;
mod stored;
mod summary;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use lattice::{Grid, Grouping};
pub use merge::{MergeFit, MergeWeights, Merged};
pub use spectrum::Spectrum;
pub use summary::{Forensics, Shapes, Way};

use moments::Moments;

/// A tensor of the reference and the same of the suspect, both outputs × inputs, units in the same order and of the same scale.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The reference's values, row after row.
    pub reference: &'a [f32],
    /// The suspect's.
    pub suspect: &'a [f32],
    /// Length of a row, at least 1. What is beyond the last whole row that both have is left out.
    pub columns: usize,
}

/// What a pair of tensors shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorForensics {
    /// The reference's name for it.
    pub name: String,
    /// Rows compared.
    pub rows: usize,
    /// Length of a row.
    pub columns: usize,
    /// |suspect − reference| / |reference|; absent for a reference of zeros.
    pub relative_change: Option<f64>,
    /// Cosine of the two; absent where one is zero.
    pub cosine: Option<f64>,
    /// c of the least squares fit suspect ≈ c · reference.
    pub scale: Option<f64>,
    /// Share of values that are equal.
    pub equal: f64,
    /// Share that are the reference's rounded to bfloat16, and are not equal everywhere.
    pub rounded_bf16: f64,
    /// The same for f16, of a sample.
    pub rounded_f16: f64,
    /// Share of zeros in the suspect that are no zeros in the reference.
    pub new_zeros: f64,
    /// Mean |reference| where there are new zeros, divided by that elsewhere: below one when small weights were cut.
    pub cut_size: Option<f64>,
    /// Share of aligned groups of four with at least two zeros: 1 for 2:4 sparsity.
    pub two_of_four: f64,
    /// Σd⁴ n / (Σd²)² of the difference: 3 for normal noise, 1.8 for rounding to a grid.
    pub kurtosis: Option<f64>,
    /// Coefficient of variation of the rows' sums of d², divided by √(2/columns), which normal noise of one size has.
    pub row_variation: Option<f64>,
    /// Singular values of the difference.
    pub spectrum: Option<Spectrum>,
    /// The grid that the suspect lies on.
    pub grid: Option<Grid>,
    /// Whether the reference lies on such a grid too.
    pub reference_on_grid: bool,
    /// Values that were no numbers, in either.
    pub not_finite: u64,
}

impl TensorForensics {
    /// Looks at a pair on so many threads.
    pub fn of(name: &str, pair: Pair<'_>, threads: usize) -> Self {
        let columns = pair.columns.max(1);
        let rows = pair.reference.len().min(pair.suspect.len()) / columns;
        let pair = Pair {
            reference: &pair.reference[..rows * columns],
            suspect: &pair.suspect[..rows * columns],
            columns,
        };
        let moments = Moments::of(pair, threads);
        let is_matrix = rows > 1 && columns > 1;
        let changed = moments.equal < moments.count;
        let spectrum = (is_matrix && changed).then(|| Spectrum::of(pair, threads)).flatten();
        let grid = (is_matrix && changed).then(|| Grid::of(pair.suspect, columns)).flatten();
        let reference_on_grid = grid.is_some() && Grid::of(pair.reference, columns).is_some();
        let mut found = moments.describe(name, rows, columns);
        (found.spectrum, found.grid, found.reference_on_grid) = (spectrum, grid, reference_on_grid);
        found
    }

    /// Whether anything is different.
    pub fn is_changed(&self) -> bool {
        self.equal < 1.0
    }
}

/// Rows cut into shares for threads: the first row of each, and the end.
fn shares(rows: usize, threads: usize) -> Vec<(usize, usize)> {
    let share = rows.div_ceil(threads.max(1)).max(1);
    (0..rows).step_by(share).map(|first| (first, rows.min(first + share))).collect()
}

/// Calls `f` with every share of the rows on a thread of its own; what comes back is in the shares' order.
fn on_shares<T: Send>(
    rows: usize,
    threads: usize,
    f: impl Fn(std::ops::Range<usize>) -> T + Sync,
) -> Vec<T> {
    let shares = shares(rows, threads);
    let mut results: Vec<Option<T>> = shares.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        for (result, (first, end)) in results.iter_mut().zip(shares) {
            let f = &f;
            scope.spawn(move || *result = Some(f(first..end)));
        }
    });
    results.into_iter().flatten().collect()
}
