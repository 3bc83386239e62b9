//! The statistics of other tools, written again from what they compute. Each takes counts or scores, never a text: how a
//! tool counts is told where it is called. The p-values are the tools' own, right or wrong.

use std::f64::consts::PI;

use touchmark::stats::{gamma_sf_ge, normal_sf_ge};

/// (G − γT) / √(Tγ(1−γ)) of G green tokens among T: Kirchenbauer et al. 2023, eq. 3. Zero for T = 0.
pub fn z_score(green: f64, trials: f64, gamma: f64) -> f64 {
    if trials == 0.0 {
        return 0.0;
    }
    (green - gamma * trials) / (trials * gamma * (1.0 - gamma)).sqrt()
}

/// P(Z ≥ z), which lm-watermarking, MPAC, Unigram-Watermark and three_bricks' `…z` detectors read off a score.
pub fn normal_p(z: f64) -> f64 {
    normal_sf_ge(z).map_or(1.0, |p| p.p())
}

/// transformers' `WatermarkDetector`: 1 − ½(1 + sign(z)(1 − e^(−2z²/π))), an approximation of the normal tail that is good
/// near its middle. In doubles it is 0 from z = 7.7 on.
pub fn transformers_p(z: f64) -> f64 {
    1.0 - 0.5 * (1.0 + z.signum() * (1.0 - (-2.0 * z * z / PI).exp()))
}

/// lm-watermarking with `window_size="max"`: the greatest z of all windows of 1 to T − 1 positions.
///
/// Counts are kept in 16 bits, so T is at most 32,767.
pub fn greatest_window_z(green: &[bool], gamma: f64) -> f64 {
    let mut sums = vec![0_i16];
    sums.extend(green.iter().scan(0_i16, |sum, &green| {
        *sum += i16::from(green);
        Some(*sum)
    }));
    let z = |size: usize| {
        let ends = sums[size..].iter().zip(&sums);
        let most = ends.map(|(end, start)| end - start).fold(0, i16::max);
        z_score(f64::from(most), size as f64, gamma)
    };
    (1..green.len()).map(z).fold(f64::NEG_INFINITY, f64::max)
}

/// Q(n, S): the tail of the sum of n exponential scores, as vLLM's `gumbel`, SGLang, MarkLLM's EXP and three_bricks' `openai`
/// compute it.
pub fn gamma_p(score: f64, shape: f64) -> f64 {
    if shape == 0.0 { 1.0 } else { gamma_sf_ge(score, shape).map_or(1.0, |p| p.p()) }
}

/// vLLM's `dual_key_gumbel`: for the sum of n scores (1−α)s_A + αs_B one gamma law of equal mean and variance, that is of
/// shape n/v and scale v with v = α² + (1−α)².
pub fn vllm_dual_p(score: f64, n: f64, alpha: f64) -> f64 {
    let v = alpha * alpha + (1.0 - alpha) * (1.0 - alpha);
    gamma_p(score / v, n / v)
}

/// TextSeal's weighted score Σ wᵢsᵢ: one gamma law of equal mean and variance, of shape (Σw)²/Σw² and scale Σw²/Σw.
pub fn weighted_gamma_p(score: f64, weights: f64, squares: f64) -> f64 {
    if weights == 0.0 {
        return 1.0;
    }
    gamma_p(score * weights / squares, weights * weights / squares)
}

/// three_bricks' `openaiz`: the mean score as normal, with the standard deviation π/√6 of a Gumbel variable where that of an
/// exponential one is 1.
pub fn openai_z_p(score: f64, n: f64) -> f64 {
    normal_p((score - n) / (n.sqrt() * PI / 6_f64.sqrt()))
}

/// Unigram-Watermark's `dynamic_threshold`: z of the m distinct tokens against √(1 − (m−1)/(V−1)) times a normal quantile.
pub fn dynamic_threshold_p(z: f64, distinct: f64, vocab_size: f64) -> f64 {
    normal_p(z / (1.0 - (distinct - 1.0) / (vocab_size - 1.0)).sqrt())
}

/// MarkLLM's DiP: (G − (1−γ)T)/√T, which lacks the factor 1/√(γ(1−γ)).
pub fn dip_z(green: f64, trials: f64, gamma: f64) -> f64 {
    if trials == 0.0 { 0.0 } else { (green - (1.0 - gamma) * trials) / trials.sqrt() }
}

/// e^(−2z²), Hoeffding's bound for it, which MarkLLM's threshold of 1.513 comes from (1 %).
pub fn dip_bound_p(z: f64) -> f64 {
    if z <= 0.0 { 1.0 } else { (-2.0 * z * z).exp() }
}
