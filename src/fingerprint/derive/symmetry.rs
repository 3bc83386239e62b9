//! Copies that compute the same from other numbers: units permuted, scaled, turned in sign.
//!
//! Every such change moves or multiplies whole rows and columns: what is done to the rows that make a channel is undone in the
//! columns that read it. Gains of RMS normalisation act on each channel alone, so that signs pass through them.

use super::how::How;
use super::random::{Random, Seed};
use super::roles::{Model, Part, Role};
use super::{Change, DeriveError, for_rows, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// What happens to an axis: place i of the copy holds `factor[i]` times what place `from[i]` held.
#[derive(Clone, Default)]
struct Axis {
    from: Option<Vec<usize>>,
    factor: Option<Vec<f32>>,
}

impl Axis {
    fn scaled(factor: Vec<f32>) -> Self {
        Self { from: None, factor: Some(factor) }
    }

    fn moved(from: Vec<usize>) -> Self {
        Self { from: Some(from), factor: None }
    }

    /// What undoes the factors of the other side.
    fn inverse(mut self) -> Self {
        self.factor.iter_mut().flatten().for_each(|factor| *factor = 1.0 / *factor);
        self
    }

    /// Factors of two changes of one axis.
    fn and(self, other: Self) -> Self {
        let factor = match (self.factor, other.factor) {
            (Some(mut a), Some(b)) => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a *= b);
                Some(a)
            }
            (a, b) => a.or(b),
        };
        Self { from: self.from.or(other.from), factor }
    }

    fn apply(&self, values: &mut [f32]) {
        if let Some(from) = &self.from {
            let before = values.to_vec();
            values.iter_mut().zip(from).for_each(|(value, &from)| *value = before[from]);
        }
        if let Some(factor) = &self.factor {
            values.iter_mut().zip(factor).for_each(|(value, factor)| *value *= factor);
        }
    }
}

pub(super) struct Symmetry {
    model: Model,
    how: How,
    seed: Seed,
}

impl Symmetry {
    pub(super) fn new(
        how: &How,
        source: &dyn TensorSource,
        seed: Seed,
    ) -> Result<Self, DeriveError> {
        Ok(Self { model: Model::of(source, &how.to_string())?, how: how.clone(), seed })
    }

    /// What happens to the rows and to the columns of a part.
    fn axes(&self, part: Part) -> (Axis, Axis) {
        let random = |label: &str| self.seed.random(label, part.layer);
        match self.how {
            How::Permute => self.permuted_units(part, random("units")),
            How::PermuteHeads => self.permuted_heads(part, random("heads")),
            How::Rescale => self.rescaled(part),
            _ => self.signed(part),
        }
    }

    fn permuted_units(&self, part: Part, mut random: Random) -> (Axis, Axis) {
        let mut units = || Axis::moved(random.order(self.model.inner));
        match part.role {
            Role::Gate | Role::Up => (units(), Axis::default()),
            Role::Down if !part.bias => (Axis::default(), units()),
            _ => Default::default(),
        }
    }

    fn permuted_heads(&self, part: Part, mut random: Random) -> (Axis, Axis) {
        let Model { heads, kv_heads, head_dim, .. } = self.model;
        let groups = random.order(kv_heads);
        let each = heads / kv_heads;
        let queries: Vec<usize> = groups
            .iter()
            .flat_map(|&group| random.order(each).into_iter().map(move |head| group * each + head))
            .collect();
        let channels = |heads: &[usize]| {
            let channel =
                |&head: &usize| (0..head_dim).map(move |channel| head * head_dim + channel);
            Axis::moved(heads.iter().flat_map(channel).collect())
        };
        match part.role {
            Role::Query => (channels(&queries), Axis::default()),
            Role::Key | Role::Value => (channels(&groups), Axis::default()),
            Role::Output if !part.bias => (Axis::default(), channels(&queries)),
            _ => Default::default(),
        }
    }

    fn rescaled(&self, part: Part) -> (Axis, Axis) {
        let factor = |random: &mut Random| (4.0 * random.uniform() - 2.0).exp2() as f32;
        let (rows, columns) = self.channels(part, &factor);
        // A gain is scaled, and what reads the normalised stream undoes it.
        let gain = |norm: Role| {
            let label = format!("{norm:?}");
            Axis::scaled(self.factors(&label, part.layer, self.model.hidden, &factor))
        };
        match part.role {
            Role::AttentionNorm | Role::MlpNorm => (gain(part.role), Axis::default()),
            Role::FinalNorm if !self.model.tied => (gain(Role::FinalNorm), Axis::default()),
            _ if part.bias => (rows, columns),
            Role::Query | Role::Key | Role::Value => {
                (rows, columns.and(gain(Role::AttentionNorm).inverse()))
            }
            Role::Gate | Role::Up => (rows, columns.and(gain(Role::MlpNorm).inverse())),
            Role::Head => (rows, columns.and(gain(Role::FinalNorm).inverse())),
            _ => (rows, columns),
        }
    }

    fn signed(&self, part: Part) -> (Axis, Axis) {
        let (rows, columns) = self.channels(part, &Random::sign);
        // One residual stream for all layers.
        let stream = || Axis::scaled(self.factors("stream", 0, self.model.hidden, &Random::sign));
        match part.role {
            Role::Output | Role::Down => (rows.and(stream()), columns),
            _ if part.bias => (rows, columns),
            Role::Embedding | Role::Head | Role::Query | Role::Key => (rows, stream()),
            Role::Value | Role::Gate | Role::Up => (rows, columns.and(stream())),
            _ => (rows, columns),
        }
    }

    /// Factors of the hidden units between up and down, and of the channels between values and output.
    fn channels(&self, part: Part, draw: &dyn Fn(&mut Random) -> f32) -> (Axis, Axis) {
        let Model { inner, heads, kv_heads, head_dim, .. } = self.model;
        let units = || Axis::scaled(self.factors("units", part.layer, inner, draw));
        let values = || self.factors("values", part.layer, kv_heads * head_dim, draw);
        match part.role {
            Role::Up => (units(), Axis::default()),
            Role::Down if !part.bias => (Axis::default(), units().inverse()),
            Role::Value => (Axis::scaled(values()), Axis::default()),
            Role::Output if !part.bias => {
                let values = values();
                let of_head = |head: usize| {
                    values[self.model.group(head) * head_dim..][..head_dim].iter().copied()
                };
                let factors = (0..heads).flat_map(of_head).collect();
                (Axis::default(), Axis::scaled(factors).inverse())
            }
            _ => Default::default(),
        }
    }

    fn factors(
        &self,
        label: &str,
        layer: usize,
        count: usize,
        draw: &dyn Fn(&mut Random) -> f32,
    ) -> Vec<f32> {
        let mut random = self.seed.random(label, layer);
        (0..count).map(|_| draw(&mut random)).collect()
    }
}

impl Change for Symmetry {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut values = whole(source, &info.name)?;
        let Some(part) = self.model.part(&info.name) else { return Ok(values) };
        let (rows, columns) = self.axes(part);
        let width = info.columns();
        if let Some(from) = &rows.from {
            let before = std::mem::take(&mut values);
            let moved = from.iter().flat_map(|&row| &before[row * width..][..width]);
            values = moved.copied().collect();
        }
        for_rows(&mut values, width, |row, values| {
            columns.apply(values);
            if let Some(factor) = &rows.factor {
                values.iter_mut().for_each(|value| *value *= factor[row]);
            }
        });
        Ok(values)
    }
}
