//! First weights.

use candle_core::{Device, Tensor};

/// SplitMix64 (Steele, Lea and Flood 2014): small, seeded, the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A matrix of normal numbers (Box and Muller 1958).
    pub(super) fn normal(&mut self, shape: (usize, usize), sd: f64) -> candle_core::Result<Tensor> {
        let values: Vec<f32> = (0..shape.0 * shape.1)
            .map(|_| {
                let (radius, turn) = ((-2.0 * self.uniform().ln()).sqrt(), self.uniform());
                (sd * radius * (std::f64::consts::TAU * turn).cos()) as f32
            })
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}
