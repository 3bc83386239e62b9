//! Weighted sums of fair bits: the null of tournament sampling with weighted layers.

mod convolution;
mod inversion;
mod lattice;

use std::f64::consts::LN_2;

use super::binomial::binomial_sf_ge;
use super::error::{StatsError, number};
use super::logp::LogP;
use super::special::{ln_1m_exp, ln_add_exp};
use convolution::Convolution;
use inversion::Inversion;
use lattice::Lattice;

/// The law of S = Σₗ wₗ Cₗ with independent Cₗ ~ Binomial(n, ½): n tokens, one fair bit a layer, layer weights wₗ ≥ 0.
///
/// Weights on a common lattice are exact: integers, or reals that are whole multiples of w_max/D for some D ≤ 4096, such as weights
/// that fall linearly over the layers. Other weights are rounded up to such a lattice, which gives an upper bound of the p-value:
///
/// ```text
/// P(S ≥ x) ≤ sf_ge(x, n) ≤ P(S ≥ x − slack(n))
/// ```
///
/// Build it once for a profile; a tail then costs 20–60 µs for 30 layers and n ≥ 100, whatever n.
///
/// ```
/// use touchmark::stats::WeightedBits;
///
/// let layers = WeightedBits::from_integers(&[4, 3, 2, 1])?;
/// let p = layers.sf_ge(1200.0, 200)?;
/// assert_eq!(layers.slack(200), 0.0);
/// assert!(p.log10() < -6.0);
/// # Ok::<(), touchmark::stats::StatsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WeightedBits {
    lattice: Lattice,
    inversion: Inversion,
}

impl WeightedBits {
    /// From real weights, at least one of them positive.
    ///
    /// # Errors
    /// [`StatsError::BadWeight`], [`StatsError::NoWeight`].
    pub fn new(weights: &[f64]) -> Result<Self, StatsError> {
        Ok(Self::on(Lattice::from_reals(weights)?))
    }

    /// From whole weights. Exact when the largest, divided by the common divisor, is at most 65,536; rounded as reals otherwise.
    ///
    /// # Errors
    /// [`StatsError::NoWeight`].
    pub fn from_integers(weights: &[u64]) -> Result<Self, StatsError> {
        Ok(Self::on(Lattice::from_integers(weights)?))
    }

    /// P(S ≥ x) for n tokens, or its upper bound when [`slack`](Self::slack) is not zero.
    ///
    /// The lattice tail is the inversion integral along the saddle point of s, by a trapezoid rule whose aliasing and truncation are
    /// bounded before it starts; small lattices are convolved directly. At or below the mean the mirrored lower tail is computed and
    /// subtracted through `ln_1p`. x above Σ wₗ n gives [`LogP::ZERO`], x ≤ 0 gives [`LogP::ONE`].
    ///
    /// # Errors
    /// [`StatsError::NotANumber`] for x; [`StatsError::Unresolved`] if the error bound of the inversion exceeds 10⁻¹⁰ of p, which no
    /// tested weights reach.
    pub fn sf_ge(&self, x: f64, n: u64) -> Result<LogP, StatsError> {
        let x = number("x", x)?;
        let simple = self.ln_sf_units(self.lattice.units_at_least(x, n), n)?;
        Ok(LogP::from_tail(if self.lattice.is_exact() || simple == f64::NEG_INFINITY {
            simple
        } else {
            self.ln_refined(x, n, simple)?.min(simple)
        }))
    }

    /// The bound without most of the rounding: the raised statistic is S + E with E a weighted sum of the same bits, and by Hoeffding's
    /// inequality E exceeds E[E] − c but for a probability δ, so P(S ≥ x) ≤ P(S + E ≥ x + E[E] − c) + δ.
    ///
    /// Over 10⁶ tokens of 30 layers the rounding is worth two deviations of S, what remains of it less than a hundredth.
    fn ln_refined(&self, x: f64, n: u64, ln_simple: f64) -> Result<f64, StatsError> {
        // Well below the p-value that will come out; the cost of a smaller δ is only its root.
        let ln_delta = 1.2 * ln_simple - 7.0;
        let raised = x + self.lattice.raise_but_for(ln_delta, n).max(0.0);
        let tail = self.ln_sf_units(self.lattice.units_at_least(raised, n), n)?;
        Ok(ln_add_exp(tail, ln_delta))
    }

    /// ln P(S ≥ s) in lattice units.
    fn ln_sf_units(&self, s: u128, n: u64) -> Result<f64, StatsError> {
        let top = u128::from(n) * u128::from(self.lattice.total());
        if s == 0 {
            return Ok(0.0);
        }
        if s > top {
            return Ok(f64::NEG_INFINITY);
        }
        if self.lattice.weights().iter().all(|&w| w == 1)
            && let Ok(bits) = u64::try_from(top)
        {
            return Ok(binomial_sf_ge(s as u64, bits, 0.5)?.ln());
        }
        if 2 * s > top {
            self.ln_upper(s, n)
        } else {
            Ok(ln_1m_exp(self.ln_upper(top - s + 1, n)?))
        }
    }

    /// By how much, in units of the weights, the statistic may be raised by rounding: zero for integers, rounding noise for reals on a
    /// lattice. For other reals this is the worst case; the effect on p is usually far smaller.
    pub fn slack(&self, n: u64) -> f64 {
        self.lattice.slack(n)
    }

    /// ln P(S ≥ s) in lattice units, s above the mean.
    fn ln_upper(&self, s: u128, n: u64) -> Result<f64, StatsError> {
        let weights = self.lattice.weights();
        let top = u128::from(n) * u128::from(self.lattice.total());
        if s + u128::from(weights.iter().copied().min().unwrap_or(0)) > top {
            // Only all bits set: the saddle point is at infinity.
            return Ok(-LN_2 * n as f64 * weights.len() as f64);
        }
        let direct = Convolution::new(weights, n);
        if direct.cost() <= CHEAP {
            return Ok(direct.ln_sf(s as u64));
        }
        let inverted = self.inversion.ln_sf(s, n);
        if inverted.is_err() && direct.cost() <= AFFORDABLE {
            return Ok(direct.ln_sf(s as u64));
        }
        inverted
    }

    fn on(lattice: Lattice) -> Self {
        let inversion = Inversion::new(lattice.weights());
        Self { lattice, inversion }
    }
}

/// Steps up to which the direct convolution is as fast as the inversion.
const CHEAP: f64 = 2e6;

/// Steps up to which the direct convolution may step in for an inversion that cannot vouch for itself.
const AFFORDABLE: f64 = 1e10;

#[cfg(test)]
mod tests;
