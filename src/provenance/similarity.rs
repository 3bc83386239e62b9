//! How much of a text stands in a recorded answer, and what can be said of it.

use serde::Serialize;

use super::sketch::{Query, SketchView, WIDTH};
use crate::stats::{Interval, LogP, StatsError, binomial_sf_ge, clopper_pearson};

/// How a text and a recorded answer agree, counted in shingles of five words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Similarity {
    /// Shingles found in both, among those compared.
    pub shared: u32,
    /// Shingles of the text that were compared.
    pub compared: u32,
    /// Share of the text's shingles that stand in the answer.
    pub containment: f64,
    /// 95 % interval for it. Of answers that were sketched whole it is one point: they were counted, not sampled.
    pub containment_interval: Interval,
    /// Share of the answer's shingles that stand in the text.
    pub coverage: f64,
    /// Shingles in both over shingles in either.
    pub jaccard: f64,
    /// log₁₀ of a bound on the probability that any of the answers searched shares as many by equal hashes of different
    /// shingles. Phrases that two texts have in common are no such accident.
    pub log10_hash_chance: f64,
}

impl Similarity {
    /// Fewest shared shingles that are reported.
    pub const FEWEST: u32 = 4;
    /// Fewest words that make as many shingles.
    pub const FEWEST_WORDS: usize = Self::FEWEST as usize + WIDTH - 1;
    const CONFIDENCE: f64 = 0.95;

    /// What can be said of an overlap; `searched` sketches were looked at.
    pub(crate) fn of(overlap: &Overlap, searched: u64) -> Result<Self, StatsError> {
        let &Overlap { shared, compared, values, level, .. } = overlap;
        Ok(Self {
            shared,
            compared,
            containment: overlap.containment(),
            containment_interval: interval(shared, compared, level)?,
            coverage: share(shared, values),
            jaccard: share(shared, compared + values - shared),
            log10_hash_chance: chance(shared, compared, values, searched)?,
        })
    }
}

/// What a text and a sketch have in common, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Shingles in both.
    pub shared: u32,
    /// The text's shingles of the sketch's level.
    pub compared: u32,
    /// Values of the sketch.
    pub values: u32,
    /// The sketch's level.
    pub level: u8,
    /// Whether all words are the same.
    pub same_words: bool,
}

impl Overlap {
    pub fn of(query: &Query, sketch: SketchView<'_>) -> Self {
        let compared = query.sampled(sketch.level);
        // Two shingles may have one value.
        let shared = query.shared(sketch.level, sketch.values()).min(compared);
        let same_words = sketch.whole == query.whole;
        Self { shared, compared, values: sketch.len(), level: sketch.level, same_words }
    }

    pub fn containment(&self) -> f64 {
        share(self.shared, self.compared)
    }
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

/// Each shingle is compared or not by its hash alone, so those compared are a random sample of all.
fn interval(shared: u32, compared: u32, level: u8) -> Result<Interval, StatsError> {
    if compared == 0 {
        return Ok(Interval { low: 0.0, high: 1.0 });
    }
    if level == 0 {
        let containment = f64::from(shared) / f64::from(compared);
        return Ok(Interval { low: containment, high: containment });
    }
    clopper_pearson(shared.into(), compared.into(), Similarity::CONFIDENCE)
}

/// Of a text that shares no shingle, each value is one of the sketch's with probability at most its length over 2³².
fn chance(shared: u32, compared: u32, values: u32, searched: u64) -> Result<f64, StatsError> {
    let each = (f64::from(values) / 4_294_967_296.0).min(1.0);
    let one: LogP = binomial_sf_ge(shared.into(), compared.into(), each)?;
    Ok(one.times(searched.max(1) as f64).log10())
}
