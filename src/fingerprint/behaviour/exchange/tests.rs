//! The e-process holds its level whatever is guessed, catches other models soon, and does not take a protocol for a model.

use super::session::factor;
use super::*;
use crate::fingerprint::behaviour::Chance;
use crate::fingerprint::behaviour::protocol::{Form, Protocol};
use crate::fingerprint::{Probing, Verdict};
use crate::lm::Completion;
use crate::stats::binomial_sf_ge;

const CELLS: usize = 20;
const SYMBOLS: usize = 12;

/// A toy model: chances of answers, one row a cell.
type Toy = Vec<Vec<f64>>;

/// Rows in which few answers have most of the chance.
fn toy(chance: &mut Chance) -> Toy {
    let mut row = || {
        let row: Vec<f64> = (0..SYMBOLS).map(|_| chance.uniform().powf(6.0)).collect();
        scaled(row)
    };
    (0..CELLS).map(|_| row()).collect()
}

fn scaled(row: Vec<f64>) -> Vec<f64> {
    let sum: f64 = row.iter().sum();
    row.into_iter().map(|p| p / sum).collect()
}

fn tempered(model: &Toy, temperature: f64) -> Toy {
    model
        .iter()
        .map(|row| scaled(row.iter().map(|p| p.powf(1.0 / temperature)).collect()))
        .collect()
}

fn draw(chance: &mut Chance, row: &[f64]) -> String {
    let mut u = chance.uniform();
    let at = row.iter().position(|p| {
        u -= p;
        u < 0.0
    });
    format!("s{}", at.unwrap_or(0))
}

fn ppm(row: &[f64]) -> Vec<u32> {
    row.iter().map(|p| (p * 1e6) as u32).chain([0]).collect()
}

/// Probes with fresh answers of `truths`, the members of the null, of which `believed` is thought.
fn probes(
    chance: &mut Chance,
    n: usize,
    truths: &[&Toy],
    believed: &[&Toy],
    others: &[&Toy],
) -> Vec<Option<Probe>> {
    let probe = |at: usize| {
        let cell = at % CELLS;
        let member = |(truth, believed): (&&Toy, &&Toy)| Member {
            answer: draw(chance, &truth[cell]),
            ppm: ppm(&believed[cell]),
            ceilings: Vec::new(),
        };
        Some(Probe {
            cell: cell as u32,
            request: Protocol::plain(Form::Text).request(&format!("p{cell}"), 1, None),
            prompt_tokens: Some(5),
            symbols: (0..SYMBOLS).map(|symbol| format!("s{symbol}")).collect(),
            nulls: truths.iter().zip(believed).map(member).collect(),
            alternatives: others.iter().map(|other| ppm(&other[cell])).collect(),
        })
    };
    (0..n).map(probe).collect()
}

fn rule(nulls: usize, alternatives: usize) -> Rule {
    let named = |what: &str, n: usize| (0..n).map(|at| format!("{what} {at}")).collect();
    Rule::new(named("null", nulls), named("other", alternatives))
}

/// Runs a test against a suspect; `prompt_tokens` is what the suspect counts.
fn run(
    rule: Rule,
    probes: Vec<Option<Probe>>,
    suspect: &Toy,
    counts: Option<u64>,
    chance: &mut Chance,
) -> Session {
    let mut session = Session::new(rule, probes).unwrap();
    while let Some(step) = session.next().unwrap() {
        let cell = step.probe % CELLS;
        let text = format!(" {}", draw(chance, &suspect[cell]));
        session
            .observe(&Completion { text, prompt_tokens: counts, ..Completion::default() })
            .unwrap();
    }
    session
}

#[test]
fn a_bet_and_its_mirror_image_are_fair() {
    let mut chance = Chance::new(1, "bets");
    for _ in 0..1000 {
        let row = |chance: &mut Chance| scaled((0..5).map(|_| chance.uniform()).collect());
        let (q, p) = (row(&mut chance), row(&mut chance));
        let (a, b) = (chance.below(5), chance.below(5));
        let sum = factor(0.9, &q, &p, a, b) + factor(0.9, &q, &p, b, a);
        assert!((sum - 2.0).abs() < 1e-12, "{sum}");
    }
}

#[test]
fn the_reference_is_seldom_accused_whatever_is_guessed() {
    const RUNS: u64 = 4000;
    let mut chance = Chance::new(2, "false alarms");
    let (truth, wrong, other) = (toy(&mut chance), toy(&mut chance), toy(&mut chance));
    for (believed, others) in [(&truth, vec![&other]), (&wrong, vec![&truth])] {
        let mut alarms = 0;
        for _ in 0..RUNS / 2 {
            let probes = probes(&mut chance, 60, &[&truth], &[believed], &others);
            let session = run(rule(1, others.len()), probes, &truth, Some(5), &mut chance);
            alarms += u64::from(session.finding().verdict == Verdict::Changed);
        }
        // α is 1 %; more alarms than this have probability below 0.1 % if it holds.
        let tail = binomial_sf_ge(alarms, RUNS / 2, 0.01).unwrap();
        assert!(tail.p() > 1e-3, "{alarms} alarms in {} runs", RUNS / 2);
    }
}

#[test]
fn another_model_is_caught_in_a_median_of_fifteen() {
    let mut chance = Chance::new(3, "swaps");
    let mut queries: Vec<u64> = (0..200)
        .map(|_| {
            let (truth, other) = (toy(&mut chance), toy(&mut chance));
            let probes = probes(&mut chance, 100, &[&truth], &[&truth], &[]);
            let session = run(rule(1, 0), probes, &other, Some(5), &mut chance);
            assert_eq!(session.finding().verdict, Verdict::Changed);
            session.finding().n
        })
        .collect();
    queries.sort_unstable();
    assert!(queries[100] <= 15, "median {}", queries[100]);
}

#[test]
fn a_protocol_is_not_taken_for_a_model() {
    let mut chance = Chance::new(4, "protocols");
    let (truth, other) = (toy(&mut chance), toy(&mut chance));
    let (cool, hot) = (tempered(&truth, 0.5), tempered(&truth, 2.0));
    let nulls = [&truth, &cool, &hot];
    for suspect in [&cool, &hot] {
        let probes = probes(&mut chance, 200, &nulls, &nulls, &[]);
        let finding = run(rule(3, 0), probes, suspect, Some(5), &mut chance).finding();
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
        assert!(finding.warnings.iter().any(|it| it.starts_with("Protocol")), "{finding:?}");
    }
    let caught = |counts, assumed, chance: &mut Chance| {
        let probes = probes(chance, 200, &nulls, &nulls, &[]);
        let rule = Rule { protocol_assumed: assumed, ..rule(3, 0) };
        run(rule, probes, &other, counts, chance).finding().verdict
    };
    assert_eq!(caught(Some(5), false, &mut chance), Verdict::Changed);
    // Nine more tokens in each prompt: somebody put words before it.
    assert_eq!(caught(Some(14), false, &mut chance), Verdict::Inconclusive);
    assert_eq!(caught(None, false, &mut chance), Verdict::Inconclusive);
    assert_eq!(caught(None, true, &mut chance), Verdict::Changed);
}

#[test]
fn the_finding_follows_from_rule_probes_and_answers() {
    let mut chance = Chance::new(5, "again");
    let (truth, other) = (toy(&mut chance), toy(&mut chance));
    let probes = probes(&mut chance, 50, &[&truth], &[&truth], &[&other]);
    let text = serde_json::to_string(&probes).unwrap();
    let finding = run(rule(1, 1), probes, &other, Some(5), &mut Chance::new(6, "")).finding();
    let read: Vec<Option<Probe>> = serde_json::from_str(&text).unwrap();
    let again = run(rule(1, 1), read.clone(), &other, Some(5), &mut Chance::new(6, "")).finding();
    assert_eq!(finding, again);
    // Probes after the end need not be known; those before do.
    let asked = finding.n as usize;
    let mut hidden = read;
    hidden[asked..].fill(None);
    assert_eq!(
        run(rule(1, 1), hidden.clone(), &other, Some(5), &mut Chance::new(6, "")).finding(),
        finding
    );
    hidden[0] = None;
    let session = Session::new(rule(1, 1), hidden).unwrap();
    assert_eq!(session.next(), Err(crate::fingerprint::ProbeError::Hidden { probe: 0 }));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut chance = Chance::new(7, "bad");
    let truth = toy(&mut chance);
    let good = || probes(&mut Chance::new(8, "bad"), 3, &[&truth], &[&truth], &[]);
    assert!(Session::new(rule(1, 0), good()).is_ok());
    assert!(Session::new(rule(2, 0), good()).is_err());
    assert!(Session::new(rule(1, 1), good()).is_err());
    assert!(Session::new(Rule { alpha: 0.0, ..rule(1, 0) }, good()).is_err());
    assert!(Session::new(Rule { lambda: f64::NAN, ..rule(1, 0) }, good()).is_err());
    let mut narrow = good();
    narrow[1].as_mut().unwrap().nulls[0].ppm.pop();
    assert!(Session::new(rule(1, 0), narrow).is_err());
}
