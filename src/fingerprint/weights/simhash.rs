//! 256-bit sign sketches of tensors: how near two tensors are, without either.
//!
//! Bit j is the sign of ⟨r_j, w⟩ for a random direction r_j, so that the bits of two tensors at an angle θ differ with probability θ/π
//! (Charikar 2002, after Goemans and Williamson 1995). A direction for each bit as long as the tensor would cost 256 operations a
//! weight. Instead the tensor is first folded to 4,096 numbers, y_k = Σ_i ±w_i over i ≡ k (mod 4,096) with a pseudo-random sign for
//! each i, which keeps inner products in expectation (Charikar, Chen and Farach-Colton 2002); the 256 directions, of pseudo-random
//! signs, are drawn in that space. Cosines are kept within about 1/√4096 = 0.016, well below the 0.098 that 256 bits leave
//! at a right angle.
//!
//! All signs come from SplitMix64 (Steele, Lea and Flood 2014) over counters under seeds that are fixed and public, the same for all
//! tensors: sketches are compared across tools and years. Numbers that are not finite count as 0. Sums are taken in the order of the
//! weights, so that a sketch does not depend on how a tensor was read.
//!
//! A sketch is a description, not evidence: all positive vectors, such as gains of norms, are alike in every model.

use serde::{Deserialize, Serialize};

use super::hashes::Digest;

/// Numbers that a tensor is folded to.
const FOLDED: usize = 4096;
/// Weights that share a word of signs.
const WORD: usize = 32;
/// Seeds of the signs of weights and of directions: the first digits of π and of e.
const WEIGHT_SIGNS: u64 = 0x3141_5926_5358_9793;
const DIRECTION_SIGNS: u64 = 0x2718_2818_2845_9045;

/// Bits of a sketch.
pub const BITS: u32 = 256;

/// A sign sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SimHash(Digest);

impl SimHash {
    /// Bits that differ, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.0.iter().zip(other.0.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// The cosine that so many differing bits speak for: cos(π · bits / 256).
    pub fn cosine(bits: u32) -> f64 {
        (std::f64::consts::PI * f64::from(bits) / f64::from(BITS)).cos()
    }
}

/// Makes a sketch of numbers that come in pieces.
pub(super) struct Sketcher {
    folded: Vec<f32>,
    /// Weights seen.
    at: u64,
}

impl Sketcher {
    pub fn new() -> Self {
        Self { folded: vec![0.0; FOLDED], at: 0 }
    }

    pub fn update(&mut self, mut values: &[f32]) {
        // Up to a whole word of signs, then whole words, then what is left.
        let lead = (self.at.next_multiple_of(WORD as u64) - self.at) as usize;
        let (first, rest) = values.split_at(lead.min(values.len()));
        self.slowly(first);
        values = rest;
        let (words, rest) = values.as_chunks::<WORD>();
        for word in words {
            let signs = signs(WEIGHT_SIGNS, self.at / WORD as u64);
            let start = (self.at % FOLDED as u64) as usize;
            add(&mut self.folded[start..start + WORD], word, signs);
            self.at += WORD as u64;
        }
        self.slowly(rest);
    }

    fn slowly(&mut self, values: &[f32]) {
        for &value in values {
            let signs = signs(WEIGHT_SIGNS, self.at / WORD as u64);
            let negative = signs >> (self.at % WORD as u64) & 1 == 1;
            let value = if value.is_finite() { value } else { 0.0 };
            self.folded[(self.at % FOLDED as u64) as usize] +=
                if negative { -value } else { value };
            self.at += 1;
        }
    }

    pub fn finish(&self) -> SimHash {
        let mut bytes = [0; 32];
        // Short tensors leave the rest of the fold empty.
        let used = (self.at.min(FOLDED as u64) as usize).next_multiple_of(WORD);
        for bit in 0..BITS as usize {
            let mut lanes = [0f32; WORD];
            for (word, values) in self.folded[..used].as_chunks::<WORD>().0.iter().enumerate() {
                let counter = bit * (FOLDED / WORD) + word;
                add(&mut lanes, values, signs(DIRECTION_SIGNS, counter as u64));
            }
            let sum: f64 = lanes.iter().map(|&lane| f64::from(lane)).sum();
            bytes[bit / 8] |= u8::from(sum < 0.0) << (bit % 8);
        }
        SimHash(Digest(bytes))
    }
}

/// Adds numbers under signs: a bit of one is minus.
fn add(sums: &mut [f32], values: &[f32; WORD], signs: u32) {
    for (lane, (sum, &value)) in sums.iter_mut().zip(values).enumerate() {
        let value = if value.is_finite() { value } else { 0.0 };
        let sign = ((signs >> lane) & 1) << 31;
        *sum += f32::from_bits(value.to_bits() ^ sign);
    }
}

/// 32 signs: the upper half of SplitMix64's output.
fn signs(seed: u64, counter: u64) -> u32 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Sums of uniforms: nearly normal.
        let uniform = move || random.next_u32() as f32 / 2f32.powi(32) - 0.5;
        std::iter::repeat_with(uniform)
            .take(4 * n)
            .collect::<Vec<_>>()
            .chunks(4)
            .map(|c| c.iter().sum())
            .collect()
    }

    fn sketch(values: &[f32]) -> SimHash {
        let mut sketcher = Sketcher::new();
        sketcher.update(values);
        sketcher.finish()
    }

    #[test]
    fn bits_differ_with_probability_angle_over_pi() {
        // Ten pairs at each angle: 2,560 bits; four standard errors, and what the fold adds.
        for n in [300, 5_000, 60_000] {
            for degrees in [2.0f64, 20.0, 60.0, 90.0, 120.0, 180.0] {
                let angle = degrees.to_radians();
                let mut bits = 0;
                for pair in 0..10 {
                    let (a, b) = (noise(n, 2 * pair), noise(n, 2 * pair + 1));
                    let dot =
                        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
                    let along = dot(&a, &b) / dot(&a, &a);
                    let across: Vec<f32> = a.iter().zip(&b).map(|(a, b)| b - along * a).collect();
                    let scale = (dot(&a, &a) / dot(&across, &across)).sqrt() * angle.sin() as f32;
                    let turned: Vec<f32> = a
                        .iter()
                        .zip(&across)
                        .map(|(a, x)| angle.cos() as f32 * a + scale * x)
                        .collect();
                    bits += sketch(&a).distance(&sketch(&turned));
                }
                let (share, wanted) = (f64::from(bits) / 2_560.0, degrees / 180.0);
                let error = (wanted * (1.0 - wanted) / 2_560.0).sqrt();
                let fold = 0.016 * angle.sin() / std::f64::consts::PI;
                assert!(
                    (share - wanted).abs() <= 4.0 * (error + fold),
                    "{n} at {degrees}: {share}"
                );
            }
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let values = noise(20_000, 5);
        let whole = sketch(&values);
        for step in [1, 7, 31, 32, 33, 4_097] {
            let mut sketcher = Sketcher::new();
            values.chunks(step).for_each(|piece| sketcher.update(piece));
            assert_eq!(sketcher.finish(), whole, "pieces of {step}");
        }
    }

    #[test]
    fn numbers_that_are_none_count_as_zero() {
        let mut values = noise(1_000, 6);
        let plain = sketch(&values);
        (values[3], values[500], values[999]) = (0.0, 0.0, 0.0);
        let zeros = sketch(&values);
        (values[3], values[500], values[999]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!(sketch(&values), zeros);
        assert!(plain.distance(&zeros) < 20);
    }

    /// Published sketches must stay comparable. The value is that of a plain implementation in Python.
    #[test]
    fn the_form_is_fixed() {
        let ramp: Vec<f32> = (0..10_000).map(|i| (i % 251) as f32 - 125.0).collect();
        assert_eq!(serde_json::to_string(&sketch(&ramp)).unwrap(), FIXED);
    }

    const FIXED: &str = "\"f3d7e37216282c87819307520663c9cdc7742b36bb02be7c66180033a560d8c8\"";
}
