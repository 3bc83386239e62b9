//! Marked passages of a text: the significant windows that do not overlap, each drawn to its likeliest boundaries.
//!
//! Every window was paid for, so whichever are significant after the correction may be told, with the correction's own
//! family-wise error; no passage costs more for others being there. Boundaries come from likelihood and carry no p-value: a
//! passage's p is that of the best window of which at least half lies in the passage.

use std::ops::{Range, RangeInclusive};

use super::boundaries::{Boundaries, refine};
use super::windows::{Search, Window};
use crate::stats::{Family, LogP, StatsError};
use crate::watermark::Evidence;

/// A marked passage of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Its likeliest tokens: those whose evidence speaks for it, and the contexts they were read with.
    pub tokens: Range<usize>,
    /// Where it may begin: first tokens that are almost as likely.
    pub start: RangeInclusive<usize>,
    /// Where it may end: tokens after the last that are almost as likely.
    pub end: RangeInclusive<usize>,
    /// Of its window, corrected for all windows, looks, readings, profiles and keys.
    pub corrected: LogP,
}

/// Passages of a text in order, those whose windows' p-values times `family` are at most `fpr`. Their tokens include `width`
/// tokens of context.
pub(super) fn passages(
    search: &Search<'_>,
    evidence: &Evidence,
    width: usize,
    family: &Family,
    fpr: f64,
) -> Result<Vec<Passage>, StatsError> {
    let bound = LogP::new(fpr.log10() - family.size().log10())?;
    let mut found = Vec::new();
    let mut gaps = Vec::from_iter([Range { start: 0, end: search.values.len() }]);
    while let Some(gap) = gaps.pop() {
        let inside = |length: usize| Some((gap.start, gap.end.checked_sub(length)?));
        let Some(window) = search.best(bound, inside)? else { continue };
        let (boundaries, p) = settle(search, &gap, window, bound)?;
        gaps.push(gap.start..boundaries.range.start);
        gaps.push(boundaries.range.end..gap.end);
        found.push((boundaries, p));
    }
    found.sort_by_key(|(boundaries, _)| boundaries.range.start);
    let mut free = 0;
    let passages = found.into_iter().map(|(boundaries, p)| {
        let passage = in_tokens(&boundaries, evidence, width, free, family.correct(p));
        free = passage.tokens.end;
        passage
    });
    Ok(passages.collect())
}

/// The boundaries of a window's passage, and the p-value of the window that stands for it.
fn settle(
    search: &Search<'_>,
    gap: &Range<usize>,
    window: Window,
    bound: LogP,
) -> Result<(Boundaries, LogP), StatsError> {
    let drawn = refine(search.law.null(), search.values, gap, &window.range);
    // A window that spans two passages is evidence of both; one that lies in this one by half or more is evidence of it.
    let Range { start, end } = drawn.range;
    let mostly = |length: usize| {
        let (first, last) = (start.saturating_sub(length / 2), end.saturating_sub(length / 2));
        let last = last.min(gap.end.checked_sub(length)?);
        (length <= 2 * (end - start)).then_some((first.max(gap.start), last))
    };
    if let Some(best) = search.best(bound, mostly)? {
        return Ok((drawn, best.p));
    }
    // No such window is significant: then only the window itself is shown to hold a mark.
    let whole = Boundaries {
        start: window.range.start..=drawn.range.start,
        end: drawn.range.end.max(window.range.start + 1)..=window.range.end.max(drawn.range.end),
        range: window.range,
    };
    Ok((whole, window.p))
}

/// From scored tokens to the text's, none before `free`.
fn in_tokens(
    found: &Boundaries,
    evidence: &Evidence,
    width: usize,
    free: usize,
    corrected: LogP,
) -> Passage {
    let position = |at: usize| evidence.positions.get(at).map_or(evidence.total, |&it| it as usize);
    let first = |at: usize| position(at).saturating_sub(width).max(free);
    let after = |at: usize| position(at.saturating_sub(1)) + 1;
    Passage {
        tokens: first(found.range.start)..after(found.range.end),
        start: first(*found.start.start())..=first(*found.start.end()),
        end: after(*found.end.start())..=after(*found.end.end()),
        corrected,
    }
}
