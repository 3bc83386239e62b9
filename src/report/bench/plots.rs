//! The pictures of what was measured.

use std::collections::BTreeMap;

use plotters::element::Circle;
use plotters::style::{RGBColor, ShapeStyle};

use crate::bench::{Measured, PowerRow};
use crate::report::axis::Axis;
use crate::report::escape::Text;
use crate::report::plots::{LIMIT, MARK, add, line, picture};
use crate::report::{ReportError, words};

/// Colours of lines, told apart by most people who do not see all colours; an eighth scheme begins again.
const COLOURS: [RGBColor; 8] = [
    MARK,
    RGBColor(0xC2, 0x6A, 0x00),
    RGBColor(0x1B, 0x7F, 0x5C),
    RGBColor(0x8A, 0x3F, 0xA0),
    RGBColor(0x0F, 0x7F, 0x9A),
    RGBColor(0x7D, 0x66, 0x08),
    RGBColor(0xD1, 0x49, 0x7A),
    RGBColor(0x55, 0x5B, 0x66),
];

/// A picture and what is under it.
pub(super) struct Picture {
    svg: String,
    caption: String,
    /// What each colour stands for.
    lines: Vec<String>,
}

impl Picture {
    pub fn figure(&self) -> String {
        let name = |(number, name): (usize, &String)| {
            format!(
                "<span class=\"s{}\" aria-hidden=\"true\">●</span>\u{a0}{} ",
                number % COLOURS.len(),
                Text(name)
            )
        };
        let names: String = self.lines.iter().enumerate().map(name).collect();
        format!(
            "<figure>\n{}<figcaption>{}<br>{names}</figcaption>\n</figure>\n",
            self.svg,
            Text(&self.caption)
        )
    }

    /// A file of its own; a viewer has no legend but the picture's title.
    pub fn alone(&self) -> String {
        let names: Vec<String> = self.lines.iter().map(|name| Text(name).to_string()).collect();
        let title = format!("<title>{} ({})</title>", Text(&self.caption), names.join(", "));
        let svg = self.svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
        svg.replacen('>', &format!(">{title}"), 1)
    }
}

/// Lines by name, each of points.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

fn drawn(
    axes: (Axis, Axis),
    names: (&str, &str),
    caption: String,
    lines: Lines,
    even: Option<[(f64, f64); 2]>,
) -> Result<Picture, ReportError> {
    let svg = picture(axes, names, &caption, |chart| {
        if let Some(even) = even {
            add!(chart, line(even.to_vec(), LIMIT));
        }
        for (number, points) in lines.values().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            for &point in points {
                add!(chart, Circle::new(point, 19, ShapeStyle::from(&colour).filled()));
            }
            if points.len() > 1 {
                add!(chart, line(points.clone(), colour));
            }
        }
        Ok(())
    })?;
    Ok(Picture { svg, caption, lines: lines.into_keys().collect() })
}

/// Shares found at the smallest rate of the plan, and median p-values, by length: for each sampling and detector.
pub(super) fn power(measured: &Measured) -> Result<Vec<Picture>, ReportError> {
    let rows = measured.results.power.iter().filter(|row| row.attack == "none");
    let mut groups: BTreeMap<(&str, &str), [Lines; 2]> = BTreeMap::new();
    for row in rows {
        let both = groups.entry((&row.sampling, &row.detector)).or_default();
        for (lines, value) in both.iter_mut().zip([found(row), -row.median_log10_p]) {
            lines.entry(row.scheme.clone()).or_default().push((log2(row.tokens), value));
        }
    }
    let mut pictures = Vec::new();
    for ((sampling, detector), [shares_found, medians]) in groups {
        let of = format!("by length: {sampling}, detector {detector}");
        let names = ("tokens (logarithmic scale)", "texts found");
        let caption = format!(
            "Share of marked texts found at a false-alarm rate of {}, {of}.",
            smallest(measured)
        );
        pictures.push(drawn((lengths(measured), shares()), names, caption, shares_found, None)?);
        let names = ("tokens (logarithmic scale)", "median p-value");
        let caption = format!("Median p-value of marked texts, {of}; higher is rarer.");
        let axes = (lengths(measured), evidence(&medians));
        pictures.push(drawn(axes, names, caption, medians, None)?);
    }
    Ok(pictures)
}

fn lengths(measured: &Measured) -> Axis {
    let lengths = &measured.plan.lengths;
    let ticks = lengths.iter().map(|&tokens| (log2(tokens), tokens.to_string())).collect();
    let first = lengths.first().map_or(0.0, |&tokens| log2(tokens));
    Axis { ends: first - 0.2..log2(measured.plan.longest()) + 0.2, ticks }.thinned(0.06)
}

/// −log₁₀ p from 0 to the most there is.
fn evidence(lines: &Lines) -> Axis {
    let most = lines.values().flatten().fold(1.0, |most: f64, point| most.max(point.1));
    let step = 10_f64.powf((most / 5.0).log10().ceil()) / 2.0;
    let ticks = (0..=12).map(|at| f64::from(at) * step).map(|at| (at, words::power_of_ten(-at)));
    Axis { ends: -0.03 * most..1.06 * most, ticks: ticks.collect() }.thinned(0.09)
}

/// The same at the greatest attacked length, by strength; one picture for each attack, with the first sampling and detector.
pub(super) fn attacks(measured: &Measured) -> Result<Vec<Picture>, ReportError> {
    let longest = measured.plan.longest_attacked();
    let (Some(sampling), Some(detector)) =
        (measured.plan.samplings.first(), measured.plan.detectors.first())
    else {
        return Ok(Vec::new());
    };
    let of_first = |row: &&PowerRow| {
        row.tokens == longest && row.sampling == sampling.name && row.detector == detector.name()
    };
    let mut groups: BTreeMap<&str, Lines> = BTreeMap::new();
    for row in measured.results.power.iter().filter(of_first).filter(|row| row.attack != "none") {
        let lines = groups.entry(&row.attack).or_default();
        lines.entry(row.scheme.clone()).or_default().push((row.strength, found(row)));
    }
    let as_they_are: Vec<&PowerRow> =
        measured.results.power.iter().filter(of_first).filter(|row| row.attack == "none").collect();
    let picture = |(attack, mut lines): (&str, Lines)| {
        for row in &as_they_are {
            lines.entry(row.scheme.clone()).or_default().insert(0, (0.0, found(row)));
        }
        let most = lines.values().flatten().fold(0.0, |most: f64, point| most.max(point.0));
        let steps = (0..=10).map(|tenth| f64::from(tenth) / 10.0);
        let ticks = steps.map(|share| (share, format!("{:.0} %", 100.0 * share))).collect();
        let x = Axis { ends: -0.02 * most..1.05 * most, ticks }.thinned(0.09);
        let caption =
            format!("Share found at {} after {attack}, of {longest} tokens.", smallest(measured));
        drawn((x, shares()), ("strength", "texts found"), caption, lines, None)
    };
    groups.into_iter().map(picture).collect()
}

/// p-values of human text against the shares of them that are as small: valid above the line.
pub(super) fn calibration(measured: &Measured) -> Result<Vec<Picture>, ReportError> {
    let mut groups: BTreeMap<&str, Lines> = BTreeMap::new();
    for row in &measured.results.calibration {
        let points = row.quantiles.iter().map(|&(share, log10_p)| (share.log10(), log10_p));
        groups.entry(&row.detector).or_default().insert(row.scheme.clone(), points.collect());
    }
    let picture = |(detector, lines): (&str, Lines)| {
        let least = lines
            .values()
            .flatten()
            .fold(-2.0, |least: f64, point| least.min(point.0).min(point.1));
        let axis = || {
            let ticks = (least.floor() as i32..=0)
                .map(|at| (f64::from(at), words::power_of_ten(f64::from(at))));
            Axis { ends: least - 0.1..0.1, ticks: ticks.collect() }
        };
        let caption = format!(
            "p-values of human text against the share of them that are as small or smaller, detector {detector}; valid on the dashed line and above it."
        );
        let names = ("share of the texts", "p-value");
        drawn((axis(), axis()), names, caption, lines, Some([(least, least), (0.0, 0.0)]))
    };
    groups.into_iter().map(picture).collect()
}

fn shares() -> Axis {
    let ticks = (0..=5).map(|fifth| (f64::from(fifth) / 5.0, format!("{} %", 20 * fifth)));
    Axis { ends: -0.03..1.05, ticks: ticks.collect() }
}

fn log2(tokens: usize) -> f64 {
    (tokens.max(1) as f64).log2()
}

/// At the smallest false-alarm rate.
fn found(row: &PowerRow) -> f64 {
    let smallest = row.levels.iter().min_by(|a, b| a.fpr.total_cmp(&b.fpr));
    smallest.map_or(0.0, |level| level.found.rate)
}

fn smallest(measured: &Measured) -> String {
    let least = measured.plan.fpr.iter().copied().fold(1.0, f64::min);
    words::power_of_ten(least.log10())
}
