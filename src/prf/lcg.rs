//! The hash of SynthID-Text: one step of a linear congruential generator for each number.
//!
//! ```text
//! fold(h, d) = (h + d)·6364136223846793005 + 1   mod 2⁶⁴
//! ```
//!
//! (synthid-text 0.2.1 `hashing_function.py`, with the constants of musl's and newlib's generators.) It is affine: two
//! hashes that differ by δ differ by multiples of δ that no key changes.

/// A.
pub(super) const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// One step.
pub(super) fn fold(hash: u64, number: u64) -> u64 {
    hash.wrapping_add(number).wrapping_mul(MULTIPLIER).wrapping_add(1)
}

/// For each number of a key the index of the first one that `equal` takes for the same.
pub(super) fn first_equal(numbers: &[u64], equal: impl Fn(u64, u64) -> bool) -> Vec<u32> {
    let first = |number: u64| numbers.iter().position(|&other| equal(other, number));
    numbers.iter().map(|&number| first(number).unwrap_or_default() as u32).collect()
}
