//! Channels of values, within heads.
//!
//! Values are not turned by positions, so a head's channels are as exchangeable as hidden units: their order, and their signs together
//! with those of the output's columns, change nothing. Orders are drawn head by head; whole heads move together. So a stratum here is a
//! pair of heads, and heads are paired by what no order and no sign of channels changes.

use super::WeightsError;
use super::frame::Frame;
use super::matrix::Matrix;
use super::product::product;
use super::reader::Reader;

/// Channels that kept their place, over all pairs of heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// Channels i of a head whose nearest channel in the other, signs apart, has number i too.
    pub hits: u64,
    /// Pairs of heads.
    pub heads: u64,
    /// Channels compared.
    pub channels: u64,
}

impl Channels {
    /// Adds a pair of layers. Layers without separate values, or of models whose number of heads is not known, add nothing.
    pub fn add(
        &mut self,
        readers: [&Reader<'_>; 2],
        layers: (usize, usize),
        frame: &Frame,
        threads: usize,
    ) -> Result<(), WeightsError> {
        let [reference, suspect] = readers;
        let (Some((ours, a)), Some((theirs, b))) = (
            values(reference, layers.0, &Frame::Stored, threads)?,
            values(suspect, layers.1, frame, threads)?,
        ) else {
            return Ok(());
        };
        if ours.columns() == theirs.columns() {
            self.add_heads(&product(&ours, &theirs, threads), a, b);
        }
        Ok(())
    }

    /// `cosines` of channels, of which every `a` rows and every `b` columns are a head.
    fn add_heads(&mut self, cosines: &Matrix, a: usize, b: usize) {
        let (rows, columns) = (cosines.rows() / a, cosines.columns() / b);
        let mut pairs = Vec::with_capacity(rows * columns);
        for one in 0..rows {
            for other in 0..columns {
                let block = (one * a..(one + 1) * a)
                    .flat_map(|row| &cosines.row(row)[other * b..(other + 1) * b]);
                let alike: f64 = block.map(|&c| f64::from(c) * f64::from(c)).sum();
                pairs.push((alike, one, other));
            }
        }
        pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
        let (mut taken, mut given) = (vec![false; rows], vec![false; columns]);
        for (_, one, other) in pairs {
            if !taken[one] && !given[other] {
                (taken[one], given[other]) = (true, true);
                self.heads += 1;
                self.channels += a.min(b) as u64;
                self.hits += (0..a.min(b))
                    .filter(|&i| keeps(&cosines.row(one * a + i)[other * b..(other + 1) * b], i))
                    .count() as u64;
            }
        }
    }
}

/// Whether the i-th is the greatest alone, signs apart.
fn keeps(cosines: &[f32], i: usize) -> bool {
    let own = cosines[i].abs();
    cosines.iter().enumerate().all(|(j, other)| j == i || own > other.abs())
}

/// Rows of values of length one, with the gain before them, and how many make a head.
fn values(
    reader: &Reader<'_>,
    layer: usize,
    frame: &Frame,
    threads: usize,
) -> Result<Option<(Matrix, usize)>, WeightsError> {
    let layer = &reader.roles.layers[layer];
    let (Some(part), Some(heads)) = (&layer.v, reader.roles.value_heads) else { return Ok(None) };
    let channels = part.outputs.len();
    if !channels.is_multiple_of(heads) {
        return Ok(None);
    }
    let mut rows = reader.whole(part)?;
    if let Some(gain) = reader.gain(layer.attention_norm.as_ref(), part.inputs)? {
        rows.scale_columns(&gain);
    }
    let mut rows = frame.apply(rows, threads);
    rows.normalise_rows();
    Ok(Some((rows, channels / heads)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_paired_before_channels_are_counted() {
        // Heads of two channels: the first of ours is the second of theirs, one channel of it with the other sign; of the other pair
        // the channels changed places.
        let cosines = Matrix::new(
            4,
            vec![
                0.1, 0.0, 0.9, 0.2, //
                0.0, 0.1, 0.1, -0.8, //
                0.2, 0.7, 0.0, 0.1, //
                0.6, 0.1, 0.1, 0.0,
            ],
        );
        let mut channels = Channels::default();
        channels.add_heads(&cosines, 2, 2);
        assert_eq!(channels, Channels { hits: 2, heads: 2, channels: 4 });
        assert!(!keeps(&[0.5, -0.5], 0), "a tie is no hit");
    }
}
