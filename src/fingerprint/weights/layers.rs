//! Which layer of the suspect stands against which of the reference.
//!
//! Models of the same depth are compared layer by layer. Where layers were dropped or added, the order-keeping assignment is taken
//! whose attention parts are most alike in scale. Only queries, keys and values are looked at, never the hidden units that are
//! tested: given attention, the order and the signs of hidden units are as free as before, so that the choice costs nothing.

use super::WeightsError;
use super::reader::Reader;
use super::roles::{Layer, Part};

/// Quantiles of row lengths that describe a matrix.
const QUANTILES: usize = 9;

/// Pairs of layers, reference then suspect, both ascending.
pub(super) fn align(
    reference: &Reader<'_>,
    suspect: &Reader<'_>,
) -> Result<Vec<(usize, usize)>, WeightsError> {
    let (a, b) = (reference.roles.layers.len(), suspect.roles.layers.len());
    if a == b {
        return Ok((0..a).map(|layer| (layer, layer)).collect());
    }
    let (ours, theirs) = (signatures(reference)?, signatures(suspect)?);
    Ok(if a > b {
        assign(&theirs, &ours)
            .into_iter()
            .map(|(suspect, reference)| (reference, suspect))
            .collect()
    } else {
        assign(&ours, &theirs)
    })
}

/// A layer's description: logarithms of quantiles of row lengths, for each attention matrix that it has.
type Signature = Vec<f64>;

fn signatures(reader: &Reader<'_>) -> Result<Vec<Signature>, WeightsError> {
    reader.roles.layers.iter().map(|layer| signature(reader, layer)).collect()
}

fn signature(reader: &Reader<'_>, layer: &Layer) -> Result<Signature, WeightsError> {
    let parts: Vec<&Part> =
        [&layer.q, &layer.k, &layer.v, &layer.qkv].into_iter().flatten().collect();
    let mut all = Vec::with_capacity(QUANTILES * parts.len());
    for part in parts {
        let mut matrix = reader.whole(part)?;
        if let Some(gain) = reader.gain(layer.attention_norm.as_ref(), part.inputs)? {
            matrix.scale_columns(&gain);
        }
        let mut lengths: Vec<f64> = (0..matrix.rows())
            .map(|row| matrix.row(row).iter().map(|&v| f64::from(v) * f64::from(v)).sum())
            .collect();
        lengths.sort_unstable_by(f64::total_cmp);
        let last = lengths.len() - 1;
        all.extend(
            (0..QUANTILES).map(|q| (lengths[q * last / (QUANTILES - 1)] + 1e-30).sqrt().ln()),
        );
    }
    Ok(all)
}

/// The cheapest assignment of every one of `few` to one of `many` that keeps the order: a shortest path.
fn assign(few: &[Signature], many: &[Signature]) -> Vec<(usize, usize)> {
    let spare = many.len() - few.len();
    // costs[i][s]: the least cost of the first i, with s of the many passed over.
    let mut costs = vec![vec![f64::INFINITY; spare + 1]; few.len() + 1];
    costs[0].fill(0.0);
    for i in 0..few.len() {
        for s in 0..=spare {
            let take = costs[i][s] + distance(&few[i], &many[i + s]);
            let skip = if s > 0 { costs[i + 1][s - 1] } else { f64::INFINITY };
            costs[i + 1][s] = take.min(skip);
        }
    }
    let (mut i, mut s) = (few.len(), spare);
    let mut pairs = Vec::with_capacity(few.len());
    while i > 0 {
        if s > 0 && costs[i][s - 1] <= costs[i][s] {
            s -= 1;
        } else {
            i -= 1;
            pairs.push((i, i + s));
        }
    }
    pairs.reverse();
    pairs
}

/// Mean absolute difference; layers of other kinds are far apart.
fn distance(one: &Signature, other: &Signature) -> f64 {
    if one.len() != other.len() {
        return 1e3;
    }
    let sum: f64 = one.iter().zip(other).map(|(x, y)| (x - y).abs()).sum();
    sum / one.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_layers_are_found() {
        let layer = |x: f64| vec![x, 2.0 * x, x - 1.0];
        let many: Vec<Signature> = [0.0, 5.0, 1.0, 7.0, 3.0, 9.0].into_iter().map(layer).collect();
        let kept = [0usize, 2, 3, 5];
        let few: Vec<Signature> =
            kept.iter().map(|&at| many[at].iter().map(|x| x + 0.01).collect()).collect();
        let pairs = assign(&few, &many);
        assert_eq!(pairs, kept.iter().copied().enumerate().collect::<Vec<_>>());
        assert_eq!(assign(&many, &many), (0..6).map(|i| (i, i)).collect::<Vec<_>>());
        assert_eq!(assign(&[], &many), []);
    }
}
