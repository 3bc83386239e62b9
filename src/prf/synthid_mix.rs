//! The rounds of `synthid-iv` for several layers at once.
//!
//! With A the multiplier of the hash, the layer's fold and the first round are one: their hash is A²·H + (A²·k + 2A + 1). Eleven
//! rounds x ← (A·x + A + 1) >> 5 are left, each the same for every layer.
//!
//! `unsafe` here is the use of vector instructions. Invariant: functions compiled for a feature are called only after the
//! processor was asked for it. Measured to pay: `cargo bench --bench score`, a third of the time of the portable form.

use super::lcg::MULTIPLIER;

/// Layers in a row.
pub(super) const LANES: usize = 8;

const SQUARE: u64 = MULTIPLIER.wrapping_mul(MULTIPLIER);

/// What a number of the key adds to A²·H.
pub(super) fn offset(key: u64) -> u64 {
    key.wrapping_mul(SQUARE).wrapping_add(MULTIPLIER.wrapping_mul(2)).wrapping_add(1)
}

/// Bit 30 of every lane after the rounds, the first row's first lane lowest; at most eight rows.
pub(super) fn bits(hash: u64, rows: &[[u64; LANES]]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512dq") {
            // SAFETY: the feature was just detected.
            return unsafe { bits_avx512(hash, rows) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { bits_avx2(hash, rows) };
        }
    }
    bits_portable(hash, rows)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512dq")]
fn bits_avx512(hash: u64, rows: &[[u64; LANES]]) -> u64 {
    generic(hash, rows)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn bits_avx2(hash: u64, rows: &[[u64; LANES]]) -> u64 {
    generic(hash, rows)
}

/// The same on whatever vectors the compiler finds.
pub(super) fn bits_portable(hash: u64, rows: &[[u64; LANES]]) -> u64 {
    generic(hash, rows)
}

#[inline(always)]
fn generic(hash: u64, rows: &[[u64; LANES]]) -> u64 {
    let base = hash.wrapping_mul(SQUARE);
    let mut bits = 0;
    for (row, at) in rows.iter().zip((0..64).step_by(LANES)) {
        let mut x = row.map(|offset| (base.wrapping_add(offset) as i64 >> 5) as u64);
        for _ in 0..11 {
            x = x.map(round);
        }
        for (lane, x) in x.iter().enumerate() {
            bits |= (x >> 30 & 1) << (at + lane);
        }
    }
    bits
}

#[inline(always)]
fn round(x: u64) -> u64 {
    let hash = x.wrapping_mul(MULTIPLIER).wrapping_add(MULTIPLIER + 1);
    (hash as i64 >> 5) as u64
}
