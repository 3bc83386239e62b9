//! From an enrolment to a rule and probes.

use serde::{Deserialize, Serialize};

use super::super::{distance, drift, exchange, lineage, rank};
use super::{Enrolment, Greedy, Panel, RankCell, SCHEMA};
use crate::fingerprint::bundle::{Plan, PlanError};

/// What a plan may be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSettings {
    /// Level.
    pub alpha: f64,
    /// Most queries; none takes all that the enrolment has.
    pub queries: Option<usize>,
    /// The suspect is known to be asked under the enrolled protocol, even where it does not count prompts' tokens.
    pub protocol_assumed: bool,
    /// What random orders are drawn from.
    pub seed: u64,
    /// Today, as `2026-11-21`: what expired before is refused.
    pub today: String,
}

/// Plans a test by its name: [`exchange::TEST`], [`rank::TEST`], [`distance::TEST`], [`drift::TEST`] or [`lineage::TEST`], the last
/// with a panel and with an enrolment for each candidate, of which the first chose the prompts.
///
/// # Errors
/// [`EnrolmentError`]: a part that was not recorded, a panel of other prompts, something that has expired.
pub fn plan(
    test: &str,
    hypothesis: &str,
    enrolments: &[Enrolment],
    panel: Option<&Panel>,
    settings: &PlanSettings,
) -> Result<Plan, EnrolmentError> {
    let enrolment = enrolments.first().ok_or(EnrolmentError::None)?;
    for enrolment in enrolments {
        current(&enrolment.model, enrolment.schema, enrolment.expires.as_deref(), settings)?;
    }
    match test {
        exchange::TEST => {
            let (rule, probes) = enrolment.exchange(settings)?;
            Ok(Plan::new(test, hypothesis, &rule, &probes)?)
        }
        rank::TEST => {
            let (rule, probes) = enrolment.rank(settings)?;
            Ok(Plan::new(test, hypothesis, &rule, &probes)?)
        }
        distance::TEST => {
            let (rule, probes) = enrolment.distance(settings)?;
            Ok(Plan::new(test, hypothesis, &rule, &probes)?)
        }
        drift::TEST => {
            let (rule, probes) = enrolment.drift(settings)?;
            Ok(Plan::new(test, hypothesis, &rule, &probes)?)
        }
        lineage::TEST => {
            let panel = panel.ok_or(EnrolmentError::NoPanel)?;
            current("the panel", panel.schema, panel.expires.as_deref(), settings)?;
            let (rule, probes) = lineage_plan(enrolments, panel, settings)?;
            Ok(Plan::new(test, hypothesis, &rule, &probes)?)
        }
        _ => Err(EnrolmentError::Test { test: test.to_owned() }),
    }
}

/// Refuses what is of another form or out of date. Days as `2027-06-30` have the order of their texts.
fn current(
    what: &str,
    schema: u32,
    expires: Option<&str>,
    settings: &PlanSettings,
) -> Result<(), EnrolmentError> {
    if schema != SCHEMA {
        return Err(EnrolmentError::Schema { what: what.to_owned(), schema });
    }
    match expires {
        Some(day) if day < settings.today.as_str() => {
            Err(EnrolmentError::Expired { what: what.to_owned(), day: day.to_owned() })
        }
        _ => Ok(()),
    }
}

impl Enrolment {
    fn missing(&self, part: &'static str) -> EnrolmentError {
        EnrolmentError::Missing { model: self.model.clone(), part }
    }

    /// The rule and probes of [`exchange`].
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn exchange(
        &self,
        settings: &PlanSettings,
    ) -> Result<(exchange::Rule, Vec<exchange::Probe>), EnrolmentError> {
        let identity = self.identity.as_ref().ok_or_else(|| self.missing("identity"))?;
        let first = identity.nulls.first().ok_or_else(|| self.missing("identity"))?;
        let nulls = identity.nulls.iter().map(|null| null.name.clone()).collect();
        let rule = exchange::Rule {
            alpha: settings.alpha,
            protocol_assumed: settings.protocol_assumed,
            ..exchange::Rule::new(nulls, identity.alternatives.clone())
        };
        let mut used = vec![0; identity.cells.len()];
        let most = settings.queries.unwrap_or(usize::MAX);
        let mut probes = Vec::new();
        for place in identity.order.iter().take(most) {
            let at = *place as usize;
            let cell = identity.cells.get(at).ok_or_else(|| self.missing("a prompt"))?;
            let answer = |fresh: &Vec<String>| fresh.get(used[at]).cloned();
            let answers = cell.fresh.iter().map(answer).collect::<Option<Vec<_>>>();
            let answers = answers.ok_or_else(|| self.missing("fresh answers"))?;
            used[at] += 1;
            let ceilings = cell.ceilings.iter().cloned().chain(std::iter::repeat(Vec::new()));
            let member = |((answer, ppm), ceilings): ((String, &Vec<u32>), Vec<u32>)| {
                exchange::Member { answer, ppm: ppm.clone(), ceilings }
            };
            probes.push(exchange::Probe {
                cell: *place,
                request: first.protocol.request(&cell.prompt, 1, None),
                prompt_tokens: cell.prompt_tokens,
                symbols: cell.symbols.clone(),
                nulls: answers.into_iter().zip(&cell.nulls).zip(ceilings).map(member).collect(),
                alternatives: cell.alternatives.clone(),
            });
        }
        Ok((rule, probes))
    }

    /// The rule and probes of [`rank`].
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn rank(
        &self,
        settings: &PlanSettings,
    ) -> Result<(rank::Rule, Vec<rank::Probe>), EnrolmentError> {
        let ranks = self.rank.as_ref().ok_or_else(|| self.missing("rank"))?;
        let first = ranks.nulls.first().ok_or_else(|| self.missing("rank"))?;
        let nulls = ranks.nulls.iter().map(|null| null.name.clone()).collect();
        let rule = rank::Rule {
            protocol_assumed: settings.protocol_assumed,
            ..rank::Rule::new(settings.alpha, nulls, settings.seed)
        };
        let probe = |cell: &RankCell| rank::Probe {
            request: first.protocol.request(&cell.prompt, 1, None),
            prompt_tokens: cell.prompt_tokens,
            symbols: cell.symbols.clone(),
            nulls: cell.fresh.clone(),
        };
        let most = settings.queries.unwrap_or(usize::MAX);
        Ok((rule, ranks.cells.iter().take(most).map(probe).collect()))
    }

    /// The rule and probes of [`distance`].
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn distance(
        &self,
        settings: &PlanSettings,
    ) -> Result<(distance::Rule, Vec<distance::Probe>), EnrolmentError> {
        let samples = self.distance.as_ref().ok_or_else(|| self.missing("distance"))?;
        let first = samples.nulls.first().ok_or_else(|| self.missing("distance"))?;
        let nulls = samples.nulls.iter().map(|null| null.name.clone()).collect();
        // About four characters a token.
        let length = samples.max_tokens.saturating_mul(4).clamp(1, 10_000);
        let rule = distance::Rule {
            alpha: settings.alpha,
            protocol_assumed: settings.protocol_assumed,
            ..distance::Rule::new(nulls, length, settings.seed)
        };
        let mut probes = Vec::new();
        for (at, cell) in samples.cells.iter().enumerate() {
            let count = cell.answers.iter().map(Vec::len).min().unwrap_or(0);
            probes.extend((0..count).map(|draw| distance::Probe {
                cell: at as u32,
                request: first.protocol.request(&cell.prompt, samples.max_tokens, None),
                prompt_tokens: cell.prompt_tokens,
                nulls: cell.answers.iter().map(|told| told[draw].trim().to_owned()).collect(),
            }));
        }
        probes.truncate(settings.queries.unwrap_or(usize::MAX));
        Ok((rule, probes))
    }

    /// The rule and probes of [`drift`].
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn drift(
        &self,
        settings: &PlanSettings,
    ) -> Result<(drift::Rule, Vec<drift::Probe>), EnrolmentError> {
        let tops = self.drift.as_ref().ok_or_else(|| self.missing("drift"))?;
        let rule = drift::Rule {
            alpha: settings.alpha,
            protocol_assumed: settings.protocol_assumed,
            ..drift::Rule::new(settings.seed)
        };
        let mut probes = Vec::new();
        for (at, cell) in tops.cells.iter().enumerate() {
            probes.extend(cell.answers.iter().map(|reference| drift::Probe {
                cell: at as u32,
                request: tops.protocol.request(&cell.prompt, 1, Some(tops.top)),
                prompt_tokens: cell.prompt_tokens,
                reference: reference.clone(),
            }));
        }
        probes.truncate(settings.queries.unwrap_or(usize::MAX));
        Ok((rule, probes))
    }
}

/// Every so many probes, one is asked again, to see whether the suspect answers greedily.
const REPEAT_EVERY: usize = 25;

fn lineage_plan(
    enrolments: &[Enrolment],
    panel: &Panel,
    settings: &PlanSettings,
) -> Result<(lineage::Rule, Vec<lineage::Probe>), EnrolmentError> {
    let greedy = |enrolment: &Enrolment| {
        enrolment.lineage.clone().ok_or_else(|| enrolment.missing("lineage"))
    };
    let parents = enrolments.iter().map(greedy).collect::<Result<Vec<_>, _>>()?;
    let first = &parents[0];
    let fits = |parent: &Greedy| {
        parent.protocol == panel.protocol
            && parent.max_tokens == panel.max_tokens
            && panel.prompts.iter().all(|prompt| answer_of(parent, prompt).is_some())
    };
    if let Some(at) = parents.iter().position(|parent| !fits(parent)) {
        return Err(EnrolmentError::OtherPrompts { model: enrolments[at].model.clone() });
    }
    let members: Vec<_> = panel
        .members
        .iter()
        .map(|it| lineage::Member { name: it.name.clone(), stratum: it.stratum.clone() })
        .collect();
    if let Some(member) = panel.members.iter().find(|it| it.answers.len() != panel.prompts.len()) {
        return Err(EnrolmentError::OtherPrompts { model: member.name.clone() });
    }
    let rule = lineage::Rule {
        alpha: settings.alpha,
        candidates: enrolments.iter().map(|enrolment| enrolment.model.clone()).collect(),
        law: lineage::Law::for_panel(members.len(), settings.alpha),
        members,
        expires: panel.expires.clone(),
    };
    let most = settings.queries.unwrap_or(panel.prompts.len()).min(panel.prompts.len());
    let mut probes: Vec<lineage::Probe> = Vec::new();
    for (at, prompt) in panel.prompts.iter().enumerate().take(most) {
        let cell = first.cells.iter().find(|cell| cell.prompt == *prompt);
        let probe = lineage::Probe {
            request: first.protocol.request(prompt, first.max_tokens, None),
            prompt_tokens: cell.and_then(|cell| cell.prompt_tokens),
            candidates: parents.iter().filter_map(|it| answer_of(it, prompt)).collect(),
            members: panel.members.iter().map(|member| member.answers[at].clone()).collect(),
            repeats: None,
        };
        probes.push(probe.clone());
        if at % REPEAT_EVERY == REPEAT_EVERY - 1 {
            let repeats = Some(probes.len() - 1);
            probes.push(lineage::Probe { repeats, ..probe });
        }
    }
    Ok((rule, probes))
}

fn answer_of(parent: &Greedy, prompt: &str) -> Option<String> {
    parent.cells.iter().find(|cell| cell.prompt == prompt).map(|cell| cell.answer.clone())
}

/// Why a test cannot be planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// No enrolment.
    #[error("no enrolment is given; make one with `touchmark fingerprint enroll`")]
    None,
    /// No panel.
    #[error(
        "lineage is judged beside independent models; give a panel made with `touchmark fingerprint enroll --panel-for`"
    )]
    NoPanel,
    /// Another form.
    #[error("the enrolment of {what} has form {schema}, which this version does not read")]
    Schema {
        /// Of what.
        what: String,
        /// Its form.
        schema: u32,
    },
    /// Too old.
    #[error("{what} expired on {day}; enrol it again")]
    Expired {
        /// What.
        what: String,
        /// When.
        day: String,
    },
    /// Not recorded.
    #[error("the enrolment of {model} has no {part}; enrol it with that part")]
    Missing {
        /// The model.
        model: String,
        /// The part.
        part: &'static str,
    },
    /// Answers to other prompts.
    #[error(
        "{model} was not asked the panel's prompts in the panel's way; enrol it for the same prompts"
    )]
    OtherPrompts {
        /// The model.
        model: String,
    },
    /// Not a test of behaviour.
    #[error("there is no test \"{test}\" of behaviour")]
    Test {
        /// Its name.
        test: String,
    },
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}
