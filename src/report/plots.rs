//! The pictures. Their colours are those of the light page; the style sheet gives each another one in the dark.

use std::ops::Range;

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, Cross, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoTextStyle, RGBColor, ShapeStyle, TextStyle};

use super::axis::Axis;
use super::tally::{Cloud, Histogram, Point, log_tokens, stretched};
use super::{Expected, ReportError, words};
use crate::detect::Verdict;

/// The picture's own units: whole numbers of them are fine enough.
const SIZE: (u32, u32) = (2_240, 1_560);
const FONT: u32 = 74;
pub(super) const THIN: u32 = 4;
pub(super) const BOLD: u32 = 9;

const INK: RGBColor = RGBColor(0x1B, 0x1D, 0x21);
const GRID: RGBColor = RGBColor(0xDD, 0xE0, 0xE5);
pub(super) const PLAIN: RGBColor = RGBColor(0x6B, 0x72, 0x80);
pub(super) const MARK: RGBColor = RGBColor(0x1D, 0x4F, 0x91);
pub(super) const LIMIT: RGBColor = RGBColor(0xA4, 0x26, 0x2C);
pub(super) const MODEL: RGBColor = RGBColor(0x7A, 0x4B, 0x00);

pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Axes, what is within them, and the picture as an `svg` element that needs no name space.
pub(super) fn picture(
    (x, y): (Axis, Axis),
    (x_name, y_name): (&str, &str),
    label: &str,
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .margin_right(130)
            .x_label_area_size(3 * FONT)
            .y_label_area_size(5 * FONT)
            .build_cartesian_2d(x, y)
            .map_err(ReportError::picture)?;
        let text = || ("sans-serif", FONT).into_text_style(&area).color(&INK);
        chart
            .configure_mesh()
            .max_light_lines(0)
            .bold_line_style(ShapeStyle::from(&GRID).stroke_width(THIN))
            .axis_style(ShapeStyle::from(&PLAIN).stroke_width(THIN))
            .label_style(text())
            .axis_desc_style(text())
            .x_desc(x_name)
            .y_desc(y_name)
            .draw()
            .map_err(ReportError::picture)?;
        draw(&mut chart)?;
        area.present().map_err(ReportError::picture)?;
    }
    let drawn = svg.split_once('>').map_or("", |(_, drawn)| drawn);
    let (width, height) = SIZE;
    Ok(format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{drawn}",
        super::escape::Attribute(label)
    ))
}

pub(super) fn line(points: Vec<(f64, f64)>, colour: RGBColor) -> PathElement<(f64, f64)> {
    PathElement::new(points, ShapeStyle::from(&colour).stroke_width(BOLD))
}

pub(super) fn words_at(
    words: &'static str,
    at: (f64, f64),
    colour: &'static RGBColor,
    anchor: (HPos, VPos),
) -> Text<'static, (f64, f64), &'static str> {
    let style = TextStyle::from(("sans-serif", FONT)).color(colour);
    Text::new(words, at, style.pos(Pos::new(anchor.0, anchor.1)))
}

/// Draws one element after the other.
macro_rules! add {
    ($chart:expr, $element:expr) => {
        $chart.plotting_area().draw(&$element).map_err($crate::report::ReportError::picture)?
    };
}
pub(super) use add;

/// Documents by p-value, with what unmarked text would give.
pub(super) fn histogram(
    histogram: &Histogram,
    threshold: Option<f64>,
) -> Result<String, ReportError> {
    let limit = threshold.map_or(0.0, |log10_p| -log10_p);
    let least = ((limit + 1.0) / Histogram::STEP).ceil() as usize;
    let bins = histogram.bins.len().max(least).min(Histogram::LAST + 1);
    let end = bins as f64 * Histogram::STEP;
    let most = histogram.bins.iter().max().copied().unwrap_or(1).max(1) as f64;
    let axes = (evidence_axis(end), counts_axis(most));
    let label = format!(
        "Histogram of {} by p-value on a logarithmic scale",
        words::many(histogram.documents, "document", "documents")
    );
    picture(axes, ("p-value of the document, corrected", "documents"), &label, |chart| {
        for (bin, &count) in histogram.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let x = bin as f64 * Histogram::STEP;
            let colour = if threshold.is_some() && x >= limit - 1e-9 { MARK } else { PLAIN };
            let corners = [(x, COUNTS_FROM), (x + Histogram::STEP, (count as f64).log10())];
            add!(chart, Rectangle::new(corners, ShapeStyle::from(&colour.mix(0.55)).filled()));
            add!(chart, Rectangle::new(corners, ShapeStyle::from(&colour).stroke_width(THIN)));
        }
        let expected = expected_steps(histogram.documents, end);
        if expected.len() > 1 {
            add!(chart, line(expected, MODEL));
        }
        if threshold.is_some() {
            let top = most.log10() + COUNTS_ABOVE;
            add!(chart, line(vec![(limit, COUNTS_FROM), (limit, top)], LIMIT));
            add!(
                chart,
                words_at("threshold\u{a0}", (limit, top), &LIMIT, (HPos::Right, VPos::Top))
            );
        }
        Ok(())
    })
}

/// The lowest end of the axis of counts, in log₁₀: one document has a bar too.
const COUNTS_FROM: f64 = -0.4;
const COUNTS_ABOVE: f64 = 0.35;

/// What p-values that are uniform would give: N·(10^−a − 10^−b) documents in each bin.
fn expected_steps(documents: u64, end: f64) -> Vec<(f64, f64)> {
    let mut steps = Vec::new();
    let mut from = 0.0;
    while from < end {
        let to = from + Histogram::STEP;
        let height = documents as f64 * (10f64.powf(-from) - 10f64.powf(-to));
        if height.log10() < COUNTS_FROM {
            steps.push((from, COUNTS_FROM));
            break;
        }
        steps.extend([(from, height.log10()), (to, height.log10())]);
        from = to;
    }
    steps
}

fn evidence_axis(end: f64) -> Axis {
    let whole = (0..=end as u32).map(|at| (f64::from(at), words::power_of_ten(-f64::from(at))));
    let mut ticks: Vec<(f64, String)> = whole.collect();
    // The last bin has all that lies beyond it.
    if end > Histogram::LAST as f64 * Histogram::STEP
        && let Some(last) = ticks.last_mut()
    {
        last.1 = format!("≤ {}", last.1);
    }
    let step = [1, 2, 5].into_iter().find(|step| end <= 8.0 * f64::from(*step)).unwrap_or(5);
    ticks.retain(|(at, _)| (*at as u32).is_multiple_of(step));
    Axis { ends: 0.0..end, ticks }
}

fn counts_axis(most: f64) -> Axis {
    let top = most.log10() + COUNTS_ABOVE;
    let ticks = (0..=top as u32).map(|at| (f64::from(at), words::count(10u64.pow(at))));
    Axis { ends: COUNTS_FROM..top, ticks: ticks.collect() }.thinned(0.08)
}

/// Length against evidence.
pub(super) fn cloud(
    cloud: &Cloud,
    threshold: Option<f64>,
    expected: &[Expected],
) -> Result<String, ReportError> {
    let limit = threshold.map(|log10_p| -log10_p);
    let (x, y) = cloud_axes(cloud, limit);
    let (x_ends, y_ends) = (x.ends.clone(), y.ends.clone());
    let label = format!(
        "{} by length in tokens and p-value, both on logarithmic scales",
        words::many(cloud.documents as u64, "document", "documents")
    );
    let names = ("tokens that count (logarithmic scale)", "p-value, corrected");
    picture((x, y), names, &label, |chart| {
        for expected in expected {
            let inside =
                |&&(tokens, _): &&(u64, f64)| x_ends.contains(&log_tokens(tokens as usize));
            let points = expected.points.iter().filter(inside);
            let place = |&(tokens, log10_p): &(u64, f64)| {
                (log_tokens(tokens as usize), stretched(-log10_p).min(y_ends.end))
            };
            add!(chart, line(points.map(place).collect(), MODEL));
        }
        if let Some(limit) = limit.map(stretched) {
            add!(chart, line(vec![(x_ends.start, limit), (x_ends.end, limit)], LIMIT));
            add!(
                chart,
                words_at(
                    "threshold\u{a0}",
                    (x_ends.end, limit),
                    &LIMIT,
                    (HPos::Right, VPos::Bottom)
                )
            );
        }
        if cloud.has_all_points() {
            points(chart, &cloud.points)
        } else {
            cells(chart, cloud)?;
            points(chart, &cloud.detected)
        }
    })
}

fn cells(chart: &Chart<'_, '_>, cloud: &Cloud) -> Result<(), ReportError> {
    let most = cloud.cells.values().max().copied().unwrap_or(1).max(2) as f64;
    let (width, height) = Cloud::CELL;
    for (&(x, y), &count) in &cloud.cells {
        let (x, y) = (f64::from(x) * width, f64::from(y) * height);
        let shade = 0.15 + 0.75 * (count as f64).ln() / most.ln();
        let corners = [(x, y), (x + width, y + height)];
        add!(chart, Rectangle::new(corners, ShapeStyle::from(&PLAIN.mix(shade)).filled()));
    }
    Ok(())
}

fn points(chart: &Chart<'_, '_>, points: &[Point]) -> Result<(), ReportError> {
    let thin = |colour: RGBColor| ShapeStyle::from(&colour).stroke_width(THIN);
    // Those that were found lie above the others.
    let (found, others): (Vec<&Point>, Vec<&Point>) =
        points.iter().partition(|point| point.verdict == Verdict::Detected);
    for point in others.into_iter().chain(found) {
        let at = (log_tokens(point.tokens), stretched(point.evidence));
        match point.verdict {
            Verdict::Detected => add!(chart, Circle::new(at, 17, MARK.mix(0.8).filled())),
            Verdict::NotDetected => add!(chart, Circle::new(at, 15, thin(PLAIN))),
            _ => add!(chart, Cross::new(at, 12, thin(PLAIN))),
        }
    }
    Ok(())
}

fn cloud_axes(cloud: &Cloud, limit: Option<f64>) -> (Axis, Axis) {
    let (width, height) = Cloud::CELL;
    let of = |pick: fn(&(u32, u32)) -> u32| cloud.cells.keys().map(pick);
    let lowest = f64::from(of(|cell| cell.0).min().unwrap_or(0)) * width;
    let highest = f64::from(of(|cell| cell.0).max().unwrap_or(0) + 1) * width;
    let top = f64::from(of(|cell| cell.1).max().unwrap_or(0) + 1) * height;
    let top = top.max(limit.map_or(0.0, |limit| stretched(1.3 * limit))) + height;
    let (from, to) = ((lowest - 0.1).max(-0.1), highest + 0.1);
    (tokens_axis(from..to), Axis { ends: 0.0..top, ticks: evidence_ticks() }.thinned(0.06))
}

/// Numbers of tokens, placed by [`log_tokens`].
pub(super) fn tokens_axis(ends: Range<f64>) -> Axis {
    let steps = (0..8).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    let ticks = steps.map(|tokens| (log_tokens(tokens as usize), words::count(tokens)));
    Axis { ends, ticks: ticks.collect() }.thinned(0.14)
}

/// p-values, placed by [`stretched`].
pub(super) fn evidence_ticks() -> Vec<(f64, String)> {
    let steps =
        [0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1_000, 2_000];
    let larger = [5_000, 10_000, 20_000, 50_000, 100_000];
    let steps = steps.into_iter().chain(larger);
    steps.map(|at| (stretched(f64::from(at)), words::power_of_ten(-f64::from(at)))).collect()
}
