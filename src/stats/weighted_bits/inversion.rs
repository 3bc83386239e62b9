//! Lattice inversion along the saddle point.
//!
//! For θ > 0, with K(z) = n Σ ln cosh(zWₗ/2) and c = s − ½ n ΣWₗ (all weights whole),
//!
//! ```text
//! P(S ≥ s) = 1/2π ∫_{−π}^{π} e^{K(z) − zc} / (1 − e^{−z}) dt,   z = θ + it
//! ```
//!
//! The trapezoid rule with J nodes gives Σⱼ e^{θjJ} P(S ≥ s + jJ), j over all integers. What is unwanted, j ≠ 0, is bounded by
//! Chernoff's inequality at a second tilt, and J chosen so that the bound is below e^−Λ of the integrand's peak. Nodes are left out
//! where the modulus of the integrand is proved to be below e^−Λ of its peak:
//!
//! * on (0, π/W_max) the modulus |e^K| = Π (1 − uₗ sin²(tWₗ/2))^{n/2}, uₗ = 1/cosh²(θWₗ/2), falls, so the first small node ends it;
//! * beyond, ln |e^K| ≤ −(n/4) f(t) with f(t) = Σ uₗ (1 − cos tWₗ) ≥ 0. As |f″| ≤ B = Σ uₗWₗ², √f is Lipschitz with constant √(B/2),
//!   so f on a cell is bounded from its centre, and only cells whose bound fails are summed. Weights that nearly share a divisor have
//!   such cells when n is small.

use std::f64::consts::{PI, TAU};

use crate::stats::StatsError;

/// The weights, and what is known of f before the tilt is.
#[derive(Debug, Clone)]
pub(super) struct Inversion {
    whole: Vec<u64>,
    weights: Vec<f64>,
    largest: f64,
    /// Lower bound of √f on [π/W_max, π] for uₗ = 1.
    floor: f64,
}

impl Inversion {
    pub(super) fn new(whole: &[u64]) -> Self {
        let weights: Vec<f64> = whole.iter().map(|&w| w as f64).collect();
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let mut floor = f64::INFINITY;
        for_each_cell(&weights, &vec![1.0; weights.len()], 4.0 * largest, |_, bound| {
            floor = floor.min(bound)
        });
        Self { whole: whole.to_vec(), weights, largest, floor: floor.max(0.0) }
    }

    /// ln P(S ≥ s) for s above the mean and below the maximum.
    pub(super) fn ln_sf(&self, s: u128, n: u64) -> Result<f64, StatsError> {
        let tilt = Tilt::new(self, n, s);
        let nodes = tilt.nodes(s);
        let sum = self.sum(&tilt, nodes);
        let mean = sum.value / nodes;
        let error = 3.0 * (-tilt.depth).exp() + ROUNDING * sum.modulus / nodes;
        let relative_error = error / mean;
        // Negated, so that a mean that is not positive fails too.
        if relative_error > 0.0 && relative_error < ACCEPTED {
            Ok(tilt.ln_peak + mean.ln())
        } else {
            Err(StatsError::Unresolved { relative_error: relative_error.abs() })
        }
    }

    /// Σ over the nodes t = 2πj/J, |j| ≤ (J−1)/2, of the integrand relative to its peak.
    fn sum(&self, tilt: &Tilt, nodes: f64) -> Sum {
        let step = TAU / nodes;
        let last = ((nodes - 1.0) / 2.0) as u64;
        let index = |t: f64| ((t / step) as u64).min(last);
        let mut sum = Sum { value: 1.0, modulus: 1.0 };
        let lobe = index(PI / self.largest);
        for j in 1..=lobe {
            if !sum.add_pair(tilt, j as f64 * step) {
                break;
            }
        }
        if tilt.least_factor.sqrt() * self.floor >= tilt.needed {
            return sum;
        }
        let mut next = lobe + 1;
        for_each_cell(&self.weights, &tilt.factors, 2.0 * self.largest, |end, bound| {
            let end = index(end);
            if bound < tilt.needed {
                for j in next..=end {
                    sum.add_pair(tilt, j as f64 * step);
                }
            }
            next = next.max(end + 1);
        });
        sum
    }
}

struct Sum {
    value: f64,
    modulus: f64,
}

impl Sum {
    /// Adds the nodes ±t; false when they are negligible.
    fn add_pair(&mut self, tilt: &Tilt, t: f64) -> bool {
        let (value, modulus) = tilt.integrand(t);
        self.value += 2.0 * value;
        self.modulus += 2.0 * modulus;
        modulus > (-tilt.depth).exp()
    }
}

/// The law tilted by e^{θS}.
struct Tilt<'a> {
    law: &'a Inversion,
    n: f64,
    theta: f64,
    /// c = s − ½ n ΣWₗ.
    centred: f64,
    /// tanh(θWₗ/2) and uₗ = 1 − tanh².
    tanh: Vec<f64>,
    factors: Vec<f64>,
    least_factor: f64,
    deviation: f64,
    /// Λ.
    depth: f64,
    /// √f from which the modulus is below e^−Λ.
    needed: f64,
    /// ln of the integrand at t = 0.
    ln_peak: f64,
}

impl<'a> Tilt<'a> {
    fn new(law: &'a Inversion, n: u64, s: u128) -> Self {
        let real_n = n as f64;
        let plain_deviation =
            0.5 * (real_n * law.weights.iter().map(|w| w * w).sum::<f64>()).sqrt();
        // Next to the mean the saddle point runs into the pole at z = 0; three deviations away costs a factor e^4.5 of cancellation.
        let theta = saddle(&law.whole, n, s).max(3.0 / plain_deviation);
        let tanh: Vec<f64> = law.weights.iter().map(|w| (0.5 * theta * w).tanh()).collect();
        let factors: Vec<f64> =
            law.weights.iter().map(|w| (0.5 * theta * w).cosh().powi(-2)).collect();
        let variance: f64 = law.weights.iter().zip(&factors).map(|(w, u)| w * w * u).sum();
        let deviation = 0.5 * (real_n * variance).sqrt();
        let depth = 42.0 + deviation.ln_1p();
        Self {
            law,
            n: real_n,
            theta,
            centred: centred(&law.whole, n, s),
            least_factor: factors.iter().copied().fold(1.0, f64::min),
            tanh,
            factors,
            deviation,
            depth,
            needed: (4.0 * depth / real_n).sqrt(),
            ln_peak: ln_mgf(&law.whole, n, theta, s) - (-(-theta).exp_m1()).ln(),
        }
    }

    /// An odd number of nodes J for which the aliases stay below e^−Λ of the peak on either side.
    fn nodes(&self, s: u128) -> f64 {
        let n = self.n as u64;
        let whole = &self.law.whole;
        let here = ln_mgf(whole, n, self.theta, s);
        let needed = |other: f64| {
            let gap = (ln_mgf(whole, n, other, s) - here).max(0.0);
            (gap + self.depth) / (other - self.theta).abs()
        };
        let best = (2.0 * self.depth).sqrt() / self.deviation.max(f64::MIN_POSITIVE);
        let (mut above, mut below) = (f64::INFINITY, needed(0.0));
        for multiple in [0.5, 0.75, 1.0, 1.5, 2.0] {
            above = above.min(needed(self.theta + multiple * best));
            if multiple * best < self.theta {
                below = below.min(needed(self.theta - multiple * best));
            }
        }
        // No alias above when J steps beyond s there is no mass left.
        let room = self.n * 0.5 * self.law.weights.iter().sum::<f64>() - self.centred + 1.0;
        2.0 * (above.min(room).max(below) / 2.0).ceil() + 1.0
    }

    /// Real part and modulus of the integrand at θ + it, relative to t = 0.
    fn integrand(&self, t: f64) -> (f64, f64) {
        // cosh(zW/2)/cosh(θW/2) = cos(tW/2) + i tanh(θW/2) sin(tW/2). Its squared modulus is 1 − u sin²; the complement `lost` of the
        // product is carried instead of the product, which at n = 10⁶ would lose nine digits.
        let (mut re, mut im, mut lost) = (1.0, 0.0, 0.0);
        for ((w, tanh), u) in self.law.weights.iter().zip(&self.tanh).zip(&self.factors) {
            let (sin, cos) = (0.5 * t * w).sin_cos();
            (re, im) = (re * cos - im * tanh * sin, re * tanh * sin + im * cos);
            let here = u * sin * sin;
            lost += here - lost * here;
        }
        let phase = self.n * im.atan2(re) - t * self.centred;
        let modulus = (0.5 * self.n * (-lost).ln_1p()).exp();
        // (1 − e^−θ) / (1 − e^−z)
        let peak = -(-self.theta).exp_m1();
        let decay = (-self.theta).exp();
        let half_sin = (0.5 * t).sin();
        let (pole_re, pole_im) = (peak + 2.0 * decay * half_sin * half_sin, decay * t.sin());
        let norm = pole_re * pole_re + pole_im * pole_im;
        let (sin, cos) = phase.sin_cos();
        (modulus * peak * (cos * pole_re + sin * pole_im) / norm, modulus * peak / norm.sqrt())
    }
}

/// The tilt under which the mean is s: Σ ½Wₗ tanh(θWₗ/2) = c/n. For s between the mean and the maximum, both excluded.
pub(super) fn saddle(weights: &[u64], n: u64, s: u128) -> f64 {
    let target = centred(weights, n, s) / n as f64;
    let mut theta = 0.0f64;
    // The left side is concave in θ > 0, so Newton's steps from zero climb and never overshoot. Any θ > 0 would be valid.
    for _ in 0..200 {
        let (mut value, mut slope) = (-target, 0.0);
        for &w in weights {
            let half = 0.5 * w as f64;
            let tanh = (half * theta).tanh();
            value += half * tanh;
            slope += half * half * (half * theta).cosh().powi(-2);
        }
        let step = -value / slope;
        if !step.is_finite() || step <= 1e-9 * theta {
            break;
        }
        theta += step;
    }
    theta
}

/// ln E e^{θ(S−s)} = n Σ ln cosh(θWₗ/2) − θ(s − ½ n ΣWₗ).
pub(super) fn ln_mgf(weights: &[u64], n: u64, theta: f64, s: u128) -> f64 {
    let sum: f64 = weights.iter().map(|&w| ln_cosh(0.5 * theta * w as f64)).sum();
    n as f64 * sum - theta * centred(weights, n, s)
}

fn ln_cosh(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        let half = (0.5 * x).sinh();
        (2.0 * half * half).ln_1p()
    } else {
        x + (-2.0 * x).exp().ln_1p() - std::f64::consts::LN_2
    }
}

fn centred(weights: &[u64], n: u64, s: u128) -> f64 {
    let top = u128::from(n) * weights.iter().map(|&w| u128::from(w)).sum::<u128>();
    0.5 * (2 * s).abs_diff(top) as f64 * if 2 * s >= top { 1.0 } else { -1.0 }
}

/// Calls `visit(end, bound)` for cells, `per_unit` of them on an interval of length one, that cover [π/W_max, π], with a lower bound of
/// √f on each.
///
/// Narrow cells bound better: weights that fall linearly from 290 to 29 have a secondary peak with √f = 1.3, of which cells of width
/// 1/290 would leave 0.1. So the search that is done once is the finer one.
fn for_each_cell(weights: &[f64], factors: &[f64], per_unit: f64, mut visit: impl FnMut(f64, f64)) {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let width = per_unit.recip();
    let start = PI / largest;
    let count = ((PI - start) * per_unit).ceil() as u64;
    let total: f64 = factors.iter().sum();
    let bend: f64 = weights.iter().zip(factors).map(|(w, u)| u * w * w).sum();
    let lipschitz = (0.5 * bend).sqrt() * 0.5 * width;
    let twice: Vec<f64> = weights.iter().map(|w| 2.0 * (width * w).cos()).collect();
    let mut block = 0;
    while block < count {
        // cos((g+1)x) = 2 cos x cos gx − cos((g−1)x), restarted before its error counts.
        let centre = start + (block as f64 + 0.5) * width;
        let mut now: Vec<f64> =
            weights.iter().zip(factors).map(|(w, u)| u * (centre * w).cos()).collect();
        let mut before: Vec<f64> =
            weights.iter().zip(factors).map(|(w, u)| u * ((centre - width) * w).cos()).collect();
        for cell in block..count.min(block + BLOCK) {
            let f = total - now.iter().sum::<f64>() - COSINE_NOISE * total;
            visit(start + (cell as f64 + 1.0) * width, f.max(0.0).sqrt() - lipschitz);
            for ((b, c), t) in before.iter_mut().zip(&mut now).zip(&twice) {
                (*b, *c) = (*c, t * *c - *b);
            }
        }
        block += BLOCK;
    }
}

/// Cells between restarts of the cosine recurrence.
const BLOCK: u64 = 512;

/// More than the recurrence can be off within a block, relative to Σ uₗ.
const COSINE_NOISE: f64 = 1e-7;

/// Rounding error of a node, relative to its modulus.
const ROUNDING: f64 = 1e-14;

/// Largest relative error bound of p that is let through.
const ACCEPTED: f64 = 1e-10;
