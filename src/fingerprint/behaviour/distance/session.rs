//! The test as it runs.

use std::collections::BTreeMap;

use serde_json::json;

use super::gram::Gram;
use super::{Probe, Rule, TEST};
use crate::fingerprint::behaviour::protocol::PromptCounts;
use crate::fingerprint::behaviour::{Chance, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{Family, LogP, permutation_p};

/// Statistics that differ by less are taken for equal, since machines add in other orders; ties count against us.
const TIE: f64 = 1e-9;

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    probes: Vec<Option<Probe>>,
    answers: Vec<String>,
    counts: PromptCounts,
}

impl Session {
    /// A test that asks all its probes.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for numbers outside their ranges, or a probe that does not fit the rule.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        let invalid = |what: String, got: String, wanted: &str| {
            Err(ProbeError::Invalid { what, got, wanted: wanted.to_owned() })
        };
        if !(rule.alpha > 0.0 && rule.alpha < 1.0) {
            let wanted = "it must be above 0 and below 1";
            return invalid("alpha".to_owned(), rule.alpha.to_string(), wanted);
        }
        if !(1..=1_000_000).contains(&rule.permutations) {
            let got = rule.permutations.to_string();
            return invalid("permutations".to_owned(), got, "1 to 1,000,000 are possible");
        }
        if !(1..=10_000).contains(&rule.length) {
            let got = rule.length.to_string();
            return invalid("length".to_owned(), got, "1 to 10,000 characters are possible");
        }
        if rule.nulls.is_empty() {
            return invalid("number of nulls".to_owned(), "0".to_owned(), "at least one is needed");
        }
        for (at, probe) in probes.iter().enumerate() {
            let Some(probe) = probe else { continue };
            if probe.nulls.len() != rule.nulls.len() {
                let got = probe.nulls.len().to_string();
                let what = format!("number of nulls of probe {at}");
                return invalid(what, got, "as many as the rule has are expected");
            }
        }
        Ok(Self { rule, probes, answers: Vec::new(), counts: PromptCounts::default() })
    }

    fn due(&self) -> Result<Option<&Probe>, ProbeError> {
        match self.probes.get(self.answers.len()) {
            None => Ok(None),
            Some(None) => Err(ProbeError::Hidden { probe: self.answers.len() }),
            Some(Some(probe)) => Ok(Some(probe)),
        }
    }

    /// The kernels against one member of the null, one a prompt with two answers or more.
    fn grams(&self, null: usize) -> Vec<Gram> {
        let mut cells: BTreeMap<u32, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for (probe, answer) in self.probes.iter().zip(&self.answers) {
            let Some(probe) = probe else { continue };
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
        let mut orders: Vec<Vec<usize>> = grams.iter().map(|it| (0..it.size()).collect()).collect();
        let total = |orders: &[Vec<usize>]| -> f64 {
            grams.iter().zip(orders).map(|(gram, order)| gram.mmd(order)).sum()
        };
        let observed = total(&orders);
        let mut chance = Chance::new(self.rule.seed, TEST);
        let mut reached = 0;
        for _ in 0..self.rule.permutations {
            orders.iter_mut().for_each(|order| chance.shuffle(order));
            reached += u64::from(total(&orders) >= observed - TIE);
        }
        let p = permutation_p(reached, self.rule.permutations.into()).unwrap_or(LogP::ONE);
        (observed / grams.len().max(1) as f64, p)
    }
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        let step =
            |probe: &Probe| Step { probe: self.answers.len(), request: probe.request.clone() };
        Ok(self.due()?.map(step))
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        let expected = self.due()?.ok_or(ProbeError::Ended)?.prompt_tokens;
        self.counts.push(expected, answer.prompt_tokens);
        self.answers.push(answer.text.trim().to_owned());
        Ok(())
    }

    fn finding(&self) -> Finding {
        let text = "the suspect is the reference under the enrolled protocol, or under one of those in the composite null; \
                    averaged over both models' sampling and the orders drawn";
        let mut finding = Finding::new(TEST, Null::Sampling, text);
        finding.n = self.answers.len() as u64;
        if self.answers.len() < self.probes.len() {
            return finding.warn(format!(
                "The test ends after {} queries; {} were asked, and it is not looked at before.",
                self.probes.len(),
                self.answers.len()
            ));
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
        gated(finding, first, self.counts.verdict(), self.rule.protocol_assumed)
    }
}
