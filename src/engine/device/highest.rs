//! The highest logits of a row, found on the device.
//!
//! candle sorts a row in the shared memory of one block, so a row is cut into pieces, the k highest of each are kept, and
//! what is kept is cut again. Sorting in blocks is not stable, and rounded logits have many ties; so what is sorted is
//! not the logit l of token t but the f64 number l − t · (|l| · 2⁻⁴⁶ + 2⁻¹⁰⁰⁰), which is another for every token, falls
//! with t among equal logits, and never passes the next lower f32, as t < 2²⁰ changes l by less than a quarter of the
//! distance to it.

use candle_core::{D, DType, Tensor};

use crate::engine::EngineError;
use crate::tokens::TokenId;

/// Least width of a piece: a block has 1,024 threads.
const PIECE: usize = 1024;
/// Most logits that are looked for: twice as many must fit a block's 48 KiB, four bytes each.
pub(super) const MOST: usize = 4096;
/// Tokens beyond which the keys would run into each other.
const MOST_TOKENS: usize = 1 << 20;

/// The highest logits of one row with their tokens, highest first.
pub(super) type Row = Vec<(TokenId, f32)>;

/// Whether [`highest`] can find the `count` highest logits of rows like these.
pub(super) fn applies(logits: &Tensor, count: usize) -> Result<bool, EngineError> {
    let tokens = logits.dim(D::Minus1)?;
    // Metal has no f64. Its memory is the host's, so that a row costs little to copy.
    let wide = !logits.device().is_metal();
    Ok(wide && (1..=MOST).contains(&count) && count < tokens && tokens <= MOST_TOKENS)
}

/// The `count` highest logits of each row of `logits` (rows × V, f32); of equal ones those of lower tokens. `None` for a
/// row that holds NaN or an infinity.
pub(super) fn highest(logits: &Tensor, count: usize) -> Result<Vec<Option<Row>>, EngineError> {
    let faults = logits.affine(0.0, 0.0)?.sum(D::Minus1)?;
    let tokens = search(logits, count)?;
    let values = logits.gather(&tokens, D::Minus1)?;
    let (tokens, values) = (tokens.to_vec2::<u32>()?, values.to_vec2::<f32>()?);
    // Zero times NaN or an infinity is NaN, and so is a sum with it.
    let sound = faults.to_vec1::<f32>()?.into_iter().map(|sum| sum == 0.0);
    let rows = tokens.into_iter().zip(values).zip(sound);
    Ok(rows.map(|((t, v), sound)| sound.then(|| t.into_iter().zip(v).collect())).collect())
}

/// Tokens of the highest logits, rows × count, highest first.
fn search(logits: &Tensor, count: usize) -> Result<Tensor, EngineError> {
    let (rows, width) = logits.dims2()?;
    let piece = (2 * count).next_power_of_two().max(PIECE);
    let every = Tensor::arange(0, width as u32, logits.device())?;
    let mut keys = keys(logits, &every)?;
    let mut tokens = every.reshape((1, width))?.broadcast_as((rows, width))?.contiguous()?;
    while keys.dim(1)? > piece {
        let pieces = keys.dim(1)?.div_ceil(piece);
        let padding = pieces * piece - keys.dim(1)?;
        if padding > 0 {
            let nothing = Tensor::full(f64::NEG_INFINITY, (rows, padding), logits.device())?;
            keys = Tensor::cat(&[keys, nothing], 1)?;
            tokens = tokens.pad_with_zeros(1, 0, padding)?;
        }
        let cut = (rows * pieces, piece);
        let kept = best(&keys.reshape(cut)?, &tokens.reshape(cut)?, count)?;
        keys = kept.0.reshape((rows, pieces * count))?;
        tokens = kept.1.reshape((rows, pieces * count))?;
    }
    Ok(best(&keys, &tokens, count)?.1)
}

/// The `count` highest keys of each row, highest first, and their tokens.
fn best(keys: &Tensor, tokens: &Tensor, count: usize) -> Result<(Tensor, Tensor), EngineError> {
    let order = keys.arg_sort_last_dim(false)?.narrow(1, 0, count)?.contiguous()?;
    Ok((keys.gather(&order, 1)?, tokens.gather(&order, 1)?))
}

fn keys(logits: &Tensor, tokens: &Tensor) -> Result<Tensor, EngineError> {
    let wide = logits.to_dtype(DType::F64)?;
    let step = wide.abs()?.affine(2f64.powi(-46), 2f64.powi(-1000))?;
    let keys = (wide - step.broadcast_mul(&tokens.to_dtype(DType::F64)?)?)?;
    // NaN has no place in an order; its row is given up, but must be sorted without harm.
    Ok(keys.eq(&keys)?.where_cond(&keys, &keys.zeros_like()?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    fn plain(row: &[f32], count: usize) -> Row {
        let mut all: Row = (0..).zip(row.iter().copied()).collect();
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(count);
        all
    }

    fn found(rows: &[Vec<f32>], count: usize) -> Vec<Option<Row>> {
        let flat: Vec<f32> = rows.concat();
        let shape = (rows.len(), rows[0].len());
        let logits = Tensor::from_vec(flat, shape, &Device::Cpu).unwrap();
        assert!(applies(&logits, count).unwrap());
        highest(&logits, count).unwrap()
    }

    fn random(len: usize, seed: u64, levels: f32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..len).map(|_| (next() * levels).round() * (40.0 / levels)).collect()
    }

    #[test]
    fn rows_of_every_width_follow_the_definition() {
        for (width, count) in [
            (37, 5),
            (1024, 1),
            (1025, 50),
            (8192, 600),
            (20_000, 1500),
            (50_257, 50),
            (9000, 4096),
        ] {
            // From all different to a handful of values.
            let rows: Vec<Vec<f32>> =
                [1e7, 300.0, 4.0].iter().map(|&l| random(width, width as u64, l)).collect();
            for (row, found) in rows.iter().zip(found(&rows, count)) {
                assert!(found.unwrap() == plain(row, count), "{width}, {count}");
            }
        }
    }

    #[test]
    fn neighbours_denormals_and_zeros_stay_apart() {
        let mut row = vec![0.0_f32; 3000];
        for (i, value) in row.iter_mut().enumerate() {
            let bits = (i % 7) as u32;
            *value = match i % 5 {
                0 => f32::from_bits(bits),
                1 => -f32::from_bits(bits.max(1)),
                2 => f32::from_bits(2f32.to_bits() - bits),
                3 => f32::from_bits(f32::MAX.to_bits() - bits),
                _ => -f32::from_bits(f32::MAX.to_bits() - bits),
            };
        }
        assert!(found(std::slice::from_ref(&row), 1400)[0].as_ref() == Some(&plain(&row, 1400)));
        let equal = vec![-3.25; MOST_TOKENS];
        assert!(found(std::slice::from_ref(&equal), 9)[0].as_ref() == Some(&plain(&equal, 9)));
    }

    #[test]
    fn rows_that_are_not_numbers_are_given_up() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut rows = vec![random(5000, 3, 50.0), random(5000, 4, 50.0)];
            rows[1][4321] = bad;
            let found = found(&rows, 20);
            assert!(found[0].as_ref() == Some(&plain(&rows[0], 20)) && found[1].is_none());
        }
    }

    #[test]
    fn some_questions_are_left_to_whole_rows() {
        let logits = Tensor::zeros((1, 6000), DType::F32, &Device::Cpu).unwrap();
        for (count, fits) in [(0, false), (1, true), (MOST, true), (MOST + 1, false)] {
            assert_eq!(applies(&logits, count).unwrap(), fits);
        }
        let short = Tensor::zeros((1, 50), DType::F32, &Device::Cpu).unwrap();
        assert!(applies(&short, 49).unwrap() && !applies(&short, 50).unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_row_follows_the_definition(
            width in 60_usize..4000, count in 1_usize..60, levels in 1_u32..2000, seed: u64
        ) {
            let row = random(width, seed, levels as f32);
            prop_assert!(found(std::slice::from_ref(&row), count)[0].as_ref() == Some(&plain(&row, count)));
        }
    }
}
