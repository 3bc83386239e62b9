//! From answers to plans, with models that are tables.

use super::*;
use crate::fingerprint::behaviour::protocol::Form;
use crate::fingerprint::behaviour::{Chance, distance, drift, exchange, lineage, rank};
use crate::fingerprint::{Finding, Verdict};
use crate::lm::{CompletedToken, Completion, Prompt, Request};

/// A model that answers a prompt by chances that a name and the prompt decide.
struct Toy {
    name: u64,
    chance: Chance,
    logprobs: bool,
    /// Added to the count of tokens.
    hidden: u64,
}

impl Toy {
    fn new(name: u64, draws: u64) -> Self {
        Self { name, chance: Chance::new(draws, "draws"), logprobs: true, hidden: 0 }
    }

    fn answer(&mut self, request: &Request) -> Completion {
        let Prompt::Text(prompt) = &request.prompt else { panic!("not a text") };
        let mut row = Chance::new(self.name, prompt);
        let mut row: Vec<f64> = (0..30).map(|_| row.uniform().powf(8.0)).collect();
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|p| *p /= sum);
        let best = (0..30).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let heated: Vec<f64> =
            row.iter().map(|p| p.powf(1.0 / request.temperature.max(0.01))).collect();
        let mut u = self.chance.uniform() * heated.iter().sum::<f64>();
        let drawn = heated.iter().position(|p| {
            u -= p;
            u < 0.0
        });
        let at = if request.temperature == 0.0 { best } else { drawn.unwrap_or(best) };
        let top = |count: u8| {
            let mut all: Vec<_> = (0..30).map(|at| (format!(" w{at}"), row[at].ln())).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            all.truncate(count.into());
            all
        };
        let tokens = request.top_logprobs.filter(|_| self.logprobs).map(|count| CompletedToken {
            text: format!(" w{at}"),
            logprob: row[at].ln(),
            top: top(count),
        });
        Completion {
            text: format!(" w{at}"),
            tokens: tokens.into_iter().collect(),
            prompt_tokens: Some(prompt.split(' ').count() as u64 + self.hidden),
            ..Completion::default()
        }
    }
}

fn settings(alternatives: usize) -> Settings {
    let mut settings =
        Settings::new(super::super::protocol::Protocol::plain(Form::Text), odd(80, 1));
    settings.alternatives = (0..alternatives).map(|at| format!("other {at}")).collect();
    settings
}

fn enrolment(models: &mut [Toy], parts: &[Part]) -> Enrolment {
    let mut enrolment = Enrolment {
        schema: SCHEMA,
        tool: "test".to_owned(),
        model: "reference".to_owned(),
        about: Vec::new(),
        made: "2026-11-21T00:00:00Z".to_owned(),
        expires: Some("2027-01-01".to_owned()),
        seed: 1,
        identity: None,
        rank: None,
        distance: None,
        drift: None,
        lineage: None,
    };
    record::<RecordError>(&settings(models.len() - 1), parts, &mut enrolment, &mut |asked| {
        Ok(models[asked.model].answer(asked.request))
    })
    .unwrap();
    enrolment
}

fn plan_settings() -> PlanSettings {
    PlanSettings {
        alpha: 0.01,
        queries: None,
        protocol_assumed: false,
        seed: 3,
        today: "2026-11-21".to_owned(),
    }
}

/// A server that samples as it likes.
struct Heated {
    model: Toy,
    temperature: f64,
}

impl Heated {
    fn answer(&mut self, request: &Request) -> Completion {
        self.model.answer(&Request { temperature: self.temperature, ..request.clone() })
    }
}

fn tried(
    test: &str,
    enrolments: &[Enrolment],
    panel: Option<&Panel>,
    suspect: &mut Toy,
) -> Finding {
    tried_by(test, enrolments, panel, &mut |request| suspect.answer(request))
}

fn tried_by(
    test: &str,
    enrolments: &[Enrolment],
    panel: Option<&Panel>,
    suspect: &mut dyn FnMut(&Request) -> Completion,
) -> Finding {
    let plan = plan(test, "a test", enrolments, panel, &plan_settings()).unwrap();
    let mut session = plan.start().unwrap();
    while let Some(step) = session.next().unwrap() {
        session.observe(&suspect(&step.request)).unwrap();
    }
    session.finding()
}

#[test]
fn identity_from_enrolment_to_finding() {
    for logprobs in [true, false] {
        let mut models = [Toy::new(1, 1), Toy::new(2, 2)];
        models.iter_mut().for_each(|model| model.logprobs = logprobs);
        let enrolment = enrolment(&mut models, &[Part::Identity]);
        let enrolment = [enrolment];
        let same = tried(exchange::TEST, &enrolment, None, &mut Toy::new(1, 9));
        assert_eq!((same.verdict, same.n), (Verdict::NotShown, 200), "{same:?}");
        for name in [2, 3] {
            let other = tried(exchange::TEST, &enrolment, None, &mut Toy::new(name, 9));
            assert_eq!(other.verdict, Verdict::Changed, "{other:?}");
            assert!(other.n <= 60, "{}", other.n);
        }
        for temperature in [0.0, 0.6, 1.3] {
            let suspect = &mut Heated { model: Toy::new(1, 9), temperature };
            let found = tried_by(exchange::TEST, &enrolment, None, &mut |it| suspect.answer(it));
            assert_ne!(found.verdict, Verdict::Changed, "at {temperature}: {found:?}");
        }
        let hidden = &mut Toy { hidden: 8, ..Toy::new(2, 9) };
        assert_eq!(tried(exchange::TEST, &enrolment, None, hidden).verdict, Verdict::Inconclusive);
    }
}

#[test]
fn ranks_from_enrolment_to_finding() {
    for logprobs in [true, false] {
        let mut models = [Toy::new(1, 1), Toy::new(2, 2)];
        models.iter_mut().for_each(|model| model.logprobs = logprobs);
        let enrolment = [enrolment(&mut models, &[Part::Rank])];
        let cells = &enrolment[0].rank.as_ref().unwrap().cells;
        // Every prompt once, with all fresh answers of each member.
        assert_eq!(cells.len(), 80);
        assert!(cells.iter().flat_map(|it| &it.fresh).all(|it| it.iter().sum::<u32>() == 100));
        let same = tried(rank::TEST, &enrolment, None, &mut Toy::new(1, 9));
        assert_eq!((same.verdict, same.n), (Verdict::NotShown, 80), "{same:?}");
        for name in [2, 3] {
            let other = tried(rank::TEST, &enrolment, None, &mut Toy::new(name, 9));
            assert_eq!(other.verdict, Verdict::Changed, "{other:?}");
        }
        for temperature in [0.0, 0.6, 1.3] {
            let suspect = &mut Heated { model: Toy::new(1, 9), temperature };
            let found = tried_by(rank::TEST, &enrolment, None, &mut |it| suspect.answer(it));
            assert_ne!(found.verdict, Verdict::Changed, "at {temperature}: {found:?}");
        }
    }
}

#[test]
fn without_alternatives_ranks_are_the_references() {
    let enrolment = enrolment(&mut [Toy::new(1, 1)], &[Part::Rank]);
    let ranks = enrolment.rank.unwrap();
    assert_eq!(ranks.cells.len(), 80);
    for cell in &ranks.cells {
        let request = ranks.nulls[0].protocol.request(&cell.prompt, 1, Some(5));
        let likeliest = Toy::new(1, 9).answer(&request).tokens[0].top.clone();
        let likeliest: Vec<_> = likeliest.iter().map(|(text, _)| text.trim()).collect();
        assert_eq!(cell.symbols, likeliest);
    }
}

#[test]
fn distance_and_drift_from_enrolment_to_finding() {
    let enrolment = [enrolment(&mut [Toy::new(1, 1)], &[Part::Distance, Part::Drift])];
    for test in [distance::TEST, drift::TEST] {
        let same = tried(test, &enrolment, None, &mut Toy::new(1, 9));
        assert_eq!(same.verdict, Verdict::NotShown, "{same:?}");
        let other = tried(test, &enrolment, None, &mut Toy::new(2, 9));
        assert_eq!(other.verdict, Verdict::Changed, "{other:?}");
    }
}

#[test]
fn lineage_from_enrolment_to_finding() {
    let enrolment = enrolment(&mut [Toy::new(1, 1)], &[Part::Lineage]);
    let greedy = enrolment.lineage.clone().unwrap();
    let mut panel = Panel::for_prompts(&greedy, "test", None);
    for name in 10..16 {
        let mut model = Toy::new(name, 1);
        let member = record_member::<RecordError>(
            &panel,
            &name.to_string(),
            "all",
            Vec::new(),
            &mut |asked| Ok(model.answer(asked.request)),
        );
        panel.members.push(member.unwrap());
    }
    let enrolments = [enrolment];
    let same = tried(lineage::TEST, &enrolments, Some(&panel), &mut Toy::new(1, 9));
    assert_eq!(same.verdict, Verdict::Related, "{same:?}");
    let other = tried(lineage::TEST, &enrolments, Some(&panel), &mut Toy::new(2, 9));
    assert_eq!(other.verdict, Verdict::NotShown, "{other:?}");
}

#[test]
fn what_is_old_or_missing_is_refused() {
    let enrolment = [enrolment(&mut [Toy::new(1, 1)], &[Part::Drift])];
    let refused = |test: &str, today: &str| {
        let settings = PlanSettings { today: today.to_owned(), ..plan_settings() };
        plan(test, "a test", &enrolment, None, &settings).unwrap_err().to_string()
    };
    assert!(refused(drift::TEST, "2027-01-02").contains("expired on 2027-01-01"));
    assert!(refused(exchange::TEST, "2026-12-01").contains("identity"));
    assert!(refused(rank::TEST, "2026-12-01").contains("rank"));
    assert!(refused(lineage::TEST, "2026-12-01").contains("panel"));
    assert!(refused("colour", "2026-12-01").contains("colour"));
}

#[test]
fn an_enrolment_can_be_written_and_read() {
    let parts = [Part::Identity, Part::Rank, Part::Lineage, Part::Distance, Part::Drift];
    let enrolment = enrolment(&mut [Toy::new(1, 1)], &parts);
    let text = serde_json::to_string(&enrolment).unwrap();
    assert_eq!(serde_json::from_str::<Enrolment>(&text).unwrap(), enrolment);
}
