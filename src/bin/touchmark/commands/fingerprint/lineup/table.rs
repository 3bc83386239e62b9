//! The tables of a line-up, for people.

use std::io::{self, Write};

use touchmark::fingerprint::lineup::{Stratum, TestTable};
use touchmark::stats::Rate;

use crate::output;

pub fn write(out: &mut impl Write, table: &TestTable) -> io::Result<()> {
    writeln!(out, "{}", table.test)?;
    line(out, "related found", table.found.as_ref())?;
    line(out, "independents accused", table.false_alarms.as_ref())?;
    if table.inconclusive > 0 {
        writeln!(out, "  {:24} {}", "inconclusive", table.inconclusive)?;
    }
    if let Some(auc) = table.auc {
        writeln!(out, "  {:24} {auc:.4}", "AUC")?;
    }
    for at in &table.tpr_at_fpr {
        let name = format!("TPR at FPR {} %", at.fpr * 100.0);
        match &at.rates {
            Some(rates) => line(out, &name, Some(&rates.tpr))?,
            None => {
                let needed = (1.0 / at.fpr).round();
                writeln!(out, "  {name:24} not shown: needs {needed} independents")?;
            }
        }
    }
    for at in &table.null {
        line(out, &format!("independents, p ≤ {}", at.level), Some(&at.rate))?;
    }
    if let Some(ks) = table.null_ks_log10_p {
        writeln!(out, "  {:24} {}", "validity (KS), log10 p", output::log10_p(ks))?;
    }
    if let Some(queries) = table.queries_to_90 {
        writeln!(out, "  {:24} {queries}", "queries to 90 % power")?;
    }
    if let Some(worst) = &table.worst_negatives {
        writeln!(out, "  {:24} {}", "worst independents", worst.name)?;
    }
    writeln!(
        out,
        "  {:24} {:12} {:>9} {:>12} {:>12}",
        "kind", "truth", "RELATED", "median log10 p", "smallest"
    )?;
    table.strata.iter().try_for_each(|stratum| row(out, stratum))?;
    writeln!(out)
}

fn line(out: &mut impl Write, name: &str, rate: Option<&Rate>) -> io::Result<()> {
    let Some(rate) = rate else { return Ok(()) };
    let (low, high) = (100.0 * rate.interval.low, 100.0 * rate.interval.high);
    writeln!(out, "  {name:24} {} of {} (95 %: {low:.2}–{high:.2} %)", rate.hits, rate.trials)
}

fn row(out: &mut impl Write, stratum: &Stratum) -> io::Result<()> {
    let truth = stratum.truth.words();
    let called = format!("{}/{}", stratum.related.hits, stratum.related.trials);
    let p = |p: Option<f64>| p.map_or_else(|| "–".to_owned(), output::log10_p);
    writeln!(
        out,
        "  {:24} {truth:12} {called:>9} {:>12} {:>12}",
        stratum.name,
        p(stratum.median_log10_p),
        p(stratum.smallest_log10_p)
    )
}
