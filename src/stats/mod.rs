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
//! | most frequent colours, summed over digits | maxima of multinomials | [`maximal_counts_sf_ge`] |
//! | a new member of a normal panel | Student's t | [`student_t_sf_ge`] |
//! | weighted layers of fair bits | weighted binomials | [`WeightedBits`] |
//! | weighted evidence of either sign | Chernoff bounds of exact generating functions | [`SignedSum`], [`ListedSum`], [`CyclicSum`] |
//! | units matched with their own labels | fixed points | [`fixed_points_sf_ge`] |
//!
//! This module imports nothing from the rest of the crate.

mod binomial;
mod chernoff;
mod combine;
mod cramer_von_mises;
mod cyclic_sums;
mod error;
mod evalue;
mod family;
mod fixed_points;
mod gamma;
#[cfg(test)]
mod golden;
mod hypergeometric;
mod interval;
mod ks;
mod listed_sums;
mod logp;
mod maximal_counts;
mod normal;
mod permutation;
mod power;
mod roc;
mod share;
mod signed_sums;
mod special;
mod step_up;
mod student;
mod two_gamma;
mod weighted_bits;

pub use binomial::{binomial_ln_pmf, binomial_sf_ge};
pub use chernoff::{Moments, chernoff};
pub use combine::{benjamini_hochberg, benjamini_yekutieli, bonferroni, holm};
pub use cramer_von_mises::cramer_von_mises;
pub use cyclic_sums::CyclicSum;
pub use error::StatsError;
pub use evalue::{EProcess, EValue};
pub use family::{Factor, Family};
pub use fixed_points::fixed_points_sf_ge;
pub use gamma::gamma_sf_ge;
pub use hypergeometric::hypergeometric_sf_ge;
pub use interval::{Interval, clopper_pearson, empirical_bernstein};
pub use ks::{Ks, ks_distances, ks_uniform, ks_valid};
pub use listed_sums::ListedSum;
pub use logp::LogP;
pub use maximal_counts::{MaximalCounts, maximal_counts_sf_ge};
pub use normal::normal_sf_ge;
pub use permutation::{permutation_p, randomised_p};
pub use power::Alternative;
pub use roc::{Rate, TprAtFpr, auroc, rate_at_p, tpr_at_fpr};
pub use share::{Dependence, SmallCounts, false_hypotheses_at_least};
pub use signed_sums::{SignedSum, Unit};
pub use step_up::{Correction, StepUp};
pub use student::student_t_sf_ge;
pub use two_gamma::two_gamma_sf_ge;
pub use weighted_bits::WeightedBits;
