//! What was measured.

use serde::{Deserialize, Serialize};

use crate::attribution::Attribution;
use crate::fingerprint::lineup::Row;
use crate::stats::Rate;

use super::plan::Plan;

/// What a run wrote down: its rows and all that they depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// [`Self::SCHEMA`].
    pub schema: u32,
    /// Version of this program.
    pub touchmark: String,
    /// The plan.
    pub plan: Plan,
    /// Models and texts.
    pub made_with: MadeWith,
    /// Where it ran: costs depend on it, and the last digits of what a model expects.
    pub machine: Machine,
    /// The rows.
    pub results: Results,
    /// A line-up that the plan names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineup: Vec<Row>,
    /// Attributions that the plan names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributions: Vec<Attribution>,
}

impl Measured {
    /// Of this form.
    pub const SCHEMA: u32 = 1;
}

/// Models and texts of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWith {
    /// What wrote.
    pub model: Weights,
    /// What judged.
    pub judge: Option<Weights>,
    /// Hash of the tokenizer.
    pub tokenizer: String,
    /// BLAKE3 of the file of human text.
    pub human: String,
    /// Texts in it.
    pub human_texts: usize,
    /// BLAKE3 of the file of prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<String>,
}

/// Which weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// What people call them.
    pub name: String,
    /// BLAKE3.
    pub blake3: String,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system.
    pub os: String,
    /// Kind of processor.
    pub architecture: String,
    /// Its name.
    pub processor: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// Threads that it was told to use.
    pub threads: Option<usize>,
}

/// All rows of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Power, by scheme, sampling, detector, attack, strength and length.
    pub power: Vec<PowerRow>,
    /// Tokens needed.
    pub size: Vec<SizeRow>,
    /// Rates on human text.
    pub calibration: Vec<CalibrationRow>,
    /// Quality; the first of each sampling is of unmarked text.
    pub quality: Vec<QualityRow>,
    /// What can be learned from texts under one key.
    #[serde(default)]
    pub stealing: Vec<StealingRow>,
    /// Seconds.
    pub cost: Vec<CostRow>,
}

/// A share at a level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Nominal false-alarm rate.
    pub fpr: f64,
    /// Share of texts with p at most that, with its 95 % interval.
    pub found: Rate,
}

/// How many marked texts are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerRow {
    /// Scheme.
    pub scheme: String,
    /// Sampling.
    pub sampling: String,
    /// Detector.
    pub detector: String,
    /// Attack; `none` for texts as they are.
    pub attack: String,
    /// Strength as planned.
    pub strength: f64,
    /// Mean of the strengths used, which a budget of similarity makes smaller.
    pub strength_used: f64,
    /// Tokens of each text before the attack.
    pub tokens: usize,
    /// Rates.
    pub levels: Vec<Level>,
    /// Median of log₁₀ p, corrected within the text.
    pub median_log10_p: f64,
    /// Probability that a marked text has a smaller p than a human one of the same length.
    pub auroc: f64,
    /// Mean chrF of what was left with what there was.
    pub similarity: f64,
}

/// How many tokens it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeRow {
    /// Scheme.
    pub scheme: String,
    /// Sampling.
    pub sampling: String,
    /// p to be reached.
    pub p: f64,
    /// Median over texts of the first length with that p; none where fewer than half of them come to it.
    pub median_tokens: Option<usize>,
    /// Share of texts that come to it within the greatest length.
    pub reached: Rate,
}

/// How often human text alarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// Scheme.
    pub scheme: String,
    /// Detector.
    pub detector: String,
    /// Tokens of each text.
    pub tokens: usize,
    /// Rates at the nominal ones.
    pub levels: Vec<Level>,
    /// Whether any rate is above nominal by more than chance: binomial, 0.1 % for all rows together (Bonferroni).
    pub exceeds: bool,
    /// log₁₀ of the p-values at the shares 0.001, 0.002, 0.005, 0.01, …, 0.5: what a plot of them against those shares shows.
    pub quantiles: Vec<(f64, f64)>,
}

/// Of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextMeasures {
    /// Mean loss of the judge, nats a token; perplexity is its exponential.
    pub loss: f64,
    /// Distinct words and pairs and triples of tokens over all of them.
    pub distinct: [f64; 3],
    /// 1 − distinct / all of runs of four tokens (Welleck et al. 2020, seq-rep-4).
    pub repetition: f64,
}

/// What texts are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityRow {
    /// Scheme; `unmarked` for texts without a mark.
    pub scheme: String,
    /// Sampling.
    pub sampling: String,
    /// Tokens of each text.
    pub tokens: usize,
    /// Means over texts.
    pub mean: TextMeasures,
    /// Mean over prompts of the loss of the marked minus that of the unmarked text, and 1.96 standard errors.
    pub loss_difference: Option<(f64, f64)>,
    /// Two-sided permutation p of that difference: signs drawn 9,999 times. Uniform or larger where mark and key leave texts as likely as
    /// they are without.
    pub p_of_difference: Option<f64>,
    /// How far its words are from those of unmarked texts.
    #[serde(default)]
    pub distance: Option<Distance>,
}

/// Of the frequencies of tokens in two sets of texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Jensen–Shannon divergence, 0 to 1.
    pub bits: f64,
    /// Mean of what it is when texts of a prompt change sides at random.
    pub by_chance: f64,
    /// Share of 999 such draws, and itself, that are at least as far: uniform or larger where marks leave texts as likely as they are.
    pub p: f64,
}

/// What somebody learns from texts under one key (Jovanović et al. 2024).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StealingRow {
    /// Scheme.
    pub scheme: String,
    /// Marked texts that he has, and as many unmarked ones.
    pub queries: usize,
    /// Contexts that he knows something of.
    pub contexts: usize,
    /// Of texts that he writes to be taken for marked ones: those that are.
    pub spoofed: Vec<Level>,
    /// Of marked texts of which he drew half the tokens anew, away from what he learned: those that are still found.
    pub scrubbed: Vec<Level>,
    /// The same, drawn anew without what he learned.
    pub rewritten: Vec<Level>,
}

/// How long it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// Scheme; `unmarked` for texts without a mark.
    pub scheme: String,
    /// Sampling.
    pub sampling: String,
    /// Seconds of writing over seconds of writing unmarked text; none where texts were kept of an earlier run.
    pub writing_ratio: Option<f64>,
    /// Tokens written a second, all texts together; none where texts were kept.
    pub written_per_second: Option<f64>,
    /// Tokens scored a second on one core, without tokenising; none for unmarked text.
    pub scored_per_second: Option<f64>,
}
