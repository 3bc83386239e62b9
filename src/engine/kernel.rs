//! The one micro-kernel: `R` rows times a panel of 32 columns.
//!
//! Linear layers, attention scores and attention outputs all reduce to it. Every output is one chain of fused
//! multiply-adds over the inner dimension, in order, whatever the number of rows. So the bits of a row do not depend on
//! which other rows are computed with it, and machines with fused multiply-add agree with each other.
//!
//! candle's own matrix product packs its operands at each call, widens all of a bf16 weight at each call, and has no
//! such promise. On one thread of a Xeon with AVX-512 its products alone, with the 15.7 M weights of `scribe-16m` in f32,
//! took 2.4 ms for 1 row, 13.0 ms for 8, 22.7 ms for 32; a whole decode step takes 1.4, 3.0 and 12.5 ms here.

use half::{bf16, f16};

/// Columns of a panel.
pub(super) const PANEL: usize = 32;
/// Greatest number of rows that one call of the micro-kernel handles.
pub(super) const MAX_ROWS: usize = 12;

/// A column-panel's values at one inner index.
pub(super) type Lanes<W> = [W; PANEL];
/// Products of up to [`MAX_ROWS`] rows with one panel.
pub(super) type Tile = [Lanes<f32>; MAX_ROWS];

/// Instruction sets with a kernel of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The best that this processor has. The standard library caches the answer.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
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
    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512F",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2, FMA, F16C",
            Self::Portable => "portable",
        }
    }

    /// Row counts the kernel exists for, largest first: as many accumulators as there are registers.
    fn block_sizes(self) -> &'static [usize] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => &[12, 8, 6, 4, 3, 2, 1],
            _ => &[6, 4, 3, 2, 1],
        }
    }

    /// Rows of the next block when `left` rows remain.
    pub(super) fn block(self, left: usize) -> usize {
        self.block_sizes().iter().copied().find(|&size| size <= left).unwrap_or(1)
    }
}

/// The instruction sets that products use on this processor: of floats, and of quantised weights.
///
/// `portable` is what the compiler makes for any processor of its kind; results are the same, but slower.
pub fn instruction_sets() -> (&'static str, &'static str) {
    (Isa::detect().name(), super::integer::PairIsa::detect().name())
}

/// What a panel may hold; widened to f32 on the way into a register, which is exact.
pub(super) trait Element: Copy + Default + Send + Sync + 'static {
    /// The value as f32.
    fn widen(self) -> f32;

    /// Lanes 0–15 and 16–31.
    ///
    /// # Safety
    /// The processor has AVX-512F.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load512(lanes: &Lanes<Self>) -> [std::arch::x86_64::__m512; 2];

    /// Lanes `16 · half` to `16 · half + 15`.
    ///
    /// # Safety
    /// The processor has AVX2 and F16C, and `half < 2`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load256(lanes: &Lanes<Self>, half: usize) -> [std::arch::x86_64::__m256; 2];
}

impl Element for f32 {
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load512(lanes: &Lanes<Self>) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::_mm512_loadu_ps;
        let p = lanes.as_ptr();
        // SAFETY: both loads lie within the 32 lanes.
        unsafe { [_mm512_loadu_ps(p), _mm512_loadu_ps(p.add(16))] }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load256(lanes: &Lanes<Self>, half: usize) -> [std::arch::x86_64::__m256; 2] {
        use std::arch::x86_64::_mm256_loadu_ps;
        // SAFETY: `half < 2`, so both loads lie within the 32 lanes.
        unsafe {
            let p = lanes.as_ptr().add(16 * half);
            [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))]
        }
    }
}

impl Element for bf16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load512(lanes: &Lanes<Self>) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::{
            __m256i, __m512, _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32,
            _mm512_slli_epi32,
        };
        // A bf16 is the upper half of an f32.
        let widen = |packed: __m256i| -> __m512 {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(packed)))
        };
        let p = lanes.as_ptr().cast::<__m256i>();
        // SAFETY: both loads lie within the 32 lanes.
        unsafe { [widen(_mm256_loadu_si256(p)), widen(_mm256_loadu_si256(p.add(1)))] }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load256(lanes: &Lanes<Self>, half: usize) -> [std::arch::x86_64::__m256; 2] {
        use std::arch::x86_64::{
            __m128i, __m256, _mm_loadu_si128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32,
            _mm256_slli_epi32,
        };
        let widen = |packed: __m128i| -> __m256 {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(packed)))
        };
        // SAFETY: `half < 2`, so both loads lie within the 32 lanes.
        unsafe {
            let p = lanes.as_ptr().cast::<__m128i>().add(2 * half);
            [widen(_mm_loadu_si128(p)), widen(_mm_loadu_si128(p.add(1)))]
        }
    }
}

impl Element for f16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load512(lanes: &Lanes<Self>) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm512_cvtph_ps};
        let p = lanes.as_ptr().cast::<__m256i>();
        // SAFETY: both loads lie within the 32 lanes.
        unsafe {
            [_mm512_cvtph_ps(_mm256_loadu_si256(p)), _mm512_cvtph_ps(_mm256_loadu_si256(p.add(1)))]
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load256(lanes: &Lanes<Self>, half: usize) -> [std::arch::x86_64::__m256; 2] {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm256_cvtph_ps};
        // SAFETY: `half < 2`, so both loads lie within the 32 lanes.
        unsafe {
            let p = lanes.as_ptr().cast::<__m128i>().add(2 * half);
            [_mm256_cvtph_ps(_mm_loadu_si128(p)), _mm256_cvtph_ps(_mm_loadu_si128(p.add(1)))]
        }
    }
}

/// `out[r][c] = Σ_i x[i][r] · panel[i][c]` for `rows` rows.
///
/// `x` is packed: `rows` values for each inner index. `rows` comes from [`Isa::block`]. The inner dimension is the
/// shorter of the two.
pub(super) fn tile<W: Element>(
    isa: Isa,
    rows: usize,
    x: &[f32],
    panel: &[Lanes<W>],
    out: &mut Tile,
) {
    match rows {
        12 => tile_of::<W, 12>(isa, x, panel, out),
        8 => tile_of::<W, 8>(isa, x, panel, out),
        6 => tile_of::<W, 6>(isa, x, panel, out),
        4 => tile_of::<W, 4>(isa, x, panel, out),
        3 => tile_of::<W, 3>(isa, x, panel, out),
        2 => tile_of::<W, 2>(isa, x, panel, out),
        _ => tile_of::<W, 1>(isa, x, panel, out),
    }
}

fn tile_of<W: Element, const R: usize>(isa: Isa, x: &[f32], panel: &[Lanes<W>], out: &mut Tile) {
    let x = x.as_chunks::<R>().0;
    match isa {
        // SAFETY: `Isa` is only ever made by `detect`, which asked the processor.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { tile_avx512(x, panel, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { tile_avx2(x, panel, out) },
        Isa::Portable => tile_portable(x, panel, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_avx512<W: Element, const R: usize>(x: &[[f32; R]], panel: &[Lanes<W>], out: &mut Tile) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (x, lanes) in x.iter().zip(panel) {
        // SAFETY: this function requires AVX-512F.
        let [low, high] = unsafe { W::load512(lanes) };
        for r in 0..R {
            let x = _mm512_set1_ps(x[r]);
            sums[r] = [_mm512_fmadd_ps(x, low, sums[r][0]), _mm512_fmadd_ps(x, high, sums[r][1])];
        }
    }
    for (out, [low, high]) in out.iter_mut().zip(sums) {
        // SAFETY: both stores lie within the 32 lanes.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), low);
            _mm512_storeu_ps(out.as_mut_ptr().add(16), high);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile_avx2<W: Element, const R: usize>(x: &[[f32; R]], panel: &[Lanes<W>], out: &mut Tile) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    // Sixteen registers hold six rows of half a panel; the second half finds the panel in cache.
    for half in 0..2 {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        for (x, lanes) in x.iter().zip(panel) {
            // SAFETY: this function requires AVX2 and F16C, and `half < 2`.
            let [low, high] = unsafe { W::load256(lanes, half) };
            for r in 0..R {
                let x = _mm256_set1_ps(x[r]);
                sums[r] =
                    [_mm256_fmadd_ps(x, low, sums[r][0]), _mm256_fmadd_ps(x, high, sums[r][1])];
            }
        }
        for (out, [low, high]) in out.iter_mut().zip(sums) {
            // SAFETY: both stores lie within this half of the 32 lanes.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr().add(16 * half), low);
                _mm256_storeu_ps(out.as_mut_ptr().add(16 * half + 8), high);
            }
        }
    }
}

fn tile_portable<W: Element, const R: usize>(x: &[[f32; R]], panel: &[Lanes<W>], out: &mut Tile) {
    for half in 0..2 {
        let mut sums = [[0.0f32; 16]; R];
        for (x, lanes) in x.iter().zip(panel) {
            let lanes: [f32; 16] = std::array::from_fn(|l| lanes[16 * half + l].widen());
            for r in 0..R {
                for l in 0..16 {
                    sums[r][l] = multiply_add(x[r], lanes[l], sums[r][l]);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            out[16 * half..16 * half + 16].copy_from_slice(&sums);
        }
    }
}

/// Fused where the target has it; without hardware support `mul_add` would be a slow library call.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Isa> {
        let mut all = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Isa::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                all.push(Isa::Avx512);
            }
        }
        all
    }

    /// Values that every kernel adds without rounding, so that the plain sum is the exact answer.
    fn value(i: usize) -> f32 {
        ((i * 7919) % 17) as f32 - 8.0
    }

    fn check<W: Element>(convert: impl Fn(f32) -> W) {
        let k = 37;
        let panel: Vec<Lanes<W>> =
            (0..k).map(|i| std::array::from_fn(|l| convert(value(3 * i + 5 * l)))).collect();
        for isa in all() {
            for &rows in isa.block_sizes() {
                let x: Vec<f32> = (0..k * rows).map(value).collect();
                let mut out = [[f32::NAN; PANEL]; MAX_ROWS];
                tile(isa, rows, &x, &panel, &mut out);
                for (r, out) in out.iter().enumerate().take(rows) {
                    for (c, &got) in out.iter().enumerate() {
                        let plain: f32 =
                            (0..k).map(|i| x[i * rows + r] * panel[i][c].widen()).sum();
                        assert_eq!(got, plain, "{isa:?}, {rows} rows, row {r}, column {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_equals_the_plain_sum() {
        check(|v| v);
        check(bf16::from_f32);
        check(f16::from_f32);
    }

    #[test]
    fn bits_depend_neither_on_the_block_nor_on_the_vectors() {
        let k = 111;
        let noise = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f32 / 1e6 - 0.5;
        let panel: Vec<Lanes<f32>> =
            (0..k).map(|i| std::array::from_fn(|l| noise(i * PANEL + l))).collect();
        let row: Vec<f32> = (0..k).map(|i| noise(i + 7)).collect();
        // Without fused multiply-add the portable kernel rounds differently.
        let fused = |isa: &Isa| {
            *isa != Isa::Portable || cfg!(any(target_feature = "fma", target_arch = "aarch64"))
        };
        let mut seen: Option<Lanes<f32>> = None;
        for isa in all().into_iter().filter(fused) {
            for &rows in isa.block_sizes() {
                let x: Vec<f32> = row
                    .iter()
                    .flat_map(|&v| (0..rows).map(move |r| if r == 0 { v } else { 9.0 }))
                    .collect();
                let mut out = [[0.0; PANEL]; MAX_ROWS];
                tile(isa, rows, &x, &panel, &mut out);
                assert_eq!(
                    out[0].map(f32::to_bits),
                    seen.get_or_insert(out[0]).map(f32::to_bits),
                    "{isa:?}, {rows} rows"
                );
            }
        }
    }
}
