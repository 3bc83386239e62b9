//! The definition: convolve one bit after another. Exact to rounding on any lattice, slow on large ones.

use super::inversion::{ln_mgf, saddle};

/// Direct convolution of n tokens with whole layer weights.
pub(super) struct Convolution<'a> {
    weights: &'a [u64],
    n: u64,
}

impl<'a> Convolution<'a> {
    pub(super) fn new(weights: &'a [u64], n: u64) -> Self {
        Self { weights, n }
    }

    /// Multiplications needed, about.
    pub(super) fn cost(&self) -> f64 {
        let (n, bits) = (self.n as f64, self.weights.len() as f64);
        n * self.weights.iter().sum::<u64>() as f64 * n * bits / 2.0
    }

    /// ln P(S ≥ s) for s above the mean and at most the maximum.
    ///
    /// Bits are tilted by e^{θS} so that the masses around s are the large ones and nothing that matters underflows; all terms are
    /// positive, so nothing cancels.
    pub(super) fn ln_sf(&self, s: u64) -> f64 {
        let theta = saddle(self.weights, self.n, u128::from(s));
        let mut mass = vec![1.0];
        for &w in self.weights {
            // Each from its own exponential: near the maximum 1 − P(one) would have no digits left.
            let odds = (theta * w as f64).exp();
            let (zero, one) = ((1.0 + odds).recip(), (1.0 + odds.recip()).recip());
            for _ in 0..self.n {
                mass = with_bit(&mass, w as usize, zero, one);
            }
        }
        let tail: f64 =
            mass[s as usize..].iter().enumerate().map(|(i, m)| m * (-theta * i as f64).exp()).sum();
        ln_mgf(self.weights, self.n, theta, u128::from(s)) + tail.ln()
    }
}

/// The law after one more bit of this weight, which is set with probability `one`.
fn with_bit(mass: &[f64], weight: usize, zero: f64, one: f64) -> Vec<f64> {
    let mut next: Vec<f64> = mass.iter().map(|m| m * zero).collect();
    next.resize(mass.len() + weight, 0.0);
    next[weight..].iter_mut().zip(mass).for_each(|(to, m)| *to += m * one);
    next
}
