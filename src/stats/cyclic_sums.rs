//! Sums read from a table at random shifts: what a key chooses is where in a public table of bits reading begins.

use super::chernoff::{Moments, chernoff};
use super::error::StatsError;
use super::logp::LogP;

/// S = Σ_l u_l C(s_l), with C(s) = Σ_a q(a)·T[(a + s) mod N], for independent shifts s_l uniform on 0 … N − 1.
///
/// The law is exact: it is that of the shifts, whatever the table.
#[derive(Clone, Debug)]
pub struct CyclicSum {
    /// C by shift.
    reads: Vec<f64>,
    /// u.
    layers: Vec<f64>,
}

impl CyclicSum {
    /// With q as pairs of a place in the table and a weight, and u as whole numbers. Takes as many steps as q has places, times N.
    ///
    /// # Errors
    /// [`StatsError::Exceeds`] for a place beyond the table.
    pub fn new(
        table: &[bool],
        weights: impl IntoIterator<Item = (u64, i64)>,
        layers: &[u64],
    ) -> Result<Self, StatsError> {
        let mut places = vec![0_i64; table.len()];
        for (place, weight) in weights {
            let at = places.get_mut(place as usize);
            let whole = table.len() as u64;
            *at.ok_or(StatsError::Exceeds { name: "place", got: place, whole })? += weight;
        }
        // Twice the table, so that every shift reads a contiguous run.
        let twice: Vec<f64> =
            table.iter().chain(table).map(|&bit| f64::from(u8::from(bit))).collect();
        let mut reads = vec![0.0; table.len()];
        for (at, weight) in places.iter().enumerate().filter(|(_, weight)| **weight != 0) {
            let weight = *weight as f64;
            reads.iter_mut().zip(&twice[at..]).for_each(|(sum, bit)| *sum += weight * bit);
        }
        Ok(Self { reads, layers: layers.iter().map(|&layer| layer as f64).collect() })
    }

    /// N.
    pub fn shifts(&self) -> usize {
        self.reads.len()
    }

    /// S for given shifts, one a layer.
    pub fn at(&self, shifts: impl Iterator<Item = usize>) -> f64 {
        self.layers.iter().zip(shifts).map(|(layer, shift)| layer * self.reads[shift]).sum()
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Mean and variance over shifts.
    pub fn moments(&self) -> Moments {
        let count = self.reads.len().max(1) as f64;
        let mean = self.reads.iter().sum::<f64>() / count;
        let variance = self.reads.iter().map(|read| (read - mean).powi(2)).sum::<f64>() / count;
        Moments {
            mean: mean * self.layers.iter().sum::<f64>(),
            variance: variance * self.layers.iter().map(|layer| layer * layer).sum::<f64>(),
            reach: f64::INFINITY,
        }
    }

    /// An upper bound of P(S ≥ s): Chernoff's.
    pub fn sf_ge(&self, s: f64) -> LogP {
        let mut distinct = self.layers.clone();
        distinct.sort_by(f64::total_cmp);
        let runs: Vec<(f64, f64)> =
            distinct.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f64)).collect();
        chernoff(s, self.moments(), |theta| {
            runs.iter().map(|(layer, count)| count * self.ln_mgf_of_one(theta * layer)).sum()
        })
    }

    /// ln of the mean of e^{tC(s)} over shifts.
    fn ln_mgf_of_one(&self, t: f64) -> f64 {
        let most = self.reads.iter().fold(f64::NEG_INFINITY, |most, read| most.max(t * read));
        let sum: f64 = self.reads.iter().map(|read| (t * read - most).exp()).sum();
        most + (sum / self.reads.len() as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against all shifts of two layers.
    #[test]
    fn the_tail_over_all_shifts_is_bounded() {
        let table: Vec<bool> = [1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1].map(|bit| bit == 1).to_vec();
        let law = CyclicSum::new(&table, [(0, 3), (4, -2), (9, 1), (4, 4)], &[2, 1]).unwrap();
        let reads = |shift: usize| {
            let bit = |a: usize| f64::from(u8::from(table[(a + shift) % table.len()]));
            3.0 * bit(0) + 2.0 * bit(4) + bit(9)
        };
        let shifts = 0..table.len();
        let all: Vec<f64> = shifts
            .clone()
            .flat_map(|a| shifts.clone().map(move |b| (a, b)))
            .map(|(a, b)| {
                assert_eq!(law.at([a, b].into_iter()), 2.0 * reads(a) + reads(b));
                2.0 * reads(a) + reads(b)
            })
            .collect();
        let count = all.len() as f64;
        let mean = all.iter().sum::<f64>() / count;
        let variance = all.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
        let moments = law.moments();
        assert!((moments.mean - mean).abs() < 1e-9 && (moments.variance - variance).abs() < 1e-9);
        for s in 0..=18 {
            let s = f64::from(s);
            let tail = all.iter().filter(|&&other| other >= s).count() as f64 / count;
            assert!(law.sf_ge(s).p() >= tail - 1e-9, "{s}");
        }
        assert!(CyclicSum::new(&table, [(11, 1)], &[1]).is_err());
    }
}
