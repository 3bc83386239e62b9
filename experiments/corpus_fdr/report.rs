//! Results as JSON, and as the manual's table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use touchmark::stats::clopper_pearson;

use crate::bootstrap::{false_alarm_rate, false_discovery_proportion, interval};
use crate::corpus::{self, Document, Truth};
use crate::{FDR, FPR, Finding};

/// Whole documents of at least so many tokens are to be found.
const LONG: usize = 200;

/// What one key set gave.
pub fn line(set: u64, findings: &[Finding]) -> String {
    let discovered = findings.iter().filter(|finding| finding.discovered);
    let wrong = discovered.clone().filter(|finding| matches!(finding.truth, Truth::Human)).count();
    format!("key set {set}: {} discovered, {wrong} of them human", discovered.count())
}

pub fn write(root: &Path, human: &[Document], names: &[&str], found: &[Vec<Finding>]) {
    let false_discovery = interval(human, found, false_discovery_proportion);
    let alarms = json!({
        "1e-2": interval(human, found, false_alarm_rate::<-2>),
        "1e-3": interval(human, found, false_alarm_rate::<-3>),
        "1e-4": interval(human, found, false_alarm_rate::<-4>),
    });
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    human.iter().for_each(|document| *kinds.entry(&document.kind).or_default() += 1);
    let rows: Vec<Value> =
        names.iter().enumerate().map(|(at, name)| row(name, at, found)).collect();
    let results = json!({
        "question": "question.md", "touchmark": env!("CARGO_PKG_VERSION"), "model": "scribe-16m", "temperature": 1.0,
        "documents": human.len(), "tokens": corpus::tokens(human), "kinds": kinds, "key_sets": found.len(), "fdr": FDR,
        "passages_at": FPR, "false_discovery_proportion": false_discovery, "false_alarm_rate": alarms, "schemes": rows,
        "by_key_set": found.iter().map(|findings| by_set(findings)).collect::<Vec<_>>(),
    });
    let path = root.join("experiments/corpus_fdr/results.json");
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
    let table = table(&results);
    println!("{table}");
    std::fs::write(root.join("src/manual/corpora_measured.md"), table).unwrap();
}

fn by_set(findings: &[Finding]) -> Value {
    let discovered: Vec<&Finding> = findings.iter().filter(|finding| finding.discovered).collect();
    let human = discovered.iter().filter(|finding| matches!(finding.truth, Truth::Human)).count();
    json!({ "discovered": discovered.len(), "human": human })
}

/// How many of a scheme's texts were discovered, by kind of text.
fn row(name: &str, scheme: usize, found: &[Vec<Finding>]) -> Value {
    let own: Vec<&Finding> =
        found.iter().flatten().filter(|finding| finding.truth.scheme() == Some(scheme)).collect();
    let of = |wanted: &dyn Fn(&Finding) -> bool| {
        recall(own.iter().copied().filter(|finding| wanted(finding)))
    };
    let whole = |finding: &Finding, was: bool| matches!(finding.truth, Truth::Whole { edited, .. } if edited == was);
    let passage = |finding: &Finding| finding.truth.passage().is_some();
    let mut away: Vec<usize> = own.iter().filter_map(|finding| finding.away).flatten().collect();
    away.sort_unstable();
    let quantile =
        |share: f64| away.get((share * away.len().saturating_sub(1) as f64) as usize).copied();
    let told = own.iter().filter(|finding| finding.away.is_some()).count();
    json!({
        "scheme": name,
        "whole, 200 tokens or more": of(&|finding| whole(finding, false) && finding.tokens >= LONG),
        "whole, shorter": of(&|finding| whole(finding, false) && finding.tokens < LONG),
        "edited, 200 tokens or more": of(&|finding| whole(finding, true) && finding.tokens >= LONG),
        "passage": of(&passage),
        "passages_told": told, "tokens_away": { "median": quantile(0.5), "95 %": quantile(0.95), "most": away.last() },
        "discovered_by_another_profile": own.iter().filter(|finding| finding.discovered && !finding.right).count(),
    })
}

fn recall<'f>(findings: impl Iterator<Item = &'f Finding> + Clone) -> Value {
    let texts = findings.clone().count() as u64;
    let found = findings.filter(|finding| finding.discovered).count() as u64;
    let interval =
        clopper_pearson(found, texts, 0.95).ok().map(|interval| [interval.low, interval.high]);
    json!({ "texts": texts, "discovered": found, "interval_95": interval })
}

fn table(results: &Value) -> String {
    let percent = |value: &Value| format!("{:.2} %", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let with_interval = |value: &Value| {
        format!("{} ({} to {})", percent(&value[0]), percent(&value[1]), percent(&value[2]))
    };
    let mut text = format!(
        "{} human documents ({} tokens), {} key sets. Mean false discovery proportion at a nominal 1 %, with its 95 % interval over works \
         and key sets: {}. Human documents at p ≤ 10⁻², 10⁻³, 10⁻⁴: {}; {}; {}.\n\n",
        results["documents"],
        results["tokens"],
        results["key_sets"],
        with_interval(&results["false_discovery_proportion"]),
        with_interval(&results["false_alarm_rate"]["1e-2"]),
        with_interval(&results["false_alarm_rate"]["1e-3"]),
        with_interval(&results["false_alarm_rate"]["1e-4"]),
    );
    text += "| discovered at 1 % | whole, 200 tokens or more | whole, about 100 | a tenth of the words changed, 200 or more | 120 tokens in 600 or more | ends of passages off by (median, 95 %) |\n";
    text += "|---|---:|---:|---:|---:|---:|\n";
    for row in results["schemes"].as_array().unwrap() {
        let share = |name: &str| {
            let (found, texts) = (&row[name]["discovered"], &row[name]["texts"]);
            format!(
                "{:.1} % of {texts}",
                100.0 * found.as_f64().unwrap() / texts.as_f64().unwrap().max(1.0)
            )
        };
        let away = &row["tokens_away"];
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {}, {} tokens |",
            row["scheme"].as_str().unwrap(),
            share("whole, 200 tokens or more"),
            share("whole, shorter"),
            share("edited, 200 tokens or more"),
            share("passage"),
            away["median"],
            away["95 %"],
        );
    }
    text
}
