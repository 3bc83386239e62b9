//! The rows, as HTML and as CSV.

use std::collections::BTreeMap;

use crate::attribution::Setting;
use crate::bench::{Distance, Level, Measured, PowerRow};
use crate::fingerprint::lineup::{self, Truth};
use crate::report::escape::Text;
use crate::report::frame::{self, Column};
use crate::report::words;
use crate::stats::Rate;

/// A table: columns, and cells as text.
struct Table {
    label: &'static str,
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns whose names end with `#` hold numbers.
    fn new(label: &'static str, columns: impl IntoIterator<Item = String>) -> Self {
        let columns = columns.into_iter().map(|name| match name.strip_suffix('#') {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        });
        Self { label, columns: columns.collect(), rows: Vec::new() }
    }

    fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let columns: Vec<Column<'_>> = self
            .columns
            .iter()
            .map(|(name, number)| if *number { Column::Number(name) } else { Column::Words(name) })
            .collect();
        let row = |cells: &Vec<String>| {
            let cell = |(cell, (_, number)): (&String, &(String, bool))| {
                let class = if *number { " class=\"n\"" } else { "" };
                format!("<td{class}>{}</td>", Text(cell))
            };
            let cells: String = cells.iter().zip(&self.columns).map(cell).collect();
            format!("<tr>{cells}</tr>\n")
        };
        frame::table(self.label, &columns, self.rows.iter().map(row))
    }
}

fn names<const N: usize>(names: [&str; N]) -> impl Iterator<Item = String> + use<N> {
    names.map(str::to_owned).into_iter()
}

fn percent(share: f64) -> String {
    format!("{} %", words::number(100.0 * share, 1))
}

fn found(level: &Level) -> String {
    let interval = level.found.interval;
    format!(
        "{} ({}–{})",
        percent(level.found.rate),
        words::number(100.0 * interval.low, 1),
        words::number(100.0 * interval.high, 1)
    )
}

fn rates(measured: &Measured) -> impl Iterator<Item = String> {
    measured.plan.fpr.iter().map(|fpr| format!("found at {}#", rate(*fpr)))
}

/// 10⁻⁵ where it is a power of ten.
fn rate(fpr: f64) -> String {
    let exponent = fpr.log10();
    if (exponent - exponent.round()).abs() < 1e-9 {
        words::power_of_ten(exponent.round())
    } else {
        fpr.to_string()
    }
}

pub(super) fn power(measured: &Measured) -> String {
    let head = names(["scheme", "sampling", "detector", "tokens#", "median log₁₀ p#"]);
    let mut table = Table::new("Power", head.chain(rates(measured)).chain(names(["AUROC#"])));
    for row in measured.results.power.iter().filter(|row| row.attack == "none") {
        let mut cells = vec![
            row.scheme.clone(),
            row.sampling.clone(),
            row.detector.clone(),
            row.tokens.to_string(),
            words::log10_p(row.median_log10_p),
        ];
        cells.extend(row.levels.iter().map(found));
        cells.push(words::number(row.auroc, 4));
        table.rows.push(cells);
    }
    table.html()
}

pub(super) fn attacks(measured: &Measured) -> String {
    let head = names([
        "attack",
        "strength#",
        "scheme",
        "sampling",
        "detector",
        "tokens#",
        "chrF#",
        "median log₁₀ p#",
    ]);
    let mut table =
        Table::new("After attacks", head.chain(rates(measured)).chain(names(["AUROC#"])));
    let mut rows: Vec<&PowerRow> =
        measured.results.power.iter().filter(|row| row.attack != "none").collect();
    rows.sort_by(|a, b| a.attack.cmp(&b.attack).then(a.strength.total_cmp(&b.strength)));
    for row in rows {
        let used = if (row.strength_used - row.strength).abs() > 1e-9 {
            format!("{} (used {})", row.strength, words::number(row.strength_used, 3))
        } else {
            row.strength.to_string()
        };
        let mut cells = vec![
            row.attack.clone(),
            used,
            row.scheme.clone(),
            row.sampling.clone(),
            row.detector.clone(),
            row.tokens.to_string(),
            words::number(row.similarity, 2),
            words::log10_p(row.median_log10_p),
        ];
        cells.extend(row.levels.iter().map(found));
        cells.push(words::number(row.auroc, 4));
        table.rows.push(cells);
    }
    table.html()
}

/// For each scheme and attack the least planned strength after which less than half of the texts are found at the smallest rate.
pub(super) fn budget(measured: &Measured) -> String {
    let head = names(["attack", "scheme", "sampling", "detector", "strength#", "chrF there#"]);
    let mut table = Table::new("Removal budget", head);
    let longest = measured.plan.longest_attacked();
    let mut groups: BTreeMap<[&str; 4], Vec<&PowerRow>> = BTreeMap::new();
    let attacked = measured.results.power.iter().filter(|row| row.attack != "none");
    for row in attacked.filter(|row| row.tokens == longest) {
        let group = [&*row.attack, &*row.scheme, &*row.sampling, &*row.detector];
        groups.entry(group).or_default().push(row);
    }
    for (group, mut rows) in groups {
        rows.sort_by(|a, b| a.strength.total_cmp(&b.strength));
        let smallest = |row: &PowerRow| {
            row.levels.iter().min_by(|a, b| a.fpr.total_cmp(&b.fpr)).map(|level| level.found.rate)
        };
        let is_gone = |row: &&&PowerRow| smallest(row).is_some_and(|rate| rate < 0.5);
        let cells = match (rows.iter().find(is_gone), rows.last()) {
            (Some(row), _) => [row.strength.to_string(), words::number(row.similarity, 2)],
            (None, Some(row)) => [format!("more than {}", row.strength), String::new()],
            (None, None) => continue,
        };
        table.rows.push(group.map(str::to_owned).into_iter().chain(cells).collect());
    }
    table.html()
}

pub(super) fn size(measured: &Measured) -> String {
    let head =
        names(["scheme", "sampling", "median tokens to p ≤ 10⁻⁵#", "texts that come to it#"]);
    let mut table = Table::new("Size", head);
    for row in &measured.results.size {
        let median = row.median_tokens.map_or_else(
            || format!("more than {}", measured.plan.longest()),
            |tokens| tokens.to_string(),
        );
        table.rows.push(vec![
            row.scheme.clone(),
            row.sampling.clone(),
            median,
            percent(row.reached.rate),
        ]);
    }
    table.html()
}

pub(super) fn calibration(measured: &Measured) -> String {
    let head = names(["scheme", "detector", "tokens#", "pairs of text and key#"]);
    let rates = measured.plan.fpr.iter().map(|fpr| format!("p ≤ {}#", rate(*fpr)));
    let mut table = Table::new("Calibration", head.chain(rates).chain(names(["exceeds nominal"])));
    for row in &measured.results.calibration {
        let pairs = row.levels.first().map_or(0, |level| level.found.trials);
        let mut cells = vec![
            row.scheme.clone(),
            row.detector.clone(),
            row.tokens.to_string(),
            words::count(pairs),
        ];
        let share = |level: &Level| format!("{} %", words::number(100.0 * level.found.rate, 4));
        cells.extend(row.levels.iter().map(share));
        cells.push(if row.exceeds { "yes" } else { "no" }.to_owned());
        table.rows.push(cells);
    }
    table.html()
}

pub(super) fn stealing(measured: &Measured) -> String {
    let head = names([
        "scheme",
        "texts that he has#",
        "contexts known#",
        "at a rate of#",
        "spoofed#",
        "scrubbed#",
        "rewritten#",
    ]);
    let mut table = Table::new("Stealing", head);
    for row in &measured.results.stealing {
        let levels = row.spoofed.iter().zip(&row.scrubbed).zip(&row.rewritten);
        for ((spoofed, scrubbed), rewritten) in levels {
            table.rows.push(vec![
                row.scheme.clone(),
                words::count(row.queries as u64),
                words::count(row.contexts as u64),
                rate(spoofed.fpr),
                found(spoofed),
                found(scrubbed),
                found(rewritten),
            ]);
        }
    }
    table.html()
}

pub(super) fn quality(measured: &Measured) -> String {
    let head = names([
        "scheme",
        "sampling",
        "perplexity#",
        "loss minus unmarked#",
        "p of difference#",
        "distance in bits#",
        "by chance#",
        "p of distance#",
        "distinct tokens#",
        "pairs#",
        "triples#",
        "repeated runs of four#",
    ]);
    let mut table = Table::new("Quality", head);
    for row in &measured.results.quality {
        let [one, two, three] = row.mean.distinct.map(|share| words::number(share, 3));
        let distance = |of: fn(&Distance) -> f64| {
            row.distance.as_ref().map_or_else(String::new, |it| words::number(of(it), 4))
        };
        table.rows.push(vec![
            row.scheme.clone(),
            row.sampling.clone(),
            words::number(row.mean.loss.exp(), 1),
            row.loss_difference.map_or_else(String::new, |(mean, margin)| {
                format!("{} ± {}", words::number(mean, 3), words::number(margin, 3))
            }),
            row.p_of_difference.map_or_else(String::new, |p| words::number(p, 4)),
            distance(|it| it.bits),
            distance(|it| it.by_chance),
            distance(|it| it.p),
            one,
            two,
            three,
            percent(row.mean.repetition),
        ]);
    }
    table.html()
}

pub(super) fn cost(measured: &Measured) -> String {
    let head = names([
        "scheme",
        "sampling",
        "tokens written a second#",
        "seconds over unmarked#",
        "tokens scored a second, one core#",
    ]);
    let mut table = Table::new("Cost", head);
    let number = |value: Option<f64>| {
        value.map_or_else(String::new, |value| words::count(value.round() as u64))
    };
    for row in &measured.results.cost {
        table.rows.push(vec![
            row.scheme.clone(),
            row.sampling.clone(),
            number(row.written_per_second),
            row.writing_ratio.map_or_else(String::new, |ratio| words::number(ratio, 3)),
            number(row.scored_per_second),
        ]);
    }
    table.html()
}

pub(super) fn lineup(measured: &Measured) -> String {
    let head = names([
        "test",
        "kind",
        "truth",
        "called RELATED#",
        "95 % interval#",
        "median log10 p#",
        "smallest#",
    ]);
    let mut table = Table::new("Line-up", head);
    let p = |p: Option<f64>| p.map_or_else(|| "–".to_owned(), |p| words::number(p, 1));
    // The page is refused before where p-values are none.
    for test in lineup::tables(&measured.lineup).unwrap_or_default() {
        let row = |name: &str, truth: &str, rate: &Rate, median, smallest| {
            let (low, high) = (percent(rate.interval.low), percent(rate.interval.high));
            let called = format!("{} of {}", rate.hits, rate.trials);
            let [name, truth] = [name, truth].map(str::to_owned);
            vec![
                test.test.clone(),
                name,
                truth,
                called,
                format!("{low}–{high}"),
                p(median),
                p(smallest),
            ]
        };
        for (rate, truth) in
            [(&test.found, Truth::Related), (&test.false_alarms, Truth::Independent)]
        {
            table
                .rows
                .extend(rate.as_ref().map(|rate| row("all", truth.words(), rate, None, None)));
        }
        table.rows.extend(test.strata.iter().map(|it| {
            row(&it.name, it.truth.words(), &it.related, it.median_log10_p, it.smallest_log10_p)
        }));
    }
    table.html()
}

pub(super) fn attribution(measured: &Measured) -> String {
    let head = names([
        "suspect",
        "base",
        "mark",
        "setting",
        "pairs#",
        "log10 p, corrected#",
        "asked#",
        "verdict",
    ]);
    let mut table = Table::new("Attribution", head);
    table.rows.extend(measured.attributions.iter().map(|it| {
        let setting = match it.setting {
            Setting::Open => "open",
            Setting::Closed => "closed",
        };
        vec![
            it.suspect.clone(),
            it.base.clone().unwrap_or_default(),
            format!("{}, {}", it.mark.profile, it.mark.scheme),
            setting.to_owned(),
            words::count(it.primary.pairs),
            words::number(it.judged.log10_p_corrected, 1),
            words::number(it.judged.threshold_log10_p, 1),
            it.judged.verdict.words().to_owned(),
        ]
    }));
    table.html()
}

/// The rows as CSV, by the name of a file for each; every number as it is in the results.
pub fn bench_tables(measured: &Measured) -> Vec<(String, String)> {
    let results = &measured.results;
    let level = |level: &Level| {
        let (found, interval) = (&level.found, level.found.interval);
        format!(
            "{:e},{},{},{},{},{}",
            level.fpr, found.hits, found.trials, found.rate, interval.low, interval.high
        )
    };
    let mut power = "scheme,sampling,detector,attack,strength,strength_used,tokens,median_log10_p,auroc,similarity,fpr,hits,trials,rate,low,high\n".to_owned();
    for row in &results.power {
        for it in &row.levels {
            power += &format!(
                "{},{},{},{},{},{},{},{},{},{},{}\n",
                quoted(&row.scheme),
                quoted(&row.sampling),
                row.detector,
                row.attack,
                row.strength,
                row.strength_used,
                row.tokens,
                row.median_log10_p,
                row.auroc,
                row.similarity,
                level(it)
            );
        }
    }
    let mut size = "scheme,sampling,p,median_tokens,reached,trials\n".to_owned();
    for row in &results.size {
        let median = row.median_tokens.map_or_else(String::new, |tokens| tokens.to_string());
        size += &format!(
            "{},{},{:e},{median},{},{}\n",
            quoted(&row.scheme),
            quoted(&row.sampling),
            row.p,
            row.reached.hits,
            row.reached.trials
        );
    }
    let mut calibration = "scheme,detector,tokens,fpr,hits,trials,rate,low,high\n".to_owned();
    for row in &results.calibration {
        for it in &row.levels {
            calibration +=
                &format!("{},{},{},{}\n", quoted(&row.scheme), row.detector, row.tokens, level(it));
        }
    }
    let mut quality = "scheme,sampling,tokens,loss,distinct_1,distinct_2,distinct_3,repetition,loss_difference,margin,p_of_difference,distance,by_chance,p_of_distance\n".to_owned();
    for row in &results.quality {
        let [one, two, three] = row.mean.distinct;
        let (difference, margin) = row.loss_difference.map_or_else(
            || (String::new(), String::new()),
            |(mean, margin)| (mean.to_string(), margin.to_string()),
        );
        let p = row.p_of_difference.map_or_else(String::new, |p| p.to_string());
        let distance = row
            .distance
            .map_or_else(|| ",,".to_owned(), |it| format!("{},{},{}", it.bits, it.by_chance, it.p));
        quality += &format!(
            "{},{},{},{},{one},{two},{three},{},{difference},{margin},{p},{distance}\n",
            quoted(&row.scheme),
            quoted(&row.sampling),
            row.tokens,
            row.mean.loss,
            row.mean.repetition
        );
    }
    let mut stealing = "scheme,queries,contexts,kind,fpr,hits,trials,rate,low,high\n".to_owned();
    for row in &results.stealing {
        let kinds =
            [("spoofed", &row.spoofed), ("scrubbed", &row.scrubbed), ("rewritten", &row.rewritten)];
        for (kind, levels) in kinds {
            for it in levels {
                let scheme = quoted(&row.scheme);
                stealing +=
                    &format!("{scheme},{},{},{kind},{}\n", row.queries, row.contexts, level(it));
            }
        }
    }
    let mut lineup = "suspect,kind,truth,test,verdict,log10_p,queries\n".to_owned();
    for it in &measured.lineup {
        let (p, queries) = (it.log10_p, it.queries);
        lineup += &format!(
            "{},{},{},{},{},{},{}\n",
            quoted(&it.suspect),
            quoted(&it.stratum),
            it.truth.words(),
            quoted(&it.test),
            it.verdict.words(),
            p.map_or_else(String::new, |p| p.to_string()),
            queries.map_or_else(String::new, |queries| queries.to_string()),
        );
    }
    let mut attribution =
        "suspect,base,profile,scheme,setting,pairs,log10_p,log10_p_corrected,threshold_log10_p,verdict\n".to_owned();
    for it in &measured.attributions {
        attribution += &format!(
            "{},{},{},{},{:?},{},{},{},{},{}\n",
            quoted(&it.suspect),
            quoted(it.base.as_deref().unwrap_or_default()),
            quoted(&it.mark.profile),
            it.mark.scheme,
            it.setting,
            it.primary.pairs,
            it.judged.log10_p,
            it.judged.log10_p_corrected,
            it.judged.threshold_log10_p,
            it.judged.verdict.words()
        );
    }
    [
        ("power", power),
        ("size", size),
        ("calibration", calibration),
        ("quality", quality),
        ("stealing", stealing),
        ("lineup", lineup),
        ("attribution", attribution),
    ]
    .into_iter()
    .filter(|(_, table)| table.lines().nth(1).is_some())
    .map(|(name, table)| (format!("{name}.csv"), table))
    .collect()
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
