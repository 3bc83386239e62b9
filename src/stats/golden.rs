//! Every tail against arbitrary-precision values; `tests/it/golden/stats.py` says how those were made.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;

/// Required relative accuracy of log₁₀ p.
const ACCURACY: f64 = 1e-9;

fn check<T: DeserializeOwned + std::fmt::Debug>(
    law: &str,
    tail: impl Fn(&T) -> Result<LogP, StatsError>,
) {
    let mut document: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/it/golden/stats.json")).unwrap();
    let rows = document[law].take();
    let (mut worst, mut count, mut range) = (0.0f64, 0, (f64::INFINITY, 0.0f64));
    for row in rows.as_array().unwrap() {
        let truth = row["log10_p"].as_f64().unwrap();
        let arguments: T = serde_json::from_value(row.clone()).unwrap();
        let got = tail(&arguments).unwrap_or_else(|e| panic!("{law} {arguments:?}: {e}")).log10();
        let error = if truth == 0.0 { got.abs() } else { (got / truth - 1.0).abs() };
        assert!(error <= ACCURACY, "{law} {arguments:?}: {got} for {truth}, off by {error:e}");
        (worst, count, range) =
            (worst.max(error), count + 1, (range.0.min(truth.abs()), range.1.max(truth.abs())));
    }
    assert!(count > 10);
    println!(
        "{law}: {count} points, -log10 p from {:e} to {:e}, worst relative error {worst:e}",
        range.0, range.1
    );
}

#[test]
fn binomial() {
    #[derive(Debug, Deserialize)]
    struct Row {
        k: u64,
        n: u64,
        p: f64,
    }
    check("binomial", |row: &Row| binomial_sf_ge(row.k, row.n, row.p));
}

#[test]
fn hypergeometric() {
    #[derive(Debug, Deserialize)]
    struct Row {
        k: u64,
        population: u64,
        successes: u64,
        draws: u64,
    }
    check("hypergeometric", |row: &Row| {
        hypergeometric_sf_ge(row.k, row.population, row.successes, row.draws)
    });
}

#[test]
fn gamma() {
    #[derive(Debug, Deserialize)]
    struct Row {
        x: f64,
        shape: f64,
    }
    check("gamma", |row: &Row| gamma_sf_ge(row.x, row.shape));
}

#[test]
fn two_gamma() {
    #[derive(Debug, Deserialize)]
    struct Row {
        x: f64,
        n: u64,
        alpha: f64,
    }
    check("two_gamma", |row: &Row| two_gamma_sf_ge(row.x, row.n, row.alpha));
}

#[test]
fn weighted_bits() {
    #[derive(Debug, Deserialize)]
    struct Row {
        s: u64,
        weights: Vec<u64>,
        n: u64,
    }
    check("weighted_bits", |row: &Row| {
        WeightedBits::from_integers(&row.weights)?.sf_ge(row.s as f64, row.n)
    });
}

#[test]
fn normal() {
    #[derive(Debug, Deserialize)]
    struct Row {
        z: f64,
    }
    check("normal", |row: &Row| normal_sf_ge(row.z));
}

#[test]
fn student_t() {
    #[derive(Debug, Deserialize)]
    struct Row {
        t: f64,
        df: f64,
    }
    check("student_t", |row: &Row| student_t_sf_ge(row.t, row.df));
}
