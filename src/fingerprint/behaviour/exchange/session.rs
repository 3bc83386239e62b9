//! The test as it runs.

use serde_json::json;

use super::learner::{Learner, chances};
use super::{Probe, Rule, TEST};
use crate::fingerprint::behaviour::asking::Asking;
use crate::fingerprint::behaviour::{checks, gated, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::Completion;
use crate::stats::{EProcess, EValue, Family, LogP};

/// The test as it runs.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    asking: Asking<Probe, ()>,
    wealth: Vec<Wealth>,
    /// After how many answers each member of the null was rejected.
    rejected: Vec<Option<usize>>,
    learner: Learner,
}

impl Session {
    /// A test that asks its probes in their order, until every member of the null is rejected or none is left.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`] for a rule without nulls, numbers outside their ranges, or a probe that does not fit the rule.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        checks::fraction("alpha", rule.alpha)?;
        checks::fraction("lambda", rule.lambda)?;
        checks::any("nulls", rule.nulls.len())?;
        checks::each(&probes, |at, probe| probe.check(at, &rule))?;
        Ok(Self {
            wealth: (0..rule.nulls.len()).map(|at| Wealth::new(at > 0)).collect(),
            rejected: vec![None; rule.nulls.len()],
            rule,
            asking: Asking::new(probes),
            learner: Learner::default(),
        })
    }

    /// Whether every member of the null is rejected.
    fn is_decided(&self) -> bool {
        self.rejected.iter().all(Option::is_some)
    }

    /// 1/α, as a logarithm.
    fn bar(&self) -> f64 {
        -self.rule.alpha.ln()
    }

    /// The p-value of the composite null: the largest of its members'.
    fn p(&self) -> LogP {
        self.wealth.iter().map(Wealth::p_bound).max().unwrap_or(LogP::ONE)
    }
}

/// Log-probabilities of the same weights differ in their last digits from machine to machine; ceilings are raised by so much.
const SLACK: f64 = 1.05;

/// What has been won against one member of the null: by exchange alone, or half by exchange and half by ceilings. The mean of two
/// e-processes is one.
#[derive(Clone, Debug)]
struct Wealth {
    exchange: f64,
    ceilings: f64,
    halved: bool,
    process: EProcess,
}

impl Wealth {
    fn new(halved: bool) -> Self {
        Self { exchange: 0.0, ceilings: 0.0, halved, process: EProcess::new() }
    }

    /// Takes the logarithms of both factors; 0 is a bet that is not made.
    fn push(&mut self, exchange: f64, ceilings: f64) {
        let before = self.ln();
        self.exchange += exchange;
        self.ceilings += ceilings;
        // Guesses are above 0, so that this is a number.
        self.process.push(EValue::from_ln(self.ln() - before).unwrap_or(EValue::ONE));
    }

    fn ln(&self) -> f64 {
        if !self.halved {
            return self.exchange;
        }
        let (high, low) = (self.exchange.max(self.ceilings), self.exchange.min(self.ceilings));
        high + (low - high).exp().ln_1p() - 2_f64.ln()
    }

    fn p_bound(&self) -> LogP {
        self.process.p_bound()
    }
}

/// One bet: λ of the wealth on the order of the two answers, by the guesses q and p.
pub(super) fn factor(lambda: f64, q: &[f64], p: &[f64], reference: usize, suspect: usize) -> f64 {
    let (as_is, swapped) = (q[suspect] * p[reference], q[reference] * p[suspect]);
    (1.0 - lambda) + lambda * 2.0 * as_is / (as_is + swapped)
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        if self.is_decided() { Ok(None) } else { self.asking.next() }
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        let due = if self.is_decided() { None } else { self.asking.due()? };
        let probe = due.ok_or(ProbeError::Ended)?.clone();
        let suspect = probe.place(&answer.text);
        self.asking.take(answer, ())?;
        let asked = self.asking.asked();
        let enrolled = probe.nulls.first().map(|member| chances(&member.ppm)).unwrap_or_default();
        let guesses = self.learner.guesses(&probe, &enrolled);
        let mixture = self.learner.mixture(&guesses);
        let bar = self.bar();
        for (at, member) in probe.nulls.iter().enumerate() {
            let reference = probe.place(&member.answer);
            let f = factor(self.rule.lambda, &mixture, &chances(&member.ppm), reference, suspect);
            let ceiling = member.ceilings.get(suspect).map_or(0.0, |ceiling| {
                let ceiling = f64::from((*ceiling).max(1)) / 1e6 * SLACK;
                (mixture[suspect] / ceiling).ln()
            });
            self.wealth[at].push(f.ln(), ceiling);
            if -self.wealth[at].p_bound().ln() >= bar {
                self.rejected[at].get_or_insert(asked);
            }
        }
        self.learner.learn(probe.cell, &guesses, suspect);
        Ok(())
    }

    fn finding(&self) -> Finding {
        let text = "the suspect is the reference under the enrolled protocol, or under one of those in the composite null; \
                    averaged over both models' sampling";
        let finding = Finding::new(TEST, Null::Sampling, text).judged(
            rounded(self.p()),
            Basis::Exact,
            &Family::one(),
            self.rule.alpha,
        );
        let members = self.rule.nulls.iter().zip(&self.wealth).zip(&self.rejected);
        let members = members.map(|((name, wealth), rejected)| {
            json!({ "null": name, "log10_p": rounded(wealth.p_bound()).log10(), "rejected_after": rejected })
        });
        let mut finding = finding
            .with("members", members.collect::<Vec<_>>())
            .with("queries_to_reject_the_enrolled_protocol", self.rejected[0])
            .with("alternatives", &self.rule.alternatives);
        let (asked, planned) = (self.asking.asked(), self.asking.planned());
        finding.n = asked as u64;
        if asked < planned && !self.is_decided() {
            finding =
                finding.warn(format!("The test was ended after {asked} of {planned} queries."));
        }
        let enrolled = self.rejected[0].is_some();
        gated(finding, enrolled, self.asking.counted(), self.rule.protocol_assumed)
    }
}
