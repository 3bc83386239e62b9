//! Statistics: exact tails in log space, corrections, power. The only place where a p-value is made.
//!
//! A tail function is named after its law and its inequality: `binomial_sf_ge(k, n, p)` is P(K ≥ k), as a [`LogP`]. Each is exact or,
//! where its page says so, an upper bound. None subtracts a distribution function from one, none uses a normal approximation, and
//! log₁₀ p keeps a relative accuracy of 10⁻⁹ from 10⁻⁶ (p next to 1) to 10⁴ and beyond, checked against arbitrary-precision values.
//!
//! | null of | law | function |
//! |---|---|---|
//! | green-list counts | binomial | [`binomial_sf_ge`] |
//! | green lists of fixed size | hypergeometric | [`hypergeometric_sf_ge`] |
//! | exponential evidence | gamma | [`gamma_sf_ge`] |
//! | two exponential draws a token | two gammas | [`two_gamma_sf_ge`] |
//! | weighted layers of fair bits | weighted binomials | [`WeightedBits`] |
//!
//! This module imports nothing from the rest of the crate.

mod binomial;
mod error;
mod gamma;
mod hypergeometric;
mod logp;
mod normal;
mod special;
mod two_gamma;
mod weighted_bits;

pub use binomial::{binomial_ln_pmf, binomial_sf_ge};
pub use error::StatsError;
pub use gamma::gamma_sf_ge;
pub use hypergeometric::hypergeometric_sf_ge;
pub use logp::LogP;
pub use normal::normal_sf_ge;
pub use two_gamma::two_gamma_sf_ge;
pub use weighted_bits::WeightedBits;
