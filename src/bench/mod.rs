//! The harness: any schemes, settings, lengths, attacks and detectors, measured in the same way.
//!
//! A [`Plan`] names the axes; [`Bench::run`] writes the texts and measures them. Everything is drawn from the plan's seed, and each text
//! has a key of its own, so that rates are averages over keys, as p-values are. What is measured:
//!
//! | family | rows | what |
//! |---|---|---|
//! | power | [`PowerRow`] | share of marked texts found at false-alarm rates fixed in the plan, with Clopper–Pearson intervals; median log₁₀ p; AUROC against human text of the same length; similarity of what an attack left |
//! | size | [`SizeRow`] | tokens until p ≤ 10⁻⁵, median over texts |
//! | calibration | [`CalibrationRow`] | share of human texts at p ≤ level, under a key of its own for each pair |
//! | quality | [`QualityRow`] | loss of a judge model, distance of the frequencies of tokens from those of unmarked texts, distinct n-grams, repetition; what the mark changes, with an interval and permutation tests |
//! | stealing | [`StealingRow`] | share of an attacker's texts that are taken for marked ones, and of marked ones that he scrubs which still are, by the number of marked texts that he has |
//! | cost | [`CostRow`] | seconds a token of writing and of reading |
//!
//! Rows but those of cost are the same on every run of one plan with the same weights on the same kind of machine.

mod calibration;
mod cost;
mod distance;
mod error;
mod plan;
mod power;
mod quality;
mod reading;
mod results;
mod run;
mod stealing;
mod texts;

pub use error::BenchError;
pub use plan::{
    AttackPlan, CalibrationPlan, DetectorPlan, InsertedPlan, NamedSampling, NamedScheme, OtherPlan,
    Plan, PromptsPlan, StealingPlan,
};
pub use results::{
    CalibrationRow, CostRow, Distance, Level, Machine, MadeWith, Measured, PowerRow, QualityRow,
    Results, SizeRow, StealingRow, TextMeasures, Weights,
};
pub use run::{Bench, Condition, Keep};
