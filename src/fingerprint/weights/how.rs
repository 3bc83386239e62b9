//! How a copy was made, once it is known to be one.

use crate::fingerprint::Verdict;
use crate::lm::TensorSource;

use super::forensics::{Forensics, MergeFit, Pair, Shapes, TensorForensics};
use super::frame::Frame;
use super::matrix::Matrix;
use super::reader::Reader;
use super::roles::{Layer, Part};
use super::similarity::Similarity;
use super::units::{Features, Units};
use super::{Comparison, WeightsError};

/// A model that a merge may hold, and its name.
pub type Candidate<'a> = (String, &'a dyn TensorSource);

/// Reads tensor by tensor how the suspect of a comparison was made from the reference; `candidates` are further models that it may be
/// a merge of. Units in another order are put back by their gates. At most one tensor of each model is in memory.
///
/// `None` where the comparison did not show that rows of both stand in one frame, by `row-argmax` or `matched-signs`: differences
/// between tensors would mean nothing.
///
/// # Errors
/// As [`compare`](super::compare).
pub fn how_made(
    reference: &dyn TensorSource,
    suspect: &dyn TensorSource,
    candidates: &[Candidate<'_>],
    comparison: &Comparison,
    threads: usize,
) -> Result<Option<Forensics>, WeightsError> {
    let shown = |test: &str| comparison.verdict_of(test) == Some(Verdict::Related);
    let kept = shown("row-argmax");
    if !kept && !shown("matched-signs") {
        return Ok(None);
    }
    let others = candidates.iter().map(|(_, source)| Reader::new("candidate", *source));
    let names =
        std::iter::once(&comparison.reference).chain(candidates.iter().map(|(name, _)| name));
    let mut tracing = Tracing {
        reference: Reader::new("reference", reference)?,
        suspect: Reader::new("suspect", suspect)?,
        others: others.collect::<Result<_, _>>()?,
        merge: MergeFit::new(names.cloned()),
        tensors: Vec::new(),
        kept,
        threads,
    };
    tracing.run(comparison)?;
    let (a, b) = (&tracing.reference.roles.embedding, &tracing.suspect.roles.embedding);
    let shapes = Shapes {
        layers_reference: comparison.coverage.layers_reference,
        layers_suspect: comparison.coverage.layers_suspect,
        layers: comparison.coverage.layers.clone(),
        vocabulary: a.as_ref().zip(b.as_ref()).map(|(a, b)| (a.outputs.len(), b.outputs.len())),
    };
    let merged = if candidates.is_empty() { None } else { tracing.merge.fit() };
    Ok(Some(Forensics::new(tracing.tensors, &shapes, merged)))
}

/// Where a layer keeps a matrix.
type Place = fn(&Layer) -> Option<&Part>;

/// Matrices whose rows stand in the same order in any copy that is traced.
const FIXED: [Place; 5] = [
    |layer| layer.q.as_ref(),
    |layer| layer.k.as_ref(),
    |layer| layer.v.as_ref(),
    |layer| layer.qkv.as_ref(),
    |layer| layer.o.as_ref(),
];
/// Matrices with a row a hidden unit.
const BY_UNITS: [Place; 2] = [|layer| layer.gate.as_ref(), |layer| layer.up.as_ref()];

struct Tracing<'a> {
    reference: Reader<'a>,
    suspect: Reader<'a>,
    others: Vec<Reader<'a>>,
    merge: MergeFit,
    tensors: Vec<TensorForensics>,
    /// Whether hidden units kept their order.
    kept: bool,
    threads: usize,
}

impl Tracing<'_> {
    fn run(&mut self, comparison: &Comparison) -> Result<(), WeightsError> {
        self.embeddings()?;
        for &pair in &comparison.coverage.layers {
            for place in FIXED {
                self.whole(pair, place)?;
            }
            self.gains(pair)?;
            if self.kept {
                for place in BY_UNITS {
                    self.whole(pair, place)?;
                }
                self.whole(pair, |layer| layer.down.as_ref())?;
            } else {
                self.reordered(pair)?;
            }
        }
        Ok(())
    }

    /// Rows of tokens that both have.
    fn embeddings(&mut self) -> Result<(), WeightsError> {
        let parts = |reader: &Reader<'_>| {
            [reader.roles.embedding.clone(), reader.roles.unembedding.clone()]
        };
        for (at, (ours, theirs)) in
            parts(&self.reference).into_iter().zip(parts(&self.suspect)).enumerate()
        {
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            let tokens: Vec<usize> = (0..ours.outputs.len().min(theirs.outputs.len())).collect();
            let one = self.reference.outputs(&ours, &tokens)?;
            let other = self.suspect.outputs(&theirs, &tokens)?;
            let others = self.others.iter().map(|reader| {
                let part = parts(reader)[at].clone();
                let part = part.filter(|part| part.outputs.len() >= tokens.len());
                part.map(|part| reader.outputs(&part, &tokens)).transpose()
            });
            let others = others.collect::<Result<Vec<_>, _>>()?;
            self.look(&ours.tensor, &one, &other, others);
        }
        Ok(())
    }

    fn whole(&mut self, (a, b): (usize, usize), place: Place) -> Result<(), WeightsError> {
        let (Some(ours), Some(theirs)) =
            (place(&self.reference.roles.layers[a]), place(&self.suspect.roles.layers[b]))
        else {
            return Ok(());
        };
        let (one, other) = (self.reference.whole(ours)?, self.suspect.whole(theirs)?);
        let others = self.others.iter().map(|reader| {
            let part = reader.roles.layers.get(a).and_then(place);
            part.map(|part| reader.whole(part)).transpose()
        });
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let name = ours.tensor.clone();
        self.look(&name, &one, &other, others);
        Ok(())
    }

    fn gains(&mut self, (a, b): (usize, usize)) -> Result<(), WeightsError> {
        let of = |layer: &Layer| [layer.attention_norm.clone(), layer.mlp_norm.clone()];
        let (ours, theirs) =
            (of(&self.reference.roles.layers[a]), of(&self.suspect.roles.layers[b]));
        let Some(width) = self.reference.roles.width() else { return Ok(()) };
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let (Some(one), Some(other)) = (
                self.reference.gain(ours.as_ref(), width)?,
                self.suspect.gain(theirs.as_ref(), width)?,
            ) else {
                continue;
            };
            let name = ours.clone().unwrap_or_default();
            self.look(&name, &Matrix::new(width, one), &Matrix::new(width, other), Vec::new());
        }
        Ok(())
    }

    /// Hidden units that are each other's best match by their gates. Candidates of a merge have another order and are left out.
    fn reordered(&mut self, (a, b): (usize, usize)) -> Result<(), WeightsError> {
        let (ours, theirs) =
            (self.reference.roles.layers[a].clone(), self.suspect.roles.layers[b].clone());
        let (Some(one), Some(other)) = (&ours.gate, &theirs.gate) else { return Ok(()) };
        let units = Units::choose([one.outputs.len(), other.outputs.len()], None, 0, a);
        let read = |reader, layer, labels: &[usize]| {
            Features::read(reader, layer, labels, false, &Frame::Stored, self.threads)
        };
        let (Some(mut x), Some(mut y)) = (
            read(&self.reference, &ours, &units.reference)?,
            read(&self.suspect, &theirs, &units.suspect)?,
        ) else {
            return Ok(());
        };
        if !x.meet(&mut y) {
            return Ok(());
        }
        let mut pairs: Vec<(usize, usize)> = Similarity::of(&x, &y, units.common, self.threads)
            .pairs
            .iter()
            .map(|&(i, j)| (units.reference[i], units.suspect[j]))
            .collect();
        pairs.sort_unstable();
        let (rows, partners): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
        for place in BY_UNITS {
            if let (Some(ours), Some(theirs)) = (place(&ours), place(&theirs)) {
                let one = self.reference.outputs(ours, &rows)?;
                let other = self.suspect.outputs(theirs, &partners)?;
                self.look(&ours.tensor, &one, &other, Vec::new());
            }
        }
        if let (Some(ours), Some(theirs)) = (&ours.down, &theirs.down) {
            let one = self.reference.inputs(ours, &rows)?;
            let other = self.suspect.inputs(theirs, &partners)?;
            self.look(&ours.tensor, &one, &other, Vec::new());
        }
        Ok(())
    }

    /// Looks at one tensor of both; matrices of candidates count where all of them have one of that shape.
    fn look(&mut self, name: &str, one: &Matrix, other: &Matrix, others: Vec<Option<Matrix>>) {
        if (one.rows(), one.columns()) != (other.rows(), other.columns()) {
            return;
        }
        let pair =
            Pair { reference: one.values(), suspect: other.values(), columns: one.columns() };
        self.tensors.push(TensorForensics::of(name, pair, self.threads));
        let fitting: Vec<&Matrix> = others
            .iter()
            .flatten()
            .filter(|third| (third.rows(), third.columns()) == (one.rows(), one.columns()))
            .collect();
        if !fitting.is_empty() && fitting.len() == self.others.len() {
            let models: Vec<&[f32]> =
                std::iter::once(one).chain(fitting).map(Matrix::values).collect();
            self.merge.add(&models, other.values());
        }
    }
}
