//! The test as it runs.

use std::collections::BTreeMap;

use serde_json::json;

use super::panel::{Law, least_members, log_odds};
use super::{Probe, Rule, TEST, agree, first_word};
use crate::fingerprint::behaviour::asking::Asking;
use crate::fingerprint::behaviour::protocol::Counted;
use crate::fingerprint::behaviour::{checks, rounded};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step, Verdict};
use crate::lm::Completion;
use crate::stats::{Family, LogP, StatsError, binomial_sf_ge};

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
    /// [`ProbeError::Invalid`] for a rule without candidates or members, or a probe that does not fit it.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        checks::fraction("alpha", rule.alpha)?;
        checks::any("candidates", rule.candidates.len())?;
        checks::each(&probes, |at, probe| probe.check(at, &rule))?;
        Ok(Self { rule, asking: Asking::new(probes) })
    }

    /// Repeated questions that were answered otherwise the second time, of how many.
    fn unsteady(&self) -> (usize, usize) {
        let repeats = self.asking.answered().filter_map(|(probe, answer)| {
            let earlier = self.asking.answers().get(probe.repeats?)?;
            Some(first_word(earlier) != first_word(answer))
        });
        repeats.fold((0, 0), |(other, of), differs| (other + usize::from(differs), of + 1))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(self.rule.candidates.len(), self.rule.members.len());
        let counted = self.asking.answered().filter(|(probe, _)| probe.repeats.is_none());
        counted.for_each(|(probe, answer)| table.push(probe, answer));
        table
    }
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        self.asking.next()
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        self.asking.take(answer, answer.text.clone())
    }

    fn finding(&self) -> Finding {
        let text = "the suspect is an ordinary independent model, like those of the panel; averaged over prompts and over the \
                    models that the panel stands for";
        let mut finding = Finding::new(TEST, Null::Population, text);
        let table = self.table();
        finding.n = table.n;
        finding = table.described(finding, &self.rule);
        if let Some(why) = self.asking.unfinished() {
            return finding.warn(why);
        }
        match table.test(&self.rule) {
            Ok(test) => self.gated(self.judged(finding, &test)),
            Err(why) => finding.warn(why),
        }
    }
}

impl Session {
    fn judged(&self, finding: Finding, test: &Test) -> Finding {
        let basis = match self.rule.law {
            Law::Rank => Basis::Panel,
            Law::StudentT => Basis::ModelBased,
        };
        let family = Family::one().times("candidates", self.rule.candidates.len() as u64);
        let p = test.paired.max(test.panel).max(test.gap.unwrap_or(LogP::ZERO));
        let mut finding = finding
            .judged(rounded(p), basis, &family, self.rule.alpha)
            .with("candidate", &self.rule.candidates[test.best])
            .with("log10_p_paired", rounded(test.paired).log10())
            .with("log10_p_panel", rounded(test.panel).log10())
            .with("log10_p_gap", test.gap.map(|p| rounded(p).log10()))
            .with("log10_p_by_stratum", &test.strata);
        if self.rule.law == Law::StudentT {
            finding = finding.warn(format!(
                "A panel of {} cannot reach {} by rank; the p-value rests on the assumption that log-odds of agreement are normal \
                 among independent models.",
                self.rule.members.len(),
                self.rule.alpha
            ));
        }
        for stratum in &test.untested {
            finding = finding.warn(format!(
                "Stratum \"{stratum}\" has too few members to be tested on its own."
            ));
        }
        finding
    }

    /// A protocol that differs costs agreement: it cannot make an independent model RELATED, but hide a copy.
    fn gated(&self, mut finding: Finding) -> Finding {
        let (other, of) = self.unsteady();
        finding = finding.with("repeated_answered_otherwise", other).with("repeated", of);
        let mut faults = Vec::new();
        if other > 0 {
            faults.push(format!("{other} of {of} repeated questions were answered otherwise: the suspect does not answer greedily"));
        }
        if let Counted::Offset(by) = self.asking.counted() {
            faults.push(format!("the suspect counts {by:+} tokens in every prompt, as a system prompt or a template of its own does"));
        }
        if !faults.is_empty() && finding.verdict == Verdict::NotShown {
            finding.verdict = Verdict::Inconclusive;
        }
        faults
            .into_iter()
            .fold(finding, |finding, fault| finding.warn(format!("Protocol: {fault}.")))
    }
}

/// Who agrees with whom.
struct Table {
    n: u64,
    /// Prompts on which the suspect agrees with each candidate.
    suspect: Vec<u64>,
    /// By candidate and member: prompts on which the member agrees with the candidate, on which only the suspect does, on which
    /// only the member does.
    members: Vec<Vec<[u64; 3]>>,
}

/// p-values of one candidate.
struct Test {
    best: usize,
    paired: LogP,
    panel: LogP,
    gap: Option<LogP>,
    strata: BTreeMap<String, f64>,
    untested: Vec<String>,
}

impl Table {
    fn new(candidates: usize, members: usize) -> Self {
        Self {
            n: 0,
            suspect: vec![0; candidates],
            members: vec![vec![[0; 3]; members]; candidates],
        }
    }

    fn push(&mut self, probe: &Probe, answer: &str) {
        self.n += 1;
        for (at, candidate) in probe.candidates.iter().enumerate() {
            let suspect = agree(answer, candidate);
            self.suspect[at] += u64::from(suspect);
            for (cell, member) in self.members[at].iter_mut().zip(&probe.members) {
                let member = agree(member, candidate);
                cell[0] += u64::from(member);
                cell[1] += u64::from(suspect && !member);
                cell[2] += u64::from(member && !suspect);
            }
        }
    }

    /// The candidate that the suspect agrees with most; the first on ties.
    fn best(&self) -> usize {
        (1..self.suspect.len())
            .fold(0, |best, at| if self.suspect[at] > self.suspect[best] { at } else { best })
    }

    fn described(&self, finding: Finding, rule: &Rule) -> Finding {
        let best = self.best();
        let share = |agreed: u64| if self.n == 0 { 0.0 } else { agreed as f64 / self.n as f64 };
        let members = rule.members.iter().zip(&self.members[best]).map(|(member, cell)| {
            json!({ "name": member.name, "stratum": member.stratum, "agreement": share(cell[0]),
                    "only_suspect": cell[1], "only_member": cell[2] })
        });
        finding
            .with("agreement", share(self.suspect[best]))
            .with("members", members.collect::<Vec<_>>())
            .with("panel_expires", &rule.expires)
    }

    fn test(&self, rule: &Rule) -> Result<Test, String> {
        let least = least_members();
        if rule.members.len() < least {
            return Err(format!(
                "The panel has {} independent models; at least {least} are needed.",
                rule.members.len()
            ));
        }
        if self.n == 0 {
            return Err("No prompt was asked.".to_owned());
        }
        self.p_values(rule, self.best()).map_err(|error| error.to_string())
    }

    fn p_values(&self, rule: &Rule, best: usize) -> Result<Test, StatsError> {
        let mut paired = LogP::ZERO;
        for [_, only_suspect, only_member] in &self.members[best] {
            let p = binomial_sf_ge(*only_suspect, only_suspect + only_member, 0.5)?;
            paired = paired.max(p);
        }
        let x = log_odds(self.suspect[best], self.n);
        let value = |at: usize| log_odds(self.members[best][at][0], self.n);
        let all: Vec<f64> = (0..rule.members.len()).map(value).collect();
        let mut panel = rule.law.p(x, &all)?;
        let (mut strata, mut untested) = (BTreeMap::new(), Vec::new());
        for (stratum, members) in grouped(rule) {
            // By rank, a stratum must be large enough to reach the level.
            let enough = members.len() >= least_members()
                && (rule.law == Law::StudentT
                    || Law::for_panel(members.len(), rule.alpha) == Law::Rank);
            if !enough {
                untested.push(stratum);
                continue;
            }
            let values: Vec<f64> = members.into_iter().map(value).collect();
            let p = rule.law.p(x, &values)?;
            panel = panel.max(p);
            strata.insert(stratum, rounded(p).log10());
        }
        Ok(Test { best, paired, panel, gap: self.gap(rule)?, strata, untested })
    }

    /// The orphan guard.
    fn gap(&self, rule: &Rule) -> Result<Option<LogP>, StatsError> {
        if rule.candidates.len() < 2 {
            return Ok(None);
        }
        let member = |at: usize| self.members.iter().map(|row| row[at][0]).collect::<Vec<_>>();
        let members: Vec<f64> =
            (0..rule.members.len()).map(|at| lead(&member(at), self.n)).collect();
        rule.law.p(lead(&self.suspect, self.n), &members).map(Some)
    }
}

/// By how much the best of some agreements leads the second, in log-odds.
fn lead(agreed: &[u64], of: u64) -> f64 {
    let mut sorted: Vec<f64> = agreed.iter().map(|&agreed| log_odds(agreed, of)).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted[0] - sorted[1]
}

fn grouped(rule: &Rule) -> BTreeMap<String, Vec<usize>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, member) in rule.members.iter().enumerate() {
        groups.entry(member.stratum.clone()).or_default().push(at);
    }
    groups
}
