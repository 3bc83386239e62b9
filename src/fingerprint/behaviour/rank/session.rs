//! The test as it runs.

use serde_json::{Value, json};

use super::{Probe, Rule, TEST, percentile};
use crate::fingerprint::behaviour::asking::Asking;
use crate::fingerprint::behaviour::permuted::TIE;
use crate::fingerprint::behaviour::{Chance, checks, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{Family, LogP, StatsError, cramer_von_mises, ks_distances, permutation_p};

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    /// Of each answer its rank.
    asking: Asking<Probe, usize>,
}

/// What the answers say against one member of the null.
struct Test {
    omega2: f64,
    /// Mean of u, and how far u lies below uniform numbers and above.
    mean: f64,
    distances: (f64, f64),
    p: LogP,
}

impl Session {
    /// A test that asks all its probes.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for numbers outside their ranges, too few draws for the level, or a probe that does not fit the rule.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        rule.check()?;
        checks::each(&probes, |at, probe| probe.check(at, &rule))?;
        Ok(Self { rule, asking: Asking::new(probes) })
    }

    /// u of each prompt against one member of the null. All members share the coins.
    fn percentiles(&self, null: usize) -> Vec<f64> {
        let mut coins = Chance::new(self.rule.seed, "rank-uniformity coins");
        let answered = self.asking.answered();
        answered
            .map(|(probe, rank)| percentile(&probe.nulls[null], *rank, coins.uniform()))
            .collect()
    }

    fn tests(&self) -> Result<Vec<Test>, StatsError> {
        let measured = |null: usize| {
            let u = self.percentiles(null);
            Ok(Test {
                omega2: cramer_von_mises(&u)?,
                mean: u.iter().sum::<f64>() / u.len() as f64,
                distances: ks_distances(&u)?,
                p: LogP::ONE,
            })
        };
        let mut tests = (0..self.rule.nulls.len()).map(measured).collect::<Result<Vec<_>, _>>()?;
        let mut reached = vec![0; tests.len()];
        self.each_draw(|drawn| {
            for (reached, test) in reached.iter_mut().zip(&tests) {
                *reached += u64::from(drawn >= test.omega2 - TIE);
            }
        })?;
        for (test, reached) in tests.iter_mut().zip(reached) {
            test.p = permutation_p(reached, self.rule.draws.into())?;
        }
        Ok(tests)
    }

    /// The statistic of uniform numbers, as many as there are answers, again and again.
    fn each_draw(&self, mut take: impl FnMut(f64)) -> Result<(), StatsError> {
        let mut chance = Chance::new(self.rule.seed, "rank-uniformity draws");
        let mut sample = vec![0.0; self.asking.asked()];
        for _ in 0..self.rule.draws {
            sample.fill_with(|| chance.uniform());
            take(cramer_von_mises(&sample)?);
        }
        Ok(())
    }

    fn judged(&self, finding: Finding, tests: &[Test]) -> Finding {
        let worst = tests.iter().map(|test| test.p).max().unwrap_or(LogP::ONE);
        let members = self.rule.nulls.iter().zip(tests).map(|(name, test)| test.told(name));
        let finding = finding
            .judged(rounded(worst), Basis::Exact, &Family::one(), self.rule.alpha)
            .with("members", members.collect::<Vec<_>>())
            .with("draws", self.rule.draws);
        let first = tests.first().is_some_and(|it| it.p.log10() <= self.rule.alpha.log10());
        gated(finding, first, self.asking.counted(), self.rule.protocol_assumed)
    }
}

impl Test {
    fn told(&self, name: &str) -> Value {
        let digits = |value: f64| (value * 1e9).round() / 1e9;
        let (below, above) = self.distances;
        json!({
            "null": name,
            "log10_p": rounded(self.p).log10(),
            "omega2": digits(self.omega2),
            "mean_percentile": digits(self.mean),
            "distance_towards_low_ranks": digits(below),
            "distance_towards_high_ranks": digits(above),
        })
    }
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        self.asking.next()
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        let rank = self.asking.due()?.ok_or(ProbeError::Ended)?.rank(&answer.text);
        self.asking.take(answer, rank)
    }

    fn finding(&self) -> Finding {
        let text = "the suspect is the reference under the enrolled protocol, or under one of those in the composite null; \
                    averaged over both models' sampling and the numbers drawn";
        let mut finding = Finding::new(TEST, Null::Sampling, text);
        finding.n = self.asking.asked() as u64;
        if let Some(why) = self.asking.unfinished() {
            return finding.warn(why);
        }
        match self.tests() {
            Ok(tests) => self.judged(finding, &tests),
            Err(error) => finding.warn(format!("The ranks cannot be tested: {error}.")),
        }
    }
}
