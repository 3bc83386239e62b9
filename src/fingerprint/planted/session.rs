//! Asking a suspect the questions of a planting.

use std::collections::HashSet;

use super::pair::Kind;
use super::rule::{Design, Form, Probe, Rule};
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step, Verdict};
use crate::lm::{Completion, Request};
use crate::stats::{EProcess, EValue, LogP, binomial_sf_ge, clopper_pearson};

/// The planted-pairs test as a [`Probing`]. Probes are asked in their order; hidden ones may stand where none is asked.
#[derive(Clone, Debug)]
pub struct Session {
    rule: Rule,
    probes: Vec<Option<Probe>>,
    /// The probe that is due, and which of its phrasings.
    at: usize,
    phrasing: usize,
    queries: u32,
    pairs: Count,
    decoys: Count,
    process: EProcess,
}

/// Questions of one kind that are decided.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    decided: u64,
    in_list: u64,
    hits: u64,
}

/// What an answer was worth.
enum Scored {
    Hit,
    Other,
    Outside,
}

impl Session {
    /// A session before its first query.
    ///
    /// # Errors
    /// [`ProbeError::Invalid`]: a rule out of range, a planting's commitment that its digest does not fit, probes that are not of the
    /// planting, twice there, or not as many as the rule says.
    pub fn new(rule: Rule, probes: Vec<Option<Probe>>) -> Result<Self, ProbeError> {
        check_rule(&rule)?;
        check_probes(&rule, &probes)?;
        Ok(Self {
            rule,
            probes,
            at: 0,
            phrasing: 0,
            queries: 0,
            pairs: Count::default(),
            decoys: Count::default(),
            process: EProcess::new(),
        })
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Queries so far.
    pub fn queries(&self) -> u32 {
        self.queries
    }

    fn k(&self) -> u64 {
        self.rule.planting.list.k()
    }

    /// The p-value of the rule's design: 1 / max Mₜ, or P(Binomial(n, 1/k) ≥ hits) with n all pairs of the rule.
    fn p(&self) -> LogP {
        match self.rule.design {
            Design::Sequential { .. } => self.process.p_bound(),
            Design::Fixed => tail(self.pairs.hits, u64::from(self.rule.pairs), self.k()),
        }
    }

    /// Whether the suspect hits decoys more often than guessing can.
    fn decoys_fail(&self) -> bool {
        let p = tail(self.decoys.hits, self.decoys.decided, self.k());
        p.log10() <= self.rule.decoy_alpha.log10()
    }

    fn is_shown(&self) -> bool {
        let corrected = self.rule.choices().correct(self.p());
        corrected.log10() <= self.rule.alpha.log10()
    }

    fn has_ended(&self) -> bool {
        let enough = matches!(self.rule.design, Design::Sequential { .. }) && self.is_shown();
        self.at >= self.probes.len() || self.queries >= self.rule.budget || enough
    }

    fn due(&self) -> Result<&Probe, ProbeError> {
        let probe = self.probes.get(self.at).and_then(Option::as_ref);
        probe.ok_or(ProbeError::Hidden { probe: self.at })
    }

    fn ways(&self, probe: &Probe) -> usize {
        probe.phrasings.len().min(self.rule.phrasings as usize)
    }

    fn score(&self, probe: &Probe, answer: &str) -> Scored {
        let list = &self.rule.planting.list;
        let right = probe.key.answer(list, self.rule.beacon.as_ref(), &probe.phrasings);
        match list.find(answer) {
            Some(word) if word == right => Scored::Hit,
            Some(_) => Scored::Other,
            None => Scored::Outside,
        }
    }

    /// Counts a decided question.
    fn decide(&mut self, kind: Kind, scored: &Scored) {
        let hit = matches!(scored, Scored::Hit);
        let k = self.k() as f64;
        let count = match kind {
            Kind::Pair => &mut self.pairs,
            Kind::Decoy => &mut self.decoys,
        };
        count.decided += 1;
        count.in_list += u64::from(!matches!(scored, Scored::Outside));
        count.hits += u64::from(hit);
        if let (Kind::Pair, Design::Sequential { lambda }) = (kind, self.rule.design) {
            let factor = 1.0 + lambda * (k * f64::from(u8::from(hit)) - 1.0);
            // λ lies inside (0, 1), so the factor is positive and finite.
            if let Ok(factor) = EValue::from_ln(factor.ln()) {
                self.process.push(factor);
            }
        }
    }

    fn warned(&self, finding: Finding) -> Finding {
        let mut finding = finding;
        for warning in self.premises().into_iter().chain(self.outcome(finding.verdict)) {
            finding = finding.warn(warning);
        }
        finding
    }

    /// What the p-value takes for granted and nobody has shown.
    fn premises(&self) -> Vec<String> {
        let times = &self.rule.times;
        let mut warnings = Vec::new();
        match (times.committed, times.released) {
            (Some(committed), Some(released)) if committed < released => {
                if times.evidence.is_none() {
                    warnings.push(format!(
                        "that the planting was committed on {committed}, before the suspect's release on {released}, is a claim without evidence"
                    ));
                }
            }
            (Some(committed), Some(released)) => warnings.push(format!(
                "the planting was committed on {committed}, not before the suspect's release on {released}: pairs may have been chosen by its answers, and the p-value holds only if they were not"
            )),
            _ => warnings.push(
                "the planting is not shown to be older than the suspect: the p-value assumes that pairs were not chosen by its answers".to_owned(),
            ),
        }
        if self.rule.beacon.is_none() {
            warnings.push(
                "keys and questions were the owner's choice alone (no beacon): the p-value assumes that they were drawn blindly, not made to fit answers that many models give; ask independent models the same questions".to_owned(),
            );
        }
        warnings
    }

    /// What a reader must know of this outcome.
    fn outcome(&self, verdict: Verdict) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.decoys_fail() {
            warnings.push(format!(
                "{} of {} decoys, which nobody was taught, were answered right: somebody knows the planting's keys, or the answers are made up",
                self.decoys.hits, self.decoys.decided
            ));
        }
        let (left, budget) = (self.probes.len().saturating_sub(self.at), self.rule.budget);
        if !self.has_ended() {
            warnings.push(format!("the test has not ended: {left} questions were not decided"));
        } else if left > 0 && self.queries >= budget && verdict != Verdict::Related {
            warnings.push(format!(
                "the budget of {budget} queries ended the test; {left} questions were not decided"
            ));
        }
        match verdict {
            Verdict::Related => warnings.push(
                "the suspect was taught the pairs: by descent from the planted model, or by training on its answers to these very questions; which of the two is not shown".to_owned(),
            ),
            Verdict::NotShown => warnings.push(
                "not shown is not innocence: pairs can be trained away, and their answers filtered".to_owned(),
            ),
            _ => {}
        }
        warnings
    }
}

impl Probing for Session {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        if self.has_ended() {
            return Ok(None);
        }
        let probe = self.due()?;
        let question = probe.phrasings.get(self.phrasing).map_or("", String::as_str);
        let request = Request {
            prompt: self.rule.form.prompt(question),
            max_tokens: self.rule.max_tokens,
            temperature: 0.0,
            top_p: 1.0,
            seed: None,
            top_logprobs: None,
        };
        Ok(Some(Step { probe: self.at, request }))
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        if self.has_ended() {
            return Err(ProbeError::Ended);
        }
        let probe = self.due()?;
        let scored = self.score(probe, &answer.text);
        let (kind, ways) = (probe.kind, self.ways(probe));
        self.queries += 1;
        self.phrasing += 1;
        if matches!(scored, Scored::Outside) && self.phrasing < ways {
            return Ok(());
        }
        self.decide(kind, &scored);
        (self.at, self.phrasing) = (self.at + 1, 0);
        Ok(())
    }

    fn finding(&self) -> Finding {
        let k = self.k();
        let null = format!(
            "an independent model, not trained on the pairs nor on a planted model's answers to them: at most Binomial(n, 1/{k}) hits, whatever it answers, over the random choice of the pairs' keys"
        );
        let mut finding = Finding::new(super::TEST, Null::Population, null);
        finding.n = self.pairs.decided;
        if self.pairs.decided > 0 {
            finding = finding.judged(self.p(), Basis::Exact, &self.rule.choices(), self.rule.alpha);
        }
        if self.decoys_fail() {
            // It can only take an accusation back, so that nothing is to be paid for it.
            finding.verdict = Verdict::Inconclusive;
        }
        let rate = clopper_pearson(self.pairs.hits, self.pairs.decided.max(1), 0.95).ok();
        let design = match self.rule.design {
            Design::Sequential { .. } => "sequential",
            Design::Fixed => "fixed",
        };
        let finding = finding
            .with("design", design)
            .with("k", k)
            .with("hits", self.pairs.hits)
            .with("decided", self.pairs.decided)
            .with("in_list", self.pairs.in_list)
            .with("pairs_in_rule", self.rule.pairs)
            .with("hit_rate_95", rate.map(|rate| [rate.low, rate.high]))
            .with("decoy_hits", self.decoys.hits)
            .with("decoys_decided", self.decoys.decided)
            .with("decoys_in_list", self.decoys.in_list)
            .with("queries", self.queries)
            .with("ended", self.has_ended());
        self.warned(finding)
    }
}

/// P(Binomial(n, 1/k) ≥ hits); one where it cannot be computed, which would take 10¹⁴ questions.
fn tail(hits: u64, n: u64, k: u64) -> LogP {
    binomial_sf_ge(hits, n, 1.0 / k as f64).unwrap_or(LogP::ONE)
}

fn invalid(what: &str, got: impl ToString, wanted: &str) -> ProbeError {
    ProbeError::Invalid { what: what.to_owned(), got: got.to_string(), wanted: wanted.to_owned() }
}

fn check_rule(rule: &Rule) -> Result<(), ProbeError> {
    if rule.schema != Rule::SCHEMA {
        return Err(invalid("schema", rule.schema, "this program knows version 1"));
    }
    if !rule.planting.is_whole() {
        return Err(invalid("planting.digest", &rule.planting.digest, "another is computed"));
    }
    if let Design::Sequential { lambda } = rule.design
        && !(lambda > 0.0 && lambda < 1.0)
    {
        return Err(invalid("design.lambda", lambda, "it lies between 0 and 1"));
    }
    for (what, level) in [("alpha", rule.alpha), ("decoy_alpha", rule.decoy_alpha)] {
        if !(level > 0.0 && level < 1.0) {
            return Err(invalid(what, level, "it lies between 0 and 1"));
        }
    }
    for (what, count) in
        [("pairs", rule.pairs), ("phrasings", rule.phrasings), ("max_tokens", rule.max_tokens)]
    {
        if count == 0 {
            return Err(invalid(what, count, "at least 1 is needed"));
        }
    }
    if let Form::Text { before, after } = &rule.form
        && before.is_empty()
        && after.is_empty()
    {
        return Err(invalid("form", "empty", "a text before or after the question is needed"));
    }
    let known = rule.beacon.as_ref().map(|beacon| &beacon.announced);
    if known != rule.planting.announced.as_ref() {
        let wanted = "it is the beacon that the planting announced, or none where none was";
        return Err(invalid("beacon", known.map_or("absent", |text| text), wanted));
    }
    Ok(())
}

fn check_probes(rule: &Rule, probes: &[Option<Probe>]) -> Result<(), ProbeError> {
    let wanted = u64::from(rule.pairs) + u64::from(rule.decoys);
    if probes.len() as u64 != wanted {
        return Err(invalid("number of probes", probes.len(), "it is pairs + decoys of the rule"));
    }
    if !rule.first.is_multiple_of(Rule::BLOCK) {
        return Err(invalid("first", rule.first, "asking begins at a multiple of 8"));
    }
    check_order(rule, probes)?;
    let mut seen = HashSet::new();
    for (at, probe) in probes.iter().enumerate() {
        let Some(probe) = probe else { continue };
        if rule.planting.leaf(probe.kind, probe.index) != Some(probe.leaf().as_str()) {
            return Err(invalid(&format!("probe {at}"), probe.index, "it is not of this planting"));
        }
        if !seen.insert((probe.kind, probe.index)) {
            return Err(invalid(&format!("probe {at}"), probe.index, "it was there before"));
        }
    }
    for (kind, most) in [(Kind::Pair, rule.pairs), (Kind::Decoy, rule.decoys)] {
        let count = seen.iter().filter(|(of, _)| *of == kind).count();
        if count > most as usize {
            return Err(invalid("number of probes of a kind", count, "the rule has fewer"));
        }
    }
    Ok(())
}

/// Pairs come in their order in the planting, none left out, as far as probes are known: after a hidden one nothing is asked.
fn check_order(rule: &Rule, probes: &[Option<Probe>]) -> Result<(), ProbeError> {
    let known = probes.iter().map_while(Option::as_ref);
    let pairs = known.filter(|probe| probe.kind == Kind::Pair);
    match (u64::from(rule.first)..).zip(pairs).find(|(place, pair)| *place != u64::from(pair.index))
    {
        Some((place, pair)) => Err(invalid(
            "order of pairs",
            pair.index,
            &format!("pair {place} is due: pairs are asked in their order, none left out"),
        )),
        None => Ok(()),
    }
}
