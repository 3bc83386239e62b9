//! The Cramér–von Mises distance of a sample from uniformity.

use super::error::{StatsError, probability};

/// ω² = 1/(12n) + Σᵢ ((2i − 1)/(2n) − u₍ᵢ₎)² = n ∫ (Fₙ(x) − x)² dx, from 1/(12n) to n/3 (Anderson & Darling 1952).
///
/// Only sums, products and quotients: the same on every machine.
///
/// # Errors
/// [`StatsError::Empty`]; [`StatsError::NotProbability`] for a value outside [0, 1].
pub fn cramer_von_mises(sample: &[f64]) -> Result<f64, StatsError> {
    if sample.is_empty() {
        return Err(StatsError::Empty { name: "sample" });
    }
    let mut sorted =
        sample.iter().map(|&u| probability("sample", u)).collect::<Result<Vec<_>, _>>()?;
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let square = |(i, u): (usize, &f64)| ((2.0 * i as f64 + 1.0) / (2.0 * n) - u).powi(2);
    Ok(1.0 / (12.0 * n) + sorted.iter().enumerate().map(square).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_and_most_are_as_stated() {
        let middles: Vec<f64> = (0..10).map(|i| (f64::from(i) + 0.5) / 10.0).collect();
        assert!((cramer_von_mises(&middles).unwrap() - 1.0 / 120.0).abs() < 1e-15);
        let most = cramer_von_mises(&[1.0; 10]).unwrap();
        assert!((most - 10.0 / 3.0).abs() < 1e-12, "{most}");
    }

    /// By its integral, n ∫ (Fₙ(x) − x)² dx, of a sample in no order.
    #[test]
    fn it_is_the_area_between_two_functions() {
        let sample = [0.7, 0.1, 0.95, 0.4, 0.1];
        let steps = 1_000_000;
        let square = |step: u32| {
            let x = (f64::from(step) + 0.5) / f64::from(steps);
            let below = sample.iter().filter(|u| **u <= x).count() as f64 / 5.0;
            (below - x).powi(2)
        };
        let area = 5.0 * (0..steps).map(square).sum::<f64>() / f64::from(steps);
        assert!((cramer_von_mises(&sample).unwrap() - area).abs() < 1e-5);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(cramer_von_mises(&[]), Err(StatsError::Empty { name: "sample" }));
        assert!(cramer_von_mises(&[0.2, 1.2]).is_err());
        assert!(cramer_von_mises(&[f64::NAN]).is_err());
    }
}
