//! The residual stream in another basis.
//!
//! With gains of normalisation folded into the layers that read the stream, RMS normalisation commutes with every orthogonal Q:
//! embeddings become Qᵀe, what reads the stream W Q, what writes to it Qᵀ W (SliceGPT, Ashkboos et al. 2024, section 3). Q is a
//! product of signs, permutations and Walsh–Hadamard transforms: dense, orthogonal to rounding, and n log n to apply.

use serde_json::Value;

use super::random::Seed;
use super::roles::{Model, Part, Role};
use super::{Change, DeriveError, for_rows, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// Rounds of signs, permutation and transform: after three, every channel depends on every other.
const ROUNDS: usize = 3;
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Qᵀ as a way to turn a vector.
struct Turn {
    rounds: Vec<(Vec<f64>, Vec<usize>)>,
    /// The greatest power of two that fits.
    block: usize,
}

impl Turn {
    fn new(width: usize, seed: Seed) -> Self {
        let round = |number| {
            let mut random = seed.random("rotation", number);
            let signs = (0..width).map(|_| f64::from(random.sign())).collect();
            (signs, random.order(width))
        };
        let block = 1 << width.max(1).ilog2();
        Self { rounds: (0..ROUNDS).map(round).collect(), block }
    }

    fn apply(&self, values: &mut [f32]) {
        let mut now: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        for (signs, order) in &self.rounds {
            now = order.iter().zip(signs).map(|(&from, sign)| sign * now[from]).collect();
            hadamard(&mut now[..self.block]);
            if self.block < now.len() {
                let rest = now.len() - self.block;
                hadamard(&mut now[rest..]);
            }
        }
        values.iter_mut().zip(now).for_each(|(value, now)| *value = now as f32);
    }
}

/// The orthonormal Walsh–Hadamard transform of a power of two of values.
fn hadamard(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (first, second) = pair.split_at_mut(half);
            for (a, b) in first.iter_mut().zip(second) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f64).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
}

pub(super) struct Rotate {
    model: Model,
    turn: Turn,
}

impl Rotate {
    pub(super) fn new(source: &dyn TensorSource, seed: Seed) -> Result<Self, DeriveError> {
        let model = Model::of(source, "rotate")?;
        Ok(Self { turn: Turn::new(model.hidden, seed), model })
    }

    /// The gains in front of what reads the stream.
    fn gain(&self, source: &dyn TensorSource, part: Part) -> Result<Vec<f32>, TensorError> {
        let layer = part.layer;
        match part.role {
            Role::Head => whole(source, "model.norm.weight"),
            Role::Gate | Role::Up => {
                whole(source, &format!("model.layers.{layer}.post_attention_layernorm.weight"))
            }
            _ => whole(source, &format!("model.layers.{layer}.input_layernorm.weight")),
        }
    }

    /// Rows that read the stream: times the gains, then turned.
    fn reads(&self, values: &mut [f32], gain: &[f32]) {
        for_rows(values, self.model.hidden, |_, row| {
            row.iter_mut().zip(gain).for_each(|(value, gain)| *value *= gain);
            self.turn.apply(row);
        });
    }

    /// Columns that write to it.
    fn writes(&self, values: &[f32]) -> Vec<f32> {
        let (hidden, inputs) = (self.model.hidden, values.len() / self.model.hidden);
        let mut columns = transposed(values, inputs);
        for_rows(&mut columns, hidden, |_, column| self.turn.apply(column));
        transposed(&columns, hidden)
    }
}

impl Change for Rotate {
    /// An output layer that was the embedding takes the last gains and becomes a tensor of its own.
    fn tensors(&self, source: &dyn TensorSource) -> Vec<TensorInfo> {
        let mut tensors = source.tensors().to_vec();
        if let (true, Some(embedding)) = (self.model.tied, source.info(EMBEDDING)) {
            tensors.push(TensorInfo { name: HEAD.to_owned(), ..embedding.clone() });
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
        }
        tensors
    }

    fn config(&self, config: &mut Value) {
        config["tie_word_embeddings"] = false.into();
    }

    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let from = if self.model.tied && info.name == HEAD { EMBEDDING } else { &info.name };
        let mut values = whole(source, from)?;
        let Some(part) = self.model.part(&info.name) else { return Ok(values) };
        match part.role {
            Role::AttentionNorm | Role::MlpNorm | Role::FinalNorm => values.fill(1.0),
            Role::QueryNorm | Role::KeyNorm => {}
            Role::Output | Role::Down => return Ok(self.writes(&values)),
            _ if part.bias => {}
            Role::Embedding => {
                for_rows(&mut values, self.model.hidden, |_, row| self.turn.apply(row));
            }
            _ => self.reads(&mut values, &self.gain(source, part)?),
        }
        Ok(values)
    }
}

/// Columns as rows.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}
