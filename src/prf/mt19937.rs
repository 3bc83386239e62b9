//! The generator of torch on the CPU: MT19937, and what `randperm` and `rand` make of its words.
//!
//! Matsumoto & Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); torch 2.x `aten/src/ATen/core/MT19937RNGEngine.h`, where
//! only the low 32 bits of a seed count. Permutations are those of fewer than 2³²/20 items.

/// Words of state.
pub(super) const N: usize = 624;
/// How far the recurrence reaches.
pub(super) const M: usize = 397;
/// Of the seeding.
pub(super) const MULTIPLIER: u32 = 1_812_433_253;
/// Of the recurrence: the bottom row of its matrix.
pub(super) const TWIST: u32 = 0x9908_B0DF;

/// The generator.
pub(super) struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let before = state[i - 1];
            state[i] = MULTIPLIER.wrapping_mul(before ^ before >> 30).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// `init_by_array` of the reference code, which python's `random.seed` uses.
    pub(super) fn of_array(key: &[u32]) -> Self {
        let mut generator = Self::new(19_650_218);
        let state = &mut generator.state;
        let mut i = 1;
        for round in 0..N.max(key.len()) + N - 1 {
            let before = state[i - 1] ^ state[i - 1] >> 30;
            state[i] = if round < N.max(key.len()) {
                let j = round % key.len().max(1);
                let word = key.get(j).copied().unwrap_or(0);
                (state[i] ^ before.wrapping_mul(1_664_525))
                    .wrapping_add(word)
                    .wrapping_add(j as u32)
            } else {
                (state[i] ^ before.wrapping_mul(1_566_083_941)).wrapping_sub(i as u32)
            };
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        generator
    }

    fn twist(&mut self) {
        let state = &mut self.state;
        let next = |this: u32, after: u32, far: u32| {
            let joined = this & 0x8000_0000 | after & 0x7FFF_FFFF;
            far ^ joined >> 1 ^ (joined & 1).wrapping_neg() & TWIST
        };
        // Three loops, for which no index needs a remainder.
        for i in 0..N - M {
            state[i] = next(state[i], state[i + 1], state[i + M]);
        }
        for i in N - M..N - 1 {
            state[i] = next(state[i], state[i + 1], state[i + M - N]);
        }
        state[N - 1] = next(state[N - 1], state[0], state[M - 1]);
        self.next = 0;
    }

    pub(super) fn word(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9D2C_5680;
        word ^= word << 15 & 0xEFC6_0000;
        word ^ word >> 18
    }

    /// Passes over words.
    pub(super) fn skip(&mut self, count: u32) {
        let mut left = count as usize;
        while left > N - self.next {
            left -= N - self.next;
            self.twist();
        }
        self.next += left;
    }

    /// One of `rand`'s floats, times 2²⁴.
    pub(super) fn level(&mut self) -> u32 {
        self.word() & 0xFF_FFFF
    }

    /// `randperm(n)`.
    pub(super) fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut items: Vec<u32> = (0..n).collect();
        self.shuffle(&mut items, n as usize);
        items
    }

    /// The first `count` items of `randperm(n)`.
    pub(super) fn prefix(&mut self, n: u32, count: u32) -> Vec<u32> {
        let mut items: Vec<u32> = (0..n).collect();
        self.shuffle(&mut items, count as usize);
        items.truncate(count as usize);
        items
    }

    fn shuffle(&mut self, items: &mut [u32], count: usize) {
        let n = items.len();
        for i in 0..count.min(n.saturating_sub(1)) {
            let step = self.word() as usize % (n - i);
            items.swap(i, i + step);
        }
    }

    /// The index of `item` in `randperm(n)`: follows the one item through the swaps.
    pub(super) fn place(&mut self, n: u32, item: u32) -> u32 {
        let mut place = item;
        for i in 0..n.saturating_sub(1) {
            let other = i + self.word() % (n - i);
            if place == other {
                return i;
            }
            if place == i {
                place = other;
            }
        }
        place
    }

    /// Whether `item` is among the first `count` of `randperm(n)`: follows the one item through the swaps.
    pub(super) fn in_prefix(&mut self, n: u32, count: u32, item: u32) -> bool {
        let mut place = item;
        for i in 0..count.min(n.saturating_sub(1)) {
            let other = i + self.word() % (n - i);
            if place == other {
                return true;
            }
            if place == i {
                place = other;
            }
        }
        // Only where all but the last were drawn can the last be among them without a draw.
        count >= n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words, permutations and floats of torch 2.15.
    #[test]
    fn torch_says_the_same() {
        let words = |seed| {
            let mut generator = Mt19937::new(seed);
            [(); 4].map(|()| generator.word())
        };
        assert_eq!(words(0), [2_357_136_044, 2_546_248_239, 3_071_714_933, 3_626_093_760]);
        assert_eq!(words(15_485_863), [2_226_144_958, 209_994_520, 3_065_470_949, 3_583_915_326]);
        assert_eq!(Mt19937::new(0).permutation(10), [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
        let mut generator = Mt19937::new(42);
        for expected in [0.882_269_3_f32, 0.915_004, 0.382_864, 0.959_305_6, 0.390_448_2] {
            let float = generator.level() as f32 / 16_777_216.0;
            assert!((float - expected).abs() < 1e-6, "{float} {expected}");
        }
        assert_eq!(
            Mt19937::new(4_057_296_106).prefix(50_257, 8),
            [47_375, 29_106, 18_490, 7_127, 43_201, 8_728, 4_306, 32_882]
        );
    }

    #[test]
    fn skipping_is_drawing() {
        for count in [0, 1, 623, 624, 625, 1247, 1248, 1249, 5000] {
            let (mut skipped, mut drawn) = (Mt19937::new(7), Mt19937::new(7));
            for _twice in 0..2 {
                skipped.skip(count);
                (0..count).for_each(|_| _ = drawn.word());
                assert_eq!(skipped.word(), drawn.word(), "{count}");
            }
        }
    }

    #[test]
    fn places_are_those_of_the_permutation() {
        for (seed, n) in [(1, 1), (2, 2), (3, 10), (4, 500)] {
            let all = Mt19937::new(seed).permutation(n);
            for (place, &item) in (0..).zip(&all) {
                assert_eq!(Mt19937::new(seed).place(n, item), place, "{seed} {n} {item}");
            }
        }
    }

    #[test]
    fn following_one_item_equals_shuffling_all() {
        for (seed, n) in [(1, 2), (2, 3), (3, 10), (4, 500), (5, 1000)] {
            for count in [0, 1, n / 4, n / 2, n - 1, n] {
                let prefix = Mt19937::new(seed).prefix(n, count);
                for item in 0..n {
                    let found = Mt19937::new(seed).in_prefix(n, count, item);
                    assert_eq!(found, prefix.contains(&item), "{seed} {n} {count} {item}");
                }
            }
        }
    }
}
