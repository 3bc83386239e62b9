//! The exact tests on hidden units, and what they rest on.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::fingerprint::{Basis, Finding, Null};
use crate::stats::{Family, LogP, StatsError, binomial_sf_ge, fixed_points_sf_ge, permutation_p};

use super::WeightsError;
use super::similarity::Similarity;
use super::units::below;
use super::values::Channels;

/// Looks that every verdict pays for, made or not: four tests in two frames, one on the residual stream, one with a panel.
const LOOKS: u64 = 10;
/// Draws that reach the observed statistic after which drawing ends.
const ENOUGH: u64 = 50;

/// What findings of one comparison share.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub family: Family,
    pub alpha: f64,
    pub draws: u64,
    pub seed: u64,
}

impl Judge {
    pub fn new(alpha: f64, draws: u64, seed: u64) -> Self {
        Self { family: Family::one().times("looks", LOOKS), alpha, draws, seed }
    }

    /// With a p-value from a law that is assumed.
    pub fn modelled(&self, finding: Finding, p: LogP) -> Finding {
        finding.judged(p, Basis::ModelBased, &self.family, self.alpha)
    }

    fn judged(&self, finding: Finding, p: LogP) -> Finding {
        finding.judged(p, Basis::Exact, &self.family, self.alpha)
    }
}

/// Sums over pairs of layers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub layers: u64,
    /// Layers with gates, for which alone signs can be tested.
    pub gated: u64,
    pub units: u64,
    pub sampled: bool,
    hits: u64,
    shifts: Vec<Vec<f64>>,
    mean: f64,
    variance: f64,
    matched: u64,
    agreeing: u64,
}

impl Tally {
    pub fn add(&mut self, layer: Similarity, gated: bool) {
        self.layers += 1;
        self.units += layer.common as u64;
        self.hits += layer.hits;
        self.mean += layer.mean;
        self.variance += layer.variance;
        if !layer.shifts.is_empty() {
            self.shifts.push(layer.shifts);
        }
        if gated {
            self.gated += 1;
            self.matched += layer.matched;
            self.agreeing += layer.agreeing;
        }
    }

    /// Findings of the three tests. `suffix` names the frame.
    pub fn findings(&self, judge: &Judge, suffix: &str) -> Result<Vec<Finding>, WeightsError> {
        Ok(vec![
            self.row_argmax(judge, suffix),
            self.diagonal(judge, suffix)?,
            self.signs(judge, suffix)?,
        ])
    }

    fn row_argmax(&self, judge: &Judge, suffix: &str) -> Finding {
        let finding = Finding::new(&format!("row-argmax{suffix}"), Null::Population, ORDER_NULL)
            .with("hits", self.hits)
            .with("layers", self.layers);
        let finding = Finding { n: self.units, ..finding };
        if self.units == 0 {
            return finding.warn(NO_UNITS);
        }
        judge.judged(finding, fixed_points_sf_ge(self.hits, self.layers))
    }

    fn diagonal(&self, judge: &Judge, suffix: &str) -> Result<Finding, WeightsError> {
        let finding = Finding::new(&format!("diagonal{suffix}"), Null::Population, ORDER_NULL);
        if self.units == 0 {
            return Ok(finding.warn(NO_UNITS));
        }
        let observed: f64 = self.shifts.iter().map(|layer| layer[0]).sum();
        let (p, made) = shift_p(&self.shifts, judge.draws, judge.seed)?;
        let z = (self.variance > 0.0).then(|| (observed - self.mean) / self.variance.sqrt());
        let finding = Finding { n: self.units, ..finding }
            .with("statistic", observed)
            .with("mean", self.mean)
            .with("standard_deviation", self.variance.sqrt())
            .with("z", z)
            .with("draws", made);
        Ok(judge.judged(finding, p))
    }

    fn signs(&self, judge: &Judge, suffix: &str) -> Result<Finding, WeightsError> {
        let finding = Finding::new(&format!("matched-signs{suffix}"), Null::Population, SIGN_NULL);
        if self.gated == 0 {
            return Ok(finding.warn(NO_GATES));
        }
        let p = binomial_sf_ge(self.agreeing, self.matched, 0.5)?;
        let finding = Finding { n: self.matched, ..finding }
            .with("agreeing", self.agreeing)
            .with("matched", self.matched)
            .with("layers", self.gated);
        Ok(judge.judged(finding, p))
    }
}

/// The finding on dimensions of the residual stream, by columns of the embeddings.
pub(super) fn stream_argmax(dimensions: Option<Similarity>, judge: &Judge) -> Finding {
    let finding = Finding::new("stream-argmax", Null::Population, STREAM_NULL);
    let Some(dimensions) = dimensions else {
        return finding.warn("one of the models has no embedding of tokens: not tested");
    };
    let finding = Finding { n: dimensions.common as u64, ..finding }.with("hits", dimensions.hits);
    judge.judged(finding, fixed_points_sf_ge(dimensions.hits, 1))
}

/// The finding on channels of values. `suffix` names the frame.
pub(super) fn value_argmax(found: Channels, judge: &Judge, suffix: &str) -> Finding {
    let finding = Finding::new(&format!("value-argmax{suffix}"), Null::Population, VALUE_NULL)
        .with("hits", found.hits)
        .with("heads", found.heads);
    let finding = Finding { n: found.channels, ..finding };
    if found.heads == 0 {
        return finding.warn(NO_VALUES);
    }
    judge.judged(finding, fixed_points_sf_ge(found.hits, found.heads))
}

/// The p-value of the unshifted sum among sums of random shifts, one a layer, and the number of draws made.
///
/// Shifts are a group, under which labels in random order have the same law as before; so the observed sum is exchangeable with
/// those of uniformly drawn shifts (Hemerik & Goeman 2018). Drawing ends at [`ENOUGH`] sums that reach the observed one, and then
/// p = ENOUGH / draws (Besag & Clifford 1991); otherwise p = (1 + b) / (draws + 1).
fn shift_p(shifts: &[Vec<f64>], draws: u64, seed: u64) -> Result<(LogP, u64), StatsError> {
    let observed: f64 = shifts.iter().map(|layer| layer[0]).sum();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::MAX);
    let mut reached = 0;
    for made in 1..=draws {
        let sum: f64 =
            shifts.iter().map(|layer| layer[below(&mut random, layer.len() as u64) as usize]).sum();
        // In the same order as the observed sum, so that the same shifts give the same number.
        if sum >= observed {
            reached += 1;
            if reached == ENOUGH {
                return Ok((LogP::from_p(ENOUGH as f64 / made as f64)?, made));
            }
        }
    }
    Ok((permutation_p(reached, draws)?, draws))
}

const ORDER_NULL: &str = "The suspect was initialised and trained independently of the reference: the order of the hidden units of \
    each of its layers is then uniformly random, whatever else is known of both. p is averaged over that order. Models that grew from \
    one initialisation are not independent and count as related.";
const SIGN_NULL: &str = "The suspect was initialised and trained independently of the reference: of each of its gated hidden units, \
    (up, down) is then as likely as (-up, -down), whatever its gate. p is averaged over these signs. Models that grew from one \
    initialisation are not independent and count as related.";
const VALUE_NULL: &str = "The suspect was initialised and trained independently of the reference: the order of the channels of values \
    in each of its heads is then uniformly random. p is averaged over that order. Models that grew from one initialisation are not \
    independent and count as related.";
const STREAM_NULL: &str = "The suspect was initialised and trained independently of the reference: the order of the dimensions of its \
    residual stream is then uniformly random. p is averaged over that order. It holds for learnt embeddings; fixed sinusoidal positions \
    would give dimensions a place. Models that grew from one initialisation are not independent and count as related.";
const NO_UNITS: &str = "no pair of layers could be compared: not tested";
const NO_VALUES: &str = "no pair of heads could be compared, which takes values in a tensor of their own and the number of \
    key-value heads in the configuration: not tested";
const NO_GATES: &str = "feed-forward layers without gates have no sign to test: not tested";

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::super::matrix::Matrix;
    use super::super::units::{Features, shuffle};
    use super::*;
    use crate::fingerprint::Verdict;
    use crate::stats::ks_valid;

    fn normal(random: &mut ChaCha8Rng) -> f32 {
        let mut uniform = || (random.next_u32() as f64 + 0.5) / 2f64.powi(32);
        ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32
    }

    fn rows(n: usize, columns: usize, random: &mut ChaCha8Rng) -> Matrix {
        Matrix::new(columns, (0..n * columns).map(|_| normal(random)).collect())
    }

    fn normalised(mut features: Features) -> Features {
        features.matching.iter_mut().chain(&mut features.signed).for_each(Matrix::normalise_rows);
        features
    }

    /// Units that share features between models, as similar training would give: only order and signs are free.
    fn alike(n: usize, shared: &Matrix, random: &mut ChaCha8Rng) -> Features {
        let mut order: Vec<usize> = (0..n).collect();
        shuffle(&mut order, random);
        let mut gate = rows(n, shared.columns(), random);
        let mut up = gate.clone();
        for (i, &from) in order.iter().enumerate() {
            let sign = if random.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
            for (c, &value) in shared.row(from).iter().enumerate() {
                gate.row_mut(i)[c] = value + 0.5 * gate.row(i)[c];
                up.row_mut(i)[c] = sign * (value + 0.5 * up.row(i)[c]);
            }
        }
        normalised(Features { matching: vec![gate], signed: vec![up] })
    }

    /// 10,000 pairs of models whose units are alike in all but order and signs: the hardest that the null allows.
    #[test]
    fn p_values_hold_on_ten_thousand_permutations() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let shared = rows(16, 12, &mut random);
        let judge = Judge::new(1e-3, 199, 1);
        let mut ps = vec![Vec::new(); 3];
        let mut hits = [0u32; 12];
        for trial in 0..10_000u64 {
            let mut tally = Tally::default();
            for _ in 0..3 {
                let a = alike(16, &shared, &mut random);
                let b = alike(16, &shared, &mut random);
                tally.add(Similarity::of(&a, &b, 16, 1), true);
            }
            (0..=tally.hits.min(11)).for_each(|k| hits[k as usize] += 1);
            let judge = Judge { seed: trial, ..judge.clone() };
            for (ps, finding) in ps.iter_mut().zip(tally.findings(&judge, "").unwrap()) {
                ps.push(10f64.powf(finding.log10_p.unwrap()));
            }
        }
        for (k, &count) in hits.iter().enumerate() {
            let bound = fixed_points_sf_ge(k as u64, 3).p();
            // Five standard errors.
            let slack = 5.0 * (bound * (1.0 - bound) / 1e4).sqrt() + 5e-4;
            assert!(
                f64::from(count) / 1e4 <= bound + slack,
                "P(X ≥ {k}): {count} / 10,000 above {bound}"
            );
        }
        assert!(hits[3] > 2000, "the matches are real: {hits:?}");
        for ps in &ps {
            let ks = ks_valid(ps).unwrap();
            assert!(ks.p.log10() > -4.0, "{ks:?}");
        }
    }

    #[test]
    fn early_end_of_drawing_keeps_p_valid() {
        let mut random = ChaCha8Rng::seed_from_u64(12);
        let mut ps = Vec::new();
        for trial in 0..10_000 {
            let shifts: Vec<Vec<f64>> =
                (0..2).map(|_| (0..30).map(|_| f64::from(normal(&mut random))).collect()).collect();
            ps.push(shift_p(&shifts, 400, trial).unwrap().0.p());
        }
        let ks = ks_valid(&ps).unwrap();
        assert!(ks.p.log10() > -4.0, "{ks:?}");
        let small = ps.iter().filter(|&&p| p <= 0.05).count();
        assert!((350..650).contains(&small), "nearly exact too: {small} of 10,000 at 5 %");
    }

    #[test]
    fn copies_are_found_by_every_test() {
        let mut random = ChaCha8Rng::seed_from_u64(13);
        let noisy = |matrix: &Matrix, random: &mut ChaCha8Rng| {
            let values = matrix.values().iter().map(|v| v + 0.5 * normal(random)).collect();
            Matrix::new(40, values)
        };
        let mut tally = Tally::default();
        for _ in 0..3 {
            let (gate, up) = (rows(60, 40, &mut random), rows(60, 40, &mut random));
            let copy = Features {
                matching: vec![noisy(&gate, &mut random)],
                signed: vec![noisy(&up, &mut random)],
            };
            let original = Features { matching: vec![gate], signed: vec![up] };
            tally.add(Similarity::of(&normalised(original), &normalised(copy), 60, 2), true);
        }
        let findings = tally.findings(&Judge::new(1e-3, 99_999, 1), "").unwrap();
        let ps: Vec<f64> = findings.iter().filter_map(|finding| finding.log10_p).collect();
        assert!(ps[0] < -200.0 && ps[1] < -4.0 && ps[2] < -50.0, "{ps:?}");
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Related));
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let judge = Judge::new(1e-3, 99, 1);
        for finding in Tally::default().findings(&judge, "").unwrap() {
            assert_eq!((finding.verdict, finding.log10_p), (Verdict::Inconclusive, None));
            assert_eq!(finding.warnings.len(), 1);
        }
        assert_eq!(stream_argmax(None, &judge).verdict, Verdict::Inconclusive);
        assert_eq!(value_argmax(Channels::default(), &judge, "").verdict, Verdict::Inconclusive);
    }
}
