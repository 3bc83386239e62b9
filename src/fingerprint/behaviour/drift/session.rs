//! The test as it runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Probe, Rule, TEST};
use crate::fingerprint::behaviour::protocol::PromptCounts;
use crate::fingerprint::behaviour::{Chance, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{Family, LogP, permutation_p};

/// As in the sister test: ties count against us.
const TIE: f64 = 1e-9;

/// The likeliest tokens of one answer.
type Top = Vec<(String, f64)>;

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    probes: Vec<Option<Probe>>,
    answers: Vec<Top>,
    counts: PromptCounts,
}

impl Session {
    /// A test that asks all its probes.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for numbers outside their ranges.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        let invalid = |what: &str, got: String, wanted: &str| {
            Err(ProbeError::Invalid { what: what.to_owned(), got, wanted: wanted.to_owned() })
        };
        if !(rule.alpha > 0.0 && rule.alpha < 1.0) {
            return invalid("alpha", rule.alpha.to_string(), "it must be above 0 and below 1");
        }
        if !(rule.tolerance >= 0.0 && rule.tolerance.is_finite()) {
            return invalid(
                "tolerance",
                rule.tolerance.to_string(),
                "it must be a number from 0 on",
            );
        }
        if !(1..=1_000_000).contains(&rule.permutations) {
            let got = rule.permutations.to_string();
            return invalid("permutations", got, "1 to 1,000,000 are possible");
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

    /// By prompt, the reference's answers and as many of the suspect, as rows over the tokens that any of them names.
    fn cells(&self) -> Vec<Vec<Vec<f64>>> {
        let mut cells: BTreeMap<u32, (Vec<&Top>, Vec<&Top>)> = BTreeMap::new();
        for (probe, answer) in self.probes.iter().zip(&self.answers) {
            let Some(probe) = probe else { continue };
            let (reference, suspect) = cells.entry(probe.cell).or_default();
            reference.push(&probe.reference);
            suspect.push(answer);
        }
        let cells = cells.into_values();
        cells.map(|(reference, suspect)| rows(&[reference, suspect].concat())).collect()
    }

    fn test(&self) -> (f64, LogP) {
        let cells = self.cells();
        let mut orders: Vec<Vec<usize>> =
            cells.iter().map(|rows| (0..rows.len()).collect()).collect();
        let total = |orders: &[Vec<usize>]| -> f64 {
            let each = cells.iter().zip(orders);
            each.map(|(rows, order)| drift(rows, order, self.rule.tolerance)).sum()
        };
        let observed = total(&orders);
        let mut chance = Chance::new(self.rule.seed, TEST);
        let mut reached = 0;
        for _ in 0..self.rule.permutations {
            orders.iter_mut().for_each(|order| chance.shuffle(order));
            reached += u64::from(total(&orders) >= observed - TIE);
        }
        let p = permutation_p(reached, self.rule.permutations.into()).unwrap_or(LogP::ONE);
        (observed / cells.len().max(1) as f64, p)
    }
}

/// Answers as rows over all tokens that they name; a token that one does not name stands at its lowest value.
fn rows(answers: &[&Top]) -> Vec<Vec<f64>> {
    let tokens: BTreeSet<&str> =
        answers.iter().flat_map(|top| top.iter().map(|(token, _)| token.as_str())).collect();
    let row = |top: &&Top| {
        let lowest = top.iter().map(|(_, value)| *value).fold(0.0, f64::min);
        let value = |token: &&str| {
            top.iter().find(|(it, _)| it == token).map_or(lowest, |(_, value)| *value)
        };
        tokens.iter().map(value).collect()
    };
    answers.iter().map(row).collect()
}

/// The statistic of one prompt when the first half of `order` is taken for the reference.
fn drift(rows: &[Vec<f64>], order: &[usize], tolerance: f64) -> f64 {
    let (reference, suspect) = order.split_at(order.len() / 2);
    let width = rows.first().map_or(0, Vec::len);
    let mean = |side: &[usize], token: usize| {
        side.iter().map(|&row| rows[row][token]).sum::<f64>() / side.len() as f64
    };
    let excess =
        |token| ((mean(reference, token) - mean(suspect, token)).abs() - tolerance).max(0.0);
    (0..width).map(excess).sum::<f64>() / width.max(1) as f64
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
        self.answers.push(answer.tokens.first().map(|token| token.top.clone()).unwrap_or_default());
        Ok(())
    }

    fn finding(&self) -> Finding {
        let text = format!(
            "the suspect's log-probabilities are the reference's up to {} nats and to noise; averaged over the noise of both and \
             the orders drawn",
            self.rule.tolerance
        );
        let mut finding = Finding::new(TEST, Null::Sampling, text);
        finding.n = self.answers.len() as u64;
        if self.answers.len() < self.probes.len() {
            return finding.warn(format!(
                "The test ends after {} queries; {} were asked, and it is not looked at before.",
                self.probes.len(),
                self.answers.len()
            ));
        }
        let silent = self.answers.iter().filter(|top| top.is_empty()).count();
        if silent > 0 {
            return finding.warn(format!(
                "{silent} of {} answers came without log-probabilities; the suspect does not tell them.",
                self.answers.len()
            ));
        }
        let (mean, p) = self.test();
        let finding = finding
            .judged(rounded(p), Basis::Exact, &Family::one(), self.rule.alpha)
            .with("mean_drift_beyond_tolerance", (mean * 1e9).round() / 1e9)
            .with("permutations", self.rule.permutations)
            .warn("Another kernel or number format moves log-probabilities too; compare with the drift of the reference on another host.");
        let rejected = p.log10() <= self.rule.alpha.log10();
        gated(finding, rejected, self.counts.verdict(), self.rule.protocol_assumed)
    }
}
