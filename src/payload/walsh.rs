//! What many checks together say about a window of the message, by way of the Walsh–Hadamard transform.

use super::code::{Check, Code};

/// Sums over the tokens of one step ln-likelihoods of every window.
///
/// A token's likelihood λ is a function of its symbol, and the symbol is linear over GF(2) in the window x. With
/// λ(c) = Σ_a λ̂(a)·(−1)^(a·c) the token adds λ̂(a) to coefficient Tᵀa of the sum over tokens, T being the matrix of its taps:
/// q additions a token, whatever the memory, and one transform for each step at the end.
pub(super) struct Metrics {
    code: Code,
    /// k × 2^(ν+1).
    table: Vec<f64>,
}

impl Metrics {
    pub fn new(code: Code) -> Self {
        Self { code, table: vec![0.0; (code.bits() as usize) << (code.memory() + 1)] }
    }

    /// Adds a token with ln-likelihoods `ln_ratio`, one for each symbol; they are used up.
    pub fn add(&mut self, check: &Check, ln_ratio: &mut [f64]) {
        transform(ln_ratio);
        let scale = 1.0 / ln_ratio.len() as f64;
        let first = (check.step as usize) << (self.code.memory() + 1);
        for (mask, coefficient) in ln_ratio.iter().enumerate() {
            let seen = |&(_, tap): &(usize, &u8)| (usize::from(*tap) & mask).count_ones() & 1 == 1;
            let taps = check.taps.iter().enumerate().filter(seen);
            let at: usize = taps.map(|(back, _)| 1 << back).sum();
            self.table[first + at] += coefficient * scale;
        }
    }

    /// Sum of the ln-likelihoods of every step's windows, k rows of 2^(ν+1).
    pub fn finish(mut self) -> Vec<f64> {
        self.table.chunks_exact_mut(2 << self.code.memory()).for_each(transform);
        self.table
    }
}

/// The Walsh–Hadamard transform, in place and not normalised.
fn transform(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The transform's way gives what adding up symbol by symbol gives.
        #[test]
        fn metrics_are_sums_over_tokens(
            bits in 8_u32..=64, symbol_bits in 1_u32..=4, words in prop::collection::vec(any::<[u32; 3]>(), 1..20),
        ) {
            let code = Code::new(bits, symbol_bits).unwrap();
            let ln_ratio = |word: u32| -> Vec<f64> {
                (0..code.symbols()).map(|symbol| f64::from(word.rotate_left(symbol) >> 24) / 64.0 - 2.0).collect()
            };
            let mut metrics = Metrics::new(code);
            for selector in &words {
                metrics.add(&code.check(*selector), &mut ln_ratio(selector[0]));
            }
            let table = metrics.finish();
            for (message, step) in [(0, 0), (1, 0), (u64::MAX, bits - 1), (0x5A5A_0FF1_2345_789B, bits / 2)] {
                let message = message & (u64::MAX >> (64 - bits));
                let at_step = words.iter().map(|selector| (selector, code.check(*selector)));
                let plain: f64 = at_step
                    .filter(|(_, check)| check.step == step)
                    .map(|(selector, check)| ln_ratio(selector[0])[code.symbol(&check, message) as usize])
                    .sum();
                let row = &table[(step as usize) << (code.memory() + 1)..];
                prop_assert!((row[code.window(message, step)] - plain).abs() < 1e-9);
            }
        }
    }
}
