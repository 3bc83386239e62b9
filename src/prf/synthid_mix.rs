//! The rounds of `synthid-iv` for several layers at once.
//!
//! With A the multiplier of the hash, the layer's fold and the first round are one: their hash is A²·H + (A²·k + 2A + 1). Eleven
//! rounds x ← (A·x + A + 1) >> 5 are left, each the same for every layer.
//!
//! `unsafe` here is the use of vector instructions. Invariant: functions compiled for a feature are called only after the
//! processor was asked for it.

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
        if is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512ifma") {
            // SAFETY: the features were just detected.
            return unsafe { x86::bits(hash, rows) };
        }
    }
    bits_portable(hash, rows)
}

/// The same without them.
pub(super) fn bits_portable(hash: u64, rows: &[[u64; LANES]]) -> u64 {
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

fn round(x: u64) -> u64 {
    let hash = x.wrapping_mul(MULTIPLIER).wrapping_add(MULTIPLIER + 1);
    (hash as i64 >> 5) as u64
}

/// The same on AVX-512, which multiplies 64-bit or, faster, 52-bit numbers eight at a time.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, MULTIPLIER, SQUARE};

    /// Rows whose rounds are interleaved: a multiplication waits long for its result.
    const TOGETHER: usize = 4;

    /// Last rounds whose low 52 bits are all that bit 30 of the end depends on: it reads 36 of the last, and each round
    /// before five more.
    const NARROW: usize = 4;

    #[target_feature(enable = "avx512dq,avx512ifma")]
    pub(super) fn bits(hash: u64, rows: &[[u64; LANES]]) -> u64 {
        let mut bits = 0;
        for (rows, at) in rows.chunks(TOGETHER).zip((0..64).step_by(TOGETHER * LANES)) {
            bits |= u64::from(four(hash, rows)) << at;
        }
        bits
    }

    #[target_feature(enable = "avx512dq,avx512ifma")]
    fn four(hash: u64, rows: &[[u64; LANES]]) -> u32 {
        let base = _mm512_set1_epi64(hash.wrapping_mul(SQUARE) as i64);
        let mut x = [base; TOGETHER];
        for (x, row) in x.iter_mut().zip(rows) {
            // SAFETY: a row is 64 bytes, and the load wants no alignment.
            let offsets = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
            *x = _mm512_srai_epi64::<5>(_mm512_add_epi64(*x, offsets));
        }
        let (factor, summand) = (MULTIPLIER as i64, MULTIPLIER.wrapping_add(1) as i64);
        let (factor, summand) = (_mm512_set1_epi64(factor), _mm512_set1_epi64(summand));
        for _ in 0..11 - NARROW {
            for x in &mut x {
                let hash = _mm512_add_epi64(_mm512_mullo_epi64(*x, factor), summand);
                *x = _mm512_srai_epi64::<5>(hash);
            }
        }
        for _ in 0..NARROW {
            for x in &mut x {
                *x = _mm512_srli_epi64::<5>(_mm512_madd52lo_epu64(summand, *x, factor));
            }
        }
        let bit = _mm512_set1_epi64(1 << 30);
        x.iter().rev().fold(0, |bits, x| bits << LANES | u32::from(_mm512_test_epi64_mask(*x, bit)))
    }
}
