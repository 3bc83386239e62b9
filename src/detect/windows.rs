//! Windows of a text's evidence, and the one that speaks most for a mark.
//!
//! A passage pasted into a long text leaves the whole's evidence diluted; a window around it has it pure. A window is a run of
//! scored tokens; lengths grow by √2 from the shortest to the text's own, starts lie a quarter of the length apart, so that any
//! passage of that size has a window that shares most of it. How many windows there are follows from the number of scored
//! tokens alone, and each is a test to be paid for.
//!
//! Of windows of one length the largest sum has the smallest p-value: a search needs prefix sums, and a tail for each length at
//! most.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use super::tail::Law;
use crate::stats::{LogP, StatsError};

/// Whether windows of a text are examined beside the whole of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// Only the whole.
    #[default]
    Off,
    /// Windows of 32 scored tokens or more, of texts of more than 256 tokens: shorter ones do not pay for a second look.
    Auto,
    /// Windows of so many scored tokens or more, 2 at least, of every text that is longer.
    AtLeast(u32),
}

impl Windows {
    /// The windows of a text of `total` tokens of which `scored` count; none if there is no window to look at.
    pub(super) fn grid(self, total: usize, scored: usize) -> Option<Grid> {
        let shortest = match self {
            Self::Off => return None,
            Self::Auto if total <= LONG_ENOUGH => return None,
            Self::Auto => SHORTEST,
            Self::AtLeast(tokens) => (tokens as usize).max(2),
        };
        (scored > shortest).then_some(Grid { shortest, scored })
    }
}

/// The windows of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    shortest: usize,
    scored: usize,
}

impl Grid {
    /// Lengths, all below that of the whole: `round(shortest · 2^(k/2))`.
    pub(super) fn lengths(self) -> impl Iterator<Item = usize> {
        let length = move |k: i32| self.shortest as f64 * (0.5 * f64::from(k)).exp2();
        (0..)
            .map(move |k| length(k).round() as usize)
            .take_while(move |&length| length < self.scored)
    }

    /// How far starts lie apart.
    pub(super) fn step(length: usize) -> usize {
        (length / 4).max(1)
    }

    /// How many windows there are.
    pub(super) fn count(self) -> u64 {
        let of_length = |length| (self.scored - length) / Self::step(length) + 1;
        self.lengths().map(|length| of_length(length) as u64).sum()
    }
}

/// A window, in scored tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) range: Range<usize>,
    /// Its own p-value, not corrected.
    pub(super) p: LogP,
}

/// Looks for windows of one text.
pub(super) struct Search<'a> {
    pub(super) law: &'a Law,
    pub(super) criticals: &'a Criticals,
    pub(super) values: &'a [f64],
    pub(super) grid: Grid,
    /// Sum of the values before each position.
    before: Vec<f64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        law: &'a Law,
        criticals: &'a Criticals,
        values: &'a [f64],
        grid: Grid,
    ) -> Self {
        let mut before = Vec::with_capacity(values.len() + 1);
        let mut sum = 0.0;
        before.push(sum);
        before.extend(values.iter().map(|value| {
            sum += value;
            sum
        }));
        Self { law, criticals, values, grid, before }
    }

    /// The window with the smallest p-value among those whose p is at most `bound`; of equal ones the shortest, then the first.
    /// `starts(length)` are the first and the last start allowed.
    pub(super) fn best(
        &self,
        mut bound: LogP,
        starts: impl Fn(usize) -> Option<(usize, usize)>,
    ) -> Result<Option<Window>, StatsError> {
        let mut best: Option<Window> = None;
        for length in self.grid.lengths() {
            let Some((start, sum)) = starts(length).and_then(|span| self.richest(length, span))
            else {
                continue;
            };
            if sum < self.criticals.needed(self.law, length, bound) {
                continue;
            }
            let range = start..start + length;
            // Anew, since differences of prefix sums are rounded.
            let p = self.law.tail(self.values[range.clone()].iter().sum(), length as u64)?;
            if p < bound || best.is_none() && p == bound {
                bound = p;
                best = Some(Window { range, p });
            }
        }
        Ok(best)
    }

    /// The start in a span from which a window of this length has the largest sum, and that sum.
    fn richest(&self, length: usize, (first, last): (usize, usize)) -> Option<(usize, f64)> {
        let step = Grid::step(length);
        let last = last.min(self.values.len().checked_sub(length)?);
        let mut best = None;
        let mut most = f64::NEG_INFINITY;
        for start in (first.next_multiple_of(step)..=last).step_by(step) {
            let sum = self.before[start + length] - self.before[start];
            if sum > most {
                most = sum;
                best = Some((start, sum));
            }
        }
        best
    }
}

/// Totals that a window needs to matter: lengths are the same for all texts, and bounds are rounded to few levels.
#[derive(Debug, Default)]
pub(super) struct Criticals {
    known: RwLock<HashMap<(usize, i32), Critical>>,
}

#[derive(Clone, Copy, Debug)]
enum Critical {
    /// Not found yet; how often it was asked for.
    Asked(u32),
    Known(f64),
}

impl Criticals {
    /// A total below which the tail of `length` tokens is certainly above `bound`; no window with a lower one needs a tail. Below
    /// every total where none is known: finding one costs some forty tails, which pays after as many texts.
    fn needed(&self, law: &Law, length: usize, bound: LogP) -> f64 {
        let level = ((bound.log10() * PER_DECADE).ceil() as i32).max(LOWEST);
        let key = (length, level);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let asked = match known {
            Some(Critical::Known(critical)) => return critical,
            Some(Critical::Asked(times)) => times,
            None => 0,
        };
        let threshold = LogP::new(f64::from(level) / PER_DECADE).unwrap_or(LogP::ONE);
        let next = if threshold == LogP::ONE {
            Critical::Known(f64::NEG_INFINITY)
        } else if asked < WORTH_FINDING {
            Critical::Asked(asked + 1)
        } else {
            // Less what the search for it and differences of sums may round.
            Critical::Known(law.critical(length as u64, threshold) * (1.0 - ROUNDING))
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, next);
        match next {
            Critical::Known(critical) => critical,
            Critical::Asked(_) => f64::NEG_INFINITY,
        }
    }
}

const SHORTEST: usize = 32;
const LONG_ENOUGH: usize = 256;
const PER_DECADE: f64 = 2.0;
/// Beyond 10⁻³⁰ texts are rare enough for exact tails.
const LOWEST: i32 = -60;
const ROUNDING: f64 = 1e-6;
const WORTH_FINDING: u32 = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schemes::Null;

    #[test]
    fn windows_are_counted() {
        let grid = Windows::AtLeast(32).grid(100, 100).unwrap();
        assert_eq!(grid.lengths().collect::<Vec<_>>(), [32, 45, 64, 91]);
        // Starts 0, 8, …, 64; 0, 11, …, 55; 0, 16, 32; 0.
        assert_eq!(grid.count(), 9 + 6 + 3 + 1);
        assert_eq!(Windows::Auto.grid(256, 200), None);
        assert_eq!(Windows::Auto.grid(257, 200), Windows::AtLeast(32).grid(257, 200));
        assert_eq!(Windows::Auto.grid(300, 32), None);
        assert_eq!(Windows::Off.grid(3000, 3000), None);
    }

    /// Every window, each with its own sum and tail.
    fn plain(law: &Law, values: &[f64], grid: Grid) -> Vec<Window> {
        let mut all = Vec::new();
        for length in grid.lengths() {
            let mut start = 0;
            while start + length <= values.len() {
                let sum = values[start..start + length].iter().sum();
                let p = law.tail(sum, length as u64).unwrap();
                all.push(Window { range: start..start + length, p });
                start += (length / 4).max(1);
            }
        }
        all
    }

    fn laws() -> Vec<Null> {
        vec![
            Null::Binomial { trials: 1, p: 0.25 },
            Null::Hypergeometric { population: 2000, marked: 500 },
            Null::Lists { p: 0.25 },
            Null::Exponential,
            Null::TwoExponentials { alpha: 0.1 },
            Null::WeightedBits { weights: vec![4, 3, 2, 1] },
        ]
    }

    /// One token's evidence at the quantile `u`, nearly.
    fn value(null: &Null, u: f64) -> f64 {
        match null {
            Null::Exponential => -(1.0 - u).ln(),
            Null::TwoExponentials { .. } => -0.9 * (1.0 - u).ln() - 0.1 * (1.0 - u * u).ln(),
            Null::WeightedBits { .. } => (u * 11.0).floor(),
            _ => f64::from(u8::from(u > 0.75)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// The search finds what looking at every window finds, in unmarked text, in marked text, and within bounds.
        #[test]
        fn as_good_as_looking_at_every_window(
            mut quantiles in prop::collection::vec(0.0f64..0.999, 20..400),
            shortest in 2u32..40,
            marked in prop::option::of((0.0f64..1.0, 20usize..120, 1.0f64..4.0)),
            bound in prop::sample::select(vec![0.0, -0.3, -1.7, -3.0, -5.0]),
        ) {
            let total = quantiles.len();
            if let Some((at, length, strength)) = marked {
                let start = (at * total as f64) as usize;
                for u in quantiles.iter_mut().skip(start).take(length) {
                    *u = u.powf(strength.recip());
                }
            }
            let bound = LogP::new(bound).unwrap();
            for null in laws() {
                let values: Vec<f64> = quantiles.iter().map(|&u| value(&null, u)).collect();
                let law = Law::new(null.clone()).unwrap();
                let Some(grid) = Windows::AtLeast(shortest).grid(total, total) else { continue };
                let all = plain(&law, &values, grid);
                prop_assert_eq!(all.len() as u64, grid.count());
                let criticals = Criticals::default();
                let search = Search::new(&law, &criticals, &values, grid);
                let inside = (total / 4, total - total / 5);
                // Often enough that critical totals are found and used.
                for (first, end) in [[(0, total), inside]; 42].concat() {
                    let span = |length: usize| end.checked_sub(length).map(|last| (first, last));
                    let found = search.best(bound, span).unwrap();
                    let within = all.iter().filter(|w| w.range.start >= first && w.range.end <= end);
                    let smallest = within.map(|window| window.p).min().filter(|&p| p <= bound);
                    match (&found, smallest) {
                        (Some(found), Some(p)) => {
                            prop_assert!((found.p.log10() - p.log10()).abs() <= 1e-9 * (1.0 + p.log10().abs()));
                            let same = all.iter().find(|window| window.range == found.range);
                            prop_assert_eq!(same.unwrap().p, found.p);
                        }
                        (None, None) => {}
                        // At the bound itself, rounding decides.
                        (None, Some(p)) => prop_assert!((p.log10() - bound.log10()).abs() < 1e-9),
                        (Some(found), None) => prop_assert!(found.p <= bound),
                    }
                }
            }
        }
    }
}
