//! Calibration and power of the discrepancy.

use super::*;
use crate::fingerprint::behaviour::Chance;
use crate::fingerprint::behaviour::protocol::{Form, Protocol};
use crate::fingerprint::{Finding, Probing, Verdict};
use crate::lm::Completion;
use crate::stats::binomial_sf_ge;

/// A text of six letters; the higher `bias`, the more of them are an `a`.
fn text(chance: &mut Chance, bias: f64) -> String {
    let letter = |chance: &mut Chance| {
        if chance.uniform() < bias { 'a' } else { char::from(b'b' + chance.below(3) as u8) }
    };
    (0..6).map(|_| letter(chance)).collect()
}

fn finding(chance: &mut Chance, nulls: &[f64], suspect: f64, permutations: u32) -> Finding {
    let mut probe = |at: u32| Probe {
        cell: at % 5,
        request: Protocol::plain(Form::Text).request("p", 6, None),
        prompt_tokens: Some(3),
        nulls: nulls.iter().map(|bias| text(chance, *bias)).collect(),
    };
    let probes: Vec<_> = (0..40).map(|at| Some(probe(at))).collect();
    let names = nulls.iter().map(ToString::to_string).collect();
    let rule = Rule { permutations, ..Rule::new(names, 6, 7) };
    let mut session = Session::new(rule, probes).unwrap();
    assert_eq!(session.finding().verdict, Verdict::Inconclusive);
    while session.next().unwrap().is_some() {
        let text = text(chance, suspect);
        session
            .observe(&Completion { text, prompt_tokens: Some(3), ..Completion::default() })
            .unwrap();
    }
    session.finding()
}

#[test]
fn its_p_values_are_valid() {
    let mut chance = Chance::new(1, "calibration");
    let p: Vec<f64> =
        (0..1000).map(|_| finding(&mut chance, &[0.4], 0.4, 99).log10_p.unwrap()).collect();
    for level in [0.01, 0.05, 0.2] {
        let reached = p.iter().filter(|p| **p <= f64::log10(level) + 1e-9).count() as u64;
        // Above the first number with probability 0.1 % if valid; far below the second if the test were asleep.
        assert!(binomial_sf_ge(reached, 1000, level).unwrap().p() > 1e-3, "{reached} at {level}");
        assert!(reached as f64 > 1000.0 * level * 0.3, "{reached} at {level}");
    }
}

#[test]
fn other_texts_are_told_and_the_protocol_is_not() {
    let mut chance = Chance::new(2, "power");
    let changed = finding(&mut chance, &[0.3], 0.7, 999);
    assert_eq!((changed.verdict, changed.n), (Verdict::Changed, 40));
    assert!((changed.log10_p.unwrap() + 3.0).abs() < 1e-6);
    let other = finding(&mut chance, &[0.3, 0.7], 0.7, 999);
    assert_eq!(other.verdict, Verdict::Inconclusive);
    assert_eq!(finding(&mut chance, &[0.3], 0.3, 999).verdict, Verdict::NotShown);
}
