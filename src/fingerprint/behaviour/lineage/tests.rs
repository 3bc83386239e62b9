//! The level against independent models, and what a copy, an orphan and another protocol give.

use super::*;
use crate::fingerprint::behaviour::Chance;
use crate::fingerprint::behaviour::protocol::{Form, Protocol};
use crate::fingerprint::{Basis, Finding, Probing, Verdict};
use crate::lm::Completion;
use crate::stats::binomial_sf_ge;

const PROMPTS: usize = 120;

/// A toy model: one word a prompt, that of `parent` with a chance of `nearness`.
fn model(chance: &mut Chance, parent: &[u32], nearness: f64) -> Vec<u32> {
    parent
        .iter()
        .map(|word| {
            if chance.uniform() < nearness { *word } else { 1000 + chance.below(1_000_000) as u32 }
        })
        .collect()
}

/// Independent models are near a parent by chances that are normal in log-odds.
fn independent(chance: &mut Chance, parent: &[u32]) -> Vec<u32> {
    let normal: f64 = (0..12).map(|_| chance.uniform()).sum::<f64>() - 6.0;
    let nearness = 1.0 / (1.0 + (0.6 - 0.3 * normal).exp());
    model(chance, parent, nearness)
}

fn finding(
    candidates: &[Vec<u32>],
    members: &[Vec<u32>],
    suspect: &[u32],
    law: Law,
    counts: u64,
) -> Finding {
    let word = |models: &[Vec<u32>], at: usize| {
        models.iter().map(|it| format!("w{} so", it[at])).collect()
    };
    let probe = |at: usize| Probe {
        request: Protocol { temperature: 0.0, ..Protocol::plain(Form::Text) }.request("p", 4, None),
        prompt_tokens: Some(4),
        candidates: word(candidates, at),
        members: word(members, at),
        repeats: (at == PROMPTS - 1).then_some(0),
    };
    let named = |what: &str, n: usize| (0..n).map(|at| format!("{what}{at}")).collect::<Vec<_>>();
    let member = |name: String| Member { name, stratum: "all".to_owned() };
    let rule = Rule {
        alpha: 0.01,
        candidates: named("c", candidates.len()),
        members: named("m", members.len()).into_iter().map(member).collect(),
        law,
        expires: None,
    };
    let mut session = Session::new(rule, (0..PROMPTS).map(|at| Some(probe(at))).collect()).unwrap();
    while let Some(step) = session.next().unwrap() {
        let at = if step.probe == PROMPTS - 1 { 0 } else { step.probe };
        let text = format!("w{} then", suspect[at]);
        session
            .observe(&Completion { text, prompt_tokens: Some(counts), ..Completion::default() })
            .unwrap();
    }
    session.finding()
}

fn parent(chance: &mut Chance) -> Vec<u32> {
    (0..PROMPTS).map(|_| chance.below(500) as u32).collect()
}

#[test]
fn independent_models_are_seldom_related() {
    let mut chance = Chance::new(1, "independent");
    for (law, members, runs) in [(Law::StudentT, 8, 1000), (Law::Rank, 99, 300)] {
        let mut alarms = 0;
        for _ in 0..runs {
            let parent = parent(&mut chance);
            let panel: Vec<_> = (0..members).map(|_| independent(&mut chance, &parent)).collect();
            let suspect = independent(&mut chance, &parent);
            let found = finding(&[parent], &panel, &suspect, law, 4);
            alarms += u64::from(found.verdict == Verdict::Related);
        }
        assert!(binomial_sf_ge(alarms, runs, 0.01).unwrap().p() > 1e-3, "{alarms} with {law:?}");
    }
}

#[test]
fn a_copy_is_related_and_says_on_what_grounds() {
    let mut chance = Chance::new(2, "copy");
    let parent = parent(&mut chance);
    let panel: Vec<_> = (0..8).map(|_| independent(&mut chance, &parent)).collect();
    let copy = model(&mut chance, &parent, 0.9);
    let found = finding(std::slice::from_ref(&parent), &panel, &copy, Law::StudentT, 4);
    assert_eq!((found.verdict, found.basis), (Verdict::Related, Basis::ModelBased), "{found:?}");
    assert_eq!(found.n, PROMPTS as u64 - 1);
    // A panel of eight cannot reach 1 % by rank.
    let ranked = finding(std::slice::from_ref(&parent), &panel, &copy, Law::Rank, 4);
    assert_eq!(ranked.verdict, Verdict::NotShown);
    assert!((ranked.log10_p.unwrap() - (1.0_f64 / 9.0).log10()).abs() < 1e-6);
    // Under another protocol a copy stays RELATED, and what agrees no more is INCONCLUSIVE.
    assert_eq!(
        finding(std::slice::from_ref(&parent), &panel, &copy, Law::StudentT, 20).verdict,
        Verdict::Related
    );
    let far = model(&mut chance, &parent, 0.3);
    assert_eq!(finding(&[parent], &panel, &far, Law::StudentT, 20).verdict, Verdict::Inconclusive);
}

#[test]
fn an_orphan_is_given_to_no_candidate() {
    let mut chance = Chance::new(3, "orphan");
    let first = parent(&mut chance);
    // The candidates are near each other, and the suspect is near all of them: a cousin of theirs.
    let candidates: Vec<_> = (0..5).map(|_| model(&mut chance, &first, 0.9)).collect();
    let panel: Vec<_> = (0..8).map(|_| independent(&mut chance, &first)).collect();
    let suspect = model(&mut chance, &first, 0.9);
    let found = finding(&candidates, &panel, &suspect, Law::StudentT, 4);
    assert_ne!(found.verdict, Verdict::Related, "{found:?}");
    // A copy of one of five that are not near each other is.
    let candidates: Vec<_> = (0..5).map(|_| independent(&mut chance, &first)).collect();
    let copy = model(&mut chance, &candidates[2], 0.95);
    let found = finding(&candidates, &panel, &copy, Law::StudentT, 4);
    assert_eq!(
        (found.verdict, found.statistics["candidate"].as_str()),
        (Verdict::Related, Some("c2")),
        "{found:?}"
    );
}

#[test]
fn words_are_told_from_what_follows() {
    for (text, word) in [
        (" blue and", "blue"),
        ("\n\"Stop\"", "\""),
        ("", ""),
        ("  ", ""),
        ("1,000", "1"),
        ("東京 is", "東京"),
    ] {
        assert_eq!(first_word(text), word);
    }
    assert!(agree(" blue", "blue."));
    assert!(!agree("", ""));
    assert!(!agree("blue", "bluer"));
}

#[test]
fn a_panel_that_is_too_small_says_nothing() {
    let mut chance = Chance::new(4, "small");
    let parent = parent(&mut chance);
    let panel = vec![independent(&mut chance, &parent); 2];
    let found = finding(std::slice::from_ref(&parent), &panel, &parent, Law::StudentT, 4);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert_eq!(found.log10_p, None);
}
