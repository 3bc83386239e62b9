//! The run itself.

use std::ops::ControlFlow;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use serde_json::Value;

use super::TrainError;
use super::files;
use super::network::Network;
use super::plan::{Plan, Progress, Sample, Tuning};
use super::shape::Shape;
use crate::engine::config::Config;
use crate::engine::source::Source;
use crate::tokens::TokenId;

/// A model that is being trained.
pub struct Trainer {
    pub(super) network: Network,
    /// Of its `config.json`.
    pub(super) description: Value,
    /// Number format that it is saved in.
    pub(super) dtype: DType,
    plan: Plan,
    variables: Vec<Var>,
    /// Matrices with decay, vectors without.
    optimisers: [AdamW; 2],
    step: u64,
}

impl Trainer {
    /// A model from its files, to be trained further. It is saved in the number format that it came in.
    ///
    /// # Errors
    /// [`TrainError`]: a model that cannot be loaded or has another shape, a GGUF file, a plan out of range.
    pub fn from_model(
        source: &Source<'_>,
        tuning: &Tuning,
        plan: Plan,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let description = files::description(source)?;
        let (config, mut weights) = source.open()?;
        let dtype = weights.float_format();
        if let Tuning::LowRank(low_rank) = tuning
            && low_rank.rank == 0
        {
            return Err(TrainError::Plan {
                field: "rank",
                got: 0.0,
                wanted: "at least 1 is needed",
            });
        }
        let network = Network::load(config, &mut weights, tuning, seed)?;
        Self::new(network, description, dtype, plan)
    }

    /// A new model with random weights, saved as f32.
    ///
    /// # Errors
    /// [`TrainError`]: a shape or a plan out of range.
    pub fn from_nothing(shape: &Shape, plan: Plan, seed: u64) -> Result<Self, TrainError> {
        let description = shape.config();
        let config = Config::parse(description.to_string().as_bytes())?;
        let network = Network::from_nothing(config, seed)?;
        Self::new(network, description, DType::F32, plan)
    }

    fn new(
        network: Network,
        description: Value,
        dtype: DType,
        plan: Plan,
    ) -> Result<Self, TrainError> {
        plan.check()?;
        let variables = network.variables();
        let (matrices, vectors) = variables.iter().cloned().partition(|var| var.rank() > 1);
        let optimiser = |variables: Vec<Var>, weight_decay| {
            let [beta1, beta2] = plan.betas;
            let lr = plan.learning_rate;
            AdamW::new(variables, ParamsAdamW { lr, beta1, beta2, eps: 1e-8, weight_decay })
        };
        let optimisers = [optimiser(matrices, plan.weight_decay)?, optimiser(vectors, 0.0)?];
        Ok(Self { network, description, dtype, plan, variables, optimisers, step: 0 })
    }

    /// Number of weights that change.
    pub fn trained(&self) -> usize {
        self.variables.iter().map(|variable| variable.elem_count()).sum()
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.network.config
    }

    /// Trains to the plan's end, or until `progress` breaks; `batch` gives each step its samples.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn run(
        &mut self,
        batch: &mut dyn FnMut(u64) -> Vec<Sample>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), TrainError> {
        while self.step < self.plan.steps {
            let loss = self.step(&batch(self.step))?;
            let now = Progress { step: self.step, steps: self.plan.steps, loss };
            if progress(now).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// One step: the mean loss in nats a scored token, before it.
    ///
    /// # Errors
    /// [`TrainError::NothingScored`], [`TrainError::TooLong`], [`TrainError::Token`], [`TrainError::Diverged`],
    /// [`TrainError::Candle`].
    pub fn step(&mut self, batch: &[Sample]) -> Result<f64, TrainError> {
        let loss = self.loss_tensor(batch)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(TrainError::Diverged { step: self.step });
        }
        let mut gradients = loss.backward()?;
        self.clip(&mut gradients)?;
        let rate = self.plan.rate(self.step);
        for optimiser in &mut self.optimisers {
            optimiser.set_learning_rate(rate);
            optimiser.step(&gradients)?;
        }
        self.step += 1;
        Ok(value)
    }

    /// Mean loss in nats a scored token.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn loss(&self, batch: &[Sample]) -> Result<f64, TrainError> {
        Ok(f64::from(self.loss_tensor(batch)?.to_scalar::<f32>()?))
    }

    /// Logits at every position of a text.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn logits(&self, ids: &[TokenId]) -> Result<Vec<Vec<f32>>, TrainError> {
        self.check(&Sample::whole(ids.to_vec()))?;
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        Ok(self.network.logits(&self.network.stream(&ids)?)?.to_vec2()?)
    }

    fn check(&self, sample: &Sample) -> Result<(), TrainError> {
        let Config { vocab_size, max_positions, .. } = self.network.config;
        if sample.ids.len() > max_positions {
            return Err(TrainError::TooLong { got: sample.ids.len(), most: max_positions });
        }
        match sample.ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(TrainError::Token { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// Samples are filled up to the longest; what follows a sample's end is seen by nothing that counts.
    fn loss_tensor(&self, batch: &[Sample]) -> Result<Tensor, TrainError> {
        let longest = batch.iter().map(|sample| sample.ids.len()).max().unwrap_or(0);
        let (mut ids, mut rows, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (number, sample) in batch.iter().enumerate() {
            self.check(sample)?;
            for at in sample.counted() {
                rows.push((number * longest + at - 1) as u32);
                targets.push(sample.ids[at]);
            }
            ids.extend_from_slice(&sample.ids);
            ids.resize((number + 1) * longest, 0);
        }
        if rows.is_empty() {
            return Err(TrainError::NothingScored);
        }
        let ids = Tensor::from_vec(ids, (batch.len(), longest), &Device::Cpu)?;
        let rows = Tensor::new(rows, &Device::Cpu)?;
        let stream = self.network.stream(&ids)?.index_select(&rows, 0)?;
        let targets = Tensor::new(targets, &Device::Cpu)?;
        Ok(candle_nn::loss::cross_entropy(&self.network.logits(&stream)?, &targets)?)
    }

    fn clip(&self, gradients: &mut GradStore) -> Result<(), TrainError> {
        let mut square = 0.0;
        for gradient in self.variables.iter().filter_map(|variable| gradients.get(variable)) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let norm = square.sqrt();
        if !norm.is_finite() {
            return Err(TrainError::Diverged { step: self.step });
        }
        if norm <= self.plan.clip {
            return Ok(());
        }
        for variable in &self.variables {
            if let Some(gradient) = gradients.get(variable) {
                let scaled = gradient.affine(self.plan.clip / norm, 0.0)?;
                gradients.insert(variable, scaled);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::train::{LowRank, Trainer};

    /// Each variable's gradient along a direction against the central difference of the loss.
    #[test]
    fn gradients_are_differences_of_the_loss() {
        let shape = Shape { tied: false, ..Shape::tiny(40) };
        let mut base = Trainer::from_nothing(&shape, Plan::default(), 2).unwrap();
        let batch: Vec<Sample> =
            [7, 11].map(|n| Sample::whole((0..24).map(|i| (i * n) % 40).collect())).to_vec();
        for _ in 0..3 {
            base.step(&batch).unwrap();
        }
        let bytes = base.to_safetensors().unwrap();
        let config = base.description.to_string();
        let source = Source::Bytes { config: config.as_bytes(), safetensors: &bytes };
        let low_rank = Tuning::LowRank(LowRank { rank: 3, ..LowRank::default() });
        let mut adapted = Trainer::from_model(&source, &low_rank, Plan::default(), 4).unwrap();
        // At first B is zero, and so is the gradient of A.
        adapted.step(&batch).unwrap();
        for trainer in [base, adapted] {
            let gradients = trainer.loss_tensor(&batch).unwrap().backward().unwrap();
            for variable in &trainer.variables {
                let gradient = gradients.get(variable).unwrap().clone();
                let size = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
                let size = f64::from(size).sqrt();
                let before = variable.as_tensor().copy().unwrap();
                let mut loss = |step: f64| {
                    let moved = (&before + gradient.affine(step / size, 0.0).unwrap()).unwrap();
                    variable.set(&moved).unwrap();
                    trainer.loss(&batch).unwrap()
                };
                let step = 0.02;
                let slope = (loss(step) - loss(-step)) / (2.0 * step);
                variable.set(&before).unwrap();
                let off = (slope - size).abs();
                assert!(off < 0.05 * size + 2e-4, "{:?}: {slope} {size}", variable.dims());
            }
        }
    }
}
