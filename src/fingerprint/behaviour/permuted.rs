//! p-values from orders within prompts.

use super::Chance;
use crate::stats::{LogP, permutation_p};

/// Statistics that differ by less are taken for equal, since machines add in other orders; ties count against us.
pub(super) const TIE: f64 = 1e-9;

/// A statistic of the answers as they are, and the p-value of it among `draws` random orders within prompts.
///
/// `sizes` are the answers of each prompt, the reference's and the suspect's together. The statistic takes an order for each
/// prompt, whose first half it takes for the reference's.
pub(super) fn permuted(
    sizes: &[usize],
    draws: u32,
    mut chance: Chance,
    statistic: impl Fn(&[Vec<usize>]) -> f64,
) -> (f64, LogP) {
    let mut orders: Vec<Vec<usize>> = sizes.iter().map(|size| (0..*size).collect()).collect();
    let observed = statistic(&orders);
    let mut reached = 0;
    for _ in 0..draws {
        orders.iter_mut().for_each(|order| chance.shuffle(order));
        reached += u64::from(statistic(&orders) >= observed - TIE);
    }
    (observed, permutation_p(reached, draws.into()).unwrap_or(LogP::ONE))
}
