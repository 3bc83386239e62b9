//! The integer kernel: rows of 16-bit integers times a panel of 32 outputs.
//!
//! Integers are multiplied in pairs and summed exactly: 32 products of a 16-bit and an 8-bit integer stay below 2³¹
//! (32 · 2¹⁵ · 2⁷ = 2²⁷, and as much again for the zero point). Each group's sum then becomes a float and is added to
//! the output, in order of inputs.

use super::blocks::Bits;
use super::kernel::{PANEL, Tile, multiply_add};
use super::quantised::{BLOCK, IntegerRows, PAIR_ROWS, Panel, SIX, Scales};

/// Instruction sets with a kernel of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairIsa {
    /// AVX-512 with its instruction for pairs of 16-bit integers.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl PairIsa {
    /// The best that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                return Self::Vnni;
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// The processor's instructions that it uses.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => "AVX-512F, BW, VNNI",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2, FMA, F16C",
            Self::Portable => "portable",
        }
    }

    /// Rows of the next block when `left` rows remain.
    pub(super) fn block(self, left: usize) -> usize {
        [PAIR_ROWS, 4, 2].into_iter().find(|&size| size <= left).unwrap_or(1)
    }
}

/// Rounds rows to 16-bit integers, 32 values at a time under one scale.
pub(super) fn round(rows: &[f32], values: &mut [i16], scales: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(rows: &[f32], values: &mut [i16], scales: &mut [f32]) {
        round_body(rows, values, scales);
    }
    match PairIsa::detect() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `detect` asked the processor; what has the first has the second.
        PairIsa::Vnni | PairIsa::Avx2 => unsafe { avx2(rows, values, scales) },
        PairIsa::Portable => round_body(rows, values, scales),
    }
}

#[inline(always)]
fn round_body(rows: &[f32], values: &mut [i16], scales: &mut [f32]) {
    /// 1.5 · 2²³: adding it rounds to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let rows = rows.as_chunks::<BLOCK>().0.iter().zip(values.as_chunks_mut::<BLOCK>().0);
    for ((row, values), scale) in rows.zip(scales) {
        let (mut greatest, mut poison) = ([0.0f32; 16], [0.0f32; 16]);
        for half in row.as_chunks::<16>().0 {
            for ((greatest, poison), value) in greatest.iter_mut().zip(&mut poison).zip(half) {
                *greatest = if value.abs() > *greatest { value.abs() } else { *greatest };
                *poison += value * 0.0;
            }
        }
        let greatest = greatest.into_iter().fold(0.0f32, |a, b| if b > a { b } else { a });
        // Below this the quotient would overflow; the values are zero in any sum.
        let factor = if greatest > 1e-30 { 32767.0 / greatest } else { 0.0 };
        // Zero, or NaN when a value is none or infinite: integers could not say so.
        *scale = greatest / 32767.0 + poison.iter().sum::<f32>();
        for (value, x) in values.iter_mut().zip(row) {
            *value = ((x * factor + ROUND) - ROUND) as i16;
        }
    }
}

/// `out[r][c] = Σ_i x[first + r][i] · weight[c][i]` for `count` rows.
pub(super) fn tile(
    isa: PairIsa,
    x: &IntegerRows,
    (first, count): (usize, usize),
    panel: Panel<'_>,
    out: &mut Tile,
) {
    match count {
        8 => tile_of::<8>(isa, x, first, panel, out),
        4 => tile_of::<4>(isa, x, first, panel, out),
        2 => tile_of::<2>(isa, x, first, panel, out),
        _ => tile_of::<1>(isa, x, first, panel, out),
    }
}

fn tile_of<const R: usize>(
    isa: PairIsa,
    x: &IntegerRows,
    first: usize,
    panel: Panel<'_>,
    out: &mut Tile,
) {
    let rows = Rows::<R>::new(x, first);
    match panel.layout.bits {
        Bits::Four => tile_bits::<R, 4>(isa, &rows, panel, out),
        Bits::Six => tile_bits::<R, 6>(isa, &rows, panel, out),
        Bits::Eight => tile_bits::<R, 8>(isa, &rows, panel, out),
    }
}

fn tile_bits<const R: usize, const BITS: u8>(
    isa: PairIsa,
    rows: &Rows<'_, R>,
    panel: Panel<'_>,
    out: &mut Tile,
) {
    match isa {
        // SAFETY: `PairIsa` is only ever made by `detect`, which asked the processor.
        #[cfg(target_arch = "x86_64")]
        PairIsa::Vnni => unsafe { x86::vnni::<R, BITS>(rows, panel, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        PairIsa::Avx2 => unsafe { x86::avx2::<R, BITS>(rows, panel, out) },
        PairIsa::Portable => portable(rows, panel, out),
    }
}

/// The rows of one call.
struct Rows<'a, const R: usize> {
    inputs: usize,
    values: [&'a [i16]; R],
    scales: [&'a [f32]; R],
    sums: [&'a [i32]; R],
}

impl<'a, const R: usize> Rows<'a, R> {
    fn new(x: &'a IntegerRows, first: usize) -> Self {
        fn row<T>(all: &[T], len: usize, row: usize) -> &[T] {
            &all[row * len..(row + 1) * len]
        }
        let inputs = x.inputs;
        Self {
            inputs,
            values: std::array::from_fn(|r| row(&x.values, inputs, first + r)),
            scales: std::array::from_fn(|r| row(&x.scales, inputs / BLOCK, first + r)),
            sums: std::array::from_fn(|r| row(&x.sums, inputs / 16, first + r)),
        }
    }

    /// Sum of row `r`'s values in a group.
    #[inline(always)]
    fn sum(&self, r: usize, group: usize, len: usize) -> i32 {
        if len == 16 {
            self.sums[r][group]
        } else {
            self.sums[r][2 * group] + self.sums[r][2 * group + 1]
        }
    }
}

fn portable<const R: usize>(rows: &Rows<'_, R>, panel: Panel<'_>, out: &mut Tile) {
    let layout = panel.layout;
    let mut totals = [[0.0f32; PANEL]; R];
    for group in 0..rows.inputs / layout.group {
        let mut sums = [[0i32; PANEL]; R];
        for input in group * layout.group..(group + 1) * layout.group {
            for lane in 0..PANEL {
                let q = i32::from(layout.read(panel.data, input, lane));
                for (sums, values) in sums.iter_mut().zip(rows.values) {
                    sums[lane] += q * i32::from(values[input]);
                }
            }
        }
        add_groups::<R, false>(rows, panel, group, &sums, &mut totals);
    }
    out[..R].copy_from_slice(&totals);
}

/// Adds one group's sums of integers to the totals; `FUSED` where the caller's processor is known to fuse.
#[inline(always)]
fn add_groups<const R: usize, const FUSED: bool>(
    rows: &Rows<'_, R>,
    panel: Panel<'_>,
    group: usize,
    sums: &[[i32; PANEL]; R],
    totals: &mut [[f32; PANEL]; R],
) {
    let layout = panel.layout;
    let scales = panel.scales(group);
    for r in 0..R {
        let sum = rows.sum(r, group, layout.group);
        let scale = rows.scales[r][group * layout.group / BLOCK];
        let zero = i32::from(layout.zero) * sum;
        add_group::<FUSED>(&mut totals[r], &sums[r], zero, &scales, scale, scale * sum as f32);
    }
}

/// `total += scale · weight scale · (sum − zero) − weight min · of_mins`.
#[inline(always)]
fn add_group<const FUSED: bool>(
    total: &mut [f32; PANEL],
    sums: &[i32; PANEL],
    zero: i32,
    scales: &Scales,
    scale: f32,
    of_mins: f32,
) {
    for c in 0..PANEL {
        let product = (sums[c] - zero) as f32 * scales.scales[c];
        let add =
            |a: f32, b: f32, c: f32| if FUSED { a.mul_add(b, c) } else { multiply_add(a, b, c) };
        total[c] = add(-of_mins, scales.mins[c], add(scale, product, total[c]));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// The two integers of row values at a pair, in every lane.
    #[inline(always)]
    fn pair(values: &[i16], pair: usize) -> i32 {
        let (a, b) = (values[2 * pair] as u16, values[2 * pair + 1] as u16);
        (u32::from(a) | u32::from(b) << 16) as i32
    }

    /// 32 bytes as 16-bit integers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn widen512<const SIGNED: bool>(bytes: &[u8]) -> __m512i {
        // SAFETY: the slice has 32 bytes.
        let bytes = unsafe { _mm256_loadu_si256(bytes[..PANEL].as_ptr().cast()) };
        if SIGNED { _mm512_cvtepi8_epi16(bytes) } else { _mm512_cvtepu8_epi16(bytes) }
    }

    /// Two pairs' integers of 16 outputs each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load512<const BITS: u8>(data: &[u8], couple: usize) -> [[__m512i; 2]; 2] {
        if BITS == 8 {
            let bytes = &data[couple * 4 * PANEL..][..4 * PANEL];
            let part = |at: usize| widen512::<true>(&bytes[at..]);
            return [[part(0), part(32)], [part(64), part(96)]];
        }
        let bytes = if BITS == 4 {
            &data[couple * 2 * PANEL..][..2 * PANEL]
        } else {
            &data[couple * SIX..][..SIX]
        };
        let low = _mm512_set1_epi16(15);
        let halves = |at: usize| {
            let wide = widen512::<false>(&bytes[at..]);
            [_mm512_and_si512(wide, low), _mm512_srli_epi16::<4>(wide)]
        };
        let [[a, b], [c, d]] = [halves(0), halves(32)];
        if BITS == 4 {
            return [[a, b], [c, d]];
        }
        let high = widen512::<false>(&bytes[2 * PANEL..]);
        let upper = _mm512_set1_epi16(0x30);
        // a | (high & upper), in one instruction.
        let with =
            |low: __m512i, high: __m512i| _mm512_ternarylogic_epi32::<0xf8>(low, high, upper);
        [
            [with(a, _mm512_slli_epi16::<4>(high)), with(b, _mm512_slli_epi16::<2>(high))],
            [with(c, high), with(d, _mm512_srli_epi16::<2>(high))],
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn vnni<const R: usize, const BITS: u8>(
        rows: &Rows<'_, R>,
        panel: Panel<'_>,
        out: &mut Tile,
    ) {
        let layout = panel.layout;
        let (couples, zero) = (layout.group / 4, i32::from(layout.zero));
        let mut totals = [[_mm512_setzero_ps(); 2]; R];
        for group in 0..rows.inputs / layout.group {
            let group_sums: [i32; R] = std::array::from_fn(|r| rows.sum(r, group, layout.group));
            let mut sums: [[__m512i; 2]; R] =
                std::array::from_fn(|r| [_mm512_set1_epi32(-zero * group_sums[r]); 2]);
            let values: [&[i16]; R] =
                std::array::from_fn(|r| &rows.values[r][group * layout.group..][..layout.group]);
            for couple in 0..couples {
                let weights = load512::<BITS>(panel.data, group * couples + couple);
                for (p, [low, high]) in weights.into_iter().enumerate() {
                    for r in 0..R {
                        let x = _mm512_set1_epi32(pair(values[r], 2 * couple + p));
                        sums[r] = [
                            _mm512_dpwssd_epi32(sums[r][0], low, x),
                            _mm512_dpwssd_epi32(sums[r][1], high, x),
                        ];
                    }
                }
            }
            let (scales, mins) = scales512(panel, group);
            for r in 0..R {
                let scale = rows.scales[r][group * layout.group / BLOCK];
                let of_mins = _mm512_set1_ps(scale * group_sums[r] as f32);
                for half in 0..2 {
                    let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][half]), scales[half]);
                    let total = _mm512_fmadd_ps(_mm512_set1_ps(scale), product, totals[r][half]);
                    totals[r][half] = match mins {
                        Some(mins) => _mm512_fnmadd_ps(of_mins, mins[half], total),
                        None => total,
                    };
                }
            }
        }
        for (out, [low, high]) in out.iter_mut().zip(totals) {
            // SAFETY: both stores lie within the 32 lanes.
            unsafe {
                _mm512_storeu_ps(out.as_mut_ptr(), low);
                _mm512_storeu_ps(out.as_mut_ptr().add(16), high);
            }
        }
    }

    /// Scales and minima of a group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn scales512(panel: Panel<'_>, group: usize) -> ([__m512; 2], Option<[__m512; 2]>) {
        let layout = panel.layout;
        let stride = if layout.mins { 2 * PANEL } else { PANEL };
        let whole =
            if layout.nested { group * layout.group / super::super::blocks::SUPER } else { group };
        let factors = &panel.factors[whole * stride..][..stride];
        let small = if layout.nested { &panel.small[group * stride..][..stride] } else { &[] };
        let part = |at: usize| {
            // SAFETY: `at` leaves 16 of the slices' values, each slice being `stride` long.
            let wide = unsafe {
                _mm512_cvtph_ps(_mm256_loadu_si256(factors[at..at + 16].as_ptr().cast()))
            };
            if !layout.nested {
                return wide;
            }
            // SAFETY: as above.
            let small = unsafe { _mm_loadu_si128(small[at..at + 16].as_ptr().cast()) };
            _mm512_mul_ps(wide, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(small)))
        };
        let mins = layout.mins.then(|| [part(PANEL), part(PANEL + 16)]);
        ([part(0), part(16)], mins)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn avx2<const R: usize, const BITS: u8>(
        rows: &Rows<'_, R>,
        panel: Panel<'_>,
        out: &mut Tile,
    ) {
        let layout = panel.layout;
        let pairs = layout.group / 2;
        let mut totals = [[0.0f32; PANEL]; R];
        for group in 0..rows.inputs / layout.group {
            let mut sums = [[0i32; PANEL]; R];
            // Sixteen registers hold a row's sums and a pair's weights.
            for (r, sums) in sums.iter_mut().enumerate() {
                let mut lanes = [_mm256_setzero_si256(); 4];
                for p in group * pairs..(group + 1) * pairs {
                    let x = _mm256_set1_epi32(pair(rows.values[r], p));
                    for (lanes, weights) in lanes.iter_mut().zip(load256::<BITS>(panel.data, p)) {
                        *lanes = _mm256_add_epi32(*lanes, _mm256_madd_epi16(weights, x));
                    }
                }
                for (out, lanes) in sums.as_chunks_mut::<8>().0.iter_mut().zip(lanes) {
                    // SAFETY: the chunk has eight values.
                    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), lanes) };
                }
            }
            add_groups::<R, true>(rows, panel, group, &sums, &mut totals);
        }
        out[..R].copy_from_slice(&totals);
    }

    /// 16 bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn bytes16(bytes: &[u8]) -> __m128i {
        // SAFETY: the slice has 16 bytes.
        unsafe { _mm_loadu_si128(bytes[..16].as_ptr().cast()) }
    }

    /// A pair's integers of eight outputs each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load256<const BITS: u8>(data: &[u8], pair: usize) -> [__m256i; 4] {
        if BITS == 8 {
            let bytes = &data[pair * 2 * PANEL..][..2 * PANEL];
            return [0, 16, 32, 48].map(|at| _mm256_cvtepi8_epi16(bytes16(&bytes[at..])));
        }
        let start = if BITS == 4 { pair * PANEL } else { pair / 2 * SIX + pair % 2 * PANEL };
        let wide = [0, 16].map(|at| _mm256_cvtepu8_epi16(bytes16(&data[start + at..])));
        let low = _mm256_set1_epi16(15);
        let halves = [
            _mm256_and_si256(wide[0], low),
            _mm256_and_si256(wide[1], low),
            _mm256_srli_epi16::<4>(wide[0]),
            _mm256_srli_epi16::<4>(wide[1]),
        ];
        if BITS == 4 {
            return halves;
        }
        let start = pair / 2 * SIX + 2 * PANEL;
        let high = [0, 16].map(|at| _mm256_cvtepu8_epi16(bytes16(&data[start + at..])));
        let upper = _mm256_set1_epi16(0x30);
        // The pair's two fields, moved to the bits above a half.
        let fields = |high: __m256i| {
            if pair.is_multiple_of(2) {
                [_mm256_slli_epi16::<4>(high), _mm256_slli_epi16::<2>(high)]
            } else {
                [high, _mm256_srli_epi16::<2>(high)]
            }
        };
        let ([a, c], [b, d]) = (fields(high[0]), fields(high[1]));
        let with =
            |low: __m256i, high: __m256i| _mm256_or_si256(low, _mm256_and_si256(high, upper));
        [with(halves[0], a), with(halves[1], b), with(halves[2], c), with(halves[3], d)]
    }
}
