//! What other tools' p-values say, and the manual's table of worked numbers.
//!
//! The formulas are those of `experiments/peer_p_values`; here they meet the tools' own answers, and the exact values of the
//! table meet plain sums and integrals that share no code with `stats`.

#[path = "../../../experiments/peer_p_values/statistics.rs"]
mod statistics;
#[path = "../../../experiments/peer_p_values/worked.rs"]
mod worked;

use statistics::*;
use worked::{Worked, rows, short, table};

use super::{assert_near, golden, list, number};

#[test]
fn the_manual_says_what_is_computed() {
    // After a change: cargo run --release --example peer_p_values writes the file.
    assert_eq!(include_str!("../../../src/manual/peer_p_values.md"), table().unwrap());
}

#[test]
fn transformers_p_is_the_tools() {
    let golden = golden(include_str!("../golden/peers/hf_kgw.json"));
    let mut compared = 0;
    for case in list(&golden["cases"]) {
        let count = |name: &str| case[name].as_f64().unwrap();
        let gamma = case["config"]["greenlist_ratio"].as_f64().unwrap();
        let z = z_score(count("num_green_tokens"), count("num_tokens_scored"), gamma);
        assert_near(z, count("z_score"), 1e-9);
        // One minus a number next to one: the tool's p has no digits below 1e-16.
        let (found, claimed) = (transformers_p(z), count("tool_p_value"));
        assert!((found - claimed).abs() <= 3e-16 + 1e-9 * claimed, "{found} {claimed}");
        compared += 1;
    }
    assert!(compared > 1, "{compared}");
}

#[test]
fn vllm_p_is_the_tools() {
    let golden = golden(include_str!("../golden/peers/vllm_gumbel.json"));
    let mut two_keys = 0;
    for case in list(&golden["cases"]) {
        let (score, n) =
            (case["score"].as_f64().unwrap(), number(&case["num_scored_tokens"]) as f64);
        let found = match case["config"]["alpha"].as_f64() {
            None => gamma_p(score, n),
            Some(alpha) => {
                two_keys += 1;
                vllm_dual_p(score, n, alpha)
            }
        };
        assert_near(found, case["tool_p_value"].as_f64().unwrap(), 1e-6);
    }
    assert!(two_keys > 0);
}

#[test]
fn sglang_p_is_the_tools() {
    let golden = golden(include_str!("../golden/peers/sglang_gumbel.json"));
    let mut compared = 0;
    for case in list(&golden["cases"]) {
        for answer in ["combined", "key_a_all_positions", "key_b_all_positions"] {
            let answer = &case[answer];
            let (Some(score), Some(p)) =
                (answer["score"].as_f64(), answer["tool_p_value"].as_f64())
            else {
                continue;
            };
            assert_near(gamma_p(score, number(&answer["num_contexts"]) as f64), p, 1e-6);
            compared += 1;
        }
    }
    assert!(compared > 3, "{compared}");
}

/// Windows one by one, as lm-watermarking defines them.
#[test]
fn the_best_window_is_the_best_of_all() {
    let green: Vec<bool> = (0..60_u32).map(|i| i.wrapping_mul(2_654_435_761) >> 30 == 0).collect();
    let windows = (1..60).flat_map(|size| green.windows(size));
    let z = |window: &[bool]| {
        z_score(window.iter().filter(|&&green| green).count() as f64, window.len() as f64, 0.25)
    };
    let best = windows.map(z).fold(f64::NEG_INFINITY, f64::max);
    assert_near(greatest_window_z(&green, 0.25), best, 1e-12);
}

/// The exact column again, by plain means.
#[test]
fn exact_values_of_the_table_are_exact() {
    let exact = |tool: &str| {
        let found: Vec<Worked> =
            rows().unwrap().into_iter().filter(|row| row.tool.starts_with(tool)).collect();
        assert!(!found.is_empty(), "no row of {tool}");
        found.into_iter().map(|row| row.ours).collect::<Vec<f64>>()
    };
    let quarter = binomial(48, 0.25)[24..].iter().sum::<f64>();
    assert_near(exact("transformers")[0], quarter, 1e-9);
    assert_near(exact("lm-watermarking, `z_score`")[0], quarter, 1e-9);
    assert_near(exact("three_bricks, `maryland`")[0], quarter, 1e-9);
    assert_near(exact("the same, `ignore")[0], 1.0 / 16.0, 1e-12);
    assert_near(exact("MarkLLM KGW")[0], binomial(20, 0.5)[14..].iter().sum(), 1e-9);
    assert_near(exact("vLLM's pull")[0], binomial(20, 0.5)[14..].iter().sum(), 1e-9);
    assert_near(exact("MarkLLM DiP")[0], binomial(100, 0.5)[66..].iter().sum(), 1e-9);
    assert_near(exact("Unigram-Watermark, `detect`")[0], drawn(14, 20), 1e-9);
    assert_near(exact("Unigram-Watermark, `dyn")[0], drawn(130, 200), 1e-9);
    let hundred = poisson_below(100, 160.0);
    assert_near(exact("vLLM 0.33.0, `gumbel`")[0], hundred, 1e-9);
    assert_near(exact("SGLang 0.5.23, `combined`")[0], hundred, 1e-9);
    assert_near(exact("SGLang 0.5.23, the best")[0], 3.0 * hundred, 1e-9);
    assert_near(exact("TextSeal, the lesser")[0], 2.0 * hundred, 1e-9);
    assert_near(exact("three_bricks, `openaiz`")[0], hundred, 1e-9);
    assert_near(exact("MarkLLM EXP")[0], poisson_below(4, 8.0), 1e-9);
    for (found, tokens) in exact("SynthID").into_iter().zip([50, 200, 1000]) {
        let above = binomial(30 * tokens, 0.5);
        let plain = above.iter().enumerate().filter(|(g, _)| g * 100 > 30 * tokens * 52);
        assert_near(found, plain.map(|(_, mass)| mass).sum(), 1e-7);
    }
}

/// The two laws that are sums of two gammas, by integrating over one of them.
#[test]
fn moment_matching_is_as_wrong_as_the_table_says() {
    let ratio = |tool: &str| {
        let row = rows().unwrap().into_iter().find(|row| row.tool.starts_with(tool)).unwrap();
        assert_near(row.theirs, 1e-6, 1e-6);
        (row.ours / row.theirs, row.text)
    };
    let score = |text: &str| text.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let (dual, text) = ratio("vLLM 0.33.0, `dual");
    // The table's score has two decimals: 1 % of p.
    assert_near(1e-6 * dual, two_gammas(score(&text), 20, 0.9, 0.1), 0.01);
    let (weighted, text) = ratio("TextSeal, weighted");
    assert_near(1e-6 * weighted, two_gammas(score(&text), 50, 1.0, 0.1), 0.01);
    assert!(dual > 1.4 && weighted > 1.2, "{dual} {weighted}");
}

/// Of 2ⁿ outcomes, those with a run of three.
#[test]
fn runs_are_counted_right() {
    let run = |outcome: &u32| (0..10).any(|at| outcome >> at & 7 == 7);
    let some = (0..1_u32 << 12).filter(run).count() as f64 / 4096.0;
    assert_near(worked::run_of_greens(3, 12, 0.5), some, 1e-12);
}

#[test]
fn numbers_are_written_with_three_digits() {
    let written = [0.0, 1.88e-5, 0.0577, 0.5, 9.3e-4, f64::NAN].map(short);
    assert_eq!(written, ["0", "1.88e-5", "0.0577", "0.500", "9.30e-4", "none"]);
}

/// Masses of Binomial(n, p), each from the one before, in logarithms.
fn binomial(n: usize, p: f64) -> Vec<f64> {
    let mut ln = n as f64 * (1.0 - p).ln();
    let mut masses = vec![ln.exp()];
    for k in 0..n {
        ln += ((n - k) as f64 / (k + 1) as f64 * p / (1.0 - p)).ln();
        masses.push(ln.exp());
    }
    masses
}

/// P(at least k green) when m tokens are drawn from 50,257 of which 25,128 are green, by drawing one after the other.
fn drawn(k: usize, m: usize) -> f64 {
    let mut greens = vec![1.0];
    for draw in 0..m {
        let mut next = vec![0.0; draw + 2];
        for (green, mass) in greens.iter().enumerate() {
            let chance = (25_128 - green) as f64 / (50_257 - draw) as f64;
            next[green + 1] += mass * chance;
            next[green] += mass * (1.0 - chance);
        }
        greens = next;
    }
    greens[k..].iter().sum()
}

/// P(Gamma(n, 1) ≥ x) = P(Poisson(x) < n).
fn poisson_below(n: u32, x: f64) -> f64 {
    let mut ln = -x;
    (0..n)
        .map(|k| {
            let mass = ln.exp();
            ln += (x / f64::from(k + 1)).ln();
            mass
        })
        .sum()
}

/// P(aA + bB ≥ x) for A, B ~ Gamma(n, 1): the midpoint rule over B.
fn two_gammas(x: f64, n: u32, a: f64, b: f64) -> f64 {
    let ln_factorial: f64 = (1..n).map(|k| f64::from(k).ln()).sum();
    let step = 0.02;
    let density = |at: f64| (f64::from(n - 1) * at.ln() - at - ln_factorial).exp();
    let middles = (0..20_000).map(|i| (f64::from(i) + 0.5) * step);
    middles.map(|at| step * density(at) * poisson_below(n, ((x - b * at) / a).max(0.0))).sum()
}
