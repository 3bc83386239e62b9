//! Randomness of copies.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Where the randomness of one step comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    /// The user's.
    pub(super) seed: u64,
    /// The step's place in the chain.
    pub(super) step: usize,
}

impl Seed {
    /// A generator of its own for each label and number.
    pub(super) fn random(self, label: &str, number: usize) -> Random {
        let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 derived copy v1");
        for word in [self.seed, self.step as u64, number as u64] {
            hasher.update(&word.to_le_bytes());
        }
        hasher.update(label.as_bytes());
        Random(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }
}

pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// Uniform in (0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    pub(super) fn normals(&mut self) -> [f64; 2] {
        let (radius, angle) =
            ((-2.0 * self.uniform().ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        [radius * angle.cos(), radius * angle.sin()]
    }

    pub(super) fn sign(&mut self) -> f32 {
        if self.0.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// A random order of 0 to `n` − 1 (Fisher and Yates).
    pub(super) fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            let other = (self.uniform() * (last + 1) as f64) as usize;
            order.swap(last, other.min(last));
        }
        order
    }
}
