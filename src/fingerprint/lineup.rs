//! A line-up: what the tests say of suspects whose truth is known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::stats::{LogP, Rate, StatsError, TprAtFpr, auroc, ks_valid, rate_at_p, tpr_at_fpr};

/// What is true of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It descends from the reference.
    Related,
    /// It does not.
    Independent,
}

impl Truth {
    /// As in tables.
    pub fn words(self) -> &'static str {
        match self {
            Self::Related => "related",
            Self::Independent => "independent",
        }
    }
}

/// One test of one suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The suspect.
    pub suspect: String,
    /// What is true of it.
    pub truth: Truth,
    /// What kind of suspect it is: `int4`, `same data, other seed`.
    pub stratum: String,
    /// The test.
    pub test: String,
    /// What was said.
    pub verdict: Verdict,
    /// log₁₀ of the corrected p-value; none where none is claimed.
    pub log10_p: Option<f64>,
    /// Queries that were asked; none where nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<u64>,
}

/// What a test is worth, on these suspects. All intervals are Clopper–Pearson's at 95 %.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestTable {
    /// The test.
    pub test: String,
    /// Related suspects with a p-value that were called RELATED.
    pub found: Option<Rate>,
    /// Independent suspects that were called RELATED.
    pub false_alarms: Option<Rate>,
    /// Suspects of which the test could say nothing.
    pub inconclusive: u64,
    /// P(a related suspect has a smaller p than an independent one).
    pub auc: Option<f64>,
    /// At thresholds read off the independents.
    pub tpr_at_fpr: Vec<AtFpr>,
    /// Independents whose p is at most these levels: a valid test keeps to them.
    pub null: Vec<AtLevel>,
    /// log₁₀ of the Kolmogorov–Smirnov p of the independents' p-values being valid.
    pub null_ks_log10_p: Option<f64>,
    /// The stratum of independents that was called RELATED most often, or where none was, the one with the smallest p.
    pub worst_negatives: Option<Stratum>,
    /// By stratum.
    pub strata: Vec<Stratum>,
    /// Queries after which 90 % of the related suspects had been called RELATED.
    pub queries_to_90: Option<u64>,
}

/// The true-positive rate at a false-positive rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtFpr {
    /// The nominal false-positive rate.
    pub fpr: f64,
    /// The rates; none where there are fewer than 1/fpr independents, which cannot show such a rate.
    pub rates: Option<TprAtFpr>,
}

/// How many independents have a p-value of at most a level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtLevel {
    /// The level.
    pub level: f64,
    /// The share.
    pub rate: Rate,
}

/// Suspects of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stratum {
    /// Its name.
    pub name: String,
    /// What is true of them.
    pub truth: Truth,
    /// How many were called RELATED.
    pub related: Rate,
    /// Median of log₁₀ p.
    pub median_log10_p: Option<f64>,
    /// The smallest.
    pub smallest_log10_p: Option<f64>,
}

const CONFIDENCE: f64 = 0.95;

/// A table for each test, in order of their names.
///
/// # Errors
/// [`StatsError`] for a log₁₀ p that is not one.
pub fn tables(rows: &[Row]) -> Result<Vec<TestTable>, StatsError> {
    let mut tests: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        tests.entry(&row.test).or_default().push(row);
    }
    tests.into_iter().map(|(test, rows)| table(test, &rows)).collect()
}

fn table(test: &str, rows: &[&Row]) -> Result<TestTable, StatsError> {
    let of = |truth| rows.iter().copied().filter(move |row| row.truth == truth);
    let (related, independent): (Vec<&Row>, Vec<&Row>) =
        (of(Truth::Related).collect(), of(Truth::Independent).collect());
    let (positives, negatives) = (scores(&related), scores(&independent));
    let both = !positives.is_empty() && !negatives.is_empty();
    let p: Vec<LogP> = negatives.iter().map(|score| LogP::new(-score)).collect::<Result<_, _>>()?;
    let strata = strata(rows)?;
    Ok(TestTable {
        test: test.to_owned(),
        found: called(&related)?,
        false_alarms: called(&independent)?,
        inconclusive: rows.iter().filter(|row| row.log10_p.is_none()).count() as u64,
        auc: both.then(|| auroc(&positives, &negatives)).transpose()?,
        tpr_at_fpr: [0.01, 0.001]
            .into_iter()
            .map(|fpr| at_fpr(&positives, &negatives, fpr))
            .collect::<Result<_, _>>()?,
        null: levels(&p)?,
        null_ks_log10_p: if p.is_empty() {
            None
        } else {
            Some(ks_valid(&p.iter().map(|p| p.p()).collect::<Vec<_>>())?.p.log10())
        },
        worst_negatives: worst(&strata),
        strata,
        queries_to_90: queries_to_90(&related),
    })
}

/// −log₁₀ p of rows that have one: larger means more related.
fn scores(rows: &[&Row]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.log10_p).map(|p| -p).collect()
}

/// The share that was called RELATED, inconclusive ones among the rest: they were not found.
fn called(rows: &[&Row]) -> Result<Option<Rate>, StatsError> {
    let hits = rows.iter().filter(|row| row.verdict == Verdict::Related).count();
    if rows.is_empty() {
        return Ok(None);
    }
    Rate::new(hits as u64, rows.len() as u64, CONFIDENCE).map(Some)
}

fn at_fpr(positives: &[f64], negatives: &[f64], fpr: f64) -> Result<AtFpr, StatsError> {
    // n independents of which none passes say nothing of rates below 1/n.
    let enough = negatives.len() as f64 * fpr >= 1.0 - 1e-12 && !positives.is_empty();
    let rates = enough.then(|| tpr_at_fpr(positives, negatives, fpr, CONFIDENCE)).transpose()?;
    Ok(AtFpr { fpr, rates })
}

fn levels(p: &[LogP]) -> Result<Vec<AtLevel>, StatsError> {
    if p.is_empty() {
        return Ok(Vec::new());
    }
    let at =
        |level: f64| Ok(AtLevel { level, rate: rate_at_p(p, LogP::from_p(level)?, CONFIDENCE)? });
    [0.05, 0.01, 0.001].into_iter().map(at).collect()
}

fn strata(rows: &[&Row]) -> Result<Vec<Stratum>, StatsError> {
    let mut groups: BTreeMap<(bool, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let key = (row.truth == Truth::Independent, row.stratum.as_str());
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().filter_map(|rows| stratum(&rows).transpose()).collect()
}

fn stratum(rows: &[&Row]) -> Result<Option<Stratum>, StatsError> {
    let (Some(first), Some(related)) = (rows.first(), called(rows)?) else { return Ok(None) };
    let mut p: Vec<f64> = rows.iter().filter_map(|row| row.log10_p).collect();
    p.sort_by(f64::total_cmp);
    Ok(Some(Stratum {
        name: first.stratum.clone(),
        truth: first.truth,
        related,
        median_log10_p: p.get(p.len() / 2).copied(),
        smallest_log10_p: p.first().copied(),
    }))
}

fn worst(strata: &[Stratum]) -> Option<Stratum> {
    let evil =
        |stratum: &&Stratum| (stratum.related.rate, -stratum.smallest_log10_p.unwrap_or(0.0));
    let negatives = strata.iter().filter(|stratum| stratum.truth == Truth::Independent);
    negatives
        .max_by(|a, b| evil(a).partial_cmp(&evil(b)).unwrap_or(std::cmp::Ordering::Equal))
        .cloned()
}

/// Those that were never called RELATED took longer than any.
fn queries_to_90(related: &[&Row]) -> Option<u64> {
    let mut queries: Vec<u64> = related
        .iter()
        .filter(|row| row.verdict == Verdict::Related)
        .filter_map(|row| row.queries)
        .collect();
    queries.sort_unstable();
    let needed = (related.len() * 9).div_ceil(10);
    needed.checked_sub(1).and_then(|at| queries.get(at)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(truth: Truth, stratum: &str, log10_p: Option<f64>, queries: Option<u64>) -> Row {
        Row {
            suspect: "s".to_owned(),
            truth,
            stratum: stratum.to_owned(),
            test: "t".to_owned(),
            verdict: match log10_p {
                None => Verdict::Inconclusive,
                Some(p) if p <= -3.0 => Verdict::Related,
                Some(_) => Verdict::NotShown,
            },
            log10_p,
            queries,
        }
    }

    #[test]
    fn a_table_counts_what_is_there() {
        let mut rows: Vec<Row> = (1..=10)
            .map(|i| row(Truth::Related, "int4", Some(-f64::from(i)), Some(10 - i as u64)))
            .collect();
        rows.extend((0..100).map(|i| {
            let p = (f64::from(i) + 0.5) / 100.0;
            row(Truth::Independent, if i < 50 { "near" } else { "far" }, Some(p.log10()), None)
        }));
        rows.push(row(Truth::Independent, "far", None, None));
        let tables = tables(&rows).unwrap();
        let table = &tables[0];
        assert_eq!((tables.len(), table.inconclusive), (1, 1));
        assert_eq!(table.found.unwrap().hits, 8);
        assert_eq!(
            (table.false_alarms.unwrap().hits, table.false_alarms.unwrap().trials),
            (0, 101)
        );
        // p = 0.1 has ten independents below it, 0.01 one: (90 + 99 + 8 · 100) of 1000 pairs.
        assert!((table.auc.unwrap() - 0.989).abs() < 1e-9, "{:?}", table.auc);
        assert_eq!(table.tpr_at_fpr[0].rates.unwrap().tpr.hits, 9);
        assert!(table.tpr_at_fpr[1].rates.is_none(), "a hundred cannot show a rate of 0.1 %");
        assert_eq!(table.null.iter().map(|at| at.rate.hits).collect::<Vec<_>>(), [5, 1, 0]);
        assert!(table.null_ks_log10_p.unwrap() > -0.5);
        assert_eq!(table.worst_negatives.as_ref().unwrap().name, "near");
        assert_eq!(
            table.strata.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["int4", "far", "near"]
        );
        // Eight of ten were ever called RELATED.
        assert_eq!(table.queries_to_90, None);
        for row in &mut rows[..2] {
            row.verdict = Verdict::Related;
        }
        assert_eq!(super::tables(&rows).unwrap()[0].queries_to_90, Some(8));
    }

    #[test]
    fn tests_that_fail_their_null_are_seen() {
        let rows: Vec<Row> =
            (0..300).map(|_| row(Truth::Independent, "all", Some(-2.5), None)).collect();
        let table = &tables(&rows).unwrap()[0];
        assert!(table.null_ks_log10_p.unwrap() < -100.0 && table.null[1].rate.interval.low > 0.9);
        assert_eq!((table.auc, table.found), (None, None));
    }
}
