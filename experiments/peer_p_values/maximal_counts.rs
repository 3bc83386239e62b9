//! The law of a sum of greatest counts: what a multi-bit mark's best message collects by chance.

/// P(greatest count ≤ m) when n balls fall into `cells` equal cells, for every n up to a most and every m.
pub struct MaximalCounts {
    /// By n, then m.
    below: Vec<Vec<f64>>,
}

impl MaximalCounts {
    /// For up to `most` balls.
    ///
    /// ```text
    /// P(max ≤ m | n) = n! · [xⁿ] (Σ_{k≤m} xᵏ / (k! cellsᵏ))^cells
    /// ```
    ///
    /// Cells are added one at a time: the first c + 1 of them hold n balls with at most m each when the last holds k ≤ m of
    /// them, k ~ Binomial(n, 1/(c+1)), and the others n − k.
    pub fn new(most: usize, cells: usize) -> Self {
        let mut below: Vec<Vec<f64>> =
            (0..=most).map(|n| (0..=n).map(|m| f64::from(u8::from(m == n))).collect()).collect();
        for cell in 2..=cells {
            let shares: Vec<Vec<f64>> =
                (0..=most).map(|n| binomial(n, 1.0 / cell as f64)).collect();
            let with = |n: usize, m: usize| {
                let kept = |k: usize| at(&below[n - k], m) * shares[n][k];
                (0..=m.min(n)).map(kept).sum::<f64>()
            };
            below = (0..=most).map(|n| (0..=n).map(|m| with(n, m)).collect()).collect();
        }
        Self { below }
    }

    /// P(Σ of the greatest counts ≥ sum) for groups of so many balls.
    pub fn sf_ge(&self, sum: usize, groups: &[usize]) -> f64 {
        let mut law = vec![1.0];
        for &n in groups {
            let below = &self.below[n];
            let mass = |m: usize| below[m] - if m == 0 { 0.0 } else { below[m - 1] };
            let mut next = vec![0.0; law.len() + n];
            for (m, mass) in (0..=n).map(|m| (m, mass(m))).filter(|(_, mass)| *mass > 1e-18) {
                law.iter().enumerate().for_each(|(at, p)| next[at + m] += p * mass);
            }
            law = next;
        }
        law.iter().skip(sum).sum::<f64>().min(1.0)
    }
}

/// At most m of n where m may exceed n.
fn at(row: &[f64], m: usize) -> f64 {
    row.get(m).copied().unwrap_or(1.0)
}

/// The masses of Binomial(n, p).
fn binomial(n: usize, p: f64) -> Vec<f64> {
    let mass = |k: usize| touchmark::stats::binomial_ln_pmf(k as u64, n as u64, p);
    (0..=n).map(|k| mass(k).map_or(0.0, f64::exp)).collect()
}
