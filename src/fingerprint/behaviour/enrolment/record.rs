//! Asking the reference and what it is compared with.

use super::super::exchange::chances;
use super::super::lineage::first_word;
use super::super::protocol::Protocol;
use super::ranks::ranks;
use super::select::{growth, order};
use super::table::{Table, ceilings, tokens};
use super::{
    Cell, Greedy, GreedyCell, Identity, NullProtocol, Panel, PanelMember, Sample, Samples, Top,
    Tops,
};
use crate::lm::{Completion, Request};

/// Answers of one token that are told apart.
pub(super) const SYMBOLS: usize = 40;

/// A part of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Answers of one token.
    Identity,
    /// Ranks of answers of one token.
    Rank,
    /// Greedy answers.
    Lineage,
    /// Answers of several tokens.
    Distance,
    /// Log-probabilities.
    Drift,
}

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the reference is asked.
    pub protocol: Protocol,
    /// Further system prompts under which it is still the reference.
    pub systems: Vec<String>,
    /// Temperatures, as multiples of the protocol's, and nuclei under which it is still the reference.
    pub samplings: Vec<(f64, f64)>,
    /// Prompts to choose from.
    pub prompts: Vec<String>,
    /// Prompts of answers of several tokens and of log-probabilities.
    pub long_prompts: Vec<String>,
    /// Most queries of lineage.
    pub lineage_queries: usize,
    /// Names of the alternatives.
    pub alternatives: Vec<String>,
    /// Most queries of a test.
    pub queries: usize,
    /// Level that the order of asking is made for.
    pub alpha: f64,
    /// Answers that chances are estimated from where there are no log-probabilities.
    pub training: u32,
    /// Fresh answers to each prompt of ranks.
    pub references: u32,
    /// Log-probabilities to ask for.
    pub top: u8,
    /// Tokens of the reference's vocabulary, at most.
    pub vocabulary: usize,
}

impl Settings {
    /// Temperatures from 0 to 1.4 times the protocol's and a nucleus of 0.9 as composite null; 200 queries at α 1 %.
    pub fn new(protocol: Protocol, prompts: Vec<String>) -> Self {
        let samplings = vec![
            (0.0, 1.0),
            (0.5, 1.0),
            (0.7, 1.0),
            (0.85, 1.0),
            (1.2, 1.0),
            (1.4, 1.0),
            (1.0, 0.9),
        ];
        let top = protocol.form.most_logprobs();
        Self {
            protocol,
            systems: Vec::new(),
            samplings,
            long_prompts: prompts.clone(),
            lineage_queries: 200,
            prompts,
            alternatives: Vec::new(),
            queries: 200,
            alpha: 0.01,
            training: 30,
            references: 100,
            top,
            vocabulary: 300_000,
        }
    }

    pub(super) fn nulls(&self) -> Vec<NullProtocol> {
        let named = |protocol: Protocol| NullProtocol { name: protocol.words(), protocol };
        let Protocol { temperature, .. } = self.protocol;
        let sampled = self.samplings.iter().map(|(factor, top_p)| {
            let temperature = (temperature * factor * 1e6).round() / 1e6;
            named(Protocol { temperature, top_p: *top_p, ..self.protocol.clone() })
        });
        let systems = self.systems.iter().map(|system| {
            let system = Some(system.clone());
            let name = format!("system prompt {:?}", system.as_deref().unwrap_or_default());
            NullProtocol { name, protocol: Protocol { system, ..self.protocol.clone() } }
        });
        let first = std::iter::once(named(self.protocol.clone()));
        // A greedy reference has no other temperatures.
        let sampled: Vec<_> = if temperature > 0.0 { sampled.collect() } else { Vec::new() };
        first.chain(sampled).chain(systems).collect()
    }
}

/// A question to one of the models.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// 0 is the reference, from 1 on the alternatives.
    pub model: usize,
    /// What is asked.
    pub request: &'a Request,
    /// How often the same was asked before.
    pub repeat: u32,
}

/// Answers questions.
pub(super) type Ask<'a, E> = dyn FnMut(Asked<'_>) -> Result<Completion, E> + 'a;

/// Why an enrolment cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Too few prompts.
    #[error("{got} prompts are too few; give at least {wanted}")]
    Prompts {
        /// How many there are.
        got: usize,
        /// How many are needed.
        wanted: usize,
    },
    /// No log-probabilities.
    #[error("{model} tells no log-probabilities; leave out the part that needs them")]
    NoLogprobs {
        /// The model.
        model: String,
    },
}

/// Records the parts of an enrolment that are wanted; the others stay empty.
///
/// # Errors
/// What `ask` gives, or [`RecordError`].
pub fn record<E: From<RecordError>>(
    settings: &Settings,
    parts: &[Part],
    enrolment: &mut super::Enrolment,
    ask: &mut Ask<'_, E>,
) -> Result<(), E> {
    for part in parts {
        match part {
            Part::Identity => enrolment.identity = Some(identity(settings, ask)?),
            Part::Rank => enrolment.rank = Some(ranks(settings, ask)?),
            Part::Lineage => enrolment.lineage = Some(lineage(settings, ask)?),
            Part::Distance => enrolment.distance = Some(distance(settings, ask)?),
            Part::Drift => enrolment.drift = Some(drift(settings, &enrolment.model, ask)?),
        }
    }
    Ok(())
}

/// What is known of a model's first token after a prompt.
pub(super) struct Known {
    pub(super) table: Table,
    /// The tokens that it follows from; none where it was estimated from answers.
    tokens: Vec<(String, f64)>,
    pub(super) prompt_tokens: Option<u64>,
}

/// Asks for chances of a model's first token after a prompt.
fn table<E>(
    settings: &Settings,
    protocol: &Protocol,
    model: usize,
    prompt: &str,
    ask: &mut Ask<'_, E>,
) -> Result<Known, E> {
    let request = protocol.request(prompt, 1, Some(settings.top));
    let first = ask(Asked { model, request: &request, repeat: 0 })?;
    let told = tokens(&first);
    if !told.is_empty() {
        let table = Table::from_tokens(&told);
        return Ok(Known { table, tokens: told, prompt_tokens: first.prompt_tokens });
    }
    let request = protocol.request(prompt, 1, None);
    let answers: Result<Vec<_>, E> = (0..settings.training)
        .map(|repeat| Ok(ask(Asked { model, request: &request, repeat })?.text))
        .collect();
    let table = Table::from_answers(&answers?);
    Ok(Known { table, tokens: Vec::new(), prompt_tokens: first.prompt_tokens })
}

/// What all models say of one prompt.
pub(super) struct Surveyed<'a> {
    pub(super) prompt: &'a str,
    pub(super) base: Known,
    /// The alternatives, and at the end the reference's mean answer to all prompts.
    pub(super) others: Vec<Table>,
}

/// Asks all models for their chances after every prompt that may be chosen.
pub(super) fn survey<'a, E>(
    settings: &'a Settings,
    ask: &mut Ask<'_, E>,
) -> Result<Vec<Surveyed<'a>>, E> {
    let mut found = Vec::new();
    let mut mean = Table::default();
    let part = 1.0 / settings.prompts.len() as f64;
    for prompt in &settings.prompts {
        let base = table(settings, &settings.protocol, 0, prompt, ask)?;
        mean.add(&base.table, part);
        let mut others = Vec::new();
        for model in 1..=settings.alternatives.len() {
            others.push(table(settings, &settings.protocol, model, prompt, ask)?.table);
        }
        found.push(Surveyed { prompt, base, others });
    }
    found.iter_mut().for_each(|surveyed| surveyed.others.push(mean.clone()));
    Ok(found)
}

/// What is known of one prompt before it is chosen.
struct Candidate {
    cell: Cell,
    growths: Vec<f64>,
}

fn identity<E: From<RecordError>>(
    settings: &Settings,
    ask: &mut Ask<'_, E>,
) -> Result<Identity, E> {
    const LEAST: usize = 24;
    if settings.prompts.len() < LEAST {
        return Err(RecordError::Prompts { got: settings.prompts.len(), wanted: LEAST }.into());
    }
    let nulls = settings.nulls();
    let mut candidates = candidates(settings, &nulls, ask)?;
    let count = settings.alternatives.len() + 1;
    // The mean answer stands in for models of which nothing is known, where no others are.
    let used = if count == 1 { 0..1 } else { 0..count - 1 };
    let growths: Vec<Vec<f64>> =
        used.map(|at| candidates.iter().map(|candidate| candidate.growths[at]).collect()).collect();
    let order = order(&growths, settings.queries, settings.alpha);
    let mut asked: Vec<usize> = order.clone();
    asked.sort_unstable();
    asked.dedup();
    for at in &asked {
        let times = order.iter().filter(|it| *it == at).count() as u32;
        let cell = &mut candidates[*at].cell;
        for null in &nulls {
            let request = null.protocol.request(&cell.prompt, 1, None);
            // Answers that chances were estimated from are not fresh.
            let used = settings.training;
            let fresh: Result<Vec<_>, E> = (used..used + times)
                .map(|repeat| Ok(ask(Asked { model: 0, request: &request, repeat })?.text))
                .collect();
            cell.fresh.push(fresh?);
        }
    }
    let place = |at: &usize| asked.binary_search(at).unwrap_or(0) as u32;
    let order = order.iter().map(place).collect();
    let mut candidates: Vec<_> = candidates.into_iter().map(Some).collect();
    let cells = asked.iter().filter_map(|at| Some(candidates[*at].take()?.cell)).collect();
    let mut alternatives = settings.alternatives.clone();
    alternatives.push("the reference's mean answer".to_owned());
    Ok(Identity { nulls, alternatives, cells, order })
}

fn candidates<E>(
    settings: &Settings,
    nulls: &[NullProtocol],
    ask: &mut Ask<'_, E>,
) -> Result<Vec<Candidate>, E> {
    let mut candidates = Vec::new();
    for Surveyed { prompt, base, others } in survey(settings, ask)? {
        let symbols = base.table.likeliest(SYMBOLS);
        let alternatives: Vec<_> = others.iter().map(|other| other.ppm(&symbols)).collect();
        let (mut members, mut ceilings) = (Vec::new(), Vec::new());
        for null in nulls {
            let (table, ceiling) = member(settings, null, &base, &symbols, prompt, ask)?;
            members.push(table.ppm(&symbols));
            ceilings.push(ceiling);
        }
        let growths = alternatives.iter().map(|other| growth(&members[0], other)).collect();
        let cell = Cell {
            prompt: prompt.to_owned(),
            prompt_tokens: base.prompt_tokens,
            symbols,
            nulls: members,
            ceilings,
            alternatives,
            fresh: Vec::new(),
        };
        candidates.push(Candidate { cell, growths });
    }
    Ok(candidates)
}

/// The chances of one member of the null, and what they cannot exceed, where that is known.
pub(super) fn member<E>(
    settings: &Settings,
    null: &NullProtocol,
    base: &Known,
    symbols: &[String],
    prompt: &str,
    ask: &mut Ask<'_, E>,
) -> Result<(Table, Vec<u32>), E> {
    let Protocol { temperature, .. } = settings.protocol;
    let exact = !base.tokens.is_empty();
    if null.protocol.system != settings.protocol.system {
        return Ok((table(settings, &null.protocol, 0, prompt, ask)?.table, Vec::new()));
    }
    // Log-probabilities are told before temperature and truncation.
    let (factor, top_p) = if exact {
        (null.protocol.temperature, null.protocol.top_p)
    } else {
        (null.protocol.temperature / temperature.max(1e-6), null.protocol.top_p)
    };
    let enrolled = null.protocol == settings.protocol;
    let ceilings = if exact && !enrolled {
        ceilings(&base.tokens, symbols, factor, top_p, settings.vocabulary)
    } else {
        Vec::new()
    };
    Ok((base.table.tempered(factor, top_p), ceilings))
}

/// Greedy answers to the prompts, those that tell most first.
fn lineage<E: From<RecordError>>(settings: &Settings, ask: &mut Ask<'_, E>) -> Result<Greedy, E> {
    const LEAST: usize = 30;
    const MAX_TOKENS: u32 = 4;
    if settings.prompts.len() < LEAST {
        return Err(RecordError::Prompts { got: settings.prompts.len(), wanted: LEAST }.into());
    }
    let protocol = Protocol { temperature: 0.0, top_p: 1.0, ..settings.protocol.clone() };
    let mut cells = Vec::new();
    for prompt in &settings.prompts {
        let known = table(settings, &settings.protocol, 0, prompt, ask)?;
        let request = protocol.request(prompt, MAX_TOKENS, None);
        let answer = ask(Asked { model: 0, request: &request, repeat: 0 })?.text;
        if first_word(&answer).is_empty() {
            continue;
        }
        let prompt_tokens = known.prompt_tokens;
        cells.push((
            telling(&known.table),
            GreedyCell { prompt: prompt.clone(), prompt_tokens, answer },
        ));
    }
    cells.sort_by(|a, b| b.0.total_cmp(&a.0));
    cells.truncate(settings.lineage_queries);
    let cells = cells.into_iter().map(|(_, cell)| cell).collect();
    Ok(Greedy { protocol, max_tokens: MAX_TOKENS, cells })
}

/// How much a prompt tells of lineage, from the reference alone: others may answer otherwise (entropy), and a copy that was moved
/// a little answers the same (the first answer leads the second by a margin).
fn telling(table: &Table) -> f64 {
    let symbols = table.likeliest(SYMBOLS);
    let chances = chances(&table.ppm(&symbols));
    let entropy: f64 = chances.iter().map(|p| -p * p.ln()).sum();
    let margin =
        chances.first().map_or(0.0, |first| (first / chances.get(1).unwrap_or(first)).ln());
    entropy * margin.min(2.0)
}

fn distance<E: From<RecordError>>(settings: &Settings, ask: &mut Ask<'_, E>) -> Result<Samples, E> {
    const PROMPTS: usize = 20;
    const ANSWERS: u32 = 8;
    const MAX_TOKENS: u32 = 16;
    if settings.long_prompts.len() < PROMPTS {
        return Err(
            RecordError::Prompts { got: settings.long_prompts.len(), wanted: PROMPTS }.into()
        );
    }
    let nulls = settings.nulls();
    let mut cells = Vec::new();
    for prompt in settings
        .long_prompts
        .iter()
        .step_by((settings.long_prompts.len() / PROMPTS).max(1))
        .take(PROMPTS)
    {
        let (mut answers, mut prompt_tokens) = (Vec::new(), None);
        for null in &nulls {
            let request = null.protocol.request(prompt, MAX_TOKENS, None);
            let mut told = Vec::new();
            for repeat in 0..ANSWERS {
                let answer = ask(Asked { model: 0, request: &request, repeat })?;
                if answers.is_empty() {
                    prompt_tokens = answer.prompt_tokens;
                }
                told.push(answer.text);
            }
            answers.push(told);
        }
        cells.push(Sample { prompt: prompt.clone(), prompt_tokens, answers });
    }
    Ok(Samples { nulls, max_tokens: MAX_TOKENS, cells })
}

fn drift<E: From<RecordError>>(
    settings: &Settings,
    model: &str,
    ask: &mut Ask<'_, E>,
) -> Result<Tops, E> {
    const PROMPTS: usize = 12;
    const ANSWERS: u32 = 4;
    // A suspect may be behind an endpoint, also where the reference is here.
    let most = settings.protocol.form.most_logprobs();
    let mut cells = Vec::new();
    for prompt in settings
        .long_prompts
        .iter()
        .step_by((settings.long_prompts.len() / PROMPTS).max(1))
        .take(PROMPTS)
    {
        let request = settings.protocol.request(prompt, 1, Some(most));
        let (mut answers, mut prompt_tokens) = (Vec::new(), None);
        for repeat in 0..ANSWERS {
            let answer = ask(Asked { model: 0, request: &request, repeat })?;
            prompt_tokens = answer.prompt_tokens;
            let top = answer.tokens.into_iter().next().map(|token| token.top).unwrap_or_default();
            if top.is_empty() {
                return Err(RecordError::NoLogprobs { model: model.to_owned() }.into());
            }
            answers.push(top);
        }
        cells.push(Top { prompt: prompt.clone(), prompt_tokens, answers });
    }
    Ok(Tops { protocol: settings.protocol.clone(), top: most, cells })
}

/// Records one more model of a panel.
///
/// # Errors
/// What `ask` gives.
pub fn record_member<E>(
    panel: &Panel,
    name: &str,
    stratum: &str,
    about: Vec<(String, String)>,
    ask: &mut Ask<'_, E>,
) -> Result<PanelMember, E> {
    let answer = |prompt: &String| {
        let request = panel.protocol.request(prompt, panel.max_tokens, None);
        Ok(ask(Asked { model: 0, request: &request, repeat: 0 })?.text)
    };
    let answers = panel.prompts.iter().map(answer).collect::<Result<_, E>>()?;
    Ok(PanelMember { name: name.to_owned(), stratum: stratum.to_owned(), about, answers })
}
