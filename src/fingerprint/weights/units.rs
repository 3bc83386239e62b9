//! Hidden units of one layer and their features.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::WeightsError;
use super::frame::Frame;
use super::matrix::Matrix;
use super::reader::Reader;
use super::roles::Layer;

/// Which units of a pair of layers are looked at, in which order: a keyed random one, the same for both models.
///
/// The first [`common`](Self::common) labels of both lists are the same; the rest are labels that only one model has.
pub(super) struct Units {
    pub reference: Vec<usize>,
    pub suspect: Vec<usize>,
    pub common: usize,
    /// Whether units were left out.
    pub sampled: bool,
}

impl Units {
    /// At most `limit` of the labels that both have, or all labels of both.
    pub fn choose(sizes: [usize; 2], limit: Option<usize>, seed: u64, layer: usize) -> Self {
        let [reference, suspect] = sizes;
        let mut common: Vec<usize> = (0..reference.min(suspect)).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(layer as u64 + 1);
        shuffle(&mut common, &mut random);
        let sampled = limit.is_some_and(|limit| limit < common.len());
        if let Some(limit) = limit.filter(|_| sampled) {
            common.truncate(limit);
        }
        let with_rest = |size: usize| {
            let rest: Range<usize> = if sampled { 0..0 } else { reference.min(suspect)..size };
            common.iter().copied().chain(rest).collect()
        };
        let (reference, suspect) = (with_rest(reference), with_rest(suspect));
        Self { reference, suspect, common: common.len(), sampled }
    }
}

/// Fisher and Yates.
pub(super) fn shuffle<T>(values: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, below(random, last as u64 + 1) as usize);
    }
}

/// A uniform number below `n`, without bias.
pub(super) fn below(random: &mut ChaCha8Rng, n: u64) -> u64 {
    let limit = u64::MAX - u64::MAX % n.max(1);
    loop {
        let drawn = random.next_u64();
        if drawn < limit {
            return drawn % n.max(1);
        }
    }
}

/// Features of units, one matrix a kind; every row has length one or is zero.
pub(super) struct Features {
    /// What units are matched by: the gate, or everything where there is none.
    pub matching: Vec<Matrix>,
    /// What may change its sign together, unit by unit: the ways up and down of a gated layer.
    pub signed: Vec<Matrix>,
}

impl Features {
    /// Features of units of a layer, in the reference's coordinates of the residual stream. The gain before the layer is multiplied
    /// into the gate and the way up, where a copy may have put it. The way down has units as columns, so that all of it must be read:
    /// it is left out where units are `sampled`.
    ///
    /// `None` where the layer has no way up.
    pub fn read(
        reader: &Reader<'_>,
        layer: &Layer,
        units: &[usize],
        sampled: bool,
        frame: &Frame,
        threads: usize,
    ) -> Result<Option<Self>, WeightsError> {
        let Some(up) = &layer.up else { return Ok(None) };
        let gain = reader.gain(layer.mlp_norm.as_ref(), up.inputs)?;
        let into = |part| -> Result<Matrix, WeightsError> {
            let mut rows = reader.outputs(part, units)?;
            if let Some(gain) = &gain {
                rows.scale_columns(gain);
            }
            Ok(finished(rows, frame, threads))
        };
        let mut ways = vec![into(up)?];
        if let Some(down) = layer.down.as_ref().filter(|_| !sampled) {
            ways.push(finished(reader.inputs(down, units)?, frame, threads));
        }
        Ok(Some(match &layer.gate {
            Some(gate) => Self { matching: vec![into(gate)?], signed: ways },
            None => Self { matching: ways, signed: Vec::new() },
        }))
    }
}

impl Features {
    /// Whether these can be compared with another model's; kinds that only one of both has are dropped.
    pub fn meet(&mut self, other: &mut Self) -> bool {
        let kinds = self.signed.len().min(other.signed.len());
        self.signed.truncate(kinds);
        other.signed.truncate(kinds);
        let widths = |features: &Self| -> [Vec<usize>; 2] {
            let of = |parts: &[Matrix]| parts.iter().map(Matrix::columns).collect();
            [of(&features.matching), of(&features.signed)]
        };
        widths(self) == widths(other)
    }
}

fn finished(rows: Matrix, frame: &Frame, threads: usize) -> Matrix {
    let mut rows = frame.apply(rows, threads);
    rows.normalise_rows();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_models_get_the_same_labels_first() {
        let all = Units::choose([5, 8], None, 7, 0);
        assert_eq!((all.common, all.reference.len(), all.suspect.len()), (5, 5, 8));
        assert_eq!(all.reference[..], all.suspect[..5]);
        assert_eq!(all.suspect[5..], [5, 6, 7]);
        let mut sorted = all.reference;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4]);

        let some = Units::choose([100, 80], Some(10), 7, 3);
        assert!(some.sampled && some.reference == some.suspect && some.common == 10);
        assert_ne!(some.reference, Units::choose([100, 80], Some(10), 8, 3).reference);
        assert_ne!(some.reference, Units::choose([100, 80], Some(10), 7, 4).reference);
        assert!(!Units::choose([100, 80], Some(80), 7, 3).sampled);
    }
}
