//! Tests of behaviour on real models: false alarms, other models, copies, and lineage with what models there are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use touchmark::engine::{Decoder, Dtype, Source};
use touchmark::fingerprint::behaviour::enrolment::{
    Enrolment, Panel, Part, PlanSettings, RecordError, SCHEMA, Settings, odd, plan, record,
    record_member,
};
use touchmark::fingerprint::behaviour::protocol::{Form, Protocol};
use touchmark::fingerprint::behaviour::{Chance, exchange, lineage, rank};
use touchmark::fingerprint::{Finding, Probing, Verdict};
use touchmark::lm::{Chunk, CompletedToken, Completion, LanguageModel, Prompt, Request, Want};
use touchmark::stats::binomial_sf_ge;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};

/// A model of a folder that reads every prompt once.
struct Model {
    lm: Decoder,
    tokenizer: HfTokenizer,
    read: HashMap<Vec<TokenId>, Vec<f32>>,
    chance: Chance,
}

impl Model {
    fn load(folder: &Path) -> Self {
        Self {
            lm: Decoder::load(&Source::Dir(folder), Dtype::Auto).unwrap(),
            tokenizer: HfTokenizer::from_path(folder).unwrap(),
            read: HashMap::new(),
            chance: Chance::new(1, &folder.display().to_string()),
        }
    }

    fn logits(&mut self, ids: &[TokenId]) -> &[f32] {
        if !self.read.contains_key(ids) {
            let seq = self.lm.open().unwrap();
            let mut row = Vec::new();
            let mut sink = |_: usize, _: usize, logits: &[f32]| row = logits.to_vec();
            self.lm.step(&[Chunk { seq, ids, want: Want::Last }], &mut sink).unwrap();
            self.lm.close(seq);
            self.read.insert(ids.to_vec(), row);
        }
        &self.read[ids]
    }

    fn answer(&mut self, request: &Request) -> Completion {
        let Prompt::Text(text) = &request.prompt else { panic!("not a text") };
        let prompt = self.tokenizer.encode(text).unwrap().ids;
        let (mut ids, mut tokens) = (prompt.clone(), Vec::new());
        for _ in 0..request.max_tokens {
            let logits = self.logits(&ids).to_vec();
            let chances = softmax(&logits, 1.0);
            let token = draw(&cumulated(&logits, request), self.chance.uniform());
            if let Some(top) = request.top_logprobs {
                tokens.push(self.told(&chances, token, top));
            }
            ids.push(token as TokenId);
        }
        Completion {
            text: self.tokenizer.decode(&ids[prompt.len()..]).unwrap(),
            tokens,
            prompt_tokens: Some(prompt.len() as u64),
            ..Completion::default()
        }
    }

    fn told(&self, chances: &[f64], token: usize, top: u8) -> CompletedToken {
        let text = |id: usize| self.tokenizer.decode(&[id as TokenId]).unwrap();
        let mut order: Vec<usize> = (0..chances.len()).collect();
        order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]));
        let top = order[..usize::from(top)].iter().map(|id| (text(*id), chances[*id].ln()));
        CompletedToken { text: text(token), logprob: chances[token].ln(), top: top.collect() }
    }
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let raised = |logit: &f32| ((f64::from(*logit) - highest) / temperature).exp();
    let raised: Vec<f64> = logits.iter().map(raised).collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|p| p / sum).collect()
}

/// The distribution function of a request's token.
fn cumulated(logits: &[f32], request: &Request) -> Vec<f64> {
    let mut chances = softmax(logits, request.temperature.max(1e-4));
    if request.top_p < 1.0 {
        let mut order: Vec<usize> = (0..chances.len()).collect();
        order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]));
        let mut mass = 0.0;
        for id in order {
            if mass >= request.top_p {
                chances[id] = 0.0;
            } else {
                mass += chances[id];
            }
        }
    }
    chances
        .iter()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect()
}

fn draw(cumulated: &[f64], u: f64) -> usize {
    let at = u * cumulated.last().unwrap();
    cumulated.partition_point(|sum| *sum < at).min(cumulated.len() - 1)
}

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn enrolment(models: &mut [Model], parts: &[Part], candidates: usize) -> Enrolment {
    enrolment_with(Settings::new(Protocol::plain(Form::Text), odd(candidates, 1)), models, parts)
}

fn enrolment_with(mut settings: Settings, models: &mut [Model], parts: &[Part]) -> Enrolment {
    settings.alternatives = (1..models.len()).map(|at| format!("alternative {at}")).collect();
    settings.top = 255;
    let mut enrolment = Enrolment {
        schema: SCHEMA,
        tool: "test".to_owned(),
        model: "reference".to_owned(),
        about: Vec::new(),
        made: "2026-11-21T00:00:00Z".to_owned(),
        expires: None,
        seed: 1,
        identity: None,
        rank: None,
        distance: None,
        drift: None,
        lineage: None,
    };
    let mut ask = |asked: touchmark::fingerprint::behaviour::enrolment::Asked<'_>| {
        Ok::<_, RecordError>(models[asked.model].answer(asked.request))
    };
    record(&settings, parts, &mut enrolment, &mut ask).unwrap();
    enrolment
}

fn plan_settings() -> PlanSettings {
    PlanSettings {
        alpha: 0.01,
        queries: None,
        protocol_assumed: false,
        seed: 1,
        today: "2026-11-21".to_owned(),
    }
}

/// Many runs of one enrolment, each with fresh answers of the reference and of the suspect.
struct Runs {
    rule: exchange::Rule,
    probes: Vec<exchange::Probe>,
    /// Of each probe and null, the reference's distribution function; of each probe, the texts of tokens.
    reference: Vec<Vec<Vec<f64>>>,
    texts: Vec<String>,
}

impl Runs {
    fn new(model: &mut Model, enrolment: &Enrolment) -> Self {
        let (rule, probes) = enrolment.exchange(&plan_settings()).unwrap();
        let nulls = &enrolment.identity.as_ref().unwrap().nulls;
        let mut known: HashMap<u32, Vec<Vec<f64>>> = HashMap::new();
        for probe in &probes {
            let Prompt::Text(text) = &probe.request.prompt else { panic!("not a text") };
            let ids = model.tokenizer.encode(text).unwrap().ids;
            let logits = model.logits(&ids).to_vec();
            let of = |null: &touchmark::fingerprint::behaviour::enrolment::NullProtocol| {
                cumulated(&logits, &null.protocol.request(text, 1, None))
            };
            known.entry(probe.cell).or_insert_with(|| nulls.iter().map(of).collect());
        }
        let reference = probes.iter().map(|probe| known[&probe.cell].clone()).collect();
        let text = |id: usize| model.tokenizer.decode(&[id as TokenId]).unwrap();
        let texts = (0..model.lm.vocab_size()).map(text).collect();
        Self { rule, probes, reference, texts }
    }

    fn finding(&self, chance: &mut Chance, suspect: &mut Model, temperature: f64) -> Finding {
        let mut probes = self.probes.clone();
        for (probe, functions) in probes.iter_mut().zip(&self.reference) {
            for (member, function) in probe.nulls.iter_mut().zip(functions) {
                member.answer.clone_from(&self.texts[draw(function, chance.uniform())]);
            }
        }
        let probes = probes.into_iter().map(Some).collect();
        let mut session = exchange::Session::new(self.rule.clone(), probes).unwrap();
        while let Some(step) = session.next().unwrap() {
            let request = Request { temperature, ..step.request };
            session.observe(&suspect.answer(&request)).unwrap();
        }
        session.finding()
    }

    /// Verdicts, and the median number of queries of those that say CHANGED.
    fn many(
        &self,
        runs: u64,
        suspect: &mut Model,
        temperature: f64,
    ) -> (HashMap<Verdict, u64>, u64, u64) {
        let mut chance = Chance::new(runs, "runs");
        let (mut verdicts, mut queries, mut first) = (HashMap::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            let finding = self.finding(&mut chance, suspect, temperature);
            *verdicts.entry(finding.verdict).or_insert(0) += 1;
            let caught = finding.verdict == Verdict::Changed;
            queries.push(if caught { finding.n } else { u64::MAX });
            let enrolled = finding.statistics.get("queries_to_reject_the_enrolled_protocol");
            first.push(enrolled.and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX));
        }
        queries.sort_unstable();
        first.sort_unstable();
        (verdicts, queries[queries.len() / 2], first[first.len() / 2])
    }
}

#[test]
fn a_model_is_seldom_taken_for_another_and_its_tune_is_caught() {
    const RUNS: u64 = 300;
    let mut models =
        [Model::load(&repository("scribe-16m")), Model::load(&repository("scribe-16m-chat"))];
    let enrolment = enrolment(&mut models, &[Part::Identity], 150);
    let [mut base, mut tune] = models;
    let runs = Runs::new(&mut base, &enrolment);
    let (verdicts, ..) = runs.many(RUNS, &mut base, 1.0);
    let alarms = RUNS - verdicts.get(&Verdict::NotShown).unwrap_or(&0);
    assert!(binomial_sf_ge(alarms, RUNS, 0.01).unwrap().p() > 1e-3, "{verdicts:?}");
    // The same model at another temperature is not another model.
    let (verdicts, ..) = runs.many(50, &mut base, 0.6);
    assert!(verdicts.get(&Verdict::Changed).is_none_or(|n| *n <= 3), "{verdicts:?}");
    let (verdicts, median, first) = runs.many(50, &mut tune, 1.0);
    println!("the tune: {verdicts:?}, median {median}, enrolled protocol alone {first}");
    assert!(first <= 100, "{verdicts:?}, median {first}");
}

/// The distribution functions of a model after the prompts of probes.
fn functions(model: &mut Model, probes: &[rank::Probe]) -> Vec<Vec<f64>> {
    let mut one = |probe: &rank::Probe| {
        let Prompt::Text(text) = &probe.request.prompt else { panic!("not a text") };
        let ids = model.tokenizer.encode(text).unwrap().ids;
        cumulated(model.logits(&ids), &probe.request)
    };
    probes.iter().map(&mut one).collect()
}

#[test]
fn ranks_of_a_model_are_uniform_and_those_of_its_tune_are_not() {
    const RUNS: u64 = 400;
    let mut models =
        [Model::load(&repository("scribe-16m")), Model::load(&repository("scribe-16m-chat"))];
    let mut settings = Settings::new(Protocol::plain(Form::Text), odd(400, 1));
    settings.samplings.clear();
    (settings.queries, settings.references) = (100, 20);
    let enrolment = enrolment_with(settings, &mut models, &[Part::Rank]);
    let [mut base, mut tune] = models;
    let (rule, probes) = enrolment.rank(&plan_settings()).unwrap();
    let (own, others) = (functions(&mut base, &probes), functions(&mut tune, &probes));
    let text = |id: usize| base.tokenizer.decode(&[id as TokenId]).unwrap();
    let texts: Vec<String> = (0..base.lm.vocab_size()).map(text).collect();

    let mut chance = Chance::new(RUNS, "ranks");
    let mut changed = |runs: u64, suspect: &[Vec<f64>]| {
        let verdicts = (0..runs).map(|seed| {
            let mut probes = probes.clone();
            for (probe, function) in probes.iter_mut().zip(&own) {
                let fresh: Vec<&str> =
                    (0..20).map(|_| &*texts[draw(function, chance.uniform())]).collect();
                probe.nulls = vec![rank::counts(&probe.symbols, fresh)];
            }
            let rule = rank::Rule { seed, draws: 499, ..rule.clone() };
            let mut session =
                rank::Session::new(rule, probes.into_iter().map(Some).collect()).unwrap();
            while let Some(step) = session.next().unwrap() {
                let text = texts[draw(&suspect[step.probe], chance.uniform())].clone();
                let prompt_tokens = step_tokens(&enrolment, step.probe);
                session
                    .observe(&Completion { text, prompt_tokens, ..Completion::default() })
                    .unwrap();
            }
            session.finding().verdict == Verdict::Changed
        });
        verdicts.filter(|changed| *changed).count() as u64
    };
    let alarms = changed(RUNS, &own);
    assert!(binomial_sf_ge(alarms, RUNS, 0.01).unwrap().p() > 1e-3, "{alarms} of {RUNS}");
    let caught = changed(50, &others);
    println!("of 50 tests of 100 queries each, the tune is CHANGED in {caught}");
    assert!(caught >= 45, "{caught} of 50");
}

/// Tokens of a prompt of ranks.
fn step_tokens(enrolment: &Enrolment, probe: usize) -> Option<u64> {
    enrolment.rank.as_ref().unwrap().cells[probe].prompt_tokens
}

/// The folder of further models, or a word that there is none.
fn line_up() -> Option<PathBuf> {
    let folder = std::env::var_os("TOUCHMARK_MODELS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TOUCHMARK_MODELS names no folder of further models");
    }
    folder
}

#[test]
fn swaps_are_caught_soon_and_lineage_is_told() {
    let Some(folder) = line_up() else { return };
    let load = |name: &str| Model::load(&folder.join(name));
    let mut models = [load("scribe-16m"), load("cousin-6m")];
    let enrolled = enrolment(&mut models, &[Part::Identity], 600);
    let [mut base, _] = models;
    let runs = Runs::new(&mut base, &enrolled);
    for name in ["cousin-6m", "sibling-16m"] {
        let (verdicts, median, first) = runs.many(100, &mut load(name), 1.0);
        println!(
            "{name} in the place of scribe-16m: {verdicts:?}, median {median}, enrolled protocol alone {first}"
        );
        assert!(first <= 40, "{name}: {verdicts:?}, median {first}");
    }

    let mut models = [base];
    let enrolled = enrolment(&mut models, &[Part::Lineage], 400);
    let greedy = enrolled.lineage.clone().unwrap();
    let names = [
        "sibling-16m",
        "cousin-6m",
        "student-plain",
        "student-kgw",
        "student-kgw10",
        "student-syn",
    ];
    let mut panel = Panel::for_prompts(&greedy, "test", None);
    for name in names {
        let mut model = load(name);
        let mut ask = |asked: touchmark::fingerprint::behaviour::enrolment::Asked<'_>| {
            Ok::<_, RecordError>(model.answer(asked.request))
        };
        panel
            .members
            .push(record_member(&panel, name, "same tokenizer", Vec::new(), &mut ask).unwrap());
    }
    let enrolments = [enrolled];
    let tried = |panel: &Panel, suspect: &mut Model| {
        let plan = plan(lineage::TEST, "", &enrolments, Some(panel), &plan_settings()).unwrap();
        let mut session = plan.start().unwrap();
        while let Some(step) = session.next().unwrap() {
            session.observe(&suspect.answer(&step.request)).unwrap();
        }
        session.finding()
    };
    let found = tried(&panel, &mut load("scribe-16m-chat"));
    println!("scribe-16m-chat: {:?} {:?}", found.verdict, found.log10_p);
    assert_eq!(found.verdict, Verdict::Related, "{found:?}");
    for name in names {
        let mut others = panel.clone();
        others.members.retain(|member| member.name != name);
        let found = tried(&others, &mut load(name));
        println!("{name} beside the others: {:?} {:?}", found.verdict, found.log10_p);
        assert_eq!(found.verdict, Verdict::NotShown, "{found:?}");
    }
}
