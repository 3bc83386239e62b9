//! A planting: the owner's secret.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answers::{AnswerList, read};
use super::error::PlantError;
use super::pair::{Beacon, Kind, PairKey, hex};
use super::questions::below;
use super::register::Register;
use super::rule::{Design, Form, PlantingCommitment, Probe, Rule, Times};
use crate::keys::{Key, Salt};
use crate::stats::Family;

/// Most bytes of one phrasing.
pub(super) const LONGEST_QUESTION: usize = 2_000;

/// Master key, list, questions: everything that the answers follow from.
#[derive(Debug)]
pub struct Planting {
    master: Key,
    form: Form,
    beacon: Option<Beacon>,
    pairs: Vec<Question>,
    decoys: Vec<Question>,
    commitment: PlantingCommitment,
}

#[derive(Debug)]
struct Question {
    key: PairKey,
    phrasings: Vec<String>,
}

/// A question of a planting with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Planted<'a> {
    /// Pair or decoy.
    pub kind: Kind,
    /// Its place among its kind.
    pub index: u32,
    /// The question.
    pub phrasings: &'a [String],
    /// The answer, as it stands in the list.
    pub answer: &'a str,
}

/// How a suspect shall be asked.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Pairs to ask.
    pub pairs: u32,
    /// Decoys to shuffle in.
    pub decoys: u32,
    /// Most phrasings of a question.
    pub phrasings: u32,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// The test.
    pub design: Design,
    /// Significance.
    pub alpha: f64,
    /// Most queries; by default every phrasing of every question.
    pub budget: Option<u32>,
    /// Choices made besides.
    pub family: Family,
    /// Order of events.
    pub times: Times,
}

impl Default for Asking {
    /// 16 pairs, 8 decoys, three phrasings, eight tokens, sequential, α = 10⁻⁹.
    fn default() -> Self {
        Self {
            pairs: 16,
            decoys: 8,
            phrasings: 3,
            max_tokens: 8,
            design: Design::default(),
            alpha: 1e-9,
            budget: None,
            family: Family::one(),
            times: Times::default(),
        }
    }
}

/// How a planting is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    key: String,
    form: Form,
    list: AnswerList,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announced: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beacon: Option<String>,
    pairs: Vec<Vec<String>>,
    decoys: Vec<Vec<String>>,
    digest: String,
}

impl Drop for File {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

impl Planting {
    /// Version of the file that this program writes.
    const SCHEMA: u32 = 1;

    /// A planting from its parts; each question is its phrasings. With an announced beacon there are no answers until its
    /// [value](Self::set_beacon) is known.
    ///
    /// # Errors
    /// [`PlantError`]: a question that is empty, too long or there twice, as scoring reads it; the key of another engine.
    pub fn new(
        master: Key,
        list: AnswerList,
        form: Form,
        announced: Option<String>,
        questions: [Vec<Vec<String>>; 2],
    ) -> Result<Self, PlantError> {
        check_questions(questions.iter().flatten())?;
        let [pairs, decoys] = questions;
        let pairs = keyed(&master, Kind::Pair, pairs)?;
        let decoys = keyed(&master, Kind::Decoy, decoys)?;
        let leaves = [(Kind::Pair, &pairs), (Kind::Decoy, &decoys)];
        let leaves = leaves.into_iter().flat_map(|(kind, all)| {
            (0..).zip(all).map(move |(at, own)| own.key.leaf(kind, at, &own.phrasings))
        });
        let leaves = leaves.collect();
        let commitment = PlantingCommitment::new(list, announced, pairs.len() as u32, leaves);
        Ok(Self { master, form, beacon: None, pairs, decoys, commitment })
    }

    /// Gives the announced beacon's value.
    ///
    /// # Errors
    /// [`PlantError::NoBeaconAnnounced`] when none was, or its value is there already.
    pub fn set_beacon(&mut self, value: String) -> Result<(), PlantError> {
        match (&self.commitment.announced, &self.beacon) {
            (Some(announced), None) => {
                self.beacon = Some(Beacon { announced: announced.clone(), value });
                Ok(())
            }
            _ => Err(PlantError::NoBeaconAnnounced),
        }
    }

    /// What can be published.
    pub fn commitment(&self) -> &PlantingCommitment {
        &self.commitment
    }

    /// How questions are put.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The list of answers.
    pub fn list(&self) -> &AnswerList {
        &self.commitment.list
    }

    /// The beacon that is waited for.
    pub fn awaits(&self) -> Option<&str> {
        self.commitment.announced.as_deref().filter(|_| self.beacon.is_none())
    }

    /// The pairs or the decoys with their answers.
    ///
    /// # Errors
    /// [`PlantError::BeaconPending`].
    pub fn planted(&self, kind: Kind) -> Result<Vec<Planted<'_>>, PlantError> {
        if let Some(announced) = self.awaits() {
            return Err(PlantError::BeaconPending { announced: announced.to_owned() });
        }
        let list = self.list();
        let each = (0..).zip(self.of(kind)).map(|(index, question)| {
            let answer = question.key.answer(list, self.beacon.as_ref(), &question.phrasings);
            let answer = list.word(answer).unwrap_or_default();
            Planted { kind, index, phrasings: &question.phrasings, answer }
        });
        Ok(each.collect())
    }

    fn of(&self, kind: Kind) -> &[Question] {
        match kind {
            Kind::Pair => &self.pairs,
            Kind::Decoy => &self.decoys,
        }
    }

    /// A question with its own key, to be asked or revealed.
    pub fn probe(&self, kind: Kind, index: u32) -> Option<Probe> {
        let question = self.of(kind).get(index as usize)?;
        let (key, phrasings) = (question.key.clone(), question.phrasings.clone());
        Some(Probe { kind, index, key, phrasings })
    }

    /// The leaf of a question in the commitment.
    pub fn leaf(&self, kind: Kind, index: u32) -> Option<&str> {
        self.commitment.leaf(kind, index)
    }

    /// Rule and probes for one suspect: pairs in their order in the planting, from the place where most of the fresh ones are that the
    /// planted model knows; decoys put among them by `shuffle`.
    ///
    /// # Errors
    /// [`PlantError::Burned`] when so many were not left one after the other; [`PlantError::BeaconPending`].
    pub fn ask(
        &self,
        asking: &Asking,
        register: &Register,
        shuffle: &Salt,
    ) -> Result<(Rule, Vec<Probe>), PlantError> {
        if let Some(announced) = self.awaits() {
            return Err(PlantError::BeaconPending { announced: announced.to_owned() });
        }
        let first = self.first(asking.pairs, register)?;
        let pairs = (first..first + asking.pairs).filter_map(|at| self.probe(Kind::Pair, at));
        let probes = mixed(pairs.collect(), self.decoys(asking.decoys, register)?, shuffle);
        let each = |probe: &Probe| (probe.phrasings.len() as u32).min(asking.phrasings);
        let rule = Rule {
            schema: Rule::SCHEMA,
            planting: self.commitment.clone(),
            beacon: self.beacon.clone(),
            first,
            pairs: asking.pairs,
            decoys: asking.decoys,
            phrasings: asking.phrasings,
            form: self.form.clone(),
            max_tokens: asking.max_tokens,
            design: asking.design,
            alpha: asking.alpha,
            decoy_alpha: 1e-3,
            budget: asking.budget.unwrap_or_else(|| probes.iter().map(each).sum()),
            family: asking.family.clone(),
            times: asking.times.clone(),
        };
        Ok((rule, probes))
    }

    /// Where to begin, so that no pair is burned and most are known.
    fn first(&self, wanted: u32, register: &Register) -> Result<u32, PlantError> {
        let leaf = |index| self.leaf(Kind::Pair, index).unwrap_or_default();
        let count = self.pairs.len() as u32;
        let fresh = |first: &u32| {
            let mut own = *first..first + wanted;
            own.end <= count && own.all(|index| register.burned(leaf(index)).is_none())
        };
        let known = |first: &u32| {
            (*first..first + wanted).filter(|&index| register.is_known(leaf(index))).count()
        };
        // Of equals the earliest.
        let starts = (0..count).step_by(Rule::BLOCK as usize).rev().filter(fresh);
        starts.max_by_key(known).ok_or_else(|| PlantError::Burned {
            what: "pairs",
            wanted,
            left: (0..count).filter(|&index| register.burned(leaf(index)).is_none()).count() as u32,
        })
    }

    fn decoys(&self, wanted: u32, register: &Register) -> Result<Vec<Probe>, PlantError> {
        let all = (0..self.decoys.len() as u32).filter_map(|at| self.probe(Kind::Decoy, at));
        let mut fresh: Vec<Probe> =
            all.filter(|probe| register.burned(&probe.leaf()).is_none()).collect();
        let left = fresh.len() as u32;
        if left < wanted {
            return Err(PlantError::Burned { what: "decoys", wanted, left });
        }
        fresh.truncate(wanted as usize);
        Ok(fresh)
    }

    /// The planting as it is kept: a secret.
    ///
    /// # Errors
    /// [`PlantError::Syntax`], which does not happen for a planting.
    pub fn to_json(&self) -> Result<Zeroizing<String>, PlantError> {
        let own = self.master.own().ok_or(PlantError::KeyForm)?;
        let texts = |all: &[Question]| all.iter().map(|one| one.phrasings.clone()).collect();
        let file = File {
            schema: Self::SCHEMA,
            key: hex(own).to_string(),
            form: self.form.clone(),
            list: self.list().clone(),
            announced: self.commitment.announced.clone(),
            beacon: self.beacon.as_ref().map(|beacon| beacon.value.clone()),
            pairs: texts(&self.pairs),
            decoys: texts(&self.decoys),
            digest: self.commitment.digest.clone(),
        };
        let text = serde_json::to_string_pretty(&file).map_err(PlantError::Syntax)?;
        Ok(Zeroizing::new(text))
    }

    /// A planting from its file.
    ///
    /// # Errors
    /// [`PlantError::Syntax`]; [`PlantError::Damaged`] when its parts do not give its commitment.
    pub fn from_json(text: &str) -> Result<Self, PlantError> {
        let mut file: File = serde_json::from_str(text).map_err(PlantError::Syntax)?;
        let master = Key::from_hex(&file.key)?;
        let questions = [std::mem::take(&mut file.pairs), std::mem::take(&mut file.decoys)];
        let (list, form) = (file.list.clone(), file.form.clone());
        let mut planting = Self::new(master, list, form, file.announced.clone(), questions)?;
        if planting.commitment.digest != file.digest || file.schema != Self::SCHEMA {
            return Err(PlantError::Damaged);
        }
        if let Some(value) = file.beacon.take() {
            planting.set_beacon(value)?;
        }
        Ok(planting)
    }
}

fn check_questions<'a>(questions: impl Iterator<Item = &'a Vec<String>>) -> Result<(), PlantError> {
    let mut seen = HashSet::new();
    for (number, phrasings) in (1..).zip(questions) {
        if phrasings.is_empty() {
            return Err(PlantError::Question { number });
        }
        for text in phrasings {
            let as_read = read(text);
            if as_read.is_empty() || text.len() > LONGEST_QUESTION {
                return Err(PlantError::Question { number });
            }
            if !seen.insert(as_read) {
                return Err(PlantError::RepeatedQuestion(text.clone()));
            }
        }
    }
    Ok(())
}

fn keyed(
    master: &Key,
    kind: Kind,
    questions: Vec<Vec<String>>,
) -> Result<Vec<Question>, PlantError> {
    let each = (0..).zip(questions).map(|(index, phrasings)| {
        Ok(Question { key: PairKey::new(master, kind, index)?, phrasings })
    });
    each.collect()
}

/// Pairs in their order, decoys at places drawn among them.
fn mixed(pairs: Vec<Probe>, decoys: Vec<Probe>, seed: &Salt) -> Vec<Probe> {
    use rand_chacha::rand_core::SeedableRng;

    let mut random = rand_chacha::ChaCha8Rng::from_seed(seed.0);
    let (mut pairs, mut decoys) = (pairs.into_iter(), decoys.into_iter());
    let mut out = Vec::new();
    while pairs.len() + decoys.len() > 0 {
        let is_pair = below(&mut random, pairs.len() + decoys.len()) < pairs.len();
        out.extend(if is_pair { pairs.next() } else { decoys.next() });
    }
    out
}
