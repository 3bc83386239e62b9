//! Row-wise operations between the products: normalisation, activation, softmax, rotary positions.
//!
//! Sums run over sixteen lanes in a fixed order, so that the vector width of the processor does not change a bit.

use super::config::RopeSpec;
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
    /// [`rms_norm`] of a row into itself.
    fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) => rms_norm_in_place_body
}

for_each_isa! {
    /// SwiGLU (Shazeer 2020, eq. 6) of one row: `out = silu(gate) · up`, where `gate_up` is gate followed by up.
    fn swiglu(gate_up: &[f32], out: &mut [f32]) => swiglu_body
}

for_each_isa! {
    /// GEGLU (Shazeer 2020, eq. 6) of one row, with the tanh form of GELU.
    fn geglu(gate_up: &[f32], out: &mut [f32]) => geglu_body
}

for_each_isa! {
    /// `x = cap · tanh(x / cap)`.
    fn softcap(x: &mut [f32], cap: f32) => softcap_body
}

for_each_isa! {
    /// `x += y`.
    fn add(x: &mut [f32], y: &[f32]) => add_body
}

for_each_isa! {
    /// `x *= factor`.
    fn scale(x: &mut [f32], factor: f32) => scale_body
}

for_each_isa! {
    /// Replaces the scores from `start` to `end` by `exp(score − max)`, the rest by zero, and returns the sum of the
    /// former.
    fn softmax(scores: &mut [f32], start: usize, end: usize) -> f32 => softmax_body
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
fn rms_norm_in_place_body(x: &mut [f32], weight: &[f32], eps: f32) {
    let mean = sum_lanes(x, |v| v * v) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for (x, &weight) in x.iter_mut().zip(weight) {
        *x = *x * scale * weight;
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
fn geglu_body(gate_up: &[f32], out: &mut [f32]) {
    /// 2 · √(2/π).
    const SLOPE: f32 = 1.595_769;
    let (gate, up) = gate_up.split_at(out.len());
    for ((out, &x), &up) in out.iter_mut().zip(gate).zip(up) {
        // (1 + tanh u) / 2 = 1 / (1 + exp(−2u)).
        *out = x / (1.0 + exp(-SLOPE * (x + 0.044_715 * x * x * x))) * up;
    }
}

#[inline(always)]
fn softcap_body(x: &mut [f32], cap: f32) {
    let slope = 2.0 / cap;
    for x in x {
        // tanh u = 1 − 2 / (1 + exp(2u)).
        *x = cap - 2.0 * cap / (1.0 + exp(*x * slope));
    }
}

#[inline(always)]
fn scale_body(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

#[inline(always)]
fn add_body(x: &mut [f32], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn softmax_body(scores: &mut [f32], start: usize, end: usize) -> f32 {
    scores[..start].fill(0.0);
    scores[end..].fill(0.0);
    let seen = &mut scores[start..end];
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

/// A rotary position embedding (Su et al. 2021, eq. 34), in the form in which dimension i turns with i + d/2.
pub(super) struct Rope {
    frequencies: Vec<f32>,
    factor: f32,
}

impl Rope {
    pub(super) fn new(spec: &RopeSpec) -> Self {
        Self { frequencies: spec.frequencies(), factor: spec.attention_factor() }
    }

    /// Cosines, then sines, of `position`.
    pub(super) fn turns(&self, position: usize, out: &mut Vec<f32>) {
        let angle = |&frequency: &f32| f64::from(frequency * position as f32);
        out.extend(self.frequencies.iter().map(|f| angle(f).cos() as f32 * self.factor));
        out.extend(self.frequencies.iter().map(|f| angle(f).sin() as f32 * self.factor));
    }

    /// Number of values that [`turns`](Self::turns) appends; the number of dimensions that turn.
    pub(super) fn width(&self) -> usize {
        2 * self.frequencies.len()
    }
}

/// Turns the first dimensions of one head, as many as there are cosines and sines in `turns`.
pub(super) fn rotate(head: &mut [f32], turns: &[f32]) {
    let (cos, sin) = turns.split_at(turns.len() / 2);
    let (a, b) = head[..turns.len()].split_at_mut(turns.len() / 2);
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
    fn caps_and_gates_equal_their_definitions() {
        for i in -400..=400 {
            let x = i as f32 * 0.1;
            let wide = f64::from(x);
            let mut capped = [x];
            softcap(&mut capped, 30.0);
            assert!((f64::from(capped[0]) - 30.0 * (wide / 30.0).tanh()).abs() < 1e-5, "{x}");
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
            let mut out = [0.0];
            geglu(&[x, 2.0], &mut out);
            let plain = wide * (1.0 + inner.tanh());
            assert!((f64::from(out[0]) - plain).abs() < 2e-6 * plain.abs().max(1.0), "{x}");
        }
    }

    #[test]
    fn softmax_masks_and_sums() {
        let mut scores = [1.0, 3.0, 2.0, 99.0];
        let sum = softmax(&mut scores, 1, 3);
        assert_eq!((scores[0], scores[1], scores[3]), (0.0, 1.0, 0.0));
        assert!((f64::from(sum) - (1.0 + (-1f64).exp())).abs() < 1e-6);
    }

    #[test]
    fn rotation_keeps_length_and_relative_angle() {
        let rope = Rope::new(&RopeSpec::plain(10_000.0, 4));
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
