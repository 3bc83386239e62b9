//! The pictures of a test: evidence as more is read, and the key among other keys.

use std::collections::BTreeMap;

use plotters::element::{Circle, Rectangle};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, ShapeStyle};

use crate::attribution::Attribution;
use crate::report::axis::Axis;
use crate::report::plots::{
    Chart, LIMIT, MARK, MODEL, PLAIN, THIN, add, evidence_ticks, line, picture, tokens_axis,
    words_at,
};
use crate::report::tally::{log_tokens, stretched};
use crate::report::{ReportError, words};

/// −log₁₀ p beyond which nothing is told apart.
pub(super) const MOST_EVIDENCE: f64 = 1e5;

/// Tokens and −log₁₀ p, corrected as the verdict's own is.
pub(super) fn growing(found: &Attribution) -> Vec<(u64, f64)> {
    let judged = &found.judged;
    // A corrected p of 1 no longer tells what the correction cost; the number of accounts does.
    let accounts = (found.accounts.len().max(1) as f64).log10();
    let cost = (judged.log10_p_corrected - judged.log10_p).max(accounts);
    let mut points: Vec<(u64, f64)> = found.growth.clone();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let evidence = |log10_p: f64| (-log10_p - cost).clamp(0.0, MOST_EVIDENCE);
    points.into_iter().map(|(tokens, log10_p)| (tokens, evidence(log10_p))).collect()
}

/// Evidence after growing numbers of tokens, and the threshold; nothing where there are no points.
pub(super) fn growth(found: &Attribution) -> Result<Option<String>, ReportError> {
    let points = growing(found);
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(None) };
    let limit = (-found.judged.threshold_log10_p).clamp(0.0, MOST_EVIDENCE);
    let most = points.iter().fold(1.3 * limit, |most, point| most.max(point.1));
    let (from, to) = (at_tokens(first.0) - 0.1, at_tokens(last.0) + 0.1);
    let y = Axis { ends: 0.0..stretched(most) + 0.3, ticks: evidence_ticks() }.thinned(0.06);
    let label = format!(
        "p-value after growing numbers of tokens, up to {}, both on logarithmic scales",
        words::count(last.0)
    );
    let names = ("tokens (logarithmic scale)", "p-value, corrected");
    let svg = picture((tokens_axis(from..to), y), names, &label, |chart| {
        threshold(chart, from..to, stretched(limit))?;
        let places =
            points.iter().map(|&(tokens, evidence)| (at_tokens(tokens), stretched(evidence)));
        let places: Vec<(f64, f64)> = places.collect();
        for &place in &places {
            add!(chart, Circle::new(place, 19, ShapeStyle::from(&MARK).filled()));
        }
        if places.len() > 1 {
            add!(chart, line(places, MARK));
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

fn at_tokens(tokens: u64) -> f64 {
    log_tokens(usize::try_from(tokens).unwrap_or(usize::MAX))
}

/// On the left, where there is no evidence yet.
fn threshold(
    chart: &Chart<'_, '_>,
    ends: std::ops::Range<f64>,
    limit: f64,
) -> Result<(), ReportError> {
    add!(chart, line(vec![(ends.start, limit), (ends.end, limit)], LIMIT));
    let at = (ends.start, limit);
    add!(chart, words_at("\u{a0}threshold", at, &LIMIT, (HPos::Left, VPos::Bottom)));
    Ok(())
}

/// z of other keys as bars; the key's own and the controls' as lines.
pub(super) fn decoys(found: &Attribution) -> Result<String, ReportError> {
    let bars = bars(&found.decoys.z);
    let own = place(found.primary.z);
    let controls: Vec<f64> =
        found.controls.iter().map(|control| place(control.measured.z)).collect();
    let x = z_axis(&bars, controls.iter().copied().chain([own]));
    let (from, to) = (x.ends.start, x.ends.end);
    let most = bars.values().max().copied().unwrap_or(1).max(1);
    let top = 1.25 * most as f64;
    let label = format!(
        "Histogram of z of {}; z of the tested key is {}",
        words::many(found.decoys.z.len() as u64, "other key", "other keys"),
        words::number(found.primary.z, 1)
    );
    picture((x, counts_axis(most, top)), ("z (standard deviations)", "keys"), &label, |chart| {
        for (&bin, &count) in &bars {
            let x = bin as f64 * BIN;
            let corners = [(x, 0.0), (x + BIN, count as f64)];
            add!(chart, Rectangle::new(corners, ShapeStyle::from(&PLAIN.mix(0.55)).filled()));
            add!(chart, Rectangle::new(corners, ShapeStyle::from(&PLAIN).stroke_width(THIN)));
        }
        for control in controls {
            add!(chart, line(vec![(control, 0.0), (control, 0.9 * top)], MODEL));
        }
        add!(chart, line(vec![(own, 0.0), (own, top)], MARK));
        // The words stand where there is room.
        let (words, side) = if own - from > to - own {
            ("this key\u{a0}", HPos::Right)
        } else {
            ("\u{a0}this key", HPos::Left)
        };
        add!(chart, words_at(words, (own, top), &MARK, (side, VPos::Top)));
        Ok(())
    })
}

/// z up to which the axis is about as good as linear.
pub(super) const LINEAR: f64 = 4.0;
/// Width of a bar on the axis: z of about a third.
const BIN: f64 = 0.08;
/// Greatest z that is drawn in its place.
const MOST_Z: f64 = 1e7;

/// Where z stands: as it is about 0, by its logarithm far out.
fn place(z: f64) -> f64 {
    (z.clamp(-MOST_Z, MOST_Z) / LINEAR).asinh()
}

/// How many keys there are by their place.
fn bars(z: &[f32]) -> BTreeMap<i64, u64> {
    let mut bars = BTreeMap::new();
    for &z in z.iter().filter(|z| !z.is_nan()) {
        *bars.entry((place(f64::from(z)) / BIN).floor() as i64).or_default() += 1;
    }
    bars
}

/// Wide enough for all bars and lines.
fn z_axis(bars: &BTreeMap<i64, u64>, lines: impl Iterator<Item = f64>) -> Axis {
    let ends = bars.keys().flat_map(|&bin| [bin as f64 * BIN, (bin + 1) as f64 * BIN]);
    let usual = [place(-LINEAR), place(LINEAR)];
    let (from, to) = ends
        .chain(lines)
        .chain(usual)
        .fold((0.0_f64, 0.0_f64), |(from, to), at| (from.min(at), to.max(at)));
    let pad = 0.04 * (to - from);
    let ends = from - pad..to + pad;
    let mut ticks = z_ticks(0.1 * (ends.end - ends.start));
    ticks.retain(|(at, _)| ends.contains(at));
    Axis { ends, ticks }
}

/// From 0 outwards on both sides, none closer to the one before than `least`.
fn z_ticks(least: f64) -> Vec<(f64, String)> {
    let small = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0].into_iter();
    let steps =
        small.chain((1..8).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10f64.powi(power))));
    let mut last = 0.0;
    let mut ticks = vec![(0.0, "0".to_owned())];
    for (z, at) in steps.map(|z| (z, place(z))) {
        let is_named = z < 1e4 || z.log10().fract() == 0.0;
        if at - last >= least && is_named {
            last = at;
            let name =
                if z < 1e4 { words::count(z as u64) } else { words::power_of_ten(z.log10()) };
            ticks.extend([(-at, format!("−{name}")), (at, name)]);
        }
    }
    ticks
}

/// About five round numbers of keys.
fn counts_axis(most: u64, top: f64) -> Axis {
    let steps = (0..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    let step = steps.into_iter().find(|step| most / step <= 5).unwrap_or(most);
    let ticks = (0..=5).map(|at| step.saturating_mul(at) as f64).filter(|at| *at <= top);
    let ticks = ticks.map(|at| (at, words::count(at as u64))).collect();
    Axis { ends: 0.0..top, ticks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::attribution::tests::sample;

    #[test]
    fn points_are_corrected_as_the_verdict_is() {
        let mut found = sample();
        found.growth = vec![(200, -9.0), (100, -1.0), (400, -1e15)];
        found.judged.log10_p_corrected = found.judged.log10_p + 2.0;
        assert_eq!(growing(&found), [(100, 0.0), (200, 7.0), (400, MOST_EVIDENCE)]);
    }

    #[test]
    fn no_points_make_no_picture_and_one_makes_one() {
        let mut found = sample();
        found.growth.clear();
        assert_eq!(growth(&found).unwrap(), None);
        found.growth = vec![(0, 0.0)];
        let svg = growth(&found).unwrap().unwrap();
        assert!(svg.contains("<circle") && svg.contains("threshold"), "{svg}");
    }

    #[test]
    fn bars_stand_where_the_keys_are() {
        assert_eq!(bars(&[0.1; 5]).into_iter().collect::<Vec<_>>(), [(0, 5)]);
        assert_eq!(bars(&[f32::NAN]).len(), 0);
        let ends = bars(&[f32::INFINITY, f32::NEG_INFINITY, f32::MAX]);
        assert_eq!(ends.values().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn axes_keep_their_ticks_however_wide() {
        for z in [0.0, 0.5, -3.0, 23.0, 134.0, 1e6, -1e6, 1e300] {
            let axis = z_axis(&bars(&[-3.0, 3.0]), [place(z)].into_iter());
            assert!(axis.ends.contains(&place(z)), "{z}");
            assert!(axis.ticks.len() >= 3 && axis.ticks[0] == (0.0, "0".to_owned()), "{axis:?}");
        }
        for most in [1, 5, 6, 120, 1_000_000, u64::MAX] {
            let axis = counts_axis(most, 1.25 * most as f64);
            assert!((2..=7).contains(&axis.ticks.len()), "{most}: {axis:?}");
        }
    }
}
