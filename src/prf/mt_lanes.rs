//! Membership of sixteen tokens in sixteen lists at once: the generator of [`mt19937`](super::mt19937), a seed in each lane.
//!
//! Lane by lane this is [`Mt19937::in_prefix`](super::mt19937::Mt19937::in_prefix), and is tested to equal it. Step i of a shuffle draws a word w and asks
//! whether i + (w mod d), d = n − i, is the place p that the item has by now. No remainder is needed for that: with
//! r = p − i < d the answer is w ≥ r and d | w − r, and with d = 2ᵏ·o, o odd, d | x is
//!
//! ```text
//! rotate_right( x·o⁻¹ mod 2³², k ) ≤ ⌊(2³²−1)/d⌋         (Granlund & Montgomery 1994, section 9)
//! ```
//!
//! `unsafe` here is the use of vector instructions (module `x86`). Invariant: `x86::in_prefix_avx512` and `x86::in_prefix_avx2`
//! are called only after the processor was asked for the features they are compiled for, and the vector types are used nowhere else.
//! Measured to pay: arrays that the compiler turns into vectors reached a sixth of the speed, and were slower
//! than one lane after the other.

use super::mt19937::{M, MULTIPLIER, N, TWIST};

/// Lists read by one call.
pub(super) const LANES: usize = 16;

type Row = [u32; LANES];

/// What each step of a shuffle divides by, prepared once for all lists of a size.
pub(super) struct Divisors {
    population: u32,
    steps: Vec<Divisor>,
}

#[derive(Clone, Copy)]
struct Divisor {
    /// o⁻¹ mod 2³².
    inverse: u32,
    /// k.
    twos: u32,
    /// ⌊(2³²−1)/d⌋.
    most: u32,
}

impl Divisors {
    /// Those of the first `count` steps of a shuffle of `population` items, of which there are more.
    pub(super) fn new(population: u32, count: u32) -> Self {
        let steps = (0..count).map(|step| Divisor::new(population - step)).collect();
        Self { population, steps }
    }
}

impl Divisor {
    fn new(divisor: u32) -> Self {
        let twos = divisor.trailing_zeros();
        let odd = divisor >> twos;
        // Newton's iteration doubles the right bits; an odd number is its own inverse modulo 8.
        let inverse = (0..4).fold(odd, |inverse, _| {
            inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)))
        });
        Self { inverse, twos, most: u32::MAX / divisor }
    }
}

/// Whether each item, below the population, is among those that its seed's shuffle puts first.
pub(super) fn in_prefix(divisors: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::in_prefix_avx512(divisors, seeds, items) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::in_prefix_avx2(divisors, seeds, items) };
        }
    }
    generic::<Portable>(divisors, seeds, items)
}

/// As many lanes at a time as one vector register holds. Loops from here on are plain ones: a closure given to an iterator is not
/// compiled for the vectors' features.
#[inline(always)]
fn generic<V: Vector>(divisors: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
    let mut found = [0; LANES];
    for base in (0..LANES).step_by(V::LANES) {
        search(divisors, V::load(seeds, base), items, base).store(&mut found, base);
    }
    found.map(|found| found != 0)
}

/// All ones in the lanes whose item is found.
#[inline(always)]
fn search<V: Vector>(divisors: &Divisors, seeds: V, items: &Row, base: usize) -> V {
    let mut state = seeded(seeds);
    let (mut places, mut found) = (V::load(items, base), V::splat(0));
    let mut next = smallest(places);
    for (block, steps) in divisors.steps.chunks(N).enumerate() {
        twist(&mut state);
        for (row, (&word, divisor)) in state.iter().zip(steps).enumerate() {
            let (step, word) = ((block * N + row) as u32, tempered(word));
            let distance = places.sub(V::splat(step));
            let quotient = word.sub(distance).mul(V::splat(divisor.inverse));
            let divides = quotient.rotate_right(divisor.twos).at_most(V::splat(divisor.most));
            found = found.or(divides.and(distance.at_most(word)));
            if next == step {
                places = displaced(places, found, step, word, divisors.population - step);
                next = smallest(places);
            }
        }
        if smallest(found) != 0 {
            break;
        }
    }
    found
}

/// Where items stand after a step that one of them is moved by. Rare: an item moves a few times in a whole shuffle.
/// Found ones go out of the way.
#[inline(always)]
fn displaced<V: Vector>(places: V, found: V, step: u32, word: V, divisor: u32) -> V {
    let (mut place, mut drawn, mut words) = ([0; LANES], [0; LANES], [0; LANES]);
    places.store(&mut place, 0);
    found.store(&mut drawn, 0);
    word.store(&mut words, 0);
    for lane in 0..V::LANES {
        if drawn[lane] != 0 {
            place[lane] = u32::MAX;
        } else if place[lane] == step {
            place[lane] = step + words[lane] % divisor;
        }
    }
    V::load(&place, 0)
}

#[inline(always)]
fn smallest<V: Vector>(vector: V) -> u32 {
    let mut row = [u32::MAX; LANES];
    vector.store(&mut row, 0);
    row.into_iter().fold(u32::MAX, u32::min)
}

#[inline(always)]
fn seeded<V: Vector>(seeds: V) -> Vec<V> {
    let mut state = Vec::with_capacity(N);
    let mut word = seeds;
    state.push(word);
    for i in 1..N as u32 {
        let mixed = word.xor(word.shift_right::<30>());
        word = mixed.mul(V::splat(MULTIPLIER)).add(V::splat(i));
        state.push(word);
    }
    state
}

#[inline(always)]
fn twist<V: Vector>(state: &mut [V]) {
    for i in 0..N - M {
        state[i] = recurrence(state[i], state[i + 1], state[i + M]);
    }
    for i in N - M..N - 1 {
        state[i] = recurrence(state[i], state[i + 1], state[i + M - N]);
    }
    state[N - 1] = recurrence(state[N - 1], state[0], state[M - 1]);
}

#[inline(always)]
fn recurrence<V: Vector>(word: V, after: V, far: V) -> V {
    let high = word.and(V::splat(0x8000_0000));
    let joined = high.or(after.and(V::splat(0x7FFF_FFFF)));
    let odd = V::splat(0).sub(joined.and(V::splat(1))).and(V::splat(TWIST));
    far.xor(joined.shift_right::<1>()).xor(odd)
}

#[inline(always)]
fn tempered<V: Vector>(word: V) -> V {
    let word = word.xor(word.shift_right::<11>());
    let word = word.xor(word.shift_left::<7>().and(V::splat(0x9D2C_5680)));
    let word = word.xor(word.shift_left::<15>().and(V::splat(0xEFC6_0000)));
    word.xor(word.shift_right::<18>())
}

/// Words that move together, one for each lane.
trait Vector: Copy {
    const LANES: usize;
    fn splat(word: u32) -> Self;
    /// The words of `row` from `base` on.
    fn load(row: &Row, base: usize) -> Self;
    fn store(self, row: &mut Row, base: usize);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    /// The low half of the product.
    fn mul(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn shift_left<const BITS: u32>(self) -> Self;
    fn shift_right<const BITS: u32>(self) -> Self;
    /// Rotated by fewer than 32 bits.
    fn rotate_right(self, bits: u32) -> Self;
    /// All ones where the word is at most the other's, as unsigned numbers.
    fn at_most(self, other: Self) -> Self;
}

/// Four lanes in plain Rust.
#[derive(Clone, Copy)]
struct Portable([u32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self([word; 4])
    }
    #[inline(always)]
    fn load(row: &Row, base: usize) -> Self {
        Self(std::array::from_fn(|i| row[base + i]))
    }
    #[inline(always)]
    fn store(self, row: &mut Row, base: usize) {
        row[base..base + 4].copy_from_slice(&self.0);
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_sub)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_mul)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(self) -> Self {
        Self(self.0.map(|word| word << BITS))
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self) -> Self {
        Self(self.0.map(|word| word >> BITS))
    }
    #[inline(always)]
    fn rotate_right(self, bits: u32) -> Self {
        Self(self.0.map(|word| word.rotate_right(bits)))
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Self {
        self.zip(other, |a, b| if a <= b { u32::MAX } else { 0 })
    }
}

/// The same on AVX-512 and AVX2.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Divisors, LANES, Row, Vector, generic};

    #[target_feature(enable = "avx512f")]
    pub(super) fn in_prefix_avx512(d: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
        generic::<Avx512>(d, seeds, items)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn in_prefix_avx2(d: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
        generic::<Avx2>(d, seeds, items)
    }

    #[derive(Clone, Copy)]
    struct Avx512(__m512i);

    #[derive(Clone, Copy)]
    struct Avx2(__m256i);

    /// Implements [`Vector`]. SAFETY of every expression: the invariant on top of this file; loads and stores are unaligned
    /// and stay inside the row, which is checked.
    macro_rules! vector {
        ($name:ident, $lanes:literal, {
            splat($word:ident) $splat:expr; load($from:ident) $load:expr; store($to:ident, $stored:ident) $store:expr;
            binary { $($binary:ident($a:ident, $b:ident) $value:expr;)* }
            shift($shifted:ident, $count:ident) $left:expr, $right:expr;
            rotate_right($rotated:ident, $bits:ident) $rotate:expr;
        }) => {
            impl Vector for $name {
                const LANES: usize = $lanes;
                #[inline(always)]
                fn splat($word: u32) -> Self {
                    Self(unsafe { $splat })
                }
                #[inline(always)]
                fn load(row: &Row, base: usize) -> Self {
                    assert!(base + $lanes <= LANES);
                    let $from = row[base..].as_ptr();
                    Self(unsafe { $load })
                }
                #[inline(always)]
                fn store(self, row: &mut Row, base: usize) {
                    assert!(base + $lanes <= LANES);
                    let ($to, $stored) = (row[base..].as_mut_ptr(), self.0);
                    unsafe { $store }
                }
                $(#[inline(always)]
                fn $binary(self, other: Self) -> Self {
                    let ($a, $b) = (self.0, other.0);
                    Self(unsafe { $value })
                })*
                #[inline(always)]
                fn shift_left<const BITS: u32>(self) -> Self {
                    let ($shifted, $count) = (self.0, BITS);
                    Self(unsafe { $left })
                }
                #[inline(always)]
                fn shift_right<const BITS: u32>(self) -> Self {
                    let ($shifted, $count) = (self.0, BITS);
                    Self(unsafe { $right })
                }
                #[inline(always)]
                fn rotate_right(self, $bits: u32) -> Self {
                    let $rotated = self.0;
                    Self(unsafe { $rotate })
                }
            }
        };
    }

    vector!(Avx512, 16, {
        splat(word) _mm512_set1_epi32(word as i32);
        load(from) _mm512_loadu_si512(from.cast());
        store(to, v) _mm512_storeu_si512(to.cast(), v);
        binary {
            add(a, b) _mm512_add_epi32(a, b);
            sub(a, b) _mm512_sub_epi32(a, b);
            mul(a, b) _mm512_mullo_epi32(a, b);
            xor(a, b) _mm512_xor_si512(a, b);
            or(a, b) _mm512_or_si512(a, b);
            and(a, b) _mm512_and_si512(a, b);
            at_most(a, b) _mm512_maskz_set1_epi32(_mm512_cmple_epu32_mask(a, b), -1);
        }
        shift(v, count)
            _mm512_sll_epi32(v, _mm_cvtsi32_si128(count as i32)),
            _mm512_srl_epi32(v, _mm_cvtsi32_si128(count as i32));
        rotate_right(v, bits) _mm512_rorv_epi32(v, _mm512_set1_epi32(bits as i32));
    });

    vector!(Avx2, 8, {
        splat(word) _mm256_set1_epi32(word as i32);
        load(from) _mm256_loadu_si256(from.cast());
        store(to, v) _mm256_storeu_si256(to.cast(), v);
        binary {
            add(a, b) _mm256_add_epi32(a, b);
            sub(a, b) _mm256_sub_epi32(a, b);
            mul(a, b) _mm256_mullo_epi32(a, b);
            xor(a, b) _mm256_xor_si256(a, b);
            or(a, b) _mm256_or_si256(a, b);
            and(a, b) _mm256_and_si256(a, b);
            at_most(a, b) _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a);
        }
        shift(v, count)
            _mm256_sll_epi32(v, _mm_cvtsi32_si128(count as i32)),
            _mm256_srl_epi32(v, _mm_cvtsi32_si128(count as i32));
        // A shift by 32 leaves nothing.
        rotate_right(v, bits) _mm256_or_si256(
            _mm256_srl_epi32(v, _mm_cvtsi32_si128(bits as i32)),
            _mm256_sll_epi32(v, _mm_cvtsi32_si128(32 - bits as i32))
        );
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mt19937::Mt19937;
    use super::*;

    type Path = fn(&Divisors, &Row, &Row) -> [bool; LANES];

    fn paths() -> Vec<Path> {
        let mut paths: Vec<Path> = vec![in_prefix, generic::<Portable>];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            paths.push(|d, s, i| unsafe { x86::in_prefix_avx2(d, s, i) });
        }
        paths
    }

    proptest! {
        /// Every vector width finds what following one item after the other finds.
        #[test]
        fn lanes_equal_the_plain_form(
            population in 1_u32..3000, share in 0.0..1.0_f64, seeds in any::<Row>(), items in any::<Row>(),
        ) {
            let count = (f64::from(population) * share) as u32;
            let items = items.map(|item| item % population);
            let divisors = Divisors::new(population, count);
            for path in paths() {
                let found = path(&divisors, &seeds, &items);
                for lane in 0..LANES {
                    let expected = Mt19937::new(seeds[lane]).in_prefix(population, count, items[lane]);
                    prop_assert_eq!(found[lane], expected);
                }
            }
        }

        #[test]
        fn divisibility(divisor in 1_u32..=u32::MAX, number in any::<u32>()) {
            for number in [number, number / divisor * divisor] {
                let Divisor { inverse, twos, most } = Divisor::new(divisor);
                let divides = number.wrapping_mul(inverse).rotate_right(twos) <= most;
                prop_assert_eq!(divides, number % divisor == 0);
            }
        }
    }
}
