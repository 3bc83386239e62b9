//! Small Llama-shaped models with random weights.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use touchmark::fingerprint::weights::Memory;

/// How weights begin.
#[derive(Clone, Copy)]
pub enum Beginning {
    Normal,
    Uniform,
    Orthogonal,
    /// Matrices into the residual stream and the gains before them are zero but for a little training.
    Zero,
    /// The same units in all models, in another order and with other signs, and noise.
    Alike,
}

impl Beginning {
    pub const ALL: [Self; 5] =
        [Self::Normal, Self::Uniform, Self::Orthogonal, Self::Zero, Self::Alike];

    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Uniform => "uniform",
            Self::Orthogonal => "orthogonal rows",
            Self::Zero => "zero into the stream",
            Self::Alike => "learnt alike",
        }
    }
}

/// Lengths of a model.
pub struct Shape {
    width: usize,
    units: usize,
    layers: usize,
    tokens: usize,
}

impl Shape {
    pub fn draw(random: &mut ChaCha8Rng) -> Self {
        let mut one_of = |choices: [usize; 3]| choices[(random.next_u64() % 3) as usize];
        Self {
            width: one_of([24, 32, 48]),
            units: one_of([64, 88, 128]),
            layers: one_of([2, 4, 6]),
            tokens: one_of([96, 200, 300]),
        }
    }
}

pub fn normal(random: &mut ChaCha8Rng) -> f32 {
    let mut uniform = || (f64::from(random.next_u32()) + 0.5) / 2f64.powi(32);
    ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32
}

pub fn model(beginning: Beginning, shape: &Shape, seed: u64) -> Memory {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let &Shape { width, units, layers, tokens } = shape;
    let mut model = Memory::new(Some(json!({"model_type": "llama"})));
    let stream = Labels::draw(width, &mut random);
    let embedding = stream.columns(beginning, tokens, 0, &mut random);
    model.put("model.embed_tokens.weight", &[tokens, width], embedding);
    for layer in 0..layers {
        let name = |leaf: &str| format!("model.layers.{layer}.{leaf}.weight");
        for leaf in ["input_layernorm", "post_attention_layernorm"] {
            let zero = matches!(beginning, Beginning::Zero);
            let gain = |random: &mut ChaCha8Rng| f32::from(u8::from(!zero)) + 0.1 * normal(random);
            model.put(&name(leaf), &[width], (0..width).map(|_| gain(&mut random)).collect());
        }
        for leaf in ["q_proj", "k_proj", "v_proj"] {
            let values = matrix(beginning, width, width, &mut random);
            model.put(&name(&format!("self_attn.{leaf}")), &[width, width], values);
        }
        let labels = Labels::draw(units, &mut random);
        let [gate, up, down] = feed_forward(beginning, &labels, width, layer as u64, &mut random);
        model.put(&name("mlp.gate_proj"), &[units, width], gate);
        model.put(&name("mlp.up_proj"), &[units, width], up);
        model.put(&name("mlp.down_proj"), &[width, units], transposed(&down, units));
    }
    model
}

/// An order and signs.
struct Labels {
    order: Vec<usize>,
    signs: Vec<f32>,
}

impl Labels {
    fn draw(n: usize, random: &mut ChaCha8Rng) -> Self {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
        }
        let signs = (0..n).map(|_| if random.next_u32() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        Self { order, signs }
    }

    /// Token rows: columns of a common matrix in this order with these signs, where models are alike.
    fn columns(
        &self,
        beginning: Beginning,
        rows: usize,
        what: u64,
        random: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        let width = self.order.len();
        if !matches!(beginning, Beginning::Alike) {
            return matrix(beginning, rows, width, random);
        }
        let common = common(what, rows * width);
        let value = |at: usize| {
            let (row, column) = (at / width, at % width);
            self.signs[column] * common[row * width + self.order[column]]
        };
        (0..rows * width).map(|at| value(at) + 0.3 * normal(random)).collect()
    }
}

/// What all models that learn alike hold.
fn common(what: u64, count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(1 << 40 | what);
    (0..count).map(|_| normal(&mut random)).collect()
}

/// Gate, up and down, a row a unit.
fn feed_forward(
    beginning: Beginning,
    labels: &Labels,
    width: usize,
    layer: u64,
    random: &mut ChaCha8Rng,
) -> [Vec<f32>; 3] {
    let units = labels.order.len();
    std::array::from_fn(|part| {
        let own = match (beginning, part) {
            (Beginning::Zero, 2) => {
                return (0..units * width).map(|_| 0.01 * normal(random)).collect();
            }
            _ => matrix(beginning, units, width, random),
        };
        if !matches!(beginning, Beginning::Alike) {
            return own;
        }
        let common = common(1 + layer * 3 + part as u64, units * width);
        let value = |at: usize| {
            let (row, column) = (at / width, at % width);
            let sign = if part == 0 { 1.0 } else { labels.signs[row] };
            sign * common[labels.order[row] * width + column] + 0.3 * own[at]
        };
        (0..units * width).map(value).collect()
    })
}

fn matrix(beginning: Beginning, rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut values: Vec<f32> = match beginning {
        Beginning::Uniform => {
            (0..rows * columns).map(|_| random.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
        }
        _ => (0..rows * columns).map(|_| normal(random)).collect(),
    };
    if matches!(beginning, Beginning::Orthogonal) {
        // Gram and Schmidt within each block of as many rows as there are columns.
        values.chunks_mut(columns * columns).for_each(|block| orthogonalise(block, columns));
    }
    values
}

fn orthogonalise(block: &mut [f32], columns: usize) {
    for row in 0..block.len() / columns {
        let (before, rest) = block.split_at_mut(row * columns);
        let own = &mut rest[..columns];
        for other in before.chunks(columns) {
            let along: f32 = own.iter().zip(other).map(|(x, y)| x * y).sum();
            own.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let length = own.iter().map(|x| x * x).sum::<f32>().sqrt();
        own.iter_mut().for_each(|x| *x /= length);
    }
}

fn transposed(rows: &[f32], count: usize) -> Vec<f32> {
    let columns = rows.len() / count;
    (0..rows.len()).map(|at| rows[at % count * columns + at / count]).collect()
}
