//! The test as it runs.

use std::collections::BTreeMap;

use serde_json::json;

use super::gram::Gram;
use super::{Probe, Rule, TEST};
use crate::fingerprint::behaviour::asking::Asking;
use crate::fingerprint::behaviour::permuted::permuted;
use crate::fingerprint::behaviour::{Chance, checks, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{Family, LogP};

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    asking: Asking<Probe, String>,
}

impl Session {
    /// A test that asks all its probes.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for numbers outside their ranges, or a probe that does not fit the rule.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        checks::fraction("alpha", rule.alpha)?;
        checks::draws("permutations", rule.permutations)?;
        if !(1..=10_000).contains(&rule.length) {
            let wanted = "1 to 10,000 characters are possible";
            return Err(ProbeError::invalid("length", rule.length, wanted));
        }
        checks::any("nulls", rule.nulls.len())?;
        checks::each(&probes, |at, probe| {
            checks::as_many("number of nulls", at, probe.nulls.len(), rule.nulls.len())
        })?;
        Ok(Self { rule, asking: Asking::new(probes) })
    }

    /// The kernels against one member of the null, one a prompt with two answers or more.
    fn grams(&self, null: usize) -> Vec<Gram> {
        let mut cells: BTreeMap<u32, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for (probe, answer) in self.asking.answered() {
            let (reference, suspect) = cells.entry(probe.cell).or_default();
            reference.push(&probe.nulls[null]);
            suspect.push(answer);
        }
        let length = self.rule.length as usize;
        let cells = cells.values().filter(|(reference, _)| reference.len() > 1);
        cells.map(|(reference, suspect)| Gram::new(reference, suspect, length)).collect()
    }

    /// MMD² and its permutation p-value against one member of the null.
    fn test(&self, null: usize) -> (f64, LogP) {
        let grams = self.grams(null);
        let sizes: Vec<usize> = grams.iter().map(Gram::size).collect();
        let chance = Chance::new(self.rule.seed, TEST);
        let (observed, p) = permuted(&sizes, self.rule.permutations, chance, |orders| {
            grams.iter().zip(orders).map(|(gram, order)| gram.mmd(order)).sum()
        });
        (observed / grams.len().max(1) as f64, p)
    }
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        self.asking.next()
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        self.asking.take(answer, answer.text.trim().to_owned())
    }

    fn finding(&self) -> Finding {
        let text = "the suspect is the reference under the enrolled protocol, or under one of those in the composite null; \
                    averaged over both models' sampling and the orders drawn";
        let mut finding = Finding::new(TEST, Null::Sampling, text);
        finding.n = self.asking.asked() as u64;
        if let Some(why) = self.asking.unfinished() {
            return finding.warn(why);
        }
        let tests: Vec<_> = (0..self.rule.nulls.len()).map(|null| self.test(null)).collect();
        let worst = tests.iter().map(|(_, p)| *p).max().unwrap_or(LogP::ONE);
        let members = self.rule.nulls.iter().zip(&tests).map(|(name, (mmd, p))| {
            json!({ "null": name, "mmd2": (mmd * 1e9).round() / 1e9, "log10_p": rounded(*p).log10() })
        });
        let finding = finding
            .judged(rounded(worst), Basis::Exact, &Family::one(), self.rule.alpha)
            .with("members", members.collect::<Vec<_>>())
            .with("permutations", self.rule.permutations);
        let first = tests.first().is_some_and(|(_, p)| p.log10() <= self.rule.alpha.log10());
        gated(finding, first, self.asking.counted(), self.rule.protocol_assumed)
    }
}
