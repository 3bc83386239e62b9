//! What was measured, for a terminal.

use std::fmt::Write;

use touchmark::bench::{Level, PowerRow, Results};

/// Power of texts as they are and after attacks, and what else there is, in a few lines each.
pub fn summary(results: &Results) -> String {
    let mut out = String::new();
    table(&mut out, "Power", &results.power, power_head(&results.power), power);
    let size = ["scheme", "sampling", "tokens to p ≤ 1e-5 (median)", "of texts"].map(str::to_owned);
    table(&mut out, "Size", &results.size, size.to_vec(), |row| {
        let median =
            row.median_tokens.map_or_else(|| "more than read".to_owned(), |it| it.to_string());
        vec![row.scheme.clone(), row.sampling.clone(), median, share(row.reached.rate)]
    });
    let head = "scheme|sampling|perplexity|loss − unmarked|p|distance (by chance), bits|p|distinct 1/2/3|repeated";
    let head = head.split('|').map(str::to_owned).collect();
    table(&mut out, "Quality", &results.quality, head, |row| {
        let [one, two, three] = row.mean.distinct;
        vec![
            row.scheme.clone(),
            row.sampling.clone(),
            format!("{:.1}", row.mean.loss.exp()),
            row.loss_difference
                .map_or(String::new(), |(mean, margin)| format!("{mean:+.3} ± {margin:.3}")),
            row.p_of_difference.map_or(String::new(), |p| format!("{p:.4}")),
            row.distance
                .map_or(String::new(), |it| format!("{:.4} ({:.4})", it.bits, it.by_chance)),
            row.distance.map_or(String::new(), |it| format!("{:.3}", it.p)),
            format!("{one:.3}/{two:.3}/{three:.3}"),
            share(row.mean.repetition),
        ]
    });
    let levels = results.calibration.first().map_or(&[][..], |row| &row.levels);
    let mut head = ["scheme", "detector", "texts"].map(str::to_owned).to_vec();
    head.extend(levels.iter().map(|level| format!("p ≤ {:e}", level.fpr)));
    table(&mut out, "Human text that alarms", &results.calibration, head, |row| {
        let texts = row.levels.first().map_or(0, |level| level.found.trials);
        let mut cells = vec![row.scheme.clone(), row.detector.clone(), texts.to_string()];
        let over = if row.exceeds { " (too many)" } else { "" };
        cells.extend(
            row.levels.iter().map(|level| format!("{:.4} %{over}", 100.0 * level.found.rate)),
        );
        cells
    });
    let head = ["scheme", "texts", "contexts", "spoofed", "scrubbed", "rewritten"];
    table(&mut out, "Stealing", &results.stealing, head.map(str::to_owned).to_vec(), |row| {
        let first = |levels: &[Level]| {
            let told = |level: &Level| format!("{} at {:e}", share(level.found.rate), level.fpr);
            levels.first().map_or_else(String::new, told)
        };
        let [spoofed, scrubbed, rewritten] =
            [&row.spoofed, &row.scrubbed, &row.rewritten].map(|levels| first(levels));
        let counts = [row.queries, row.contexts].map(|count| count.to_string());
        [vec![row.scheme.clone()], counts.to_vec(), vec![spoofed, scrubbed, rewritten]].concat()
    });
    out
}

fn power_head(rows: &[PowerRow]) -> Vec<String> {
    let names = ["scheme", "sampling", "detector", "attack", "tokens", "median log10 p"];
    let levels = rows.first().map_or(&[][..], |row| &row.levels);
    let levels = levels.iter().map(|level| format!("found at {:e}", level.fpr));
    names.map(str::to_owned).into_iter().chain(levels).chain(["AUROC".to_owned()]).collect()
}

fn power(row: &PowerRow) -> Vec<String> {
    let attack = match row.attack.as_str() {
        "none" => "none".to_owned(),
        attack => format!("{attack} {}", row.strength),
    };
    let mut cells = vec![
        row.scheme.clone(),
        row.sampling.clone(),
        row.detector.clone(),
        attack,
        row.tokens.to_string(),
        format!("{:.1}", row.median_log10_p),
    ];
    cells.extend(row.levels.iter().map(|level| share(level.found.rate)));
    cells.push(format!("{:.3}", row.auroc));
    cells
}

fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Columns as wide as their widest cell; nothing of a table without rows.
fn table<R>(
    out: &mut String,
    title: &str,
    rows: &[R],
    head: Vec<String>,
    cells: impl Fn(&R) -> Vec<String>,
) {
    if rows.is_empty() {
        return;
    }
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    // Writing to a text does not fail.
    let _ = writeln!(out, "{title}");
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let _ = writeln!(out);
}
