//! u is uniform whatever the order; level, power, and what a bundle of it proves.

use jiff::Timestamp;

use super::*;
use crate::fingerprint::behaviour::Chance;
use crate::fingerprint::behaviour::protocol::{Form, Protocol};
use crate::fingerprint::bundle::{
    Commitment, Ending, Event, Files, Leaves, Outcome, Plan, Transcript, Verified, replay, verify,
};
use crate::fingerprint::{Finding, Probing, Verdict};
use crate::lm::Completion;
use crate::provenance::SecretKey;
use crate::stats::{binomial_sf_ge, ks_uniform};

const ANSWERS: usize = 12;

/// A toy model: chances of answers, one row a prompt.
type Toy = Vec<Vec<f64>>;

/// Rows in which few answers have most of the chance.
fn toy(chance: &mut Chance, prompts: usize) -> Toy {
    let mut row = || scaled((0..ANSWERS).map(|_| chance.uniform().powf(6.0)).collect());
    (0..prompts).map(|_| row()).collect()
}

fn scaled(row: Vec<f64>) -> Vec<f64> {
    let sum: f64 = row.iter().sum();
    row.into_iter().map(|p| p / sum).collect()
}

fn tempered(model: &Toy, temperature: f64) -> Toy {
    let row = |row: &Vec<f64>| scaled(row.iter().map(|p| p.powf(1.0 / temperature)).collect());
    model.iter().map(row).collect()
}

fn draw(chance: &mut Chance, row: &[f64]) -> String {
    let mut u = chance.uniform();
    let at = row.iter().position(|p| {
        u -= p;
        u < 0.0
    });
    format!(" a{}", at.unwrap_or(0))
}

/// The eight likeliest answers of a model in their order; the other four share a rank.
fn symbols(row: &[f64]) -> Vec<String> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    order.into_iter().take(8).map(|at| format!("a{at}")).collect()
}

/// Probes in the order of answers of `believed`, with fresh answers of each of `nulls`.
fn probes(
    chance: &mut Chance,
    believed: &Toy,
    nulls: &[&Toy],
    references: usize,
) -> Vec<Option<Probe>> {
    let mut probe = |at: usize| {
        let symbols = symbols(&believed[at]);
        let mut fresh = |null: &&Toy| {
            let answers: Vec<_> = (0..references).map(|_| draw(chance, &null[at])).collect();
            counts(&symbols, answers.iter().map(String::as_str))
        };
        Probe {
            request: Protocol::plain(Form::Text).request(&format!("p{at}"), 1, None),
            prompt_tokens: Some(5),
            nulls: nulls.iter().map(&mut fresh).collect(),
            symbols,
        }
    };
    (0..believed.len()).map(|at| Some(probe(at))).collect()
}

fn rule(nulls: usize, draws: u32) -> Rule {
    let names = (0..nulls).map(|at| format!("null {at}")).collect();
    Rule { draws, ..Rule::new(0.01, names, 3) }
}

fn finding(
    rule: Rule,
    probes: Vec<Option<Probe>>,
    suspect: &Toy,
    counts: Option<u64>,
    chance: &mut Chance,
) -> Finding {
    let mut session = Session::new(rule, probes).unwrap();
    while let Some(step) = session.next().unwrap() {
        let text = draw(chance, &suspect[step.probe]);
        let answer = Completion { text, prompt_tokens: counts, ..Completion::default() };
        session.observe(&answer).unwrap();
    }
    session.finding()
}

/// Each of the M + 1 answers may be the suspect's: the intervals that u is drawn from tile the unit interval, each as likely as it is long.
#[test]
fn any_of_the_answers_may_be_the_suspects() {
    let mut chance = Chance::new(1, "tiles");
    for _ in 0..200 {
        let all: Vec<u32> = (0..6).map(|_| chance.below(5) as u32).collect();
        let total: u32 = all.iter().sum();
        let mut end = 0.0;
        for rank in 0..6 {
            if all[rank] == 0 {
                continue;
            }
            let mut fresh = all.clone();
            fresh[rank] -= 1;
            let (low, high) = (percentile(&fresh, rank, 0.0), percentile(&fresh, rank, 1.0));
            assert!((low - end).abs() < 1e-12);
            assert!((high - low - f64::from(all[rank]) / f64::from(total)).abs() < 1e-12);
            end = high;
        }
        assert!(total == 0 || (end - 1.0).abs() < 1e-12);
    }
}

/// With the order of the reference and with one that has nothing to do with it. If the p-values are valid, one of the six first
/// comparisons fails for at most 0.6 % of seeds; the second shows that the test is awake.
#[test]
fn its_p_values_are_valid_whatever_the_order() {
    const RUNS: u64 = 1500;
    let mut chance = Chance::new(2, "calibration");
    let (truth, other) = (toy(&mut chance, 20), toy(&mut chance, 20));
    for believed in [&truth, &other] {
        let mut p = Vec::new();
        for seed in 0..RUNS {
            let probes = probes(&mut chance, believed, &[&truth], 10);
            let rule = Rule { seed, ..rule(1, 499) };
            let found = finding(rule, probes, &truth, Some(5), &mut chance);
            p.push(10_f64.powf(found.log10_p.unwrap()));
        }
        for level in [0.01, 0.05, 0.2] {
            let reached = p.iter().filter(|p| **p <= level + 1e-9).count() as u64;
            assert!(
                binomial_sf_ge(reached, RUNS, level).unwrap().p() > 1e-3,
                "{reached} at {level}"
            );
            assert!(reached as f64 > RUNS as f64 * level * 0.3, "{reached} at {level}");
        }
    }
}

#[test]
fn percentiles_of_the_reference_are_uniform_and_of_others_high() {
    let mut chance = Chance::new(3, "percentiles");
    let (truth, other) = (toy(&mut chance, 2000), toy(&mut chance, 2000));
    let mut percentiles = |suspect: &Toy| -> Vec<f64> {
        let probes = probes(&mut chance, &truth, &[&truth], 20);
        let one = |(at, probe): (usize, &Option<Probe>)| {
            let probe = probe.as_ref().unwrap();
            let rank = probe.rank(&draw(&mut chance, &suspect[at]));
            percentile(&probe.nulls[0], rank, chance.uniform())
        };
        probes.iter().enumerate().map(one).collect()
    };
    assert!(ks_uniform(&percentiles(&truth)).unwrap().p.p() > 1e-3);
    let high = percentiles(&other);
    assert!(high.iter().sum::<f64>() / 2000.0 > 0.7);
}

#[test]
fn another_model_is_caught_and_the_direction_is_told() {
    let mut chance = Chance::new(4, "power");
    let (truth, other) = (toy(&mut chance, 40), toy(&mut chance, 40));
    let mut tried = |suspect: &Toy, draws: u32| {
        let probes = probes(&mut chance, &truth, &[&truth], 100);
        finding(rule(1, draws), probes, suspect, Some(5), &mut chance)
    };
    let found = tried(&other, 9999);
    assert_eq!((found.verdict, found.n), (Verdict::Changed, 40), "{found:?}");
    // No draw reaches it: the least p that there is.
    assert!((found.log10_p.unwrap() + 4.0).abs() < 1e-6, "{found:?}");
    let direction = |found: &Finding| {
        let member = &found.statistics["members"][0];
        let of = |name: &str| member[name].as_f64().unwrap();
        of("distance_towards_high_ranks") - of("distance_towards_low_ranks")
    };
    assert!(direction(&found) > 0.2, "{found:?}");
    let sharper = tried(&tempered(&truth, 0.3), 9999);
    assert!(direction(&sharper) < -0.1, "{sharper:?}");
    assert_eq!(tried(&truth, 999).verdict, Verdict::NotShown);
}

#[test]
fn a_protocol_is_not_taken_for_a_model() {
    let mut chance = Chance::new(5, "protocols");
    let (truth, other) = (toy(&mut chance, 60), toy(&mut chance, 60));
    let hot = tempered(&truth, 3.0);
    let mut tried = |suspect: &Toy, counts: Option<u64>, assumed: bool| {
        let probes = probes(&mut chance, &truth, &[&truth, &hot], 100);
        let rule = Rule { protocol_assumed: assumed, ..rule(2, 999) };
        finding(rule, probes, suspect, counts, &mut chance)
    };
    let found = tried(&hot, Some(5), false);
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    assert!(found.warnings.iter().any(|it| it.starts_with("Protocol")), "{found:?}");
    assert_eq!(tried(&other, Some(5), false).verdict, Verdict::Changed);
    assert_eq!(tried(&other, Some(12), false).verdict, Verdict::Inconclusive);
    assert_eq!(tried(&other, None, false).verdict, Verdict::Inconclusive);
    assert_eq!(tried(&other, None, true).verdict, Verdict::Changed);
}

#[test]
fn it_is_not_looked_at_before_its_end() {
    let mut chance = Chance::new(6, "early");
    let (truth, other) = (toy(&mut chance, 30), toy(&mut chance, 30));
    let probes = probes(&mut chance, &truth, &[&truth], 20);
    let mut session = Session::new(rule(1, 999), probes.clone()).unwrap();
    for row in &other[..29] {
        let text = draw(&mut chance, row);
        session.observe(&Completion { text, ..Completion::default() }).unwrap();
        let found = session.finding();
        assert_eq!((found.verdict, found.log10_p), (Verdict::Inconclusive, None));
    }
    // Hidden where it is due, and only there.
    let mut hidden = probes;
    hidden[1] = None;
    let mut session = Session::new(rule(1, 999), hidden).unwrap();
    session.observe(&Completion::default()).unwrap();
    assert_eq!(session.next(), Err(ProbeError::Hidden { probe: 1 }));
    let nothing = Session::new(rule(1, 999), Vec::new()).unwrap().finding();
    assert_eq!((nothing.verdict, nothing.log10_p), (Verdict::Inconclusive, None));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut chance = Chance::new(7, "bad");
    let truth = toy(&mut chance, 3);
    let good = probes(&mut chance, &truth, &[&truth], 5);
    let refused = |rule: Rule, probes: &[Option<Probe>]| {
        Session::new(rule, probes.to_vec()).err().map(|error| error.to_string())
    };
    assert_eq!(refused(rule(1, 99), &good), None);
    // 98 draws cannot give 1 %.
    assert!(refused(rule(1, 98), &good).unwrap().contains("99 are needed"));
    assert!(refused(Rule::new(1e-8, vec!["null".to_owned()], 1), &good).is_some());
    assert!(refused(Rule { alpha: f64::NAN, ..rule(1, 99) }, &good).is_some());
    assert!(refused(rule(2, 99), &good).is_some());
    assert!(refused(rule(0, 99), &good).is_some());
    let spoilt = |spoil: &dyn Fn(&mut Vec<u32>)| {
        let mut probes = good.clone();
        spoil(&mut probes[1].as_mut().unwrap().nulls[0]);
        refused(rule(1, 99), &probes)
    };
    assert!(spoilt(&|counts| counts.truncate(8)).unwrap().contains("probe 1"));
    assert!(spoilt(&|counts| counts.fill(0)).unwrap().contains("fresh answers of probe 1"));
}

#[test]
fn draws_fit_the_level() {
    let draws = |alpha| Rule::new(alpha, Vec::new(), 1).draws;
    assert_eq!((draws(0.01), draws(1e-4), draws(1e-9)), (9_999, 99_999, 999_999));
}

/// The files of a bundle.
#[derive(Clone)]
struct Bundle {
    commitment: Vec<u8>,
    leaves: Vec<u8>,
    transcript: Vec<u8>,
    outcome: Vec<u8>,
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[5; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl Bundle {
    /// Of a plan, and a suspect that is asked.
    fn new(plan: &Plan, suspect: &Toy, chance: &mut Chance) -> Self {
        let leaves = Leaves::of(plan).unwrap();
        let commitment = Commitment::new(&leaves, at(0));
        let file = commitment.to_file(&key()).unwrap();
        let (mut transcript, mut text) = (Transcript::new(&file), String::new());
        let mut session = plan.start().unwrap();
        while let Some(step) = session.next().unwrap() {
            let answer =
                Completion { text: draw(chance, &suspect[step.probe]), ..Completion::default() };
            session.observe(&answer).unwrap();
            let asked = Event::Asked { probe: step.probe, request: step.request, answer };
            text += &(transcript.push(asked, at(1)).unwrap() + "\n");
        }
        let replayed = replay(plan.start().unwrap(), &file, at(0), &text).unwrap();
        let outcome = Outcome::new(&commitment, &file, &replayed, Ending::Rule, at(2));
        Self {
            outcome: outcome.to_file(&key()).unwrap(),
            commitment: file,
            leaves: leaves.to_text().into_bytes(),
            transcript: text.into_bytes(),
        }
    }

    fn verify(&self) -> Verified {
        let files = Files {
            commitment: &self.commitment,
            leaves: &self.leaves,
            transcript: &self.transcript,
            outcome: Some(&self.outcome),
            token: None,
        };
        verify(&files, Some(&key().public()))
    }

    /// The name of the check that fails.
    fn fault(&self) -> &'static str {
        let verified = self.verify();
        assert!(!verified.valid);
        verified.checks.last().unwrap().name
    }
}

fn plan(rule: &Rule, probes: &[Option<Probe>]) -> Plan {
    let probes: Vec<_> = probes.iter().flatten().collect();
    Plan::new(TEST, "the suspect is not ours", rule, &probes).unwrap()
}

#[test]
fn a_bundle_is_computed_again_and_no_byte_can_change() {
    let mut chance = Chance::new(8, "bundle");
    let (truth, other) = (toy(&mut chance, 24), toy(&mut chance, 24));
    let probes = probes(&mut chance, &truth, &[&truth], 100);
    let rule = Rule { protocol_assumed: true, ..rule(1, 999) };
    let whole = Bundle::new(&plan(&rule, &probes), &other, &mut chance);
    let verified = whole.verify();
    assert!(verified.valid, "{:?}", verified.checks);
    assert_eq!(verified.finding.unwrap().verdict, Verdict::Changed);

    let files: [fn(&mut Bundle) -> &mut Vec<u8>; 4] = [
        |it| &mut it.commitment,
        |it| &mut it.leaves,
        |it| &mut it.transcript,
        |it| &mut it.outcome,
    ];
    for file in files {
        let length = file(&mut whole.clone()).len();
        for position in (0..length).step_by(length / 60) {
            let mut changed = whole.clone();
            file(&mut changed)[position] ^= 1;
            assert!(!changed.verify().valid, "byte {position} of {length}");
        }
    }
}

#[test]
fn a_bundle_of_another_rule_is_refused() {
    let mut chance = Chance::new(9, "rules");
    let truth = toy(&mut chance, 24);
    let probes = probes(&mut chance, &truth, &[&truth], 100);
    let rule = rule(1, 999);
    let whole = Bundle::new(&plan(&rule, &probes), &truth, &mut Chance::new(10, "answers"));
    // Other coins, chosen after the answers: neither under the old commitment nor with the old finding.
    let other = plan(&Rule { seed: 4, ..rule.clone() }, &probes);
    let moved = Bundle::new(&other, &truth, &mut Chance::new(10, "answers"));
    let leaves = Bundle { leaves: moved.leaves.clone(), ..whole.clone() };
    assert_eq!(leaves.fault(), "leaves");
    assert_eq!(Bundle { outcome: whole.outcome.clone(), ..moved }.fault(), "outcome");
    // A rule that cannot reach its level is not begun with, and a bundle of it not believed.
    let weak = plan(&Rule { draws: 9, ..rule }, &probes);
    assert!(weak.start().is_err());
    let committed = Leaves::of(&weak).unwrap();
    let commitment = Commitment::new(&committed, at(0)).to_file(&key()).unwrap();
    let weak = Bundle { commitment, leaves: committed.to_text().into_bytes(), ..whole };
    assert_eq!(weak.fault(), "rule");
}
