//! How many marked texts are found, and how many tokens it takes.

use crate::attack::{Attacked, Budget, Materials, Thesaurus, chrf};
use crate::detect::{Detector, Law};
use crate::stats::{LogP, Rate, auroc, rate_at_p};
use crate::tokens::{TokenId, Tokenize};
use crate::watermark::{Text, Watermark};

use super::error::BenchError;
use super::plan::{AttackPlan, DetectorPlan, OtherPlan, Plan};
use super::reading::Reader;
use super::results::{Level, PowerRow, SizeRow};
use super::run::Condition;
use super::texts::{Human, Purpose};

/// Confidence of every interval.
pub(super) const CONFIDENCE: f64 = 0.95;
/// Texts that make the other text of an attack.
const OTHERS: usize = 12;

/// One attack at one strength.
#[derive(Clone, Copy)]
pub(super) struct Blow<'a> {
    pub plan: &'a AttackPlan,
    pub strength: f64,
}

/// Texts of one cell, as they are read.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub plan: &'a Plan,
    pub condition: Condition<'a>,
    pub tokenizer: &'a dyn Tokenize,
    pub human: &'a Human<'a>,
    pub marked: &'a [Vec<TokenId>],
    pub thesaurus: &'a Thesaurus,
}

impl Texts<'_> {
    /// Marked text `number` of so many tokens, attacked.
    pub fn marked(
        &self,
        number: usize,
        tokens: usize,
        blow: Option<Blow<'_>>,
    ) -> Result<Attacked, BenchError> {
        let text = self.tokenizer.decode(&self.marked[number][..tokens])?;
        self.attacked(text, number, blow)
    }

    /// What a human wrote in its place, attacked in the same way.
    pub fn human(
        &self,
        number: usize,
        tokens: usize,
        blow: Option<Blow<'_>>,
    ) -> Result<Attacked, BenchError> {
        let text = self.tokenizer.decode(&self.human.continuation(number)[..tokens])?;
        self.attacked(text, number, blow)
    }

    fn attacked(
        &self,
        text: String,
        number: usize,
        blow: Option<Blow<'_>>,
    ) -> Result<Attacked, BenchError> {
        let Some(Blow { plan, strength }) = blow else {
            return Ok(Attacked { text, strength: 0.0, similarity: 1.0 });
        };
        let other = self.other(plan.other, number)?;
        let (thesaurus, segments) = (self.thesaurus, plan.segments);
        let materials = Materials { other: &other, thesaurus, segments };
        let budget = Budget { strength, similarity: plan.similarity };
        let seed = self.plan.seed_of(Purpose::Attacks).wrapping_add(number as u64);
        Ok(plan.attack.within(&text, budget, &materials, seed, chrf)?)
    }

    /// What comes after this text, human or marked under other keys.
    fn other(&self, which: OtherPlan, number: usize) -> Result<String, BenchError> {
        let mut other = String::new();
        for at in number + 1..=number + OTHERS.min(self.marked.len().saturating_sub(1)) {
            let at = at % self.marked.len();
            let ids = match which {
                OtherPlan::Human => self.human.continuation(at),
                OtherPlan::Marked => &self.marked[at],
            };
            other += self.tokenizer.decode(ids)?.trim();
            other += "\n\n";
        }
        Ok(other)
    }
}

/// One row of the table of power.
pub(super) fn power(
    texts: &Texts<'_>,
    detectors: &[Detector],
    how: DetectorPlan,
    tokens: usize,
    blow: Option<Blow<'_>>,
    reader: &mut Reader<'_>,
) -> Result<PowerRow, BenchError> {
    let (mut marked, mut human) = (Vec::new(), Vec::new());
    let (mut similarity, mut strength) = (0.0, 0.0);
    for (number, detector) in detectors.iter().enumerate() {
        let text = texts.marked(number, tokens, blow)?;
        (similarity, strength) = (similarity + text.similarity, strength + text.strength);
        marked.push(reader.p(detector, how, &text.text)?);
        human.push(reader.p(detector, how, &texts.human(number, tokens, blow)?.text)?);
    }
    let scores = |p: &[LogP]| p.iter().map(|p| -p.log10()).collect::<Vec<f64>>();
    let count = detectors.len() as f64;
    Ok(PowerRow {
        scheme: texts.condition.scheme_name().to_owned(),
        sampling: texts.condition.sampling.name.clone(),
        detector: how.name().to_owned(),
        attack: blow.map_or("none", |blow| blow.plan.attack.name()).to_owned(),
        strength: blow.map_or(0.0, |blow| blow.strength),
        strength_used: strength / count,
        tokens,
        levels: levels(&marked, &texts.plan.fpr)?,
        median_log10_p: median(&mut scores(&marked)).map_or(0.0, |score| -score),
        auroc: auroc(&scores(&marked), &scores(&human))?,
        similarity: similarity / count,
    })
}

/// Mean chrF of texts with what was made of them.
pub(super) fn alike(
    before: &Texts<'_>,
    after: &Texts<'_>,
    tokens: usize,
) -> Result<f64, BenchError> {
    let mut sum = 0.0;
    for number in 0..before.marked.len() {
        let [before, after] = [before, after].map(|texts| texts.marked(number, tokens, None));
        sum += chrf(&before?.text, &after?.text);
    }
    Ok(sum / before.marked.len().max(1) as f64)
}

/// Shares at the nominal rates.
pub(super) fn levels(p: &[LogP], fpr: &[f64]) -> Result<Vec<Level>, BenchError> {
    let level =
        |&fpr: &f64| Ok(Level { fpr, found: rate_at_p(p, LogP::new(fpr.log10())?, CONFIDENCE)? });
    fpr.iter().map(level).collect()
}

/// The middle one, or the lower of the two.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The number of tokens that a median text needs for p ≤ 10⁻⁵, read from its beginning; not of marks that judge whole texts.
pub(super) fn size(
    marks: &[Watermark],
    texts: &Texts<'_>,
    reader: &mut Reader<'_>,
) -> Result<Option<SizeRow>, BenchError> {
    const P: f64 = 1e-5;
    let Some(first) = marks.first() else { return Ok(None) };
    let (law, wanted) = (Law::new(first.null().clone())?, LogP::new(P.log10())?);
    let mut needed = Vec::new();
    for (number, mark) in marks.iter().enumerate() {
        let text = texts.marked(number, texts.plan.longest(), None)?.text;
        let ids = texts.tokenizer.encode(&text)?.ids;
        let entropies = reader.entropies(mark.spec(), &ids)?;
        let evidence = mark.score_text(&Text::gated(&ids, &entropies));
        if evidence.judgement.is_some() {
            return Ok(None);
        }
        let mut sum = 0.0;
        for (seen, (value, position)) in evidence.values.iter().zip(&evidence.positions).enumerate()
        {
            sum += value;
            if law.tail(sum, seen as u64 + 1)? <= wanted {
                needed.push(*position as usize + 1);
                break;
            }
        }
    }
    needed.sort_unstable();
    let reached = Rate::new(needed.len() as u64, marks.len() as u64, CONFIDENCE)?;
    Ok(Some(SizeRow {
        scheme: texts.condition.scheme_name().to_owned(),
        sampling: texts.condition.sampling.name.clone(),
        p: P,
        median_tokens: needed.get((marks.len() - 1) / 2).copied(),
        reached,
    }))
}
