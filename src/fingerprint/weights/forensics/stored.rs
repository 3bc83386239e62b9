//! Two models whose units are in the same order, tensor by tensor.

use super::{Forensics, MergeFit, Pair, Shapes, TensorForensics};
use crate::lm::{TensorError, TensorInfo, TensorSource};

impl Forensics {
    /// Compares tensors as they are stored: for suspects whose units were not permuted, scaled or rotated. `called` says what the
    /// suspect, and every candidate of a merge, calls a tensor of the reference; `None` leaves it out. Where only the number of rows
    /// differs, as of embeddings with more tokens, those that both have are compared. Memory: one tensor of each model.
    ///
    /// # Errors
    /// [`TensorError`]: a tensor that cannot be read.
    pub fn of_stored(
        reference: &dyn TensorSource,
        suspect: &dyn TensorSource,
        candidates: &[(&str, &dyn TensorSource)],
        called: &dyn Fn(&str) -> Option<String>,
        shapes: &Shapes,
        threads: usize,
    ) -> Result<Self, TensorError> {
        let names = std::iter::once("reference").chain(candidates.iter().map(|(name, _)| *name));
        let mut fit = MergeFit::new(names);
        let mut tensors = Vec::new();
        for info in reference.tensors() {
            let Some(name) = called(&info.name) else { continue };
            let Some(rows) = suspect.info(&name).and_then(|other| common_rows(info, other)) else {
                continue;
            };
            let (ours, theirs) =
                both(|| read(reference, &info.name, rows), || read(suspect, &name, rows));
            let (ours, theirs) = (ours?, theirs?);
            let pair = Pair { reference: &ours, suspect: &theirs, columns: info.columns() };
            tensors.push(TensorForensics::of(&info.name, pair, threads));
            if !candidates.is_empty() && info.shape.len() > 1 {
                add(&mut fit, candidates, &name, info, (&ours, &theirs), rows)?;
            }
        }
        let merged = if candidates.is_empty() { None } else { fit.fit() };
        Ok(Self::new(tensors, shapes, merged))
    }
}

/// Adds a tensor to the fit, if every candidate has it.
fn add(
    fit: &mut MergeFit,
    candidates: &[(&str, &dyn TensorSource)],
    name: &str,
    info: &TensorInfo,
    (ours, theirs): (&[f32], &[f32]),
    rows: usize,
) -> Result<(), TensorError> {
    let has = |(_, source): &&(&str, &dyn TensorSource)| {
        let rows_there = source.info(name).and_then(|other| common_rows(info, other));
        rows_there.is_some_and(|there| there >= rows)
    };
    if candidates.iter().filter(has).count() < candidates.len() {
        return Ok(());
    }
    let others = candidates
        .iter()
        .map(|(_, source)| read(*source, name, rows))
        .collect::<Result<Vec<_>, _>>()?;
    let models: Vec<&[f32]> =
        std::iter::once(ours).chain(others.iter().map(Vec::as_slice)).collect();
    fit.add(&models, theirs);
    Ok(())
}

/// Rows that both have, if rows are of one shape.
fn common_rows(a: &TensorInfo, b: &TensorInfo) -> Option<usize> {
    let rows_alike = a.shape.len() == b.shape.len() && a.shape.get(1..) == b.shape.get(1..);
    let rows = a.rows().min(b.rows());
    // Vectors of other lengths are other things.
    let alike = rows_alike && rows > 0 && (a.shape.len() > 1 || a.rows() == b.rows());
    alike.then_some(rows)
}

fn read(source: &dyn TensorSource, name: &str, rows: usize) -> Result<Vec<f32>, TensorError> {
    let mut values = Vec::new();
    source.read(name, 0..rows, &mut values)?;
    Ok(values)
}

/// Two things at a time.
fn both<T: Send, U>(first: impl FnOnce() -> T + Send, second: impl FnOnce() -> U) -> (T, U) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        match first.join() {
            Ok(first) => (first, second),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
