//! Calibration, tolerance and power of the drift.

use super::*;
use crate::fingerprint::behaviour::Chance;
use crate::fingerprint::behaviour::protocol::{Form, Protocol};
use crate::fingerprint::{Finding, Probing, Verdict};
use crate::lm::{CompletedToken, Completion};
use crate::stats::binomial_sf_ge;

/// Three tokens whose log-probabilities are noisy; the suspect's first is moved.
fn top(chance: &mut Chance, moved: f64, noise: f64) -> Vec<(String, f64)> {
    let value = |name: &str, at: f64, chance: &mut Chance| {
        (name.to_owned(), at + noise * (chance.uniform() - 0.5))
    };
    vec![value("a", -0.5 + moved, chance), value("b", -1.5, chance), value("c", -3.0, chance)]
}

fn finding(
    chance: &mut Chance,
    moved: f64,
    noise: f64,
    tolerance: f64,
    permutations: u32,
) -> Finding {
    let mut probe = |at: u32| Probe {
        cell: at % 3,
        request: Protocol::plain(Form::Text).request("x", 1, Some(3)),
        prompt_tokens: None,
        reference: top(chance, 0.0, noise),
    };
    let probes: Vec<_> = (0..24).map(|at| Some(probe(at))).collect();
    let rule = Rule { permutations, tolerance, protocol_assumed: true, ..Rule::new(5) };
    let mut session = Session::new(rule, probes).unwrap();
    while session.next().unwrap().is_some() {
        let top = top(chance, moved, noise);
        let token = CompletedToken { text: "a".to_owned(), logprob: -0.5, top };
        session.observe(&Completion { tokens: vec![token], ..Completion::default() }).unwrap();
    }
    session.finding()
}

#[test]
fn its_p_values_are_valid() {
    let mut chance = Chance::new(1, "calibration");
    let p: Vec<f64> =
        (0..1000).map(|_| finding(&mut chance, 0.0, 1.0, 0.0, 99).log10_p.unwrap()).collect();
    for level in [0.01, 0.05, 0.2] {
        let reached = p.iter().filter(|p| **p <= f64::log10(level) + 1e-9).count() as u64;
        assert!(binomial_sf_ge(reached, 1000, level).unwrap().p() > 1e-3, "{reached} at {level}");
        assert!(reached as f64 > 1000.0 * level * 0.3, "{reached} at {level}");
    }
}

#[test]
fn drifts_are_told_and_last_digits_are_not() {
    let mut chance = Chance::new(2, "power");
    assert_eq!(finding(&mut chance, 0.3, 0.1, 0.05, 999).verdict, Verdict::Changed);
    // The same small difference in every answer, as another kernel gives it.
    assert_eq!(finding(&mut chance, 0.01, 0.0, 0.05, 999).verdict, Verdict::NotShown);
    assert_eq!(finding(&mut chance, 0.01, 0.0, 0.0, 999).verdict, Verdict::Changed);
}

#[test]
fn silence_is_no_answer() {
    let probe = Probe {
        cell: 0,
        request: Protocol::plain(Form::Text).request("x", 1, Some(3)),
        prompt_tokens: None,
        reference: vec![("a".to_owned(), -0.1)],
    };
    let mut session = Session::new(Rule::new(1), vec![Some(probe)]).unwrap();
    session.observe(&Completion::default()).unwrap();
    let finding = session.finding();
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.warnings[0].contains("log-probabilities"), "{finding:?}");
}
