//! Real weights on a lattice: exactly where they lie on one, rounded up elsewhere.

use crate::stats::StatsError;

/// Positive whole weights without a common divisor, and what one unit is worth.
#[derive(Debug, Clone)]
pub(super) struct Lattice {
    weights: Vec<u64>,
    /// Caller's units a lattice unit.
    unit: f64,
    /// Σ max(0, unit·Wₗ − wₗ): how far one token's statistic may be raised.
    over: f64,
    /// The same with each term squared.
    over_squared: f64,
    /// Σ max(0, wₗ − unit·Wₗ): how far it may be lowered by snapping. Rounding noise; added back in `units_at_least`.
    under: f64,
    /// Whether the weights were given as integers, so that the statistic is one too.
    integral: bool,
}

impl Lattice {
    pub(super) fn from_integers(given: &[u64]) -> Result<Self, StatsError> {
        let divisor = given.iter().copied().fold(0, gcd);
        if divisor == 0 {
            return Err(StatsError::NoWeight);
        }
        let weights: Vec<u64> = given.iter().filter(|&&w| w > 0).map(|w| w / divisor).collect();
        if weights.iter().any(|&w| w > LARGEST) {
            return Self::from_reals(&given.iter().map(|&w| w as f64).collect::<Vec<_>>());
        }
        Ok(Self {
            weights,
            unit: divisor as f64,
            over: 0.0,
            over_squared: 0.0,
            under: 0.0,
            integral: true,
        })
    }

    pub(super) fn from_reals(given: &[f64]) -> Result<Self, StatsError> {
        if let Some((index, &got)) =
            given.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0))
        {
            return Err(StatsError::BadWeight { index, got });
        }
        let positive: Vec<f64> = given.iter().copied().filter(|&w| w > 0.0).collect();
        let largest = positive.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(StatsError::NoWeight);
        }
        let excess = |divisions: u64| -> f64 {
            positive.iter().map(|w| snap(*w, largest / divisions as f64).1).sum()
        };
        // The coarsest of the best: a lattice that fits exactly is found as such, its multiples fit no better.
        let mut best = (1, excess(1));
        for divisions in 2..=DIVISIONS {
            let e = excess(divisions);
            if e < best.1 * (1.0 - 1e-9) {
                best = (divisions, e);
            }
        }
        Ok(Self::with_unit(&positive, largest / best.0 as f64))
    }

    fn with_unit(positive: &[f64], unit: f64) -> Self {
        let weights: Vec<u64> = positive.iter().map(|&w| snap(w, unit).0).collect();
        let (mut over, mut over_squared, mut under) = (0.0, 0.0, 0.0);
        for (&w, &units) in positive.iter().zip(&weights) {
            let raised = units as f64 * unit - w;
            over += raised.max(0.0);
            over_squared += raised.max(0.0).powi(2);
            under += (-raised).max(0.0);
        }
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let weights = weights.iter().map(|w| w / divisor).collect();
        Self { weights, unit: unit * divisor as f64, over, over_squared, under, integral: false }
    }

    pub(super) fn weights(&self) -> &[u64] {
        &self.weights
    }

    pub(super) fn total(&self) -> u64 {
        self.weights.iter().sum()
    }

    /// Whether rounding raises the statistic by no more than floating-point noise.
    pub(super) fn is_exact(&self) -> bool {
        self.over <= 1e-9 * self.unit
    }

    /// What rounding raises the statistic of n tokens by, but for a probability of e^`ln_delta` that it is less: mean minus Hoeffding's
    /// √(n Σ eₗ² ln(1/δ)/2), for independent fair bits worth eₗ.
    pub(super) fn raise_but_for(&self, ln_delta: f64, n: u64) -> f64 {
        let n = n as f64;
        0.5 * n * self.over - (-0.5 * n * self.over_squared * ln_delta).sqrt()
    }

    /// The smallest number of units whose statistic reaches x, rounding noise in x forgiven.
    pub(super) fn units_at_least(&self, x: f64, n: u64) -> u128 {
        let lowered = (x - n as f64 * self.under) / self.unit;
        // A float-to-integer cast saturates: x ≤ 0 becomes 0, infinity the largest value.
        (lowered - self.noise(n)).ceil() as u128
    }

    pub(super) fn slack(&self, n: u64) -> f64 {
        n as f64 * (self.over + self.under) + self.noise(n) * self.unit
    }

    /// Units by which a statistic that was summed in floating point may lie beside its lattice point.
    fn noise(&self, n: u64) -> f64 {
        if self.integral { 0.0 } else { NOISE * (1.0 + n as f64 * self.total() as f64) }
    }
}

/// The number of units for a weight, rounded up but for rounding noise, and by how much that exceeds the weight.
fn snap(weight: f64, unit: f64) -> (u64, f64) {
    let units = weight / unit;
    let nearest = units.round();
    if nearest > 0.0 && (units - nearest).abs() <= SNAP * nearest {
        return (nearest as u64, 0.0);
    }
    let up = units.ceil();
    (up as u64, (up - units) * unit)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Finest lattice that real weights are rounded to, in parts of the largest weight.
const DIVISIONS: u64 = 4096;

/// Largest whole weight that is taken as it is; the search for secondary peaks of the integrand takes time in proportion.
const LARGEST: u64 = 1 << 16;

/// Relative distance within which a real weight is meant to be the lattice point.
const SNAP: f64 = 1e-13;

/// Relative rounding noise granted to a floating-point statistic.
const NOISE: f64 = 1e-13;
