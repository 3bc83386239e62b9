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
//! `unsafe` here is the call of a function that is compiled for more vector instructions. Invariant: it is called only after
//! the processor was asked for every feature it is compiled for. Measured to pay: `cargo bench --bench peers`, three to
//! eight times the speed of one lane after the other.

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
            return unsafe { in_prefix_avx512(divisors, seeds, items) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { in_prefix_avx2(divisors, seeds, items) };
        }
    }
    portable(divisors, seeds, items)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn in_prefix_avx512(divisors: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
    portable(divisors, seeds, items)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn in_prefix_avx2(divisors: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
    portable(divisors, seeds, items)
}

/// The same for whatever instructions the caller is compiled for.
#[inline(always)]
fn portable(divisors: &Divisors, seeds: &Row, items: &Row) -> [bool; LANES] {
    let mut state = seeded(seeds);
    let mut search = Search { places: *items, found: [0; LANES], next: 0 };
    search.next = smallest(&search.places);
    for (block, steps) in divisors.steps.chunks(N).enumerate() {
        twist(&mut state);
        for (row, (words, divisor)) in state.iter().zip(steps).enumerate() {
            let step = (block * N + row) as u32;
            search.step(step, &tempered(words), divisor, divisors.population);
        }
        if search.found.iter().all(|&found| found != 0) {
            break;
        }
    }
    search.found.map(|found| found != 0)
}

struct Search {
    /// Where each item stands by now.
    places: Row,
    /// Not zero once the item was drawn.
    found: Row,
    /// No item stands before this step.
    next: u32,
}

impl Search {
    #[inline(always)]
    fn step(&mut self, step: u32, words: &Row, divisor: &Divisor, population: u32) {
        let Divisor { inverse, twos, most } = *divisor;
        for (lane, &word) in words.iter().enumerate() {
            let distance = self.places[lane].wrapping_sub(step);
            let quotient = word.wrapping_sub(distance).wrapping_mul(inverse);
            let hit = word >= distance && quotient.rotate_right(twos) <= most;
            self.found[lane] |= u32::from(hit);
        }
        if self.next == step {
            self.displace(step, words, population);
        }
    }

    /// Moves the items that stand where this step puts another one. Rare: an item moves a few times in a whole shuffle.
    #[cold]
    #[inline(never)]
    fn displace(&mut self, step: u32, words: &Row, population: u32) {
        for (lane, &word) in words.iter().enumerate() {
            if self.found[lane] != 0 {
                self.places[lane] = u32::MAX;
            } else if self.places[lane] == step {
                self.places[lane] = step + word % (population - step);
            }
        }
        self.next = smallest(&self.places);
    }
}

fn smallest(row: &Row) -> u32 {
    row.iter().copied().fold(u32::MAX, u32::min)
}

#[inline(always)]
fn seeded(seeds: &Row) -> Box<[Row; N]> {
    let mut state = Box::new([[0; LANES]; N]);
    state[0] = *seeds;
    for i in 1..N {
        let before = state[i - 1];
        let row = &mut state[i];
        for lane in 0..LANES {
            let mixed = before[lane] ^ before[lane] >> 30;
            row[lane] = MULTIPLIER.wrapping_mul(mixed).wrapping_add(i as u32);
        }
    }
    state
}

#[inline(always)]
fn twist(state: &mut [Row; N]) {
    for i in 0..N {
        let (after, far) = (state[(i + 1) % N], state[(i + M) % N]);
        let row = &mut state[i];
        for lane in 0..LANES {
            let joined = row[lane] & 0x8000_0000 | after[lane] & 0x7FFF_FFFF;
            let odd = (joined & 1).wrapping_neg() & TWIST;
            row[lane] = far[lane] ^ joined >> 1 ^ odd;
        }
    }
}

#[inline(always)]
fn tempered(row: &Row) -> Row {
    let mut words = *row;
    for word in &mut words {
        *word ^= *word >> 11;
        *word ^= *word << 7 & 0x9D2C_5680;
        *word ^= *word << 15 & 0xEFC6_0000;
        *word ^= *word >> 18;
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mt19937::Mt19937;
    use super::*;

    type Path = fn(&Divisors, &Row, &Row) -> [bool; LANES];

    fn paths() -> Vec<Path> {
        let mut paths: Vec<Path> = vec![in_prefix, |d, s, i| portable(d, s, i)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            paths.push(|d, s, i| unsafe { in_prefix_avx2(d, s, i) });
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
