//! Sums of the largest counts of multinomials: the null of messages that are decoded before they are tested.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::binomial::binomial_sf_ge;
use super::error::{StatsError, probability};
use super::logp::LogP;
use super::special::{deviance, ln_1m_exp, ln_add_exp, stirling_error};

/// P(Σ_i M_i ≥ k), M_i the largest of the counts of `colours` among `trials[i]` independent draws.
///
/// A draw has colour c with probability `colours[c]`; what these lack of 1 is the probability of none of them. One multinomial has
///
/// ```text
/// P(M ≥ a) = 1 − n!/(nⁿ e⁻ⁿ) · [zⁿ] Π_c Σ_{j<a} Poisson(j; n p_c) zʲ · e^{n p₀ (z − 1)}      (Levin 1981, Ann. Statist. 9, 1123)
///          ≤ Σ_c P(Binomial(n, p_c) ≥ a)
/// ```
///
/// The first line is computed where the second exceeds 10⁻⁵, so that the subtraction leaves eight digits; elsewhere the second line is
/// taken, which is then too large by a part of 10⁻⁵ at most, counts being negatively associated. It is also taken wherever n passes 2,000. The laws are convolved after
/// exponential tilting to the observed sum, positive terms only, so tails far below the smallest `f64` keep their digits.
///
/// # Errors
/// [`StatsError::NotProbability`] for a colour, or their sum, that is none; [`StatsError::Empty`] for no colour;
/// [`StatsError::TooManyTerms`] where a binomial tail has them.
pub fn maximal_counts_sf_ge(k: u64, trials: &[u64], colours: &[f64]) -> Result<LogP, StatsError> {
    MaximalCounts::new(colours)?.sf_ge(k, trials)
}

/// [`maximal_counts_sf_ge`] for many sums of the same colours: the law of each number of draws is computed once.
pub struct MaximalCounts {
    colours: Vec<f64>,
    laws: BTreeMap<u64, Maximum>,
}

impl MaximalCounts {
    /// For colours of these probabilities.
    ///
    /// # Errors
    /// As for [`maximal_counts_sf_ge`].
    pub fn new(colours: &[f64]) -> Result<Self, StatsError> {
        if colours.is_empty() {
            return Err(StatsError::Empty { name: "colours" });
        }
        for &colour in colours {
            probability("colour", colour)?;
        }
        let all: f64 = colours.iter().sum();
        // A sum of fractions of one whole may pass it by rounding.
        probability("sum of colours", if all < 1.0 + 1e-12 { all.min(1.0) } else { all })?;
        Ok(Self { colours: colours.to_vec(), laws: BTreeMap::new() })
    }

    /// P(Σ_i M_i ≥ k) for `trials[i]` draws each.
    ///
    /// # Errors
    /// As for [`maximal_counts_sf_ge`].
    pub fn sf_ge(&mut self, k: u64, trials: &[u64]) -> Result<LogP, StatsError> {
        if k > trials.iter().sum() {
            return Ok(LogP::ZERO);
        }
        for &n in trials.iter().filter(|&&n| n > 0) {
            if !self.laws.contains_key(&n) {
                self.laws.insert(n, Maximum::new(n, &self.colours)?);
            }
        }
        let laws: Vec<&Maximum> = trials.iter().filter_map(|n| self.laws.get(n)).collect();
        if k <= laws.iter().map(|law| law.first).sum() {
            return Ok(LogP::ONE);
        }
        let tilt = tilt(k as f64, &laws);
        Ok(LogP::from_tail(ln_sum_tail(k, &laws, tilt)))
    }
}

/// Law of the largest count: ln P(M = first + i).
struct Maximum {
    first: u64,
    ln_pmf: Vec<f64>,
}

impl Maximum {
    fn new(n: u64, colours: &[f64]) -> Result<Self, StatsError> {
        // Tails fall with a; the first that is below one begins the support.
        let colours = Colours::new(colours, n);
        let mut ln_tails = Vec::new();
        let mut first = 0;
        let mut bound = 0.0_f64;
        for a in 1..=n {
            let ln_tail = ln_tail(a, n, &colours)?.min(bound);
            if ln_tail == 0.0 {
                first = a;
                continue;
            }
            bound = ln_tail;
            ln_tails.push(ln_tail);
        }
        let next = ln_tails.iter().copied().chain([f64::NEG_INFINITY]);
        let ln_pmf = std::iter::once(0.0)
            .chain(ln_tails.iter().copied())
            .zip(next)
            .map(
                |(here, above)| {
                    if above == here { f64::NEG_INFINITY } else { here + ln_1m_exp(above - here) }
                },
            )
            .collect();
        Ok(Self { first, ln_pmf })
    }

    /// ln Σ e^(θ·a) P(M = a), and the mean of the tilted law.
    fn tilted(&self, tilt: f64) -> (f64, f64) {
        let terms =
            || (self.first..).zip(&self.ln_pmf).map(|(a, ln_p)| (a as f64, ln_p + tilt * a as f64));
        let highest = terms().map(|(_, term)| term).fold(f64::NEG_INFINITY, f64::max);
        let (mut total, mut mean) = (0.0, 0.0);
        for (a, term) in terms() {
            let weight = (term - highest).exp();
            total += weight;
            mean += weight * a;
        }
        (highest + total.ln(), mean / total)
    }
}

/// ln P(M ≥ a), or the bound.
fn ln_tail(a: u64, n: u64, colours: &Colours<'_>) -> Result<f64, StatsError> {
    // Some colour has the share that is left to it.
    if colours.none == 0.0 && a <= n.div_ceil(colours.each.len() as u64) {
        return Ok(0.0);
    }
    let mut union = f64::NEG_INFINITY;
    for &p in colours.each {
        union = ln_add_exp(union, binomial_sf_ge(a, n, p)?.ln());
    }
    let union = union.min(0.0);
    // Two colours cannot both have more than half.
    if union < LN_SMALL || n > MOST_EXACT || 2 * a > n {
        return Ok(union);
    }
    Ok((-colours.all_below(a as usize).min(1.0)).ln_1p().min(union))
}

/// The colours of n draws, with the Poisson masses of Levin's representation.
struct Colours<'a> {
    each: &'a [f64],
    /// Probability of no colour.
    none: f64,
    /// Masses of 0 to n under mean n·p, for each colour, then for none of them; left out where n is too large to need them.
    masses: Vec<Vec<f64>>,
}

impl<'a> Colours<'a> {
    fn new(each: &'a [f64], n: u64) -> Self {
        let none = 1.0 - each.iter().sum::<f64>();
        let none = if none > ROUNDING { none } else { 0.0 };
        let mean = |p: f64| p * n as f64;
        let masses = match n > MOST_EXACT {
            true => Vec::new(),
            false => each.iter().chain([&none]).map(|&p| poisson_masses(mean(p), n)).collect(),
        };
        Self { each, none, masses }
    }

    /// P(every colour has fewer than a draws).
    fn all_below(&self, a: usize) -> f64 {
        let Some((none, each)) = self.masses.split_last() else { return 0.0 };
        let n = none.len() - 1;
        let mut counts = vec![1.0];
        for masses in each {
            counts = convolved(&counts, &masses[..a.min(n + 1)]);
            counts.truncate(n + 1);
        }
        let exactly: f64 = counts.iter().enumerate().map(|(s, count)| count * none[n - s]).sum();
        exactly / poisson_mass(n as f64, n as f64)
    }
}

fn poisson_masses(mean: f64, n: u64) -> Vec<f64> {
    (0..=n).map(|count| poisson_mass(count as f64, mean)).collect()
}

/// e^−μ μˣ / x!, after Loader (2000).
fn poisson_mass(x: f64, mean: f64) -> f64 {
    if mean == 0.0 {
        return if x == 0.0 { 1.0 } else { 0.0 };
    }
    if x == 0.0 {
        return (-mean).exp();
    }
    (-stirling_error(x) - deviance(x, mean)).exp() / (TAU * x).sqrt()
}

fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; (a.len() + b.len()).saturating_sub(1)];
    for (i, &x) in a.iter().enumerate() {
        sums[i..].iter_mut().zip(b).for_each(|(sum, &y)| *sum += x * y);
    }
    sums
}

/// θ ≥ 0 under which the tilted laws' means add up to k, as nearly as is useful.
fn tilt(k: f64, laws: &[&Maximum]) -> f64 {
    let mean = |tilt: f64| laws.iter().map(|law| law.tilted(tilt).1).sum::<f64>();
    let (mut low, mut high) = (0.0, GREATEST_TILT);
    if mean(low) >= k {
        return 0.0;
    }
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if mean(middle) < k { low = middle } else { high = middle }
    }
    low
}

/// ln P(Σ M ≥ k), from the convolution of the tilted laws.
fn ln_sum_tail(k: u64, laws: &[&Maximum], tilt: f64) -> f64 {
    let (mut first, mut ln_scale, mut sum) = (0, -tilt * k as f64, vec![1.0]);
    for law in laws {
        let (ln_total, _) = law.tilted(tilt);
        ln_scale += ln_total;
        let weight = |(a, ln_p): (u64, &f64)| (ln_p + tilt * a as f64 - ln_total).exp();
        let weights: Vec<f64> = (law.first..).zip(&law.ln_pmf).map(weight).collect();
        // What is left out is nothing beside the sum, which is of the order of one at k.
        let start = weights.iter().position(|&w| w > NEGLIGIBLE).unwrap_or(0);
        let end = weights.iter().rposition(|&w| w > NEGLIGIBLE).map_or(weights.len(), |at| at + 1);
        first += law.first + start as u64;
        sum = convolved(&sum, &weights[start..end]);
    }
    let tail: f64 = (first..)
        .zip(&sum)
        .filter(|(s, _)| *s >= k)
        .map(|(s, weight)| weight * (-tilt * (s - k) as f64).exp())
        .sum();
    ln_scale + tail.ln()
}

/// Where the union bound is below this, it is taken.
const LN_SMALL: f64 = -11.512_925_464_970_23;
/// Draws up to which the exact law is computed.
const MOST_EXACT: u64 = 2_000;
/// How far from 1 the sum of all colours' probabilities may be by rounding.
const ROUNDING: f64 = 1e-12;
const NEGLIGIBLE: f64 = 1e-40;
const GREATEST_TILT: f64 = 80.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// P(Σ M ≥ k) by going through every sequence of draws.
    fn plainly(k: u64, trials: &[u64], colours: &[f64]) -> f64 {
        fn law(n: u64, colours: &[f64]) -> Vec<f64> {
            let kinds = colours.len() + 1;
            let none = 1.0 - colours.iter().sum::<f64>();
            let mut law = vec![0.0; n as usize + 1];
            for number in 0..kinds.pow(n as u32) {
                let (mut rest, mut p, mut counts) = (number, 1.0, vec![0; kinds]);
                for _ in 0..n {
                    counts[rest % kinds] += 1;
                    p *= colours.get(rest % kinds).copied().unwrap_or(none);
                    rest /= kinds;
                }
                law[counts[..kinds - 1].iter().copied().max().unwrap()] += p;
            }
            law
        }
        let mut sum = vec![1.0];
        for &n in trials {
            sum = convolved(&sum, &law(n, colours));
        }
        sum.iter().skip(k as usize).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn matches_going_through_all(
            trials in prop::collection::vec(0u64..7, 1..4), k in 0u64..20,
            a in 0.0f64..1.0, b in 0.0f64..1.0, c in 0.0f64..1.0, d in 0.0f64..1.0,
        ) {
            let whole = a + b + c + d + 1e-9;
            let colours = [a / whole, b / whole, c / whole];
            let got = maximal_counts_sf_ge(k, &trials, &colours).unwrap().p();
            let plain = plainly(k, &trials, &colours);
            prop_assert!((got - plain).abs() <= 2e-5 * plain + 1e-14, "{got} {plain}");
            prop_assert!(got >= plain * (1.0 - 1e-9) - 1e-14, "{got} {plain}");
        }
    }

    type Case = (u64, &'static [u64], &'static [f64], f64);
    const EXACT: &[Case] = &[
        (45, &[30, 25, 31], &[0.25, 0.25, 0.25, 0.25], -5.484288601),
        (70, &[30, 25, 31], &[0.25, 0.25, 0.25, 0.25], -25.318062176),
        (86, &[30, 25, 31], &[0.25, 0.25, 0.25, 0.25], -49.970979280),
        (38, &[30, 25, 31], &[0.25, 0.25, 0.25, 0.25], -2.343509924),
        (40, &[40, 20, 1], &[0.3, 0.3, 0.1], -7.148497945),
        (58, &[40, 20, 1], &[0.3, 0.3, 0.1], -25.273621421),
        (33, &[60], &[0.5, 0.5], -0.284867786),
        (59, &[60], &[0.5, 0.5], -15.975439909),
    ];

    /// Sums over all ways to split the draws, in exact fractions (python).
    #[test]
    fn far_tails() {
        for (k, trials, colours, expected) in EXACT {
            let got = maximal_counts_sf_ge(*k, trials, colours).unwrap().log10();
            assert!((got - expected).abs() < 5e-6, "{k} {trials:?}: {got} {expected}");
        }
    }

    #[test]
    fn edges_are_defined() {
        let quarter = [0.25; 4];
        assert_eq!(maximal_counts_sf_ge(0, &[], &quarter), Ok(LogP::ONE));
        assert_eq!(maximal_counts_sf_ge(1, &[0, 0], &quarter), Ok(LogP::ZERO));
        // Some colour always has two of five.
        assert_eq!(maximal_counts_sf_ge(2, &[5], &quarter), Ok(LogP::ONE));
        assert!(maximal_counts_sf_ge(1, &[5], &[]).is_err());
        assert!(maximal_counts_sf_ge(1, &[5], &[0.6, 0.6]).is_err());
        let all = maximal_counts_sf_ge(3000, &[3000], &quarter).unwrap().log10();
        assert!((all - (4f64.log10() - 3000.0 * 4f64.log10())).abs() < 1e-6);
    }

    /// Where the exact law gives way to the bound, the tail goes on falling and barely jumps.
    #[test]
    fn long_texts_are_bounded() {
        let quarter = [0.25; 4];
        for sums in [520, 560, 600] {
            let exact = maximal_counts_sf_ge(sums, &[2000], &quarter).unwrap().log10();
            let bound = maximal_counts_sf_ge(sums, &[2001], &quarter).unwrap().log10();
            assert!(bound >= exact && bound < exact + 0.2, "{sums}: {exact} {bound}");
        }
    }
}
