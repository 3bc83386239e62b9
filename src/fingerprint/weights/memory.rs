//! Tensors in memory.

use std::ops::Range;

use serde_json::Value;

use crate::lm::{TensorError, TensorInfo, TensorSource};

/// A model whose numbers are all in memory: for experiments and tests.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    config: Option<Value>,
    infos: Vec<TensorInfo>,
    values: Vec<Vec<f32>>,
}

impl Memory {
    /// A model without tensors.
    pub fn new(config: Option<Value>) -> Self {
        Self { config, ..Self::default() }
    }

    /// With one more tensor; one of the same name is replaced. Its values are cut or filled with zeros to the shape's number.
    pub fn put(&mut self, name: &str, shape: &[usize], mut values: Vec<f32>) {
        values.resize(shape.iter().product(), 0.0);
        let info = TensorInfo { name: name.to_owned(), shape: shape.to_vec(), dtype: "F32".into() };
        match self.at(name) {
            Ok(at) => (self.infos[at], self.values[at]) = (info, values),
            Err(at) => {
                self.infos.insert(at, info);
                self.values.insert(at, values);
            }
        }
    }

    /// A tensor's values.
    pub fn values(&self, name: &str) -> Option<&[f32]> {
        self.at(name).ok().map(|at| self.values[at].as_slice())
    }

    /// A tensor's values, to be changed.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        self.at(name).ok().map(|at| self.values[at].as_mut_slice())
    }

    /// The whole of another model.
    ///
    /// # Errors
    /// [`TensorError`] where that cannot be read.
    pub fn copy_of(source: &dyn TensorSource) -> Result<Self, TensorError> {
        let mut copy = Self::new(source.config().cloned());
        for info in source.tensors() {
            let mut values = Vec::new();
            source.read(&info.name, 0..info.rows(), &mut values)?;
            copy.put(&info.name, &info.shape, values);
        }
        Ok(copy)
    }

    /// Tensors of zeros.
    #[cfg(test)]
    pub(super) fn of_zeros(config: Option<Value>, tensors: &[(&str, &[usize])]) -> Self {
        let mut memory = Self::new(config);
        tensors.iter().for_each(|(name, shape)| memory.put(name, shape, Vec::new()));
        memory
    }

    fn at(&self, name: &str) -> Result<usize, usize> {
        self.infos.binary_search_by(|info| info.name.as_str().cmp(name))
    }
}

impl TensorSource for Memory {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    fn read(&self, name: &str, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), TensorError> {
        let at = self.at(name).map_err(|_| TensorError::Unknown(name.to_owned()))?;
        let (info, width) = (&self.infos[at], self.infos[at].columns());
        if rows.end > info.rows() {
            let name = name.to_owned();
            return Err(TensorError::BeyondEnd { name, rows: info.rows(), wanted: rows.end });
        }
        out.clear();
        out.extend_from_slice(&self.values[at][rows.start * width..rows.end * width]);
        Ok(())
    }

    fn raw(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), TensorError> {
        let at = self.at(name).map_err(|_| TensorError::Unknown(name.to_owned()))?;
        self.values[at].iter().for_each(|value| sink(&value.to_le_bytes()));
        Ok(())
    }
}
