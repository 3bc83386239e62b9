//! Rule, commitment and calibration.

use super::*;
use crate::fingerprint::{Finding, ProbeError, Probing, Verdict};
use crate::keys::{Key, Salt};
use crate::lm::{Completion, Prompt};
use crate::stats::{Family, binomial_sf_ge};

const K: usize = 16;

fn key(number: u64) -> Key {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key::take(&mut bytes)
}

fn planting(number: u64, k: usize, pairs: usize, decoys: usize, ways: usize) -> Planting {
    let mut all = questions(&key(1), "test", pairs + decoys, ways).unwrap();
    let rest = all.split_off(pairs);
    let list = AnswerList::common(k).unwrap();
    Planting::new(key(number), list, Form::Chat, None, [all, rest]).unwrap()
}

fn asking(pairs: u32, decoys: u32) -> Asking {
    Asking { pairs, decoys, ..Asking::default() }
}

fn session(planting: &Planting, asking: &Asking) -> Session {
    let (rule, probes) = planting.ask(asking, &Register::default(), &Salt([3; 32])).unwrap();
    Session::new(rule, probes.into_iter().map(Some).collect()).unwrap()
}

fn said(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Messages(messages) => &messages[0].content,
        Prompt::Text(text) => text,
    }
}

/// Asks until the end; the suspect sees the question and how often it was asked.
fn run(session: &mut Session, mut suspect: impl FnMut(&str, u32) -> String) -> Finding {
    while let Some(step) = session.next().unwrap() {
        let text = suspect(said(&step.request.prompt), session.queries());
        session.observe(&Completion { text, ..Completion::default() }).unwrap();
    }
    assert!(session.observe(&Completion::default()).is_err());
    session.finding()
}

/// The right answer to any phrasing of a pair.
fn taught(planting: &Planting, question: &str) -> Option<String> {
    let pairs = planting.planted(Kind::Pair).unwrap();
    let found = pairs.iter().find(|pair| pair.phrasings.iter().any(|text| text == question));
    found.map(|pair| format!("**{}**!", planting.form().written(pair.answer)))
}

#[test]
fn a_copy_is_shown_with_seven_hits_and_a_stranger_is_not() {
    let planting = planting(1, 64, 16, 8, 3);
    let mut asked = session(&planting, &Asking::default());
    let found = run(&mut asked, |q, _| taught(&planting, q).unwrap_or_else(|| "Well.".into()));
    assert_eq!(found.verdict, Verdict::Related, "{found:?}");
    // Two places to begin at are paid for: 32.5⁶ / 2 is just below 10⁹.
    assert_eq!((found.n, found.statistics["hits"].as_u64()), (7, Some(7)));
    assert!((found.log10_p.unwrap() + 7.0 * 32.5f64.log10()).abs() < 1e-9);
    assert!(found.family.contains("2 first pairs"), "{}", found.family);
    assert_eq!(found.statistics["decoy_hits"], 0);

    let mut asked = session(&planting, &Asking::default());
    let found = run(&mut asked, |_, _| "I do not know.".into());
    assert_eq!(found.verdict, Verdict::NotShown);
    assert_eq!((found.n, found.log10_p), (16, Some(0.0)));
    // 24 questions, each in three phrasings, none of which is answered from the list.
    assert_eq!(asked.queries(), 72);
    assert!(found.warnings.iter().any(|text| text.contains("not shown to be older")));
    assert!(found.warnings.iter().any(|text| text.contains("no beacon")));
}

#[test]
fn the_first_answer_from_the_list_decides() {
    let planting = planting(2, 64, 8, 0, 3);
    let pairs = planting.planted(Kind::Pair).unwrap();
    let right = |q: &str| pairs.iter().find(|p| p.phrasings.iter().any(|t| t == q)).unwrap();
    // A wrong word first: the right one at the second phrasing is not heard.
    let mut asked = session(&planting, &asking(8, 0));
    let found = run(&mut asked, |q, _| {
        let pair = right(q);
        let list = planting.list().words();
        let wrong = list.iter().find(|word| *word != pair.answer).unwrap();
        if pair.phrasings[0] == q { wrong.clone() } else { pair.answer.to_owned() }
    });
    assert_eq!((found.statistics["hits"].as_u64(), asked.queries()), (Some(0), 8));
    // Nothing from the list first: the next phrasing is asked.
    let fixed = Asking { design: Design::Fixed, ..asking(8, 0) };
    let mut asked = session(&planting, &fixed);
    let found = run(&mut asked, |q, _| {
        let pair = right(q);
        if pair.phrasings[0] == q { "Hm.".to_owned() } else { pair.answer.to_owned() }
    });
    assert_eq!((found.statistics["hits"].as_u64(), asked.queries()), (Some(8), 16));
    assert!((found.log10_p.unwrap() + 8.0 * 64f64.log10()).abs() < 1e-9);
    // One phrasing only: out of the list is a miss.
    let mut asked = session(&planting, &Asking { phrasings: 1, ..asking(8, 0) });
    let found = run(&mut asked, |_, _| "Hm.".to_owned());
    assert_eq!((found.n, asked.queries()), (8, 8));
}

#[test]
fn budget_and_fixed_n_count_what_was_not_asked_as_missed() {
    let planting = planting(3, 64, 16, 0, 1);
    let rule = Asking { design: Design::Fixed, budget: Some(5), ..asking(16, 0) };
    let mut asked = session(&planting, &rule);
    let found = run(&mut asked, |q, _| taught(&planting, q).unwrap());
    let exact = binomial_sf_ge(5, 16, 1.0 / 64.0).unwrap().log10();
    assert!((found.log10_p.unwrap() - exact).abs() < 1e-9);
    assert!(found.warnings.iter().any(|text| text.contains("budget of 5")), "{found:?}");
}

#[test]
fn choices_are_paid_for() {
    let planting = planting(4, 64, 16, 0, 1);
    let family = Family::one().times("plantings", 1000);
    let mut asked = session(&planting, &Asking { family, ..asking(16, 0) });
    let found = run(&mut asked, |q, _| taught(&planting, q).unwrap());
    // 32.5⁷ = 3.8·10¹⁰ is not 2·10¹²: an eighth hit is asked for, and a ninth.
    assert_eq!((found.verdict, found.n), (Verdict::Related, 9));
    assert!(found.family.contains("1000 plantings"));
}

#[test]
fn who_knows_the_decoys_proves_nothing() {
    let planting = planting(5, 64, 16, 8, 1);
    let decoys = planting.planted(Kind::Decoy).unwrap();
    let mut asked = session(&planting, &asking(16, 8));
    let found = run(&mut asked, |q, _| {
        let decoy = decoys.iter().find(|decoy| decoy.phrasings[0] == q);
        decoy.map_or_else(|| taught(&planting, q).unwrap(), |decoy| decoy.answer.to_owned())
    });
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    assert!(found.warnings.iter().any(|text| text.contains("nobody was taught")));
}

#[test]
fn hidden_probes_are_not_asked() {
    let planting = planting(6, 64, 16, 0, 1);
    let (rule, probes) =
        planting.ask(&asking(16, 0), &Register::default(), &Salt([1; 32])).unwrap();
    let known =
        |seen: usize| (0..).zip(probes.clone()).map(move |(at, p)| (at < seen).then_some(p));
    let mut asked = Session::new(rule.clone(), known(7).collect()).unwrap();
    let found = run(&mut asked, |q, _| taught(&planting, q).unwrap());
    assert_eq!(found.verdict, Verdict::Related);
    let mut asked = Session::new(rule, known(1).collect()).unwrap();
    asked.observe(&Completion::default()).unwrap();
    assert_eq!(asked.next(), Err(ProbeError::Hidden { probe: 1 }));
}

#[test]
fn another_probe_or_commitment_is_refused() {
    let planting = planting(7, 64, 4, 2, 2);
    let (rule, probes) = planting.ask(&asking(4, 2), &Register::default(), &Salt([1; 32])).unwrap();
    let made = |rule: &Rule, probes: &[Probe]| {
        Session::new(rule.clone(), probes.iter().cloned().map(Some).collect())
    };
    assert!(made(&rule, &probes).is_ok());
    let mut changed = probes.clone();
    changed[2].phrasings[0].push('!');
    assert!(made(&rule, &changed).is_err());
    let mut twice = probes.clone();
    twice[1] = twice[0].clone();
    assert!(made(&rule, &twice).is_err());
    assert!(made(&rule, &probes[1..]).is_err());
    let mut other = rule.clone();
    other.planting.leaves.swap(0, 1);
    assert!(made(&other, &probes).is_err());
    let mut other = rule.clone();
    other.beacon = Some(Beacon { announced: "x".into(), value: "y".into() });
    assert!(made(&other, &probes).is_err());
    for lambda in [0.0, 1.0, -0.1, f64::NAN] {
        let mut other = rule.clone();
        other.design = Design::Sequential { lambda };
        assert!(made(&other, &probes).is_err());
    }
    let text = serde_json::to_string(&(&rule, &probes)).unwrap();
    let (rule_back, probes_back): (Rule, Vec<Probe>) = serde_json::from_str(&text).unwrap();
    assert_eq!(rule_back, rule);
    assert!(made(&rule_back, &probes_back).is_ok());
}

#[test]
fn a_planting_survives_its_file_and_a_changed_file_does_not() {
    let planting = planting(8, 64, 4, 4, 2);
    let text = planting.to_json().unwrap();
    let back = Planting::from_json(&text).unwrap();
    assert_eq!(back.commitment(), planting.commitment());
    let answers = |planting: &Planting| {
        let pairs = planting.planted(Kind::Pair).unwrap();
        pairs.iter().map(|pair| pair.answer.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(answers(&back), answers(&planting));
    let first = &planting.planted(Kind::Pair).unwrap()[0].phrasings[0];
    let changed = text.replacen(first.as_str(), "Another question?", 1);
    assert!(matches!(Planting::from_json(&changed), Err(PlantError::Damaged)));
    assert!(!format!("{planting:?}").contains("0707"));
}

#[test]
fn a_beacon_is_announced_before_answers_exist() {
    let all = questions(&key(1), "test", 6, 2).unwrap();
    let list = AnswerList::common(64).unwrap();
    let announced = Some("drand round 5".to_owned());
    let made = |announced| {
        Planting::new(key(9), list.clone(), Form::Chat, announced, [all.clone(), vec![]]).unwrap()
    };
    let mut planting = made(announced.clone());
    assert!(matches!(planting.planted(Kind::Pair), Err(PlantError::BeaconPending { .. })));
    let before = planting.commitment().clone();
    planting.set_beacon("f00d".into()).unwrap();
    assert_eq!(planting.commitment(), &before);
    assert!(planting.set_beacon("again".into()).is_err());
    assert!(made(None).set_beacon("f00d".into()).is_err());
    let mut other = made(announced);
    other.set_beacon("beef".into()).unwrap();
    let answers = |planting: &Planting| {
        planting
            .planted(Kind::Pair)
            .unwrap()
            .iter()
            .map(|p| p.answer.to_owned())
            .collect::<Vec<_>>()
    };
    assert_ne!(answers(&planting), answers(&other));
    let found = run(&mut session(&planting, &asking(6, 0)), |_, _| String::new());
    assert!(!found.warnings.iter().any(|text| text.contains("beacon")));
}

#[test]
fn the_order_of_events_is_judged() {
    let planting = planting(10, 64, 2, 0, 1);
    let time = |text: &str| Some(text.parse().unwrap());
    let warned = |committed, released, evidence: Option<&str>| {
        let evidence = evidence.map(str::to_owned);
        let times = Times { committed, released, evidence };
        let found = session(&planting, &Asking { times, ..asking(2, 0) }).finding();
        found.warnings.into_iter().find(|text| text.contains("committed") || text.contains("older"))
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z");
    assert_eq!(warned(time(early), time(late), Some("token")), None);
    assert!(warned(time(early), time(late), None).unwrap().contains("without evidence"));
    assert!(warned(time(late), time(early), Some("token")).unwrap().contains("not before"));
    assert!(warned(time(early), None, None).unwrap().contains("not shown to be older"));
}

#[test]
fn burned_questions_are_not_asked_again_and_known_ones_first() {
    let planting = planting(11, 64, 40, 2, 1);
    let mut register = Register::default();
    let leaf = |index| planting.leaf(Kind::Pair, index).unwrap().to_owned();
    let first = |register: &Register, pairs| {
        let (rule, probes) = planting.ask(&asking(pairs, 2), register, &Salt([0; 32]))?;
        assert_eq!(probes.len(), pairs as usize + 2);
        Ok::<u32, PlantError>(rule.first)
    };
    assert_eq!(first(&register, 16).unwrap(), 0);
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    register.burn(leaf(9), now, "somebody");
    assert_eq!(first(&register, 16).unwrap(), 16);
    assert_eq!(first(&register, 8).unwrap(), 0);
    assert!(matches!(first(&register, 32), Err(PlantError::Burned { left: 39, .. })));
    register.set_known([17, 25, 26].map(leaf).into_iter().collect());
    assert_eq!(first(&register, 8).unwrap(), 24);
    let text = serde_json::to_string(&register).unwrap();
    assert_eq!(serde_json::from_str::<Register>(&text).unwrap(), register);
    register.burn(planting.leaf(Kind::Decoy, 1).unwrap().to_owned(), now, "somebody");
    assert!(matches!(first(&register, 8), Err(PlantError::Burned { what: "decoys", .. })));
}

/// Who has asked the suspect before knows which pairs it hits, and may not pick them or put them first.
#[test]
fn pairs_come_in_the_order_of_the_planting() {
    let planting = planting(12, 64, 32, 1, 1);
    let (rule, probes) =
        planting.ask(&asking(16, 1), &Register::default(), &Salt([1; 32])).unwrap();
    let made = |rule: &Rule, probes: &[Probe]| {
        Session::new(rule.clone(), probes.iter().cloned().map(Some).collect())
    };
    assert!(made(&rule, &probes).is_ok());
    let pairs: Vec<usize> = (0..17).filter(|&at| probes[at].kind == Kind::Pair).collect();
    let mut swapped = probes.clone();
    swapped.swap(pairs[3], pairs[9]);
    assert!(made(&rule, &swapped).unwrap_err().to_string().contains("order of pairs"));
    let mut picked = probes.clone();
    picked[pairs[15]] = planting.probe(Kind::Pair, 20).unwrap();
    assert!(made(&rule, &picked).is_err());
    assert!(made(&Rule { first: 3, ..rule.clone() }, &probes).is_err());
    assert!(made(&Rule { first: 8, ..rule.clone() }, &probes).is_err());
    assert_eq!(rule.choices().size(), 4.0);
    assert_eq!(Rule { design: Design::Fixed, ..rule }.choices().size(), 128.0);
}

/// Suspects that know the list and the questions, but not the keys.
fn stranger(style: u64, seed: u64, question: &str, asked: u32, list: &[String]) -> String {
    let hashed = blake3::hash(format!("{seed} {question}").as_bytes());
    let number = u64::from_le_bytes(hashed.as_bytes()[..8].try_into().unwrap());
    let word = |at: u64| list[(at % list.len() as u64) as usize].clone();
    match style {
        // Always one word.
        0 => word(seed),
        // The whole list, one after the other.
        1 => word(u64::from(asked)),
        // A word of the list for every question.
        2 => word(number),
        // Adapts: goes through the list, and stays out of it for every other query.
        3 if asked.is_multiple_of(2) => "No.".to_owned(),
        3 => word(u64::from(asked) + number % 3),
        // In the list for four of five questions.
        4 if number % 5 == 0 => "Perhaps.".to_owned(),
        _ => word(number >> 8),
    }
}

/// 20,000 suspects, five styles, fresh keys for each: P(p ≤ α) ≤ α for the e-process at each of its looks and for the fixed test.
/// The bounds are those that an exact binomial tail passes with probability 1 − 10⁻⁶ in each cell.
#[test]
fn strangers_are_rarely_close() {
    const SUSPECTS: u64 = 20_000;
    let levels = [0.05f64, 0.01, 0.001];
    for (design, least) in [(Design::Sequential { lambda: 0.3 }, 0.0), (Design::Fixed, 0.2)] {
        let mut below = [0u64; 3];
        for number in 0..SUSPECTS {
            let planting = planting(1_000 + number, K, 12, 0, 2);
            let rule = Asking { design, alpha: 1e-12, ..asking(12, 0) };
            let mut asked = session(&planting, &rule);
            let words = planting.list().words().to_vec();
            let found = run(&mut asked, |q, n| stranger(number % 5, number / 5, q, n, &words));
            for (count, level) in below.iter_mut().zip(levels) {
                *count += u64::from(found.log10_p.unwrap() <= level.log10());
            }
        }
        for (count, level) in below.into_iter().zip(levels) {
            let p = binomial_sf_ge(count, SUSPECTS, level).unwrap();
            assert!(p.log10() > -6.0, "{design:?}: {count} of {SUSPECTS} at {level}");
        }
        // Not empty: the fixed test is within its discreteness of the level.
        assert!(below[0] as f64 >= least * 0.05 * SUSPECTS as f64, "{design:?}: {below:?}");
    }
}
