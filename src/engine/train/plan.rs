//! How a run goes.

use std::ops::Range;

use super::TrainError;
use super::adapter::LowRank;
use crate::tokens::TokenId;

/// Which weights change.
#[derive(Clone, Debug, PartialEq)]
pub enum Tuning {
    /// All.
    Full,
    /// Low-rank adapters on some matrices, merged when the model is saved.
    LowRank(LowRank),
}

/// Steps and learning rate: AdamW (Loshchilov and Hutter 2019) with a linear warm-up and a cosine to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Steps of the whole run.
    pub steps: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps in which it rises from 0.
    pub warmup: u64,
    /// Share of the highest at the end.
    pub last: f64,
    /// β₁ and β₂ of Adam.
    pub betas: [f64; 2],
    /// Decay of matrices; vectors have none.
    pub weight_decay: f64,
    /// Gradients of a greater Euclidean norm are scaled down to it.
    pub clip: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            steps: 200,
            learning_rate: 1e-3,
            warmup: 10,
            last: 0.1,
            betas: [0.9, 0.99],
            weight_decay: 0.0,
            clip: 1.0,
        }
    }
}

impl Plan {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            ("steps", self.steps as f64, self.steps > 0, "at least 1 is needed"),
            ("learning_rate", self.learning_rate, positive(self.learning_rate), "it is above 0"),
            ("last", self.last, (0.0..=1.0).contains(&self.last), "it lies between 0 and 1"),
            ("clip", self.clip, positive(self.clip), "it is above 0"),
            (
                "weight_decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "it is not below 0",
            ),
            (
                "betas",
                self.betas[0],
                self.betas.iter().all(|beta| (0.0..1.0).contains(beta)),
                "both lie between 0 and 1",
            ),
        ];
        match checks.into_iter().find(|(_, _, right, _)| !right) {
            Some((field, got, _, wanted)) => Err(TrainError::Plan { field, got, wanted }),
            None => Ok(()),
        }
    }

    /// Learning rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.learning_rate * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let share = ((step - self.warmup) as f64 / rest).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        self.learning_rate * (self.last + (1.0 - self.last) * cosine)
    }
}

/// A text to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its tokens.
    pub ids: Vec<TokenId>,
    /// Positions whose token is learnt, given those before; the first has none before it and never counts.
    pub scored: Range<usize>,
}

impl Sample {
    /// A text all of which is learnt.
    pub fn whole(ids: Vec<TokenId>) -> Self {
        let scored = 1..ids.len();
        Self { ids, scored }
    }

    /// A prompt and the answer that is learnt.
    pub fn answer(prompt: &[TokenId], answer: &[TokenId]) -> Self {
        let ids = [prompt, answer].concat();
        Self { scored: prompt.len()..ids.len(), ids }
    }

    /// Positions that count.
    pub(super) fn counted(&self) -> Range<usize> {
        self.scored.start.max(1)..self.scored.end.min(self.ids.len())
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps that are done.
    pub step: u64,
    /// Of so many.
    pub steps: u64,
    /// Mean loss of the last batch before its step, nats a scored token.
    pub loss: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let plan = Plan { steps: 110, warmup: 10, last: 0.1, ..Plan::default() };
        assert!((plan.rate(0) - 1e-4).abs() < 1e-12);
        assert!((plan.rate(9) - 1e-3).abs() < 1e-12);
        assert!((plan.rate(60) - 5.5e-4).abs() < 1e-9);
        assert!((plan.rate(110) - 1e-4).abs() < 1e-12);
        let bad = Plan { learning_rate: f64::NAN, ..plan };
        assert!(matches!(bad.check(), Err(TrainError::Plan { field: "learning_rate", .. })));
    }
}
