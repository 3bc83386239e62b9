//! Parts of a model's tensors as matrices, read in pieces and checked.

use std::ops::Range;

use crate::lm::TensorSource;

use super::WeightsError;
use super::matrix::Matrix;
use super::roles::{Part, Roles};

/// Numbers that are read at once.
const CHUNK: usize = 1 << 20;

/// A model, and what its tensors are.
pub(super) struct Reader<'a> {
    /// `reference` or `suspect`.
    pub model: &'static str,
    pub source: &'a dyn TensorSource,
    pub roles: Roles,
}

impl<'a> Reader<'a> {
    pub fn new(model: &'static str, source: &'a dyn TensorSource) -> Result<Self, WeightsError> {
        Ok(Self { model, source, roles: Roles::of(model, source)? })
    }

    /// Rows of the part's matrix, outputs × inputs: those of the outputs named, in that order.
    pub fn outputs(&self, part: &Part, wanted: &[usize]) -> Result<Matrix, WeightsError> {
        let at: Vec<usize> = wanted.iter().map(|&output| part.outputs.start + output).collect();
        if part.transposed {
            self.take_columns(&part.tensor, 0..part.inputs, &at)
        } else {
            self.take_rows(&part.tensor, &at, 0..part.inputs)
        }
    }

    /// Columns of the part's matrix as rows: those of the inputs named, in that order.
    pub fn inputs(&self, part: &Part, wanted: &[usize]) -> Result<Matrix, WeightsError> {
        if part.transposed {
            self.take_rows(&part.tensor, wanted, part.outputs.clone())
        } else {
            self.take_columns(&part.tensor, part.outputs.clone(), wanted)
        }
    }

    /// The part's whole matrix, outputs × inputs.
    pub fn whole(&self, part: &Part) -> Result<Matrix, WeightsError> {
        let all: Vec<usize> = (0..part.outputs.len()).collect();
        self.outputs(part, &all)
    }

    /// A gain of the given length, where the model has it; `None` where it has none or one of another length.
    pub fn gain(
        &self,
        name: Option<&String>,
        width: usize,
    ) -> Result<Option<Vec<f32>>, WeightsError> {
        let Some(name) = name else { return Ok(None) };
        let Some(info) = self.source.info(name) else { return Ok(None) };
        if info.shape.iter().product::<usize>() != width {
            return Ok(None);
        }
        let mut gain = Vec::new();
        self.read(name, 0..info.rows(), &mut gain)?;
        if self.roles.gains_less_one {
            gain.iter_mut().for_each(|gain| *gain += 1.0);
        }
        Ok(Some(gain))
    }

    fn take_rows(
        &self,
        tensor: &str,
        wanted: &[usize],
        columns: Range<usize>,
    ) -> Result<Matrix, WeightsError> {
        let mut out = Matrix::zeros(wanted.len(), columns.len());
        let width = self.width(tensor);
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|&slot| wanted[slot]);
        let (mut read, mut first) = (Vec::new(), 0);
        while first < order.len() {
            // As many wanted rows as lie close together.
            let start = wanted[order[first]];
            let mut last = first + 1;
            while last < order.len()
                && near(wanted[order[last - 1]], wanted[order[last]])
                && (wanted[order[last]] - start) * width < CHUNK
            {
                last += 1;
            }
            self.read(tensor, start..wanted[order[last - 1]] + 1, &mut read)?;
            for &slot in &order[first..last] {
                let row = (wanted[slot] - start) * width;
                out.row_mut(slot).copy_from_slice(&read[row + columns.start..row + columns.end]);
            }
            first = last;
        }
        Ok(out)
    }

    fn take_columns(
        &self,
        tensor: &str,
        rows: Range<usize>,
        wanted: &[usize],
    ) -> Result<Matrix, WeightsError> {
        let mut out = Matrix::zeros(wanted.len(), rows.len());
        let width = self.width(tensor);
        let step = (CHUNK / width).clamp(1, 64);
        let mut read = Vec::new();
        for start in rows.clone().step_by(step) {
            let end = (start + step).min(rows.end);
            self.read(tensor, start..end, &mut read)?;
            for (slot, &column) in wanted.iter().enumerate() {
                let target = &mut out.row_mut(slot)[start - rows.start..end - rows.start];
                target
                    .iter_mut()
                    .zip(read.iter().skip(column).step_by(width))
                    .for_each(|(target, &value)| *target = value);
            }
        }
        Ok(out)
    }

    fn width(&self, tensor: &str) -> usize {
        self.source.info(tensor).map_or(1, |info| info.columns().max(1))
    }

    fn read(
        &self,
        tensor: &str,
        rows: Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), WeightsError> {
        let model = self.model;
        let expected = rows.len() * self.width(tensor);
        self.source
            .read(tensor, rows, out)
            .map_err(|source| WeightsError::Tensor { model, source })?;
        let count = out.iter().filter(|value| !value.is_finite()).count();
        if count > 0 {
            return Err(WeightsError::NotFinite { model, tensor: tensor.to_owned(), count });
        }
        // A source that gives fewer numbers than rows has broken its promise; zeros would be an invention.
        if out.len() != expected {
            let shape = self.source.info(tensor).map_or_else(Vec::new, |info| info.shape.clone());
            let wanted = format!("{} numbers came for rows that hold {expected}", out.len());
            return Err(WeightsError::Shape { model, tensor: tensor.to_owned(), shape, wanted });
        }
        Ok(())
    }
}

/// Rows that are read together although some between them are not wanted.
fn near(one: usize, other: usize) -> bool {
    other - one <= 4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::memory::Memory;
    use super::*;

    fn numbers(name: &str, shape: &[usize]) -> Memory {
        let mut memory = Memory::new(Some(json!({})));
        memory.put(name, shape, (0..shape.iter().product()).map(|i: usize| i as f32).collect());
        memory
    }

    #[test]
    fn rows_and_columns_of_both_layouts() {
        let plain = numbers("model.layers.0.mlp.up_proj.weight", &[20, 3]);
        let reader = Reader::new("suspect", &plain).unwrap();
        let part = reader.roles.layers[0].up.clone().unwrap();
        assert_eq!(reader.outputs(&part, &[19, 0]).unwrap().values(), [57., 58., 59., 0., 1., 2.]);
        let columns = reader.inputs(&part, &[2]).unwrap();
        assert_eq!((columns.rows(), columns.row(0)[19]), (1, 59.0));

        let other = numbers("h.0.mlp.c_fc.weight", &[3, 20]);
        let reader = Reader::new("suspect", &other).unwrap();
        let part = reader.roles.layers[0].up.clone().unwrap();
        assert_eq!(reader.outputs(&part, &[1]).unwrap().values(), [1., 21., 41.]);
        assert_eq!(
            reader.whole(&part).unwrap().transposed().values(),
            other.values("h.0.mlp.c_fc.weight").unwrap()
        );
    }

    #[test]
    fn numbers_that_are_none_are_an_error() {
        let mut memory = numbers("model.layers.0.mlp.up_proj.weight", &[20, 3]);
        memory.values_mut("model.layers.0.mlp.up_proj.weight").unwrap()[7] = f32::NAN;
        let reader = Reader::new("suspect", &memory).unwrap();
        let part = reader.roles.layers[0].up.clone().unwrap();
        assert!(reader.outputs(&part, &[0]).is_ok(), "that row is not read");
        let error = reader.whole(&part).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite { count: 1, .. }), "{error}");
    }
}
