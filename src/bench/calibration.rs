//! How often human text alarms.

use crate::stats::{LogP, binomial_sf_ge};
use crate::tokens::TokenId;
use crate::watermark::Vocabulary;

use super::error::BenchError;
use super::plan::{CalibrationPlan, DetectorPlan, NamedScheme, Plan};
use super::power::levels;
use super::reading::{Reader, detectors};
use super::results::CalibrationRow;
use super::texts::{Purpose, marks, streams};

/// Shares at which p-values are told.
const SHARES: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// Of all rows together.
const BY_CHANCE: f64 = 0.001;

/// Human texts in windows, each read under keys of its own.
pub(super) fn calibration(
    plan: &Plan,
    wanted: CalibrationPlan,
    (scheme, how): (&NamedScheme, DetectorPlan),
    (human, vocabulary): (&[Vec<TokenId>], &Vocabulary),
    reader: &mut Reader<'_>,
) -> Result<CalibrationRow, BenchError> {
    let windows: Vec<&[TokenId]> =
        human.iter().flat_map(|ids| ids.chunks_exact(wanted.tokens)).take(wanted.texts).collect();
    if windows.is_empty() {
        return Err(BenchError::Human { needed: 1, tokens: wanted.tokens, have: 0 });
    }
    let fresh = streams(&(scheme, how), windows.len() * wanted.keys);
    let marks = marks(scheme, vocabulary, plan.seed_of(Purpose::NullKeys), fresh)?;
    let mut p = Vec::new();
    for (at, detector) in detectors(marks, how)?.iter().enumerate() {
        let text = reader.tokenizer.decode(windows[at / wanted.keys])?;
        p.push(reader.p(detector, how, &text)?);
    }
    row(plan, wanted.tokens, (scheme, how), p)
}

fn row(
    plan: &Plan,
    tokens: usize,
    (scheme, how): (&NamedScheme, DetectorPlan),
    mut p: Vec<LogP>,
) -> Result<CalibrationRow, BenchError> {
    let levels = levels(&p, &plan.fpr)?;
    let tests = plan.schemes.len() * plan.detectors.len() * levels.len();
    let mut exceeds = false;
    for level in &levels {
        let chance = binomial_sf_ge(level.found.hits, level.found.trials, level.fpr)?;
        exceeds |= chance.log10() < (BY_CHANCE / tests as f64).log10();
    }
    p.sort();
    let at = |share: &f64| {
        let rank = (share * p.len() as f64).ceil() as usize;
        (*share, p[rank.clamp(1, p.len()) - 1].log10())
    };
    // A share of fewer texts than there are says nothing.
    let told = SHARES.iter().filter(|share| **share * p.len() as f64 >= 1.0);
    Ok(CalibrationRow {
        scheme: scheme.name.clone(),
        detector: how.name().to_owned(),
        tokens,
        levels,
        exceeds,
        quantiles: told.map(at).collect(),
    })
}
