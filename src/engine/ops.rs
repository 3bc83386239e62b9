//! Row-wise operations between the products: normalisation, activation, softmax, rotary positions.
//!
//! Sums run over sixteen lanes in a fixed order, so that the vector width of the processor does not change a bit.

use super::kernel::Isa;

/// Compiles `$body` for each instruction set, so that its loops use the widest vectors there are.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? => $body:ident) => {
        $(#[$doc])*
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
            match Isa::detect() {
                // SAFETY: `detect` asked the processor.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                Isa::Portable => $body($($arg),*),
            }
        }
    };
}

for_each_isa! {
    /// Root-mean-square normalisation (Zhang and Sennrich 2019, eq. 4) of one row: `out = x · weight / √(mean x² + eps)`.
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) => rms_norm_body
}

for_each_isa! {
    /// SwiGLU (Shazeer 2020, eq. 6) of one row: `out = silu(gate) · up`, where `gate_up` is gate followed by up.
    fn swiglu(gate_up: &[f32], out: &mut [f32]) => swiglu_body
}

for_each_isa! {
    /// `x += y`.
    fn add(x: &mut [f32], y: &[f32]) => add_body
}

for_each_isa! {
    /// Replaces the first `len` scores by `exp(score − max)`, the rest by zero, and returns the sum of the former.
    fn softmax(scores: &mut [f32], len: usize) -> f32 => softmax_body
}

#[inline(always)]
fn rms_norm_body(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = sum_lanes(x, |v| v * v) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for ((out, &x), &weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

#[inline(always)]
fn swiglu_body(gate_up: &[f32], out: &mut [f32]) {
    let (gate, up) = gate_up.split_at(out.len());
    for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

#[inline(always)]
fn add_body(x: &mut [f32], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn softmax_body(scores: &mut [f32], len: usize) -> f32 {
    let (seen, masked) = scores.split_at_mut(len);
    masked.fill(0.0);
    let max = max_lanes(seen);
    for score in seen.iter_mut() {
        *score = exp(*score - max);
    }
    sum_lanes(seen, |v| v)
}

#[inline(always)]
fn sum_lanes(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
    }
    lanes[0]
}

#[inline(always)]
fn max_lanes(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    rest.iter().chain(&lanes).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// eˣ with a relative error below 2e-7, without branches, so that loops over it vectorise. Saturates below −87 and
/// above 88.
///
/// Range reduction and polynomial after Moshier's Cephes library (`expf`).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first of which times n is exact.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = POLYNOMIAL[0];
    for c in &POLYNOMIAL[1..] {
        p = p * r + c;
    }
    let fraction = p * r * r + r + 1.0;
    let exponent = (shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23;
    fraction * f32::from_bits(exponent)
}

/// Rotary position embedding (Su et al. 2021, eq. 34), in the form in which dimension i turns with i + d/2.
pub(super) struct Rope {
    /// θ^(−2i/d), radians a position.
    frequencies: Vec<f32>,
}

impl Rope {
    /// For heads of `head_dim` (even) with base `theta`.
    ///
    /// Rounded to f32 where the reference implementation rounds, for the angle at position 1,000 has an error of 1e-5.
    pub(super) fn new(head_dim: usize, theta: f32) -> Self {
        let frequencies =
            (0..head_dim / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / head_dim as f32)).collect();
        Self { frequencies }
    }

    /// Cosines, then sines, of `position`.
    pub(super) fn turns(&self, position: usize, out: &mut Vec<f32>) {
        let angle = |&frequency: &f32| f64::from(frequency * position as f32);
        out.extend(self.frequencies.iter().map(|f| angle(f).cos() as f32));
        out.extend(self.frequencies.iter().map(|f| angle(f).sin() as f32));
    }

    /// Number of values that [`turns`](Self::turns) appends.
    pub(super) fn width(&self) -> usize {
        2 * self.frequencies.len()
    }
}

/// Turns one head by the cosines and sines in `turns`.
pub(super) fn rotate(head: &mut [f32], turns: &[f32]) {
    let (cos, sin) = turns.split_at(turns.len() / 2);
    let (a, b) = head.split_at_mut(head.len() / 2);
    for (((a, b), &cos), &sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_range() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(error < 2e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(-1e30) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn softmax_masks_and_sums() {
        let mut scores = [1.0, 3.0, 2.0, 99.0];
        let sum = softmax(&mut scores, 3);
        assert_eq!(scores[1], 1.0);
        assert_eq!(scores[3], 0.0);
        assert!((f64::from(sum) - ((-2f64).exp() + 1.0 + (-1f64).exp())).abs() < 1e-6);
    }

    #[test]
    fn rotation_keeps_length_and_relative_angle() {
        let rope = Rope::new(4, 10_000.0);
        let turned = |position| {
            let mut head = [0.3f32, -0.5, 0.8, 0.1];
            let mut turns = Vec::new();
            rope.turns(position, &mut turns);
            rotate(&mut head, &turns);
            head
        };
        let dot = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!((dot(turned(7), turned(4)) - dot(turned(103), turned(100))).abs() < 1e-5);
        assert!((dot(turned(9), turned(9)) - dot(turned(0), turned(0))).abs() < 1e-6);
    }
}
