//! What a transcript says under one key, and the law of that over random keys.

use crate::detect::Law;
use crate::prf::Held;
use crate::schemes::Null;
use crate::stats::{CyclicSum, ListedSum, LogP, Moments, SignedSum, Unit};
use crate::watermark::Watermark;

use super::error::AttributionError;
use super::transcript::Transcript;

/// The sum Σ weight · evidence of a transcript under a key, with its law.
#[derive(Debug)]
pub struct Weighed {
    /// The sum, in the transcript's unit.
    pub sum: f64,
    /// Pairs of seed and token that count.
    pub cells: usize,
    /// Distinct seeds among them.
    pub seeds: usize,
    /// Σ |weight| over them.
    pub mass: f64,
    moments: Moments,
    law: Tail,
}

/// The law of a sum.
#[derive(Debug)]
pub(super) enum Tail {
    /// Every pair of weight 1: the law of a text of so many tokens.
    Counted(Box<Law>, u64),
    /// Independent evidence.
    Signed(SignedSum),
    /// Lists of a fixed size.
    Listed(ListedSum),
    /// Shifts of a public table.
    Cyclic(Box<CyclicSum>),
}

/// One pair of seed and token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub seed: u64,
    pub token: u32,
    pub weight: i32,
}

impl Weighed {
    /// Weighs a transcript under a mark.
    ///
    /// # Errors
    /// [`AttributionError::Untestable`] of marks whose tokens have no evidence of their own or whose law is only measured.
    pub fn new(transcript: &Transcript, mark: &Watermark) -> Result<Self, AttributionError> {
        if mark.reach().is_none() {
            return Err(AttributionError::Untestable { scheme: mark.spec().name() });
        }
        let mut rows = Vec::with_capacity(transcript.cells());
        let (mut values, mut places) = (Vec::new(), Vec::new());
        visit(transcript, mark, |cell, token, weight| {
            rows.push(Row { seed: cell.seed.0, token, weight });
            values.push(cell.evidence);
            places.extend(cell.place.map(|place| (place, i64::from(weight))));
        });
        let (rows, sum) = merged(rows, &values, transcript.counts_once());
        let table = mark.spec().scheme().peer().and_then(|peer| peer.shifted_table());
        let law = match (table, mark.null()) {
            (Some(table), Null::Widened { law, .. }) => {
                Tail::Cyclic(Box::new(CyclicSum::new(&table, places, &layers(law)?)?))
            }
            (None, null) if transcript.counts_once() && has_exact_tail(null) => {
                Tail::Counted(Box::new(Law::new(null.clone())?), rows.len() as u64)
            }
            (_, null) => weighted(null, mark, &rows)?,
        };
        let moments = law.moments();
        let seeds = rows.chunk_by(|a, b| a.seed == b.seed).count();
        let mass = rows.iter().map(|row| f64::from(row.weight.abs())).sum();
        Ok(Self { sum, cells: rows.len(), seeds, mass, moments, law })
    }

    /// An upper bound of P(sum ≥ this one) over random keys; exact where the law allows.
    ///
    /// # Errors
    /// Those of [`stats`](crate::stats).
    pub fn p(&self) -> Result<LogP, AttributionError> {
        self.p_of(self.sum)
    }

    /// The same of another sum under the same law, as another key gives where all keys have one law: where contexts are seeds.
    ///
    /// # Errors
    /// Those of [`stats`](crate::stats).
    pub fn p_of(&self, sum: f64) -> Result<LogP, AttributionError> {
        Ok(match &self.law {
            Tail::Counted(law, count) => law.tail(sum, *count)?,
            Tail::Signed(law) => law.sf_ge(sum),
            Tail::Listed(law) => law.sf_ge(sum)?,
            Tail::Cyclic(law) => law.sf_ge(sum),
        })
    }

    /// The sum that lies so many deviations above the mean.
    pub fn sum_at(&self, z: f64) -> f64 {
        self.moments.mean + z * self.moments.variance.sqrt()
    }

    /// The sum in standard deviations above its mean under the null; 0 where nothing varies. For comparing keys and for showing, never
    /// for a p-value.
    pub fn z(&self) -> f64 {
        self.z_of(self.sum)
    }

    /// The same of another sum under the same law.
    pub fn z_of(&self, sum: f64) -> f64 {
        let sd = self.moments.variance.sqrt();
        if sd > 0.0 { (sum - self.moments.mean) / sd } else { 0.0 }
    }

    /// How far the evidence of the weighted tokens lies above its mean under the null, on average, with the deviation of that: for a
    /// green list the surplus of its share.
    pub fn effect(&self) -> (f64, f64) {
        let mass = self.mass.max(f64::MIN_POSITIVE);
        ((self.sum - self.moments.mean) / mass, self.moments.variance.sqrt() / mass)
    }

    /// Whether the tail is that of the law itself and not a bound.
    pub fn is_exact(&self) -> bool {
        matches!(&self.law, Tail::Counted(law, _) if !matches!(law.null(), Null::Lists { .. }))
    }

    pub(super) fn law(&self) -> &Tail {
        &self.law
    }
}

/// Calls `each(cell, token, weight)` for all that counts.
pub(super) fn visit(
    transcript: &Transcript,
    mark: &Watermark,
    mut each: impl FnMut(crate::watermark::Cell, u32, i32),
) {
    let mut held = Held::default();
    for slot in transcript.slots() {
        mark.each_cell(slot.context, slot.tokens, &mut held, |at, cell| {
            each(cell, slot.tokens[at], slot.weights[at]);
        });
    }
}

/// Rows by seed and token, those of one pair as one; and Σ weight · evidence.
fn merged(rows: Vec<Row>, values: &[f64], once: bool) -> (Vec<Row>, f64) {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by_key(|&at| (rows[at as usize].seed, rows[at as usize].token, at));
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut sum = 0.0;
    for at in order {
        let (row, value) = (rows[at as usize], values[at as usize]);
        match kept.last_mut().filter(|last| (last.seed, last.token) == (row.seed, row.token)) {
            Some(_) if once => continue,
            Some(last) => last.weight += row.weight,
            None => kept.push(row),
        }
        sum += f64::from(row.weight) * value;
    }
    (kept, sum)
}

/// Weights of the layers of a tournament.
fn layers(law: &Null) -> Result<Vec<u64>, AttributionError> {
    match law {
        Null::WeightedBits { weights } => Ok(weights.clone()),
        Null::Binomial { trials, .. } => Ok(vec![1; *trials as usize]),
        _ => Err(AttributionError::Untestable { scheme: "a tournament of this form" }),
    }
}

/// Whether [`Law::tail`] is exact, or a proven bound that is nearly so.
fn has_exact_tail(null: &Null) -> bool {
    !matches!(null, Null::Widened { .. } | Null::OfText)
}

fn weighted(null: &Null, mark: &Watermark, rows: &[Row]) -> Result<Tail, AttributionError> {
    let size = u64::from(mark.vocab_size());
    let unit = match null {
        Null::Binomial { trials, p } => Unit::Successes { trials: *trials, p: *p },
        Null::WeightedBits { weights } => Unit::FairBits { weights: weights.clone() },
        Null::Exponential => Unit::Exponential { levels: mark.levels() },
        Null::TwoExponentials { alpha } => {
            Unit::TwoExponentials { alpha: *alpha, levels: mark.levels() }
        }
        Null::Lists { p } => return listed(size, (p * size as f64).round() as u64, rows),
        Null::Hypergeometric { population, marked } => {
            return listed(u64::from(*population), u64::from(*marked), rows);
        }
        _ => return Err(AttributionError::Untestable { scheme: mark.spec().name() }),
    };
    Ok(Tail::Signed(SignedSum::new(unit, rows.iter().map(|row| row.weight))?))
}

fn listed(population: u64, listed: u64, rows: &[Row]) -> Result<Tail, AttributionError> {
    let mut law = ListedSum::new(population, listed)?;
    for list in rows.chunk_by(|a, b| a.seed == b.seed) {
        law.push(list.iter().map(|row| row.weight))?;
    }
    Ok(Tail::Listed(law))
}

impl Tail {
    fn moments(&self) -> Moments {
        match self {
            Self::Counted(law, count) => {
                let null = law.null();
                let (mean, variance) = (null.mean(), null.variance());
                let count = *count as f64;
                Moments { mean: mean * count, variance: variance * count, reach: f64::INFINITY }
            }
            Self::Signed(law) => law.moments(),
            Self::Listed(law) => law.moments(),
            Self::Cyclic(law) => law.moments(),
        }
    }
}
