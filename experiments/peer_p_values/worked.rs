//! One worked number for each peer's statistic, computed: the table of the manual's page on engines.

use touchmark::stats::{
    LogP, StatsError, binomial_sf_ge, gamma_sf_ge, hypergeometric_sf_ge, maximal_counts_sf_ge,
    two_gamma_sf_ge,
};

use super::statistics::*;

/// One statistic of a tool on one text, beside the exact tail.
pub struct Worked {
    /// The tool, and which of its statistics.
    pub tool: &'static str,
    /// What the text is.
    pub text: String,
    /// The tool's p-value.
    pub theirs: f64,
    /// The exact one.
    pub ours: f64,
    /// What is wrong, or that it is right.
    pub finding: &'static str,
}

/// All of them, in the order of the table.
///
/// # Errors
/// [`StatsError`] never happens for these numbers; it is passed on rather than hidden.
pub fn rows() -> Result<Vec<Worked>, StatsError> {
    Ok([green_lists()?, exponentials()?, others()?].into_iter().flatten().collect())
}

/// The table as the manual has it.
///
/// # Errors
/// As [`rows`].
pub fn table() -> Result<String, StatsError> {
    let mut lines = vec![
        "| tool | a text | it says | exact | finding |".to_owned(),
        "|---|---|---:|---:|---|".to_owned(),
    ];
    for Worked { tool, text, theirs, ours, finding } in rows()? {
        lines.push(format!(
            "| {tool} | {text} | {} | {} | {finding} |",
            short(theirs),
            short(ours)
        ));
    }
    Ok(lines.join("\n") + "\n")
}

/// Three digits: 0.0577, 1.88e-5.
pub fn short(p: f64) -> String {
    if p.is_nan() {
        "none".to_owned()
    } else if p == 0.0 {
        "0".to_owned()
    } else if p < 1e-3 {
        format!("{p:.2e}")
    } else {
        let digits = (2 - p.log10().floor() as i32).max(0) as usize;
        format!("{p:.digits$}")
    }
}

fn green_lists() -> Result<Vec<Worked>, StatsError> {
    let z4 = z_score(24.0, 48.0, 0.25);
    let binomial = binomial_sf_ge(24, 48, 0.25)?.p();
    let text = || format!("24 of 48 tokens green at γ = ¼, z = {z4:.0}");
    let twice = z_score(40.0, 40.0, 0.25);
    let run = greatest_window_z(&[true; 7], 0.25);
    let list = z_score(140.0, 200.0, 0.5);
    let listed = "14 of 20 tokens green at γ = ½, all of them ten times";
    Ok(vec![
        Worked {
            tool: "transformers 5.17.0, `WatermarkDetector`",
            text: text(),
            theirs: transformers_p(z4),
            ours: binomial,
            finding: "not the normal tail, which is itself too small",
        },
        Worked {
            tool: "the same, `ignore_repeated_ngrams=True`",
            text: format!("two pairs of tokens twenty times each, both green: z = {twice:.1}"),
            theirs: transformers_p(twice),
            ours: binomial_sf_ge(2, 2, 0.25)?.p(),
            finding: "the flag does nothing: each occurrence counts",
        },
        Worked {
            tool: "lm-watermarking, `z_score`",
            text: text(),
            theirs: normal_p(z4),
            ours: binomial,
            finding: "normal tail for a skewed count",
        },
        Worked {
            tool: "lm-watermarking, `window_size=\"max\"`",
            text: format!("six green tokens in a row somewhere in 200 at γ = ¼, z = {run:.2}"),
            theirs: normal_p(run),
            ours: run_of_greens(6, 200, 0.25),
            finding: "the greatest of about 20,000 z; the exact value is that of such a run alone, the least it can be",
        },
        Worked {
            tool: "MarkLLM KGW, z",
            text: format!("{listed}: z = {list:.2}"),
            theirs: normal_p(list),
            ours: binomial_sf_ge(14, 20, 0.5)?.p(),
            finding: "repeats counted; normal tail",
        },
        Worked {
            tool: "Unigram-Watermark, `detect`",
            text: format!("{listed}: z = {list:.2}"),
            theirs: normal_p(list),
            ours: hypergeometric_sf_ge(14, 50_257, 25_128, 20)?.p(),
            finding: "one list: a token's colour counts once, however often it is said",
        },
        Worked {
            tool: "Unigram-Watermark, `dynamic_threshold`",
            text: "130 of 200 distinct tokens green of 50,257 at γ = ½".to_owned(),
            theirs: dynamic_threshold_p(z_score(130.0, 200.0, 0.5), 200.0, 50_257.0),
            ours: hypergeometric_sf_ge(130, 50_257, 25_128, 200)?.p(),
            finding: "normal tail without continuity correction",
        },
        Worked {
            tool: "vLLM's pull request 56859, SBW `selfhash`",
            text: format!(
                "14 of 20 tokens green at γ = ½, each in ten new contexts that its seed does not read: z = {list:.2}"
            ),
            theirs: normal_p(list),
            ours: binomial_sf_ge(14, 20, 0.5)?.p(),
            finding: "new contexts taken for new coins; normal tail",
        },
        Worked {
            tool: "three_bricks, `maryland`",
            text: text(),
            theirs: binomial,
            ours: binomial,
            finding: "right, with `--scoring_method v2`",
        },
    ])
}

fn exponentials() -> Result<Vec<Worked>, StatsError> {
    let dual = solve(20.0, |score| vllm_dual_p(score, 20.0, 0.1));
    // Weights 1 and 0.1 on fifty tokens each: 1.1 · ((1−α)A + αB) with α = 1/11.
    let (weights, squares) = (50.0 * 1.1, 50.0 * 1.01);
    let weighted = solve(weights, |score| weighted_gamma_p(score, weights, squares));
    let exact_weighted = two_gamma_sf_ge(weighted / 1.1, 50, 1.0 / 11.0)?.p();
    let hundred = gamma_sf_ge(160.0, 100.0)?.p();
    Ok(vec![
        Worked {
            tool: "vLLM 0.33.0, `gumbel`",
            text: "100 contexts, score 160".to_owned(),
            theirs: gamma_p(160.0, 100.0),
            ours: hundred,
            finding: "right",
        },
        Worked {
            tool: "vLLM 0.33.0, `dual_key_gumbel`",
            text: format!("20 contexts, α = 0.1, score {dual:.2}"),
            theirs: vllm_dual_p(dual, 20.0, 0.1),
            ours: two_gamma_sf_ge(dual, 20, 0.1)?.p(),
            finding: "one gamma law of equal mean and variance; right for α = 0, ½ and 1",
        },
        Worked {
            tool: "SGLang 0.5.23, `combined`",
            text: "100 contexts, score 160".to_owned(),
            theirs: gamma_p(160.0, 100.0),
            ours: hundred,
            finding: "right",
        },
        Worked {
            tool: "SGLang 0.5.23, the best of combined, A and B",
            text: "100 contexts, the best score 160".to_owned(),
            theirs: gamma_p(160.0, 100.0),
            ours: LogP::from_p(hundred)?.times(3.0).p(),
            finding: "three looks, unpaid (exact: Bonferroni's bound)",
        },
        Worked {
            tool: "TextSeal, weighted score",
            text: format!("fifty tokens of weight 1, fifty of 0.1, score {weighted:.2}"),
            theirs: weighted_gamma_p(weighted, weights, squares),
            ours: exact_weighted,
            finding: "one gamma law of equal mean and variance",
        },
        Worked {
            tool: "TextSeal, the lesser of weighted and unweighted",
            text: "100 tokens, the lesser from a score of 160".to_owned(),
            theirs: gamma_p(160.0, 100.0),
            ours: LogP::from_p(hundred)?.times(2.0).p(),
            finding: "two looks, unpaid (exact: Bonferroni's bound)",
        },
        Worked {
            tool: "three_bricks, `openaiz`",
            text: "100 tokens, score 160".to_owned(),
            theirs: openai_z_p(160.0, 100.0),
            ours: hundred,
            finding: "standard deviation π/√6 in place of 1: too large here, so marks are missed",
        },
        Worked {
            tool: "MarkLLM EXP",
            text: "four pairs of context and token with score 8, all of them ten times".to_owned(),
            theirs: gamma_p(80.0, 40.0),
            ours: gamma_sf_ge(8.0, 4.0)?.p(),
            finding: "right law, repeats counted",
        },
    ])
}

fn others() -> Result<Vec<Worked>, StatsError> {
    let dip = dip_z(66.0, 100.0, 0.5);
    let message = z_score(40.0, 100.0, 0.25);
    let mut rows = vec![
        Worked {
            tool: "MarkLLM DiP",
            text: format!("66 of 100 tokens in the upper half, z = {dip:.2}"),
            theirs: dip_bound_p(dip),
            ours: binomial_sf_ge(66, 100, 0.5)?.p(),
            finding: "z lacks 1/√(γ(1−γ)); its threshold of 1.513 is Hoeffding's bound of 1 %: valid, but too large",
        },
        Worked {
            tool: "MPAC, z of the decoded message",
            text: format!(
                "25 tokens at each of four digits, the best colours count 40, z = {message:.2}"
            ),
            theirs: normal_p(message),
            ours: maximal_counts_sf_ge(40, &[25; 4], &[0.25; 4])?.p(),
            finding: "the message was chosen to fit the text",
        },
    ];
    for tokens in [50_u64, 200, 1000] {
        let bits = 30 * tokens;
        // Strictly above 0.52 of them, a whole number for these lengths.
        let above = bits * 52 / 100 + 1;
        rows.push(Worked {
            tool: "SynthID mean score > 0.52 (MarkLLM)",
            text: format!("any unmarked one of {tokens} tokens, 30 layers"),
            theirs: f64::NAN,
            ours: binomial_sf_ge(above, bits, 0.5)?.p(),
            finding: "no p-value: one threshold is another rate at each length",
        });
    }
    Ok(rows)
}

/// The score above `from` of which a tool says one in a million.
fn solve(from: f64, p: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (from, 10.0 * from);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if p(middle) > 1e-6 { low = middle } else { high = middle }
    }
    low
}

/// P(some `length` successive ones of `trials` bits of probability p are set).
pub fn run_of_greens(length: usize, trials: usize, p: f64) -> f64 {
    // By the number of successes at the end, none of them yet enough.
    let mut ending = vec![0.0; length];
    ending[0] = 1.0;
    let mut happened = 0.0;
    for _ in 0..trials {
        let still: f64 = ending.iter().sum();
        happened += ending[length - 1] * p;
        for run in (1..length).rev() {
            ending[run] = ending[run - 1] * p;
        }
        ending[0] = still * (1.0 - p);
    }
    happened
}
