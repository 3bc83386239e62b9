//! Which prompts to ask, how often and in which order; chosen from the owner's models alone.

use super::super::exchange::chances;

/// How fast the bets of [`exchange`](crate::fingerprint::behaviour::exchange) grow, in nats a query, when the guesses are right:
/// with P the law of (reference's answer, suspect's) and Q that of the two exchanged, Σ P ln 2P/(P + Q).
pub(super) fn growth(reference: &[u32], suspect: &[u32]) -> f64 {
    let (p, q) = (chances(reference), chances(suspect));
    let mut sum = 0.0;
    for (p_a, q_a) in p.iter().zip(&q) {
        for (p_b, q_b) in p.iter().zip(&q) {
            let (as_is, swapped) = (p_a * q_b, q_a * p_b);
            sum += as_is * (2.0 * as_is / (as_is + swapped)).ln();
        }
    }
    sum
}

/// The order of asking: places of prompts, of which some come again.
///
/// `growths` has one row an alternative and one number a prompt. Alternatives that are told apart soonest come first, each with a
/// block of the prompts that tell it apart best; a block is asked again and again until its alternative should have been caught
/// one and a half times over, within what is left of `queries`.
pub(super) fn order(growths: &[Vec<f64>], queries: usize, alpha: f64) -> Vec<usize> {
    let mut blocks: Vec<(f64, Vec<usize>)> = growths.iter().map(|row| best(row)).collect();
    blocks.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut order = Vec::new();
    let count = blocks.len();
    for (at, (mean, block)) in blocks.into_iter().enumerate() {
        let left = queries.saturating_sub(order.len());
        let wanted = (1.5 * -alpha.ln() / mean.max(1e-6)).ceil() as usize;
        // The last block takes what is left: it is the one that needs it.
        let size = if at + 1 == count { left } else { wanted.min(left / (count - at).min(2)) };
        order.extend(block.iter().cycle().take(if block.is_empty() { 0 } else { size }));
    }
    order
}

/// The prompts of a block with their mean growth.
fn best(row: &[f64]) -> (f64, Vec<usize>) {
    let mut places = descending(row);
    places.truncate(BLOCK);
    let mean = places.iter().map(|at| row[*at]).sum::<f64>() / places.len().max(1) as f64;
    (mean, places)
}

/// By how much the ranks of a suspect's answers lie above those of the reference's: P(above) + P(equal)/2 − ½, from −½ to ½.
///
/// Chances are in the order of ranks.
pub(super) fn shift(reference: &[f64], suspect: &[f64]) -> f64 {
    let (mut below, mut sum) = (0.0, -0.5);
    for (p, q) in reference.iter().zip(suspect) {
        sum += q * (below + p / 2.0);
        below += p;
    }
    sum
}

/// The order of answers in which the ranks of a suspect shift most, by its likelihood ratio to the reference (Neyman and Pearson).
///
/// A tenth of equal chances is mixed in: what the reference seldom answers then comes late, so that models of which nothing is
/// known are told apart too. The last, of all answers that are not named, stays the last.
pub(super) fn by_ratio(reference: &[f64], suspect: &[f64]) -> Vec<usize> {
    let named = reference.len().saturating_sub(1);
    let equal = 1.0 / reference.len().max(1) as f64;
    let ratio = |at: &usize| (0.9 * suspect[*at] + 0.1 * equal) / reference[*at];
    let mut order: Vec<usize> = (0..named).collect();
    order.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    order.extend((named < reference.len()).then_some(named));
    order
}

/// So many prompts, none of them twice, each with the alternative that chose it: they take turns, each at the prompt that tells it
/// apart best of those left.
///
/// `shifts` has one row an alternative and one number a prompt.
pub(super) fn turns(shifts: &[Vec<f64>], count: usize) -> Vec<(usize, usize)> {
    let prompts = shifts.first().map_or(0, Vec::len);
    let mut queues: Vec<_> = shifts.iter().map(|row| descending(row).into_iter()).collect();
    let mut taken = vec![false; prompts];
    let mut chosen = Vec::new();
    let wanted = count.min(prompts);
    while chosen.len() < wanted {
        for (alternative, queue) in queues.iter_mut().enumerate() {
            if let Some(at) = queue.find(|at| !taken[*at])
                && chosen.len() < wanted
            {
                taken[at] = true;
                chosen.push((at, alternative));
            }
        }
    }
    chosen
}

/// Places of a row, those of its largest numbers first.
fn descending(row: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..row.len()).collect();
    places.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
    places
}

/// Prompts of a block: few, so that their answers can be learnt, and enough to differ.
const BLOCK: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_nothing_for_equals_and_one_bit_for_strangers() {
        let (a, b) = ([1_000_000, 0, 0], [0, 1_000_000, 0]);
        assert!(growth(&a, &a).abs() < 1e-9);
        assert!((growth(&a, &b) - 2_f64.ln()).abs() < 1e-3);
    }

    #[test]
    fn ranks_shift_by_the_chance_to_lie_above() {
        let (first, second, half) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]);
        assert_eq!((shift(&first, &second), shift(&second, &first)), (0.5, -0.5));
        // Above with ½ · ½, equal with ½ · ½.
        assert_eq!((shift(&half, &half), shift(&half, &second)), (0.0, 0.25));
    }

    #[test]
    fn the_order_by_ratio_shifts_most() {
        let (reference, suspect) = ([0.4, 0.3, 0.2, 0.1], [0.1, 0.3, 0.5, 0.1]);
        let order = by_ratio(&reference, &suspect);
        assert_eq!(order, [0, 1, 2, 3]);
        let turned = by_ratio(&suspect, &reference);
        assert_eq!(turned, [2, 1, 0, 3]);
        let in_order =
            |row: &[f64], order: &[usize]| order.iter().map(|at| row[*at]).collect::<Vec<_>>();
        let by = |order: &[usize]| shift(&in_order(&reference, order), &in_order(&suspect, order));
        for other in [[0, 2, 1, 3], [1, 0, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3], [2, 1, 0, 3]] {
            assert!(by(&order) > by(&other), "{other:?}");
        }
        // What neither answers is nearer to another model than to the reference.
        assert_eq!(by_ratio(&[0.001, 0.899, 0.1], &[0.001, 0.899, 0.1]), [1, 0, 2]);
    }

    #[test]
    fn alternatives_take_turns() {
        let shifts = [vec![0.1, 0.4, 0.3, 0.2], vec![0.0, 0.4, 0.1, 0.3]];
        assert_eq!(turns(&shifts, 3), [(1, 0), (3, 1), (2, 0)]);
        assert_eq!(turns(&shifts, 9), [(1, 0), (3, 1), (2, 0), (0, 1)]);
        assert!(turns(&[], 9).is_empty());
    }

    #[test]
    fn the_easy_come_first_and_the_hard_get_the_rest() {
        let hard: Vec<f64> = (0..100).map(|at| 0.0001 * f64::from(at)).collect();
        let easy: Vec<f64> = (0..100).map(|at| 0.6 - 0.001 * f64::from(at)).collect();
        let order = order(&[hard, easy], 200, 0.01);
        assert_eq!(order.len(), 200);
        assert_eq!(order[..3], [0, 1, 2]);
        assert!(order[..10].iter().all(|at| *at < 24));
        assert!(order[30..].iter().all(|at| *at >= 76));
    }
}
