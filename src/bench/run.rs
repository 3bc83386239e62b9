//! Running a plan.

use std::iter;
use std::time::Instant;

use crate::attack::{Rewriter, Rewritten, Thesaurus};
use crate::lm::LanguageModel;
use crate::tokens::{TokenId, Tokenize};
use crate::watermark::{Vocabulary, Watermark};

use super::calibration::calibration;
use super::cost::scored_per_second;
use super::error::BenchError;
use super::plan::{DetectorPlan, NamedSampling, NamedScheme, Plan};
use super::power::{Blow, Texts, alike, power, size};
use super::quality::Judged;
use super::reading::{Reader, detectors};
use super::results::{CostRow, Results};
use super::stealing::Thief;
use super::texts::{Human, Purpose, Wanted, Written, marks, streams, write};

/// What all texts of one cell have in common; its texts are kept under it.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    /// The scheme; none for unmarked text.
    pub scheme: Option<&'a NamedScheme>,
    /// The sampling.
    pub sampling: &'a NamedSampling,
}

impl Condition<'_> {
    /// The scheme's name.
    pub fn scheme_name(&self) -> &str {
        self.scheme.map_or("unmarked", |scheme| &scheme.name)
    }
}

/// Keeps texts between runs, which are most of the work, and hears how it goes.
pub trait Keep {
    /// Ids of the texts of this condition, where they were kept of a run of the same plan.
    ///
    /// # Errors
    /// [`BenchError::Kept`].
    fn kept(&mut self, condition: &Condition<'_>) -> Result<Option<Vec<Vec<TokenId>>>, BenchError>;

    /// Keeps them.
    ///
    /// # Errors
    /// [`BenchError::Kept`].
    fn keep(&mut self, condition: &Condition<'_>, texts: &[Vec<TokenId>])
    -> Result<(), BenchError>;

    /// What begins now, and in how many steps it will be done.
    fn begins(&mut self, what: &str, steps: usize);

    /// A step is done.
    fn stepped(&mut self);
}

/// A plan and what it is run with.
pub struct Bench<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Writes, and gives entropies.
    pub model: &'a mut dyn LanguageModel,
    /// Its tokenizer.
    pub tokenizer: &'a dyn Tokenize,
    /// Judges, with its tokenizer.
    pub judge: Option<(&'a mut dyn LanguageModel, &'a dyn Tokenize)>,
    /// Human texts.
    pub human: &'a [String],
    /// Prompts in the place of the human texts' own.
    pub prompts: Option<&'a [Vec<TokenId>]>,
    /// Words of like meaning.
    pub thesaurus: &'a Thesaurus,
}

impl Bench<'_> {
    /// Everything that the plan asks for.
    ///
    /// # Errors
    /// [`BenchError`]; texts that were kept before are kept.
    pub fn run(&mut self, keep: &mut dyn Keep) -> Result<Results, BenchError> {
        self.plan.check()?;
        let encode = |text: &String| Ok(self.tokenizer.encode(text)?.ids);
        let ids = self.human.iter().map(encode).collect::<Result<Vec<_>, BenchError>>()?;
        let human = Human::new(&ids, self.prompts, self.plan)?;
        let mut results = Results::default();
        for sampling in &self.plan.samplings {
            let plain = Condition { scheme: None, sampling };
            let (unmarked, seconds) = self.texts(plain, None, &human, keep)?;
            results.cost.push(cost(plain, seconds, seconds, &unmarked, None));
            let judged = self.judged(plain, &unmarked, None, &human, &mut results)?;
            for scheme in &self.plan.schemes {
                let condition = Condition { scheme: Some(scheme), sampling };
                let streams = streams(&(scheme, sampling), self.plan.texts);
                let seed = self.plan.seed_of(Purpose::Keys);
                let marks = marks(scheme, &self.vocabulary(), seed, streams)?;
                let (marked, took) = self.texts(condition, Some(&marks), &human, keep)?;
                self.judged(condition, &marked, judged.as_ref(), &human, &mut results)?;
                results.cost.push(cost(condition, took, seconds, &marked, Some(&marks)));
                self.powers(condition, marks, &marked, &human, keep, &mut results)?;
            }
        }
        self.calibrated(&ids, keep, &mut results)?;
        self.stolen(&human, keep, &mut results)?;
        Ok(results)
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary {
            tokenizer: self.tokenizer.hash(),
            size: self.model.vocab_size() as u32,
            special: self.tokenizer.special_ids().to_vec(),
        }
    }

    /// Texts of a condition, kept or written; of written ones the seconds that it took.
    fn texts(
        &mut self,
        condition: Condition<'_>,
        marks: Option<&[Watermark]>,
        human: &Human<'_>,
        keep: &mut dyn Keep,
    ) -> Result<(Written, Option<f64>), BenchError> {
        let (texts, seconds) = match keep.kept(&condition)? {
            Some(texts) => (texts, None),
            None => {
                let began = Instant::now();
                let texts = self.written(condition, marks, human, keep)?;
                (texts, Some(began.elapsed().as_secs_f64()))
            }
        };
        let needed = self.plan.longest();
        let short = texts.iter().enumerate().find(|(_, ids)| ids.len() < needed);
        if let Some((number, short)) = short {
            let (scheme, have) = (condition.scheme_name().to_owned(), short.len());
            return Err(BenchError::Short { number, scheme, have, needed });
        }
        if seconds.is_some() {
            keep.keep(&condition, &texts)?;
        }
        Ok((texts, seconds))
    }

    fn written(
        &mut self,
        condition: Condition<'_>,
        marks: Option<&[Watermark]>,
        human: &Human<'_>,
        keep: &mut dyn Keep,
    ) -> Result<Written, BenchError> {
        let (plan, scheme) = (self.plan, condition.scheme_name());
        keep.begins(&format!("writing {scheme}, {}", condition.sampling.name), plan.texts);
        let wanted = Wanted {
            sampling: condition.sampling.sampling(plan.seed_of(Purpose::Sampling)),
            inserted: condition.sampling.inserted.as_ref(),
            tokens: plan.longest(),
            numbers: 0..plan.texts,
        };
        write(self.model, self.tokenizer, human, marks, wanted, &mut || keep.stepped())
    }

    fn judged(
        &mut self,
        condition: Condition<'_>,
        texts: &[Vec<TokenId>],
        unmarked: Option<&Judged>,
        human: &Human<'_>,
        results: &mut Results,
    ) -> Result<Option<Judged>, BenchError> {
        let Some((judge, judge_tokenizer)) = &mut self.judge else { return Ok(None) };
        let with_prompts = texts.iter().enumerate().map(|(number, ids)| {
            let prompt = self.tokenizer.decode(human.prompt(number))?;
            let whole = self.tokenizer.decode(&[human.prompt(number), ids].concat())?;
            Ok((prompt, whole, ids.clone()))
        });
        let judged = Judged::new(*judge, *judge_tokenizer, with_prompts)?;
        let seed = self.plan.seed_of(Purpose::Signs);
        results.quality.push(judged.row(condition, self.plan.longest(), unmarked, seed)?);
        Ok(Some(judged))
    }

    fn powers(
        &mut self,
        condition: Condition<'_>,
        marks: Vec<Watermark>,
        marked: &[Vec<TokenId>],
        human: &Human<'_>,
        keep: &mut dyn Keep,
        results: &mut Results,
    ) -> Result<(), BenchError> {
        let (plan, scheme) = (self.plan, condition.scheme_name());
        let (tokenizer, thesaurus) = (self.tokenizer, self.thesaurus);
        let texts = Texts { plan, condition, tokenizer, human, marked, thesaurus };
        let blows: Vec<Blow<'_>> = (plan.attacks.iter())
            .flat_map(|plan| plan.strengths.iter().map(move |&strength| Blow { plan, strength }))
            .collect();
        let rows = plan.lengths.len() + plan.attacked().len() * blows.len();
        let rows = plan.detectors.len() * rows;
        keep.begins(&format!("reading {scheme}, {}", condition.sampling.name), rows);
        let mut reader = Reader { model: self.model, tokenizer: self.tokenizer };
        results.size.extend(size(&marks, &texts, &mut reader)?);
        let rewritten = self.rewritten(&texts)?;
        let mut detectors = detectors(marks, DetectorPlan::Whole)?;
        for &how in &plan.detectors {
            detectors = detectors.into_iter().map(|it| it.with_windows(how.windows())).collect();
            for &tokens in &plan.lengths {
                let mut reader = Reader { model: self.model, tokenizer: self.tokenizer };
                let attacked = plan.attacked().contains(&tokens).then_some(&blows);
                let blows = attacked.into_iter().flatten().copied().map(Some);
                for blow in iter::once(None).chain(blows) {
                    let row = power(&texts, &detectors, how, tokens, blow, &mut reader)?;
                    results.power.push(row);
                    keep.stepped();
                }
            }
            for (share, marked) in &rewritten {
                let mut reader = Reader { model: self.model, tokenizer: self.tokenizer };
                let (after, tokens) = (Texts { marked, ..texts }, plan.longest_attacked());
                let mut row = power(&after, &detectors, how, tokens, None, &mut reader)?;
                row.similarity = alike(&texts, &after, tokens)?;
                (row.attack, row.strength, row.strength_used) =
                    ("rewrite".to_owned(), *share, *share);
                results.power.push(row);
            }
        }
        Ok(())
    }

    /// Texts of which the judge drew such shares of the tokens anew.
    fn rewritten(&mut self, texts: &Texts<'_>) -> Result<Vec<(f64, Written)>, BenchError> {
        let Some((judge, judge_tokenizer)) = &mut self.judge else { return Ok(Vec::new()) };
        if !self.plan.rewrite.is_empty() && judge_tokenizer.hash() != self.tokenizer.hash() {
            let message = "the judge has another tokenizer";
            return Err(BenchError::Plan { field: "rewrite", message });
        }
        let read: Vec<Rewritten<'_>> = (texts.marked.iter().enumerate())
            .map(|(number, ids)| {
                let ids = &ids[..self.plan.longest_attacked()];
                Rewritten { prompt: texts.human.prompt(number), ids }
            })
            .collect();
        let seed = self.plan.seed_of(Purpose::Rewriting);
        let rewritten = |&share: &f64| {
            let never = self.tokenizer.special_ids();
            let rewriter = Rewriter { share, never, bias: None, seed };
            Ok((share, rewriter.rewrite(*judge, &read)?))
        };
        self.plan.rewrite.iter().map(rewritten).collect()
    }

    fn stolen(
        &mut self,
        human: &Human<'_>,
        keep: &mut dyn Keep,
        results: &mut Results,
    ) -> Result<(), BenchError> {
        let Some(wanted) = &self.plan.stealing else { return Ok(()) };
        let vocabulary = self.vocabulary();
        keep.begins("stealing", self.plan.schemes.len());
        let mut thief = Thief {
            plan: self.plan,
            wanted,
            model: self.model,
            tokenizer: self.tokenizer,
            human,
            vocabulary: &vocabulary,
        };
        let plain = thief.written(None)?;
        for scheme in &self.plan.schemes {
            results.stealing.extend(thief.rows(scheme, &plain)?);
            keep.stepped();
        }
        Ok(())
    }

    fn calibrated(
        &mut self,
        human: &[Vec<TokenId>],
        keep: &mut dyn Keep,
        results: &mut Results,
    ) -> Result<(), BenchError> {
        let (plan, vocabulary) = (self.plan, self.vocabulary());
        let Some(wanted) = plan.calibration else { return Ok(()) };
        keep.begins("reading human text", plan.schemes.len() * plan.detectors.len());
        let mut reader = Reader { model: self.model, tokenizer: self.tokenizer };
        for scheme in &plan.schemes {
            for &how in &plan.detectors {
                let row =
                    calibration(plan, wanted, (scheme, how), (human, &vocabulary), &mut reader)?;
                results.calibration.push(row);
                keep.stepped();
            }
        }
        Ok(())
    }
}

fn cost(
    condition: Condition<'_>,
    seconds: Option<f64>,
    unmarked: Option<f64>,
    texts: &[Vec<TokenId>],
    marks: Option<&[Watermark]>,
) -> CostRow {
    let tokens: usize = texts.iter().map(Vec::len).sum();
    CostRow {
        scheme: condition.scheme_name().to_owned(),
        sampling: condition.sampling.name.clone(),
        writing_ratio: seconds.zip(unmarked).map(|(marked, unmarked)| marked / unmarked),
        written_per_second: seconds.map(|seconds| tokens as f64 / seconds),
        scored_per_second: marks.map(|marks| scored_per_second(marks, texts)),
    }
}
