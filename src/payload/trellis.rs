//! Sums and maxima over all messages, along the trellis of the code.
//!
//! A state is the last ν bits; step i appends bit m_i, and its window is the state before it with that bit put lowest. The
//! code is circular: a message is a path that ends in the state it began in, and every start state has a trellis of its
//! own. Its exact sum costs k·2^(ν+1) products, so only the start states that a wrapped pass finds likely are summed.

use super::code::Code;

/// Likelihood ratios of every window at every step.
pub(super) struct Trellis {
    code: Code,
    /// k × 2^(ν+1) logarithms.
    ln: Vec<f64>,
    /// The same as ratios to the greatest of their step.
    weights: Vec<f64>,
    /// Sum of the logarithms of the greatest.
    ln_greatest: f64,
}

impl Trellis {
    /// Start states summed side by side.
    pub const LANES: usize = 8;
    /// Messages kept for a start state.
    pub const KEPT: usize = 4;

    pub fn new(code: Code, ln: Vec<f64>) -> Self {
        let mut ln_greatest = 0.0;
        let mut weights = Vec::with_capacity(ln.len());
        for row in ln.chunks_exact(2 << code.memory()) {
            let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            ln_greatest += greatest;
            weights.extend(row.iter().map(|ln| (ln - greatest).exp()));
        }
        Self { code, ln, weights, ln_greatest }
    }

    fn states(&self) -> usize {
        1 << self.code.memory()
    }

    fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.weights.chunks_exact(2 * self.states())
    }

    /// ln of the likelihood ratio of one message.
    pub fn of_message(&self, message: u64) -> f64 {
        let row = 2 * self.states();
        (0..self.code.bits())
            .map(|step| self.ln[step as usize * row + self.code.window(message, step)])
            .sum()
    }

    /// About ln of the sum over the messages of each start state, from passes that go round twice without a fixed start.
    pub fn guesses(&self) -> Vec<f64> {
        let states = self.states();
        let (mut ahead, mut back) = (vec![1.0; states], vec![1.0; states]);
        let mut spare = vec![0.0; states];
        let mut ln_growth = 0.0;
        for _ in 0..2 {
            ln_growth = 0.0;
            for row in self.rows() {
                forward(&ahead, row, &mut spare);
                ln_growth += rescale(&mut spare);
                std::mem::swap(&mut ahead, &mut spare);
            }
            for row in self.rows().rev() {
                backward(&back, row, &mut spare);
                rescale(&mut spare);
                std::mem::swap(&mut back, &mut spare);
            }
        }
        let total: f64 = ahead.iter().zip(&back).map(|(a, b)| a * b).sum();
        let ln_round = self.ln_greatest + ln_growth - total.ln();
        ahead.iter().zip(&back).map(|(a, b)| (a * b).ln() + ln_round).collect()
    }

    /// ln of the sum over the messages of each of up to [`LANES`](Self::LANES) start states. What underflows is lost, so
    /// it is never too large.
    pub fn sums(&self, starts: &[u32]) -> Vec<f64> {
        let states = self.states();
        let mut now = vec![[0.0; Self::LANES]; states];
        let mut next = now.clone();
        for (lane, &start) in starts.iter().enumerate() {
            now[start as usize][lane] = 1.0;
        }
        let mut ln_scale = [self.ln_greatest; Self::LANES];
        for row in self.rows() {
            let (kept, fell) = now.split_at(states / 2);
            let mut greatest = [0.0_f64; Self::LANES];
            for (state, out) in next.iter_mut().enumerate() {
                let (a, b) = (&kept[state >> 1], &fell[state >> 1]);
                let (wa, wb) = (row[state], row[state + states]);
                for lane in 0..Self::LANES {
                    out[lane] = a[lane] * wa + b[lane] * wb;
                    greatest[lane] = greatest[lane].max(out[lane]);
                }
            }
            let inverse = greatest.map(|g| if g > 0.0 { 1.0 / g } else { 0.0 });
            for out in &mut next {
                for lane in 0..Self::LANES {
                    out[lane] *= inverse[lane];
                }
            }
            for (scale, greatest) in ln_scale.iter_mut().zip(greatest) {
                *scale += greatest.ln();
            }
            std::mem::swap(&mut now, &mut next);
        }
        let sum = |(lane, &start): (usize, &u32)| now[start as usize][lane].ln() + ln_scale[lane];
        starts.iter().enumerate().map(sum).collect()
    }

    /// For each bit, the share of messages with a one there, among those of a start state; by forward and backward sums.
    pub fn shares(&self, start: u32) -> Vec<f64> {
        let (states, steps) = (self.states(), self.code.bits() as usize);
        let mut ahead = vec![0.0; states * (steps + 1)];
        ahead[start as usize] = 1.0;
        for (step, row) in self.rows().enumerate() {
            let (before, after) = ahead.split_at_mut(states * (step + 1));
            forward(&before[states * step..], row, &mut after[..states]);
            rescale(&mut after[..states]);
        }
        let (mut back, mut spare) = (vec![0.0; states], vec![0.0; states]);
        back[start as usize] = 1.0;
        let mut shares = vec![0.0; steps];
        for (step, row) in self.rows().enumerate().rev() {
            let reached = &ahead[states * (step + 1)..][..states];
            let mut mass = [0.0; 2];
            for (state, (a, b)) in reached.iter().zip(&back).enumerate() {
                mass[state & 1] += a * b;
            }
            let total = mass[0] + mass[1];
            shares[step] = if total > 0.0 { mass[1] / total } else { 0.5 };
            backward(&back, row, &mut spare);
            rescale(&mut spare);
            std::mem::swap(&mut back, &mut spare);
        }
        shares
    }

    /// The likeliest messages of a start state, best first.
    pub fn best(&self, start: u32) -> [Path; Self::KEPT] {
        let states = self.states();
        let mut now = vec![[Path::NONE; Self::KEPT]; states];
        let mut next = now.clone();
        now[start as usize][0] = Path { ln: 0.0, message: 0 };
        for (step, row) in self.ln.chunks_exact(2 * states).enumerate() {
            let (kept, fell) = now.split_at(states / 2);
            for (state, out) in next.iter_mut().enumerate() {
                let bit = ((state & 1) as u64) << step;
                let (a, b) = (&kept[state >> 1], &fell[state >> 1]);
                let (la, lb) = (row[state], row[state + states]);
                let (mut i, mut j) = (0, 0);
                for path in out {
                    let (from_a, from_b) = (a[i].ln + la, b[j].ln + lb);
                    let (ln, message) = if from_a >= from_b {
                        i += 1;
                        (from_a, a[i - 1].message)
                    } else {
                        j += 1;
                        (from_b, b[j - 1].message)
                    };
                    *path = Path { ln, message: message | bit };
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[start as usize]
    }
}

/// A message and ln of its likelihood ratio; −∞ where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub ln: f64,
    pub message: u64,
}

impl Path {
    const NONE: Self = Self { ln: f64::NEG_INFINITY, message: 0 };
}

/// One step on: from the states before to the states after.
fn forward(before: &[f64], row: &[f64], after: &mut [f64]) {
    let states = before.len();
    for (state, out) in after.iter_mut().enumerate() {
        let (kept, fell) = (state >> 1, (state >> 1) + states / 2);
        *out = before[kept] * row[state] + before[fell] * row[state + states];
    }
}

/// One step back.
fn backward(after: &[f64], row: &[f64], before: &mut [f64]) {
    let states = after.len();
    for (state, out) in before.iter_mut().enumerate() {
        let window = 2 * state;
        let reached = window % states;
        *out = after[reached] * row[window] + after[reached + 1] * row[window + 1];
    }
}

/// Divides by the greatest and gives its logarithm.
fn rescale(values: &mut [f64]) -> f64 {
    let greatest = values.iter().copied().fold(0.0, f64::max);
    if greatest > 0.0 {
        values.iter_mut().for_each(|value| *value /= greatest);
    }
    greatest.ln()
}
