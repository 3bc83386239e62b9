//! Descriptions for copies whose units were reordered, flipped and turned: what no such change alters.

use crate::fingerprint::{Finding, Null};

use super::WeightsError;
use super::cka::{effective_rank, unbiased_cka};
use super::frame::Frame;
use super::looks::Judge;
use super::matrix::Matrix;
use super::panel::Panel;
use super::product::product;
use super::reader::Reader;
use super::roles::{Layer, Part};
use super::units::Units;

/// The test's name.
pub(super) const EMBEDDINGS: &str = "embedding-alignment";
/// Units of a layer whose Gram matrix is looked at.
const GRAM_UNITS: usize = 512;

/// What is compared, and how.
pub(super) struct Described<'a> {
    pub reference: &'a Reader<'a>,
    pub suspect: &'a Reader<'a>,
    /// Layers that stand against each other.
    pub pairs: &'a [(usize, usize)],
    pub seed: u64,
    pub threads: usize,
}

impl Described<'_> {
    /// Mean over layers of the unbiased CKA of Wᵀ W, for queries and keys, in the frame given. Neither the order nor the sign of units
    /// or heads changes Wᵀ W, and the frame undoes a turn of the residual stream.
    pub fn embedding_alignment(
        &self,
        frame: &Frame,
        panel: Option<&Panel>,
        judge: &Judge,
    ) -> Result<Finding, WeightsError> {
        let (mut values, mut ranks) = (Vec::new(), Vec::new());
        for &(a, b) in self.pairs {
            let (ours, theirs) = (&self.reference.roles.layers[a], &self.suspect.roles.layers[b]);
            for (ours_part, theirs_part) in attention(ours).into_iter().zip(attention(theirs)) {
                let (Some(one), Some(other)) = (ours_part, theirs_part) else { continue };
                let k = self.inner(self.reference, ours, one, &Frame::Stored)?;
                let l = self.inner(self.suspect, theirs, other, frame)?;
                ranks.push((effective_rank(&k) / effective_rank(&l)).ln().abs());
                values.extend(unbiased_cka(k, l));
            }
        }
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let finding = Finding { n: values.len() as u64, ..new(EMBEDDINGS) }
            .with("cka", mean)
            .with("cka_least", values.iter().copied().reduce(f64::min))
            .with("effective_rank_log_ratio_most", ranks.into_iter().reduce(f64::max));
        judged(finding, mean, panel, judge)
    }

    /// Mean over layers of the unbiased CKA of W Wᵀ over units with the same labels, W being the gate, or the way up without one. A
    /// turn of the residual stream does not change W Wᵀ, whatever the tokenizers are.
    pub fn units(&self) -> Result<Finding, WeightsError> {
        let mut values = Vec::new();
        for &(a, b) in self.pairs {
            let (ours, theirs) = (&self.reference.roles.layers[a], &self.suspect.roles.layers[b]);
            let (Some(one), Some(other)) = (first(ours), first(theirs)) else { continue };
            let sizes = [one.outputs.len(), other.outputs.len()];
            let units = Units::choose(sizes, Some(GRAM_UNITS), self.seed, a);
            let common = &units.reference[..units.common];
            let k = self.outer(self.reference, ours, one, common)?;
            let l = self.outer(self.suspect, theirs, other, common)?;
            values.extend(unbiased_cka(k, l));
        }
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        Ok(Finding { n: values.len() as u64, ..new("unit-grams") }
            .with("cka", mean)
            .with("cka_least", values.into_iter().reduce(f64::min)))
    }

    /// Wᵀ W with the gain folded in, in the reference's coordinates.
    fn inner(
        &self,
        reader: &Reader<'_>,
        layer: &Layer,
        part: &Part,
        frame: &Frame,
    ) -> Result<Matrix, WeightsError> {
        let mut rows = reader.whole(part)?;
        if let Some(gain) = reader.gain(layer.attention_norm.as_ref(), part.inputs)? {
            rows.scale_columns(&gain);
        }
        let columns = frame.apply(rows, self.threads).transposed();
        Ok(product(&columns, &columns, self.threads))
    }

    /// W Wᵀ of some units, with the gain folded in.
    fn outer(
        &self,
        reader: &Reader<'_>,
        layer: &Layer,
        part: &Part,
        units: &[usize],
    ) -> Result<Matrix, WeightsError> {
        let mut rows = reader.outputs(part, units)?;
        if let Some(gain) = reader.gain(layer.mlp_norm.as_ref(), part.inputs)? {
            rows.scale_columns(&gain);
        }
        rows.normalise_rows();
        Ok(product(&rows, &rows, self.threads))
    }
}

fn attention(layer: &Layer) -> [Option<&Part>; 3] {
    [layer.q.as_ref(), layer.k.as_ref(), layer.qkv.as_ref()]
}

fn first(layer: &Layer) -> Option<&Part> {
    layer.gate.as_ref().or(layer.up.as_ref())
}

fn new(test: &str) -> Finding {
    Finding::new(
        test,
        Null::Population,
        "An ordinary independent model. A description; no p-value without a panel of independent pairs.",
    )
}

/// With a p-value from the panel, where there is one.
fn judged(
    finding: Finding,
    value: Option<f64>,
    panel: Option<&Panel>,
    judge: &Judge,
) -> Result<Finding, WeightsError> {
    let (Some(value), Some(panel)) = (value, panel) else { return Ok(finding) };
    let p = panel.predictive(value)?;
    let null_text = format!(
        "An ordinary independent pair of models, of which the panel's {} are a sample whose Fisher-transformed values follow a normal \
         law: Student's predictive law, model-based.",
        panel.len()
    );
    let finding = Finding { null_text, ..finding }.with("panel_pairs", panel.len());
    Ok(judge.modelled(finding, p))
}
