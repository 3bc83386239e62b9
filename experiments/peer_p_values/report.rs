//! The counts as JSON and as tables.

use std::path::Path;

use serde_json::json;
use touchmark::stats::{binomial_sf_ge, clopper_pearson};

use crate::LEVELS;
use crate::readings::{OURS, Statistic};
use crate::texts::TextSet;

/// How often the whole table calls any valid p-value one that exceeds its rate.
const FAMILY_WISE: f64 = 0.001;

/// What became of one statistic on one set of texts.
pub struct Row {
    /// The texts.
    pub set: TextSet,
    /// What it reads.
    pub evidence: &'static str,
    /// The statistic.
    pub statistic: Statistic,
    /// How many (text, key) pairs.
    pub pairs: u64,
    /// How many of them had p at or below each of [`LEVELS`].
    pub alarms: [u64; LEVELS.len()],
}

impl Row {
    /// Alarms beside the rate that was promised, for each level or for the one rule.
    fn promises(&self) -> Vec<(f64, u64)> {
        match self.statistic.rule {
            Some(claimed) => vec![(claimed, self.alarms[0])],
            None => LEVELS.into_iter().zip(self.alarms).collect(),
        }
    }

    /// The promises that were not kept.
    fn broken(&self, cells: usize) -> Vec<f64> {
        let alpha = FAMILY_WISE / cells as f64;
        let broken = |&(level, alarms): &(f64, u64)| {
            level.is_finite() && binomial_sf_ge(alarms, self.pairs, level).unwrap().p() < alpha
        };
        self.promises().into_iter().filter(broken).map(|(level, _)| level).collect()
    }
}

/// Writes `results.json` and `results.md` in `folder`.
pub fn write(folder: &Path, rows: &[Row]) {
    let cells = rows.iter().map(|row| row.promises().len()).sum();
    let results = json!({
        "question": "README.md", "model": "scribe-16m (its tokenizer)", "touchmark": env!("CARGO_PKG_VERSION"),
        "cells": cells, "family_wise": FAMILY_WISE, "confidence": 0.95,
        "rows": rows.iter().map(|row| row_json(row, cells)).collect::<Vec<_>>(),
    });
    let json = serde_json::to_string_pretty(&results).unwrap() + "\n";
    std::fs::write(folder.join("results.json"), json).unwrap();
    let tables = tables(rows, cells);
    println!("{tables}");
    std::fs::write(folder.join("results.md"), tables).unwrap();
    let ours = rows.iter().filter(|row| row.statistic.tool == OURS);
    let faults: Vec<String> = ours
        .filter(|row| !row.broken(cells).is_empty())
        .map(|row| format!("{}: {}", row.set.name(), row.statistic.name))
        .collect();
    assert!(faults.is_empty(), "our own p-values exceed their rate: {}", faults.join("; "));
}

fn row_json(row: &Row, cells: usize) -> serde_json::Value {
    let rate = |(level, alarms): (f64, u64)| {
        let interval = clopper_pearson(alarms, row.pairs, 0.95).unwrap();
        json!({
            "nominal": level.is_finite().then_some(level), "alarms": alarms,
            "rate": alarms as f64 / row.pairs as f64, "interval": interval,
        })
    };
    json!({
        "texts": row.set.name(), "evidence": row.evidence, "tool": row.statistic.tool, "statistic": row.statistic.name,
        "rule": row.statistic.rule.is_some(), "pairs": row.pairs,
        "rates": row.promises().into_iter().map(rate).collect::<Vec<_>>(),
        "exceeds": row.broken(cells),
    })
}

fn tables(rows: &[Row], cells: usize) -> String {
    let mut lines = vec![format!(
        "Made by `cargo run --release --example peer_p_values`. Realised rates of p ≤ level, with 95 % Clopper–Pearson \
         intervals. \"Exceeds\" names the levels at which the rate is above the nominal one by more than chance allows: one-sided \
         binomial tests at {FAMILY_WISE}/{cells}, so that all {cells} cells together would blame a valid p-value with a \
         probability of at most {FAMILY_WISE}."
    )];
    let mut sets: Vec<TextSet> = Vec::new();
    rows.iter().for_each(|row| {
        if !sets.contains(&row.set) {
            sets.push(row.set);
        }
    });
    for set in sets {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.set == set).collect();
        lines.push(format!("\n## {}: {} pairs of text and key a row\n", set.name(), rows[0].pairs));
        let levels = LEVELS.map(|level| format!("{level:.0e}"));
        lines.push(format!("| evidence | tool | p-value | {} | exceeds |", levels.join(" | ")));
        lines.push("|---|---|---|---|---|---|---|---|".to_owned());
        for row in rows.iter().filter(|row| row.statistic.rule.is_none()) {
            let rates = row.promises().into_iter().map(|(_, alarms)| rate(alarms, row.pairs));
            lines.push(line(row, rates.collect(), cells));
        }
        if rows.iter().all(|row| row.statistic.rule.is_none()) {
            continue;
        }
        lines.push(
            "\n| evidence | tool | rule | nominal | rate | exceeds |\n|---|---|---|---|---|---|"
                .to_owned(),
        );
        for row in rows.iter().filter(|row| row.statistic.rule.is_some()) {
            let (nominal, alarms) = row.promises()[0];
            let nominal =
                if nominal.is_finite() { format!("{nominal:.2e}") } else { "none".into() };
            lines.push(line(row, vec![nominal, rate(alarms, row.pairs)], cells));
        }
    }
    lines.join("\n") + "\n"
}

fn line(row: &Row, cells: Vec<String>, tests: usize) -> String {
    let broken: Vec<String> =
        row.broken(tests).iter().map(|level| format!("{level:.0e}")).collect();
    let Statistic { tool, name, rule } = row.statistic;
    let verdict = match (broken.is_empty(), rule) {
        (false, None) => broken.join(", "),
        (false, Some(_)) => "yes".to_owned(),
        _ => "no".to_owned(),
    };
    format!("| {} | {tool} | {name} | {} | {verdict} |", row.evidence, cells.join(" | "))
}

fn rate(alarms: u64, pairs: u64) -> String {
    let interval = clopper_pearson(alarms, pairs, 0.95).unwrap();
    let short = |p: f64| if p == 0.0 { "0".to_owned() } else { format!("{p:.1e}") };
    let rate = alarms as f64 / pairs as f64;
    format!("{} ({} to {})", short(rate), short(interval.low), short(interval.high))
}
