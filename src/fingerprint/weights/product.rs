//! Products of rows with rows, tile by tile, on several threads.
//!
//! Strips of 12 rows of A meet panels of 32 rows of B; both lie feature after feature, so that one tile is one pass over two
//! contiguous arrays. A value is one chain of multiply-adds over the features in order, wherever its row stands: values do not
//! depend on labels, which the tests' proofs need.

use std::ops::Range;

use super::matrix::Matrix;

/// Rows of a strip.
pub(super) const STRIP: usize = 12;
/// Rows of a panel.
pub(super) const PANEL: usize = 32;
/// Strips that meet a panel while it is in the cache.
const GROUP: usize = 8;

/// Products of one strip with one panel.
pub(super) type Tile = [[f32; PANEL]; STRIP];

/// Rows in groups of `N`, feature after feature; the last group is filled with zeros.
pub(super) struct Packed<const N: usize> {
    rows: usize,
    features: usize,
    values: Vec<[f32; N]>,
}

impl<const N: usize> Packed<N> {
    /// Matrices side by side: row i holds row i of each. All have the same number of rows.
    pub fn new(parts: &[&Matrix]) -> Self {
        let rows = parts.first().map_or(0, |part| part.rows());
        let features: usize = parts.iter().map(|part| part.columns()).sum();
        let mut values = vec![[0f32; N]; rows.div_ceil(N) * features];
        for (group, block) in values.chunks_exact_mut(features.max(1)).enumerate() {
            for lane in 0..N.min(rows - group * N) {
                let row = parts.iter().flat_map(|part| part.row(group * N + lane));
                block.iter_mut().zip(row).for_each(|(slot, &value)| slot[lane] = value);
            }
        }
        Self { rows, features, values }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    fn groups(&self) -> usize {
        self.rows.div_ceil(N)
    }

    fn group(&self, at: usize, features: &Range<usize>) -> &[[f32; N]] {
        let start = at * self.features;
        &self.values[start + features.start..start + features.end]
    }
}

/// Calls `each(state, first row, first column, tiles)` for every pair of strip and panel, with one tile for each of `sections` of the
/// features. Each thread has a state of its own and strips of its own; the states come back in the strips' order.
pub(super) fn tiles<S: Send, const N: usize>(
    a: &Packed<STRIP>,
    b: &Packed<PANEL>,
    sections: &[Range<usize>; N],
    threads: usize,
    state: impl Fn(Range<usize>) -> S + Sync,
    each: impl Fn(&mut S, usize, usize, &[Tile; N]) + Sync,
) -> Vec<S> {
    let strips = a.groups();
    let share = strips.div_ceil(threads.max(1)).max(1);
    let isa = Isa::detect();
    let work = |mine: Range<usize>| {
        let mut own = state(mine.start * STRIP..(mine.end * STRIP).min(a.rows));
        let mut out = [[[0f32; PANEL]; STRIP]; N];
        for group in mine.clone().step_by(GROUP) {
            for panel in 0..b.groups() {
                for strip in group..(group + GROUP).min(mine.end) {
                    for (out, section) in out.iter_mut().zip(sections) {
                        isa.tile(a.group(strip, section), b.group(panel, section), out);
                    }
                    each(&mut own, strip * STRIP, panel * PANEL, &out);
                }
            }
        }
        own
    };
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..strips)
            .step_by(share)
            .map(|first| scope.spawn(move || work(first..(first + share).min(strips))))
            .collect();
        running.into_iter().map(joined).collect()
    })
}

/// The thread's result, or its panic.
fn joined<S>(running: std::thread::ScopedJoinHandle<'_, S>) -> S {
    match running.join() {
        Ok(state) => state,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A Bᵀ: every row of A with every row of B.
pub(super) fn product(a: &Matrix, b: &Matrix, threads: usize) -> Matrix {
    let columns = b.rows();
    let (a, b) = (Packed::new(&[a]), Packed::new(&[b]));
    let sections = [0..a.features.min(b.features)];
    let parts = tiles(
        &a,
        &b,
        &sections,
        threads,
        |rows| (rows.start, Matrix::zeros(rows.len(), columns)),
        |(start, out), row, column, [tile]| {
            let rows = out.rows().min(row - *start + STRIP) - (row - *start);
            let width = PANEL.min(columns - column);
            for (r, values) in tile.iter().enumerate().take(rows) {
                out.row_mut(row - *start + r)[column..column + width]
                    .copy_from_slice(&values[..width]);
            }
        },
    );
    let values = parts.iter().flat_map(|(_, part)| part.values()).copied().collect();
    Matrix::new(columns, values)
}

/// Instruction sets with a kernel of their own.
#[derive(Clone, Copy)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// `out[r][c] = Σ_k a[k][r] · b[k][c]`.
    fn tile(self, a: &[[f32; STRIP]], b: &[[f32; PANEL]], out: &mut Tile) {
        match self {
            // SAFETY: `Isa` is only ever made by `detect`, which asked the processor.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { tile_avx512(a, b, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { tile_avx2(a, b, out) },
            Self::Portable => small_tiles::<{ cfg!(target_arch = "aarch64") }>(a, b, out),
        }
    }
}

/// With 32 registers of 16 numbers, 24 hold the whole tile.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_avx512(a: &[[f32; STRIP]], b: &[[f32; PANEL]], out: &mut Tile) {
    part::<STRIP, PANEL, true>(a, b, 0, 0, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn tile_avx2(a: &[[f32; STRIP]], b: &[[f32; PANEL]], out: &mut Tile) {
    small_tiles::<true>(a, b, out);
}

/// With 16 registers of 8 numbers, 12 hold a quarter of the tile.
#[inline(always)]
fn small_tiles<const FUSED: bool>(a: &[[f32; STRIP]], b: &[[f32; PANEL]], out: &mut Tile) {
    for row in [0, 6] {
        for column in [0, 16] {
            part::<6, 16, FUSED>(a, b, row, column, out);
        }
    }
}

/// `R` rows and `C` columns of a tile. Loops of constant lengths, so that the compiler keeps the sums in registers.
#[inline(always)]
fn part<const R: usize, const C: usize, const FUSED: bool>(
    a: &[[f32; STRIP]],
    b: &[[f32; PANEL]],
    row: usize,
    column: usize,
    out: &mut Tile,
) {
    let mut sums = [[0f32; C]; R];
    for (x, lanes) in a.iter().zip(b) {
        for r in 0..R {
            for c in 0..C {
                let (x, y) = (x[row + r], lanes[column + c]);
                // Without hardware support `mul_add` would be a slow library call.
                sums[r][c] = if FUSED { x.mul_add(y, sums[r][c]) } else { x * y + sums[r][c] };
            }
        }
    }
    for (out, sums) in out[row..row + R].iter_mut().zip(sums) {
        out[column..column + C].copy_from_slice(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_numbers(rows: usize, columns: usize, seed: usize) -> Matrix {
        let values = (0..rows * columns).map(|i| ((i * 7919 + seed) % 17) as f32 - 8.0).collect();
        Matrix::new(columns, values)
    }

    #[test]
    fn equals_the_plain_sums() {
        for (m, n, k) in [(1, 1, 1), (12, 32, 5), (13, 33, 7), (100, 70, 19)] {
            let (a, b) = (whole_numbers(m, k, 1), whole_numbers(n, k, 5));
            for threads in [1, 3] {
                let got = product(&a, &b, threads);
                assert_eq!((got.rows(), got.columns()), (m, n));
                for i in 0..m {
                    for j in 0..n {
                        let plain: f32 = a.row(i).iter().zip(b.row(j)).map(|(x, y)| x * y).sum();
                        assert_eq!(got.row(i)[j], plain, "{m} × {n} × {k} at {i}, {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_same() {
        let (a, b) = (whole_numbers(12, 37, 3), whole_numbers(32, 37, 4));
        let (a, b) = (Packed::<STRIP>::new(&[&a]), Packed::<PANEL>::new(&[&b]));
        let (mut best, mut portable) = ([[0.0; PANEL]; STRIP], [[0.0; PANEL]; STRIP]);
        Isa::detect().tile(a.group(0, &(0..37)), b.group(0, &(0..37)), &mut best);
        Isa::Portable.tile(a.group(0, &(0..37)), b.group(0, &(0..37)), &mut portable);
        assert_eq!(best, portable);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Isa::Avx2.tile(a.group(0, &(0..37)), b.group(0, &(0..37)), &mut best);
            assert_eq!(best, portable);
        }
    }

    #[test]
    fn a_value_does_not_depend_on_its_place() {
        let noise = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f32 / 1e6 - 0.5;
        let a = Matrix::new(111, (0..50 * 111).map(noise).collect());
        let mut reversed = Vec::new();
        (0..50).rev().for_each(|i| reversed.extend_from_slice(a.row(i)));
        let there = product(&a, &a, 1);
        let back = product(&Matrix::new(111, reversed), &a, 2);
        for i in 0..50 {
            assert_eq!(there.row(i), back.row(49 - i));
        }
    }
}
