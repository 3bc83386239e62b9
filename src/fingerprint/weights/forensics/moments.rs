//! One pass over two tensors: everything that is a sum.

use super::{Pair, TensorForensics, on_shares};
use crate::fingerprint::derive::Half;

/// Numbers whose sums are kept in f32 before they go to f64.
const PIECE: usize = 1024;
/// Independent sums, so that the loops run on vectors.
const LANES: usize = 16;
/// One piece in so many is held against f16.
const F16_EVERY: usize = 8;

/// Sums over a pair of tensors; d is suspect − reference.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    pub count: u64,
    pub equal: u64,
    not_finite: u64,
    aa: f64,
    bb: f64,
    ab: f64,
    dd: f64,
    d4: f64,
    rounded_bf16: u64,
    rounded_f16: u64,
    f16_count: u64,
    new_zeros: u64,
    cut_size: f64,
    kept_size: f64,
    sparse_fours: u64,
    fours: u64,
    /// Σd² of each row and its square, summed over rows.
    row_energy: f64,
    row_energy_squared: f64,
    rows: u64,
}

impl Moments {
    pub fn of(pair: Pair<'_>, threads: usize) -> Self {
        let columns = pair.columns;
        let rows = pair.reference.len() / columns;
        let parts = on_shares(rows, threads, |range| {
            let mut moments = Self::default();
            let mut scratch = (Vec::new(), Vec::new());
            for row in range {
                let at = row * columns..(row + 1) * columns;
                moments.row(&pair.reference[at.clone()], &pair.suspect[at], &mut scratch);
            }
            moments
        });
        parts.into_iter().fold(Self::default(), Self::and)
    }

    fn row(&mut self, a: &[f32], b: &[f32], scratch: &mut (Vec<f32>, Vec<f32>)) {
        let before = self.dd;
        for (index, (a, b)) in a.chunks(PIECE).zip(b.chunks(PIECE)).enumerate() {
            let finite =
                |values: &[f32]| values.iter().fold(0.0, |sum, value| sum + value * 0.0) == 0.0;
            if finite(a) && finite(b) {
                self.piece(a, b, index);
            } else {
                self.not_finite += cleaned(a, b, scratch);
                self.piece(&scratch.0, &scratch.1, index);
            }
        }
        let energy = self.dd - before;
        self.row_energy += energy;
        self.row_energy_squared += energy * energy;
        self.rows += 1;
    }

    fn piece(&mut self, a: &[f32], b: &[f32], index: usize) {
        self.count += a.len() as u64;
        let [aa, bb, ab, dd, d4] = products(a, b);
        self.aa += aa;
        self.bb += bb;
        self.ab += ab;
        self.dd += dd;
        self.d4 += d4;
        let equal = count(a, b, |a, b| a == b);
        self.equal += equal;
        if equal == a.len() as u64 {
            self.rounded_bf16 += equal;
        } else {
            self.rounded_bf16 += count(a, b, |a, b| Half::Bf16.nearest(a) == b);
        }
        if index.is_multiple_of(F16_EVERY) {
            self.f16_count += a.len() as u64;
            self.rounded_f16 += count(a, b, |a, b| Half::F16.nearest(a) == b);
        }
        self.zeros(a, b);
    }

    fn zeros(&mut self, a: &[f32], b: &[f32]) {
        self.fours += (b.len() / 4) as u64;
        if count(b, b, |b, _| b == 0.0) == 0 {
            self.kept_size += sum(a, b, |a, _| a.abs());
            return;
        }
        self.new_zeros += count(a, b, |a, b| b == 0.0 && a != 0.0);
        self.cut_size += sum(a, b, |a, b| if b == 0.0 { a.abs() } else { 0.0 });
        self.kept_size += sum(a, b, |a, b| if b == 0.0 { 0.0 } else { a.abs() });
        let sparse = |four: &&[f32; 4]| four.iter().filter(|&&value| value == 0.0).count() >= 2;
        self.sparse_fours += b.as_chunks::<4>().0.iter().filter(sparse).count() as u64;
    }

    fn and(self, o: Self) -> Self {
        Self {
            count: self.count + o.count,
            equal: self.equal + o.equal,
            not_finite: self.not_finite + o.not_finite,
            aa: self.aa + o.aa,
            bb: self.bb + o.bb,
            ab: self.ab + o.ab,
            dd: self.dd + o.dd,
            d4: self.d4 + o.d4,
            rounded_bf16: self.rounded_bf16 + o.rounded_bf16,
            rounded_f16: self.rounded_f16 + o.rounded_f16,
            f16_count: self.f16_count + o.f16_count,
            new_zeros: self.new_zeros + o.new_zeros,
            cut_size: self.cut_size + o.cut_size,
            kept_size: self.kept_size + o.kept_size,
            sparse_fours: self.sparse_fours + o.sparse_fours,
            fours: self.fours + o.fours,
            row_energy: self.row_energy + o.row_energy,
            row_energy_squared: self.row_energy_squared + o.row_energy_squared,
            rows: self.rows + o.rows,
        }
    }

    pub fn describe(&self, name: &str, rows: usize, columns: usize) -> TensorForensics {
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        let cut = self.new_zeros as f64;
        let kept = self.count as f64 - cut;
        let mean_row = self.row_energy / (self.rows as f64).max(1.0);
        let variance = self.row_energy_squared / (self.rows as f64).max(1.0) - mean_row * mean_row;
        let variation = ratio(variance.max(0.0).sqrt(), mean_row);
        let sizes = ratio(self.cut_size, cut).zip(ratio(self.kept_size, kept));
        TensorForensics {
            name: name.to_owned(),
            rows,
            columns,
            relative_change: ratio(self.dd, self.aa).map(f64::sqrt),
            cosine: ratio(self.ab, (self.aa * self.bb).sqrt())
                .map(|cosine| cosine.clamp(-1.0, 1.0)),
            scale: ratio(self.ab, self.aa),
            equal: if self.count == 0 { 1.0 } else { share(self.equal, self.count) },
            rounded_bf16: share(self.rounded_bf16, self.count),
            rounded_f16: share(self.rounded_f16, self.f16_count),
            new_zeros: share(self.new_zeros, self.count),
            cut_size: sizes.and_then(|(cut, kept)| ratio(cut, kept)),
            two_of_four: share(self.sparse_fours, self.fours),
            kurtosis: ratio(self.d4 * self.count as f64, self.dd * self.dd),
            row_variation: variation.map(|v| v / (2.0 / columns as f64).sqrt()),
            spectrum: None,
            grid: None,
            reference_on_grid: false,
            not_finite: self.not_finite,
        }
    }
}

/// Copies with zeros where either is no number; returns how many.
fn cleaned(a: &[f32], b: &[f32], scratch: &mut (Vec<f32>, Vec<f32>)) -> u64 {
    scratch.0.clear();
    scratch.1.clear();
    let mut count = 0;
    for (&a, &b) in a.iter().zip(b) {
        let sound = a.is_finite() && b.is_finite();
        count += u64::from(!sound);
        scratch.0.push(if sound { a } else { 0.0 });
        scratch.1.push(if sound { b } else { 0.0 });
    }
    count
}

/// Σa², Σb², Σab, Σd², Σd⁴, with d scaled so that its fourth power stays in range.
fn products(a: &[f32], b: &[f32]) -> [f64; 5] {
    let largest = a.iter().zip(b).fold(0f32, |most, (a, b)| most.max((b - a).abs()));
    let unit = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
    let (inverse, unit) = (1.0 / unit, f64::from(unit));
    let square = |x: f32| x * x;
    [
        sum(a, b, |a, _| a * a),
        sum(a, b, |_, b| b * b),
        sum(a, b, |a, b| a * b),
        unit.powi(2) * sum(a, b, |a, b| square((b - a) * inverse)),
        unit.powi(4) * sum(a, b, |a, b| square(square((b - a) * inverse))),
    ]
}

fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [0f32; LANES];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() + f64::from(rest)
}

fn count(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> bool) -> u64 {
    let mut lanes = [0u32; LANES];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        for lane in 0..LANES {
            lanes[lane] += u32::from(f(a[lane], b[lane]));
        }
    }
    let rest = rest_a.iter().zip(rest_b).filter(|(a, b)| f(**a, **b)).count() as u64;
    lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>() + rest
}
