//! The highest logits, found where the logits are.

use candle_core::{D, Tensor};

use crate::engine::EngineError;
use crate::engine::slab::Wanted;
use crate::lm::LogitSink;

/// Logits sorted at once: candle sorts a row in the memory of one block of threads.
const PIECE: usize = 1024;

/// Hands rows of logits (rows × V, f32) to the sink: whole, or the highest of them where it says that they may do and
/// only those then leave the device.
pub(super) fn hand_over(
    logits: &Tensor,
    wanted: &[Wanted],
    sink: &mut dyn LogitSink,
) -> Result<(), EngineError> {
    for (row, wanted) in wanted.iter().enumerate() {
        let logits = logits.narrow(0, row, 1)?.flatten_all()?;
        let enough = sink.enough(wanted.chunk).filter(|&enough| 2 * enough <= PIECE);
        if let Some(enough) = enough.filter(|enough| 2 * enough < logits.elem_count())
            && let Some((tokens, values)) = highest(&logits, enough)?
            && sink.highest(wanted.chunk, wanted.position, &tokens, &values)
        {
            continue;
        }
        sink.row(wanted.chunk, wanted.position, &logits.to_vec1::<f32>()?);
    }
    Ok(())
}

/// Places and values.
type Highest = (Vec<u32>, Vec<f32>);

/// The `count` highest values of a row and their places, in order of places; of equal ones those at lower places. Nothing
/// when that cannot be told from the highest alone: equal values at the edge, or one that is not a number.
pub(super) fn highest(row: &Tensor, count: usize) -> Result<Option<Highest>, EngineError> {
    // A sum is NaN when one of its terms is; sorting would hide it, or fail.
    if row.sum_all()?.to_scalar::<f32>()?.is_nan() {
        return Ok(None);
    }
    // One more than asked for shows whether the edge is a tie.
    let keep = count + 1;
    let (mut values, mut places) = (row.clone(), None::<Tensor>);
    while values.elem_count() > PIECE {
        (values, places) = best_of_pieces(&values, places, keep)?;
    }
    let order = values.contiguous()?.arg_sort_last_dim(false)?;
    let order = order.narrow(D::Minus1, 0, keep.min(order.elem_count()))?.contiguous()?;
    let places = match places {
        Some(places) => places.index_select(&order, 0)?,
        None => order.clone(),
    };
    let values = values.index_select(&order, 0)?.to_vec1::<f32>()?;
    if values.len() < keep || values[count - 1] == values[count] {
        return Ok(None);
    }
    let mut best: Vec<(u32, f32)> =
        places.to_vec1::<u32>()?.into_iter().zip(values).take(count).collect();
    best.sort_unstable_by_key(|(place, _)| *place);
    Ok(Some(best.into_iter().unzip()))
}

/// The `keep` highest of each piece, and where they were.
fn best_of_pieces(
    values: &Tensor,
    places: Option<Tensor>,
    keep: usize,
) -> Result<(Tensor, Option<Tensor>), EngineError> {
    let len = values.elem_count();
    let pieces = len.div_ceil(PIECE);
    // The last piece is filled with values below all others, whose places do not exist.
    let filler = Tensor::full(f32::NEG_INFINITY, pieces * PIECE - len, values.device())?;
    let values = Tensor::cat(&[values, &filler], 0)?.reshape((pieces, PIECE))?;
    let order = values.arg_sort_last_dim(false)?.narrow(1, 0, keep)?.contiguous()?;
    let best = values.gather(&order, 1)?.flatten_all()?;
    let firsts = Tensor::arange_step(0u32, (pieces * PIECE) as u32, PIECE as u32, values.device())?;
    let at = order.broadcast_add(&firsts.unsqueeze(1)?)?.flatten_all()?;
    let places = match places {
        None => at,
        Some(places) => {
            let filler = Tensor::full(u32::MAX, pieces * PIECE - len, values.device())?;
            Tensor::cat(&[places, filler], 0)?.index_select(&at, 0)?
        }
    };
    Ok((best, Some(places)))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn plain(row: &[f32], count: usize) -> (Vec<u32>, Vec<f32>) {
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
        order.truncate(count);
        order.sort_unstable();
        let values = order.iter().map(|&place| row[place as usize]).collect();
        (order, values)
    }

    fn noise(len: usize, levels: u64) -> Vec<f32> {
        let mut state = len as u64;
        let mut value = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % levels) as f32 / levels as f32 * 20.0 - 10.0
        };
        (0..len).map(|_| value()).collect()
    }

    #[test]
    fn equals_the_plain_definition_or_nothing() {
        let mut ties = 0;
        for len in [2, 900, 1024, 1025, 5000, 8192, 151_936] {
            for levels in [1 << 30, 5000, 50] {
                let row = noise(len, levels);
                let tensor = Tensor::new(row.as_slice(), &Device::Cpu).unwrap();
                for count in [1, 2, 50, 300, 511] {
                    if 2 * count >= len {
                        continue;
                    }
                    match highest(&tensor, count).unwrap() {
                        Some(found) => {
                            assert_eq!(found, plain(&row, count), "{len} {levels} {count}")
                        }
                        None => ties += 1,
                    }
                }
            }
        }
        assert!((10..80).contains(&ties), "{ties} ties");
        // Without ties there is always an answer.
        let row: Vec<f32> = (0..20_000).map(|i| ((i * 7919) % 20_011) as f32).collect();
        let tensor = Tensor::new(row.as_slice(), &Device::Cpu).unwrap();
        assert_eq!(highest(&tensor, 100).unwrap(), Some(plain(&row, 100)));
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden() {
        for place in [0, 1500, 3999] {
            let mut row = noise(4000, 1 << 30);
            row[place] = f32::NAN;
            let tensor = Tensor::new(row.as_slice(), &Device::Cpu).unwrap();
            assert!(highest(&tensor, 10).unwrap().is_none());
        }
    }
}
