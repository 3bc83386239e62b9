//! Which share of a corpus is marked, given a sample of what the marked part looks like.

use std::collections::HashSet;

use serde::Serialize;

use super::claim::{Pairs, Sketch};
use super::tail::Law;
use crate::sampling::Noise;
use crate::stats::{Interval, StatsError, empirical_bernstein};
use crate::watermark::Watermark;

/// Evidence of texts that are known to carry a mark, document by document, each pair counted once as in a [`Sketch`].
#[derive(Clone, Debug, Default)]
pub struct ReferenceSample {
    seen: HashSet<u64>,
    /// Sum and number of new pairs.
    documents: Vec<(f64, u64)>,
}

impl ReferenceSample {
    /// Takes the pairs of the next document.
    pub fn take(&mut self, pairs: &Pairs) {
        self.documents.push(pairs.new_evidence(&mut self.seen));
    }

    /// Documents that gave evidence.
    fn telling(&self) -> Vec<(f64, u64)> {
        self.documents.iter().copied().filter(|(_, count)| *count > 0).collect()
    }
}

/// An estimate of the marked share of a corpus's distinct pairs.
///
/// ```text
/// share = (mean of the corpus − mean without a mark) / (mean of the reference − mean without a mark)
/// ```
///
/// It rests on the reference: that the marked part of the corpus carries as much per pair as the reference does, being of the same
/// model, settings and kind of text, and as little damaged. No p-value and no bound of this module does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MarkedShare {
    /// The estimate, between 0 and 1.
    pub share: f64,
    /// Its interval, 95 % for corpus and reference together.
    pub interval: Interval,
    /// Mean evidence of a pair without a mark, in the null's unit.
    pub null_mean: f64,
    /// Mean evidence of the corpus's pairs.
    pub corpus_mean: f64,
    /// Mean evidence of the reference's pairs.
    pub reference_mean: f64,
    /// Documents of the reference that gave evidence.
    pub reference_documents: usize,
    /// Pairs of the reference.
    pub reference_pairs: u64,
}

impl MarkedShare {
    /// The estimate for the corpus that `sketch` was made of.
    ///
    /// The corpus's mean has an interval that holds for any laws of bounded evidence
    /// ([`empirical_bernstein`](crate::stats::empirical_bernstein), 97.5 %); the reference's mean that of 2,000 bootstrap samples of its
    /// documents (97.5 %, percentiles, a fixed seed). Both hold together with 95 %, as far as a bootstrap holds.
    ///
    /// # Errors
    /// [`ShareError`]: a reference that is too small or shows no mark, or an empty corpus.
    pub fn estimate(
        watermark: &Watermark,
        sketch: &mut Sketch,
        reference: &ReferenceSample,
    ) -> Result<Self, ShareError> {
        let documents = reference.telling();
        if documents.len() < LEAST_DOCUMENTS {
            return Err(ShareError::Few { got: documents.len(), least: LEAST_DOCUMENTS });
        }
        let (pairs, corpus, variance) = sketch.moments();
        if pairs < 2 {
            return Err(ShareError::Empty);
        }
        let law = Law::new(watermark.null().clone())?;
        let (null, unit) = (law.null().mean(), law.null().unit());
        let known = bootstrap(&documents);
        if known.low <= null {
            return Err(ShareError::NoMark { mean: known.low / unit, null: null / unit });
        }
        let here = empirical_bernstein(corpus, variance, pairs, law.most(), CONFIDENCE)?;
        let reference_mean = ratio(documents.iter());
        let share = |corpus: f64, marked: f64| ((corpus - null) / (marked - null)).clamp(0.0, 1.0);
        Ok(Self {
            share: share(corpus, reference_mean),
            interval: Interval {
                low: share(here.low, known.high),
                high: share(here.high, known.low),
            },
            null_mean: null / unit,
            corpus_mean: corpus / unit,
            reference_mean: reference_mean / unit,
            reference_documents: documents.len(),
            reference_pairs: documents.iter().map(|(_, count)| count).sum(),
        })
    }
}

/// Each of the two intervals.
const CONFIDENCE: f64 = 0.975;
/// A bootstrap of fewer says little.
const LEAST_DOCUMENTS: usize = 20;
const SAMPLES: u64 = 2_000;
const SEED: u64 = 0x0073_6861_7265;

/// The mean evidence of a pair.
fn ratio<'a>(documents: impl Iterator<Item = &'a (f64, u64)>) -> f64 {
    let (sum, count) = documents.fold((0.0, 0), |(a, n), (b, m)| (a + b, n + m));
    sum / (count as f64).max(1.0)
}

/// Percentiles of the mean over samples of the documents, with replacement.
fn bootstrap(documents: &[(f64, u64)]) -> Interval {
    let mut means: Vec<f64> = (0..SAMPLES)
        .map(|sample| {
            let mut noise = Noise::new(SEED, sample);
            let mut any = || (noise.uniform() * documents.len() as f64) as usize;
            ratio((0..documents.len()).filter_map(|_| documents.get(any())))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let beyond = (0.5 * (1.0 - CONFIDENCE) * SAMPLES as f64) as usize;
    Interval { low: means[beyond], high: means[means.len() - 1 - beyond] }
}

/// Why a share cannot be estimated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Too little to say how much evidence varies.
    #[error(
        "the reference sample has {got} texts with evidence; give {least} or more that are known to be marked"
    )]
    Few {
        /// Those there are.
        got: usize,
        /// Those needed.
        least: usize,
    },
    /// No evidence in the corpus.
    #[error("the corpus has no evidence to estimate from; give longer texts")]
    Empty,
    /// The reference looks unmarked.
    #[error(
        "the reference sample does not show this mark (evidence per pair may be as low as {mean:.3}, without a mark it is {null:.3}); give texts that were written with this profile and key"
    )]
    NoMark {
        /// Low end of its mean evidence.
        mean: f64,
        /// Mean without a mark.
        null: f64,
    },
    /// Of the interval.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;
    use crate::prf::PrfVariant;
    use crate::schemes::Spec;
    use crate::tokens::{TokenId, TokenizerHash};
    use crate::watermark::{Repeats, Text, Vocabulary};

    fn watermark() -> Watermark {
        let spec = r#"{"scheme":"kgw","gamma":0.25,"delta":2.0,"context_width":2}"#;
        let spec: Spec = serde_json::from_str(spec).unwrap();
        let vocabulary =
            Vocabulary { tokenizer: TokenizerHash([3; 32]), size: 4096, special: Vec::new() };
        let key = Key::take(&mut [5; 32]);
        Watermark::new(&key, PrfVariant::TouchmarkV1, &spec, &vocabulary, Repeats::ScoreOnce)
            .unwrap()
    }

    /// Tokens of which a share was chosen green, 120 a text.
    fn text(mark: &Watermark, stream: u64, marked: f64) -> Vec<TokenId> {
        let mut noise = Noise::new(11, stream);
        let mut ids = vec![1, 2];
        while ids.len() < 120 {
            let must = noise.uniform() < marked;
            loop {
                ids.push((noise.uniform() * 4096.0) as TokenId);
                if !must || mark.score(&ids[ids.len() - 3..]).sum() > 0.5 {
                    break;
                }
                ids.pop();
            }
        }
        ids
    }

    fn reference(mark: &Watermark, texts: u64, marked: f64) -> ReferenceSample {
        let mut sample = ReferenceSample::default();
        for stream in 0..texts {
            let ids = text(mark, 10_000 + stream, marked);
            sample.take(&Pairs::of(mark, &[Text::of(&ids)]).unwrap());
        }
        sample
    }

    fn corpus(mark: &Watermark, texts: u64, every: u64) -> Sketch {
        let mut sketch = Sketch::new(mark, "m", 1 << 20).unwrap();
        for stream in 0..texts {
            let marked = if stream % every == 0 { 0.6 } else { 0.0 };
            sketch.add(mark, &Text::of(&text(mark, stream, marked))).unwrap();
        }
        sketch
    }

    #[test]
    fn the_interval_holds_the_true_share() {
        let mark = watermark();
        let known = reference(&mark, 60, 0.6);
        for (every, truth) in [(2, 0.5), (5, 0.2), (1_000, 0.0025)] {
            let found =
                MarkedShare::estimate(&mark, &mut corpus(&mark, 400, every), &known).unwrap();
            assert!(found.interval.contains(truth), "{found:?}");
            assert!((found.share - truth).abs() < 0.05, "{found:?}");
            assert!(found.interval.contains(found.share));
            assert!(found.interval.high - found.interval.low < 0.15, "{found:?}");
        }
    }

    #[test]
    fn a_poor_reference_is_refused() {
        let mark = watermark();
        let mut sketch = corpus(&mark, 10, 2);
        let with = |sample: &ReferenceSample, sketch: &mut Sketch| {
            MarkedShare::estimate(&mark, sketch, sample).map(|_| ())
        };
        let few = with(&reference(&mark, 19, 0.6), &mut sketch);
        assert!(matches!(few, Err(ShareError::Few { got: 19, .. })));
        let unmarked = with(&reference(&mark, 40, 0.0), &mut sketch);
        assert!(matches!(unmarked, Err(ShareError::NoMark { .. })));
        let known = reference(&mark, 40, 0.6);
        assert!(matches!(with(&known, &mut corpus(&mark, 0, 2)), Err(ShareError::Empty)));
        // A text that comes again tells nothing new.
        let mut copies = ReferenceSample::default();
        let ids = text(&mark, 1, 0.6);
        let pairs = Pairs::of(&mark, &[Text::of(&ids)]).unwrap();
        (0..40).for_each(|_| copies.take(&pairs));
        assert!(matches!(with(&copies, &mut sketch), Err(ShareError::Few { got: 1, .. })));
    }
}
