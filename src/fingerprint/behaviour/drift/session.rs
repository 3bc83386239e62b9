//! The test as it runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Probe, Rule, TEST};
use crate::fingerprint::behaviour::asking::Asking;
use crate::fingerprint::behaviour::permuted::permuted;
use crate::fingerprint::behaviour::{Chance, checks, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{Family, LogP};

/// The likeliest tokens of one answer.
type Top = Vec<(String, f64)>;

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    asking: Asking<Probe, Top>,
}

impl Session {
    /// A test that asks all its probes.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for numbers outside their ranges.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        checks::fraction("alpha", rule.alpha)?;
        if !(rule.tolerance >= 0.0 && rule.tolerance.is_finite()) {
            let wanted = "it must be a number from 0 on";
            return Err(ProbeError::invalid("tolerance", rule.tolerance, wanted));
        }
        checks::draws("permutations", rule.permutations)?;
        Ok(Self { rule, asking: Asking::new(probes) })
    }

    /// By prompt, the reference's answers and as many of the suspect, as rows over the tokens that any of them names.
    fn cells(&self) -> Vec<Vec<Vec<f64>>> {
        let mut cells: BTreeMap<u32, (Vec<&Top>, Vec<&Top>)> = BTreeMap::new();
        for (probe, answer) in self.asking.answered() {
            let (reference, suspect) = cells.entry(probe.cell).or_default();
            reference.push(&probe.reference);
            suspect.push(answer);
        }
        let cells = cells.into_values();
        cells.map(|(reference, suspect)| rows(&[reference, suspect].concat())).collect()
    }

    fn test(&self) -> (f64, LogP) {
        let cells = self.cells();
        let sizes: Vec<usize> = cells.iter().map(Vec::len).collect();
        let chance = Chance::new(self.rule.seed, TEST);
        let (observed, p) = permuted(&sizes, self.rule.permutations, chance, |orders| {
            let each = cells.iter().zip(orders);
            each.map(|(rows, order)| drift(rows, order, self.rule.tolerance)).sum()
        });
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
        self.asking.next()
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        let top = answer.tokens.first().map(|token| token.top.clone());
        self.asking.take(answer, top.unwrap_or_default())
    }

    fn finding(&self) -> Finding {
        let text = format!(
            "the suspect's log-probabilities are the reference's up to {} nats and to noise; averaged over the noise of both and \
             the orders drawn",
            self.rule.tolerance
        );
        let mut finding = Finding::new(TEST, Null::Sampling, text);
        finding.n = self.asking.asked() as u64;
        if let Some(why) = self.asking.unfinished() {
            return finding.warn(why);
        }
        let silent = self.asking.answers().iter().filter(|top| top.is_empty()).count();
        if silent > 0 {
            return finding.warn(format!(
                "{silent} of {} answers came without log-probabilities; the suspect does not tell them.",
                self.asking.asked()
            ));
        }
        let (mean, p) = self.test();
        let finding = finding
            .judged(rounded(p), Basis::Exact, &Family::one(), self.rule.alpha)
            .with("mean_drift_beyond_tolerance", (mean * 1e9).round() / 1e9)
            .with("permutations", self.rule.permutations)
            .warn("Another kernel or number format moves log-probabilities too; compare with the drift of the reference on another host.");
        let rejected = p.log10() <= self.rule.alpha.log10();
        gated(finding, rejected, self.asking.counted(), self.rule.protocol_assumed)
    }
}
