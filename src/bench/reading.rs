//! Reading texts as detectors do.

use crate::detect::{Detector, Windows};
use crate::lm::{Chunk, LanguageModel, Want};
use crate::normalise::normalise;
use crate::prf::Start;
use crate::sampling::entropy;
use crate::schemes::Spec;
use crate::stats::{Family, LogP};
use crate::tokens::{TokenId, Tokenize};
use crate::watermark::{Text, Watermark};

use super::error::BenchError;
use super::plan::DetectorPlan;

/// Reads texts; has the model for marks that count by its entropies.
pub(super) struct Reader<'a> {
    pub model: &'a mut dyn LanguageModel,
    pub tokenizer: &'a dyn Tokenize,
}

impl Reader<'_> {
    /// log₁₀-p of a text, corrected for all looks that this detector has at it.
    pub fn p(
        &mut self,
        detector: &Detector,
        how: DetectorPlan,
        text: &str,
    ) -> Result<LogP, BenchError> {
        let mark = detector.watermark();
        let starts: &[Start<'static>] = match how {
            DetectorPlan::Whole => &[Start::Fragment],
            DetectorPlan::Full => mark.starts(),
        };
        let undone = if how == DetectorPlan::Full { normalise(text) } else { None };
        let mut read = Vec::new();
        for text in [Some(text), undone.as_deref()].into_iter().flatten() {
            let ids = self.tokenizer.encode(text)?.ids;
            let entropies = self.entropies(mark.spec(), &ids)?;
            read.push((ids, entropies));
        }
        let texts: Vec<Text<'_>> = read
            .iter()
            .flat_map(|(ids, entropies)| {
                starts.iter().map(move |&start| Text { ids, start, entropies })
            })
            .collect();
        // Damage is looked for in every text, whether or not there was any.
        let readings = if how == DetectorPlan::Full { 2 * starts.len() } else { 1 };
        Ok(detector.best_of(&texts, readings as u64)?.corrected)
    }

    /// Entropies of the text without its prompt, as a reader has it, where the scheme asks for them.
    pub fn entropies(&mut self, spec: &Spec, ids: &[TokenId]) -> Result<Vec<f64>, BenchError> {
        if spec.scheme().entropy_floor().is_none() || ids.len() < 2 {
            return Ok(Vec::new());
        }
        let mut entropies = vec![0.0; ids.len()];
        let seq = self.model.open()?;
        let work = [Chunk { seq, ids: &ids[..ids.len() - 1], want: Want::All }];
        let mut sink = |_: usize, at: usize, logits: &[f32]| entropies[at + 1] = entropy(logits);
        let read = self.model.step(&work, &mut sink);
        self.model.close(seq);
        read?;
        Ok(entropies)
    }
}

/// Detectors of marks of one scheme, which share what follows from their law.
pub(super) fn detectors(
    marks: impl IntoIterator<Item = Watermark>,
    how: DetectorPlan,
) -> Result<Vec<Detector>, BenchError> {
    let mut detectors: Vec<Detector> = Vec::new();
    for mark in marks {
        let detector = match detectors.first() {
            Some(first) => first.under(mark)?,
            // The rate is for verdicts, which nobody asks for here.
            None => Detector::new(mark, 0.01, Family::one(), None)?.with_windows(how.windows()),
        };
        detectors.push(detector);
    }
    Ok(detectors)
}

impl DetectorPlan {
    /// The windows that it looks at.
    pub(super) fn windows(self) -> Windows {
        match self {
            Self::Whole => Windows::Off,
            Self::Full => Windows::Auto,
        }
    }
}
