//! What somebody learns who has texts under one key.

use crate::attack::{Learned, Rewriter, Rewritten};
use crate::detect::Detector;
use crate::lm::LanguageModel;
use crate::stats::LogP;
use crate::tokens::{TokenId, Tokenize};
use crate::watermark::{Vocabulary, Watermark};

use super::error::BenchError;
use super::plan::{DetectorPlan, NamedScheme, Plan, StealingPlan};
use super::power::levels;
use super::reading::{Reader, detectors};
use super::results::StealingRow;
use super::texts::{Human, Purpose, Wanted, marks, streams, write};

/// Of marked texts that are scrubbed, the share of tokens that are drawn anew.
const SCRUBBED: f64 = 0.5;

/// Has a model like the one that marks, and texts of it.
pub(super) struct Thief<'a> {
    pub plan: &'a Plan,
    pub wanted: &'a StealingPlan,
    pub model: &'a mut dyn LanguageModel,
    pub tokenizer: &'a dyn Tokenize,
    pub human: &'a Human<'a>,
    pub vocabulary: &'a Vocabulary,
}

impl Thief<'_> {
    /// Rows by number of texts, under one key of this scheme; `plain` is what [`Self::written`] gives without marks.
    pub fn rows(
        &mut self,
        scheme: &NamedScheme,
        plain: &[Vec<TokenId>],
    ) -> Result<Vec<StealingRow>, BenchError> {
        let pieces = self.plan.pieces();
        let seed = self.plan.seed_of(Purpose::StolenKeys);
        let key = streams(&("stealing", scheme), 1).start;
        // The same key again and again.
        let keys = || std::iter::repeat_n(key, pieces);
        let marked = self.written(Some(&marks(scheme, self.vocabulary, seed, keys())?))?;
        let read = marks(scheme, self.vocabulary, seed, keys().take(1))?;
        let Some(reader) = detectors(read, DetectorPlan::Whole)?.pop() else {
            return Ok(Vec::new());
        };
        // Texts that he has never seen are what he is measured on.
        let own = pieces - self.wanted.texts..pieces;
        let target: Vec<&Vec<TokenId>> = marked[own.clone()].iter().collect();
        let plainly = self.gone_over(&own, &target, SCRUBBED, None)?;
        let rewritten = levels(&self.p(&reader, &plainly)?, &self.plan.fpr)?;
        let mut rows = Vec::new();
        for &queries in &self.wanted.queries {
            let learned =
                Learned::new(self.wanted.context_width, &marked[..queries], &plain[..queries]);
            let up = self.gone_over(&own, &target, 1.0, Some((&learned, self.wanted.nats)))?;
            let down =
                self.gone_over(&own, &target, SCRUBBED, Some((&learned, -self.wanted.nats)))?;
            rows.push(StealingRow {
                scheme: scheme.name.clone(),
                queries,
                contexts: learned.contexts(),
                spoofed: levels(&self.p(&reader, &up)?, &self.plan.fpr)?,
                scrubbed: levels(&self.p(&reader, &down)?, &self.plan.fpr)?,
                rewritten: rewritten.clone(),
            });
        }
        Ok(rows)
    }

    /// A text for each prompt.
    pub fn written(
        &mut self,
        marks: Option<&[Watermark]>,
    ) -> Result<Vec<Vec<TokenId>>, BenchError> {
        let first = &self.plan.samplings[0];
        let wanted = Wanted {
            sampling: first.sampling(self.plan.seed_of(Purpose::Sampling)),
            inserted: first.inserted.as_ref(),
            tokens: self.plan.longest_attacked(),
            numbers: 0..self.plan.pieces(),
        };
        write(self.model, self.tokenizer, self.human, marks, wanted, &mut || ())
    }

    /// His texts after the prompts of others, as long as theirs.
    fn gone_over(
        &mut self,
        own: &std::ops::Range<usize>,
        target: &[&Vec<TokenId>],
        share: f64,
        bias: Option<(&Learned, f32)>,
    ) -> Result<Vec<Vec<TokenId>>, BenchError> {
        let texts: Vec<Rewritten<'_>> = own
            .clone()
            .zip(target)
            .map(|(number, ids)| Rewritten { prompt: self.human.prompt(number), ids })
            .collect();
        let seed = self.plan.seed_of(Purpose::Rewriting);
        let rewriter = Rewriter { share, never: self.tokenizer.special_ids(), bias, seed };
        Ok(rewriter.rewrite(self.model, &texts)?)
    }

    fn p(&mut self, detector: &Detector, texts: &[Vec<TokenId>]) -> Result<Vec<LogP>, BenchError> {
        let mut reader = Reader { model: self.model, tokenizer: self.tokenizer };
        let decode = |ids: &Vec<TokenId>| self.tokenizer.decode(ids);
        texts.iter().map(|ids| reader.p(detector, DetectorPlan::Whole, &decode(ids)?)).collect()
    }
}
