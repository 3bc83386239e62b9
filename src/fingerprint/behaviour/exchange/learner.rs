//! What is guessed of a suspect before it answers, from its past answers and from other models.

use std::collections::BTreeMap;

use super::Probe;

/// Weights of an expert that learns a cell from its answers: so many answers outweigh what it begins with.
const PATIENCE: [f64; 3] = [2.0, 8.0, 32.0];
/// No answer is taken for impossible.
const FLOOR: f64 = 1e-6;

/// A mixture of guesses q̂, each weighted by how well it did before (Bayes' rule with equal priors).
///
/// The guesses are: the reference flattened or sharpened, mixed with equal chances, the alternatives that were enrolled, and
/// for some of them the same with the cell's past answers added. Whatever is guessed, the test stays valid: the guess is fixed
/// before the answer.
#[derive(Clone, Debug, Default)]
pub struct Learner {
    log_weights: Vec<f64>,
    counts: BTreeMap<u32, Vec<f64>>,
}

impl Learner {
    /// The guesses for a probe, one row each.
    pub fn guesses(&self, probe: &Probe, reference: &[f64]) -> Vec<Vec<f64>> {
        let equal = 1.0 / reference.len() as f64;
        let power = |by: f64| normalised(reference.iter().map(|p| p.powf(by)).collect());
        let mixed = |part: f64| {
            reference.iter().map(|p| part * equal + (1.0 - part) * p).collect::<Vec<_>>()
        };
        let mut rows = vec![power(0.5), power(0.7), power(1.5), mixed(0.5), mixed(0.2)];
        let others: Vec<_> = probe.alternatives.iter().map(|ppm| leant(ppm, reference)).collect();
        let mut begins = vec![mixed(0.5), reference.to_vec()];
        begins.extend(mean(&others));
        rows.extend(others);
        let counts = self.counts.get(&probe.cell);
        for begin in &begins {
            rows.extend(PATIENCE.map(|patience| match counts {
                Some(counts) => normalised(
                    begin.iter().zip(counts).map(|(p, count)| patience * p + count).collect(),
                ),
                None => begin.clone(),
            }));
        }
        rows
    }

    /// The mixture of guesses.
    pub fn mixture(&self, guesses: &[Vec<f64>]) -> Vec<f64> {
        let weight = |at: usize| self.log_weights.get(at).copied().unwrap_or(0.0);
        let highest = (0..guesses.len()).map(weight).fold(f64::NEG_INFINITY, f64::max);
        let mut mixture = vec![0.0; guesses.first().map_or(0, Vec::len)];
        for (at, guess) in guesses.iter().enumerate() {
            let weight = (weight(at) - highest).exp();
            mixture.iter_mut().zip(guess).for_each(|(sum, q)| *sum += weight * q);
        }
        normalised(mixture)
    }

    /// Learns which answer came.
    pub fn learn(&mut self, cell: u32, guesses: &[Vec<f64>], answer: usize) {
        self.log_weights.resize(guesses.len(), 0.0);
        for (weight, guess) in self.log_weights.iter_mut().zip(guesses) {
            *weight += guess[answer].ln();
        }
        let symbols = guesses.first().map_or(0, Vec::len);
        let counts = self.counts.entry(cell).or_insert_with(|| vec![0.0; symbols]);
        counts[answer] += 1.0;
    }
}

/// Chances from parts of a million, none of them 0.
pub fn chances(ppm: &[u32]) -> Vec<f64> {
    normalised(ppm.iter().map(|&part| f64::from(part) / 1e6 + FLOOR).collect())
}

/// An alternative, a little of the reference mixed in.
fn leant(ppm: &[u32], reference: &[f64]) -> Vec<f64> {
    chances(ppm).iter().zip(reference).map(|(q, p)| 0.9 * q + 0.1 * p).collect()
}

fn mean(rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let first = rows.first()?;
    let mut sum = vec![0.0; first.len()];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, q)| *sum += q);
    }
    Some(normalised(sum))
}

fn normalised(mut row: Vec<f64>) -> Vec<f64> {
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
    row
}
