//! Where a marked passage begins and ends: the run of tokens that is likeliest to be it.
//!
//! With s_i the log-likelihood ratio of token i (the null's tilt to the passage's mean against the null), a passage [a, b) has
//! L(a, b) = Σ s_i, the sum that CUSUM maximises (Page 1954). Passage and mean are found in turns. The uncertainty of a boundary
//! is the range of its values whose L, with the other boundary fixed, is within 2 of the largest.

use std::ops::{Range, RangeInclusive};

use super::tilt::Tilt;
use crate::schemes::Null;

/// A passage, in scored tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Boundaries {
    /// The likeliest one.
    pub(super) range: Range<usize>,
    /// Where it may begin.
    pub(super) start: RangeInclusive<usize>,
    /// Where it may end.
    pub(super) end: RangeInclusive<usize>,
}

/// The passage that a window met, not beyond `limits`. It shares a token with the window at least.
pub(super) fn refine(
    null: &Null,
    values: &[f64],
    limits: &Range<usize>,
    window: &Range<usize>,
) -> Boundaries {
    let mut range = window.clone();
    let mut found = None;
    for _ in 0..MOST_TURNS {
        let mean = values[range.clone()].iter().sum::<f64>() / range.len() as f64;
        let Some(tilt) = Tilt::to_mean(null, mean) else { break };
        let zone = around(window.start.min(range.start)..window.end.max(range.end), limits);
        let sums = Sums::new(tilt, &values[zone.clone()], zone.start);
        let likeliest = sums.likeliest(window);
        found = Some(sums.boundaries(likeliest.clone()));
        if likeliest == range {
            break;
        }
        range = likeliest;
    }
    found.unwrap_or_else(|| Boundaries {
        start: window.start..=window.start,
        end: window.end..=window.end,
        range: window.clone(),
    })
}

/// As much again on either side.
fn around(range: Range<usize>, limits: &Range<usize>) -> Range<usize> {
    let start = range.start.saturating_sub(range.len()).max(limits.start);
    start..(range.end + range.len()).min(limits.end)
}

/// Prefix sums of log-likelihood ratios of the tokens from `offset` on.
struct Sums {
    before: Vec<f64>,
    offset: usize,
}

impl Sums {
    fn new(tilt: Tilt, values: &[f64], offset: usize) -> Self {
        let mut before = vec![0.0];
        let mut sum = 0.0;
        before.extend(values.iter().map(|&value| {
            sum += tilt.score(value);
            sum
        }));
        Self { before, offset }
    }

    /// L of what lies before a token, from the offset on.
    fn at(&self, token: usize) -> f64 {
        self.before[token - self.offset]
    }

    fn last(&self) -> usize {
        self.offset + self.before.len() - 1
    }

    /// The likeliest passage in the window, then as far beyond it as that gains.
    fn likeliest(&self, window: &Range<usize>) -> Range<usize> {
        let (mut lowest, mut best) = (window.start, window.clone());
        let mut most = f64::NEG_INFINITY;
        for end in window.start + 1..=window.end {
            let gain = self.at(end) - self.at(lowest);
            if gain > most {
                (most, best) = (gain, lowest..end);
            }
            if self.at(end) < self.at(lowest) {
                lowest = end;
            }
        }
        let earlier = self.offset..=best.start;
        let start = earlier.min_by(|&a, &b| self.at(a).total_cmp(&self.at(b)));
        let later = (best.end..=self.last()).rev();
        let end = later.max_by(|&a, &b| self.at(a).total_cmp(&self.at(b)));
        start.unwrap_or(best.start)..end.unwrap_or(best.end)
    }

    fn boundaries(&self, range: Range<usize>) -> Boundaries {
        let start = |&a: &usize| self.at(a) - self.at(range.start) <= WITHIN;
        let end = |&b: &usize| self.at(range.end) - self.at(b) <= WITHIN;
        let (starts, ends) = (self.offset..range.end, range.start + 1..self.last() + 1);
        let hull = |of: &mut dyn DoubleEndedIterator<Item = usize>, else_at: usize| {
            let first = of.next().unwrap_or(else_at);
            first..=of.next_back().unwrap_or(first)
        };
        Boundaries {
            start: hull(&mut starts.filter(start), range.start),
            end: hull(&mut ends.filter(end), range.end),
            range,
        }
    }
}

const MOST_TURNS: usize = 16;
/// Of a regular parameter twice the log-likelihood's loss is about χ² with one degree of freedom: 2 is two deviations.
const WITHIN: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Green tokens at `green`, of 300.
    fn text(green: &[(usize, usize)]) -> Vec<f64> {
        let is_green = |at| green.iter().any(|&(start, end)| (start..end).contains(&at));
        (0..300).map(|at| f64::from(u8::from(is_green(at)))).collect()
    }

    const NULL: Null = Null::Binomial { trials: 1, p: 0.25 };

    #[test]
    fn a_clear_passage_is_found_to_the_token() {
        let values = text(&[(100, 160)]);
        for window in [90..154, 120..140, 60..190, 100..160] {
            let found = refine(&NULL, &values, &(0..300), &window);
            assert_eq!(found.range, 100..160, "{window:?}");
            // A green token at either end is worth ln 4 = 1.4, a red one there costs far more than 2.
            assert_eq!((found.start, found.end), (100..=101, 159..=160));
        }
    }

    #[test]
    fn limits_hold_and_a_gap_parts_passages() {
        let values = text(&[(20, 60), (200, 280)]);
        assert_eq!(refine(&NULL, &values, &(0..300), &(20..280)).range, 200..280);
        assert_eq!(refine(&NULL, &values, &(0..200), &(10..100)).range, 20..60);
        assert_eq!(refine(&NULL, &values, &(30..50), &(30..50)).range, 30..50);
    }

    #[test]
    fn ambiguous_tokens_widen_the_range() {
        let mut values = text(&[(100, 160)]);
        values[97] = 1.0;
        values[98] = 1.0;
        values[104] = 0.0;
        let found = refine(&NULL, &values, &(0..300), &(96..160));
        assert!(found.range.start == 100 || found.range.start == 97);
        assert!(*found.start.start() <= 97 && *found.start.end() >= 100, "{found:?}");
    }

    #[test]
    fn a_window_that_says_nothing_stays_itself() {
        let found = refine(&NULL, &[0.0; 50], &(0..50), &(10..30));
        assert_eq!(found.range, 10..30);
    }
}
