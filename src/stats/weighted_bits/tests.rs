use proptest::prelude::*;

use super::*;

/// Weights that fall linearly from 10 to 1 over m layers, times (m−1).
fn linear(m: u64) -> Vec<u64> {
    (0..m).map(|l| 10 * (m - 1) - 9 * l).collect()
}

fn agrees(got: f64, truth: f64) -> bool {
    (got / truth - 1.0).abs() < 1e-9
}

/// All 2^(n m) outcomes, by mass on the lattice.
fn counted(s: u64, weights: &[u64], n: u64) -> f64 {
    let mut ways = vec![1u128];
    for w in weights.iter().flat_map(|&w| std::iter::repeat_n(w as usize, n as usize)) {
        let mut next = ways.clone();
        next.resize(ways.len() + w, 0);
        ways.iter().enumerate().for_each(|(i, c)| next[i + w] += c);
        ways = next;
    }
    let at_least: u128 = ways.iter().skip(s as usize).sum();
    at_least as f64 / 2f64.powi((weights.len() as u64 * n) as i32)
}

#[test]
fn edges_are_defined() {
    let law = WeightedBits::from_integers(&[3, 2]).unwrap();
    assert_eq!(law.sf_ge(0.0, 5), Ok(LogP::ONE));
    assert_eq!(law.sf_ge(-3.0, 5), Ok(LogP::ONE));
    assert_eq!(law.sf_ge(26.0, 5), Ok(LogP::ZERO));
    assert_eq!(law.sf_ge(f64::INFINITY, 5), Ok(LogP::ZERO));
    assert_eq!(law.sf_ge(1.0, 0), Ok(LogP::ZERO));
    assert_eq!(law.sf_ge(0.0, 0), Ok(LogP::ONE));
    assert!(law.sf_ge(f64::NAN, 5).is_err());
    assert!((law.sf_ge(25.0, 5).unwrap().log10() / (10.0 * 0.5f64.log10()) - 1.0).abs() < 1e-14);
    assert_eq!(WeightedBits::from_integers(&[0, 0]).unwrap_err(), StatsError::NoWeight);
    assert_eq!(WeightedBits::new(&[]).unwrap_err(), StatsError::NoWeight);
    assert!(matches!(WeightedBits::new(&[1.0, -1.0]), Err(StatsError::BadWeight { index: 1, .. })));
    assert!(WeightedBits::new(&[f64::NAN]).is_err());
}

#[test]
fn equal_weights_are_binomial() {
    let law = WeightedBits::from_integers(&[7; 12]).unwrap();
    for k in [1, 500, 601, 1100] {
        assert_eq!(law.sf_ge(7.0 * k as f64, 100), binomial_sf_ge(k, 1200, 0.5));
    }
}

/// The inversion against the definition, where the inversion would not be chosen too: few tokens, both flanks, next to the maximum,
/// and weights with secondary peaks.
#[test]
fn inversion_matches_convolution() {
    for (weights, tokens) in [
        (linear(5), vec![1, 2, 5, 20, 60]),
        (linear(9), vec![1, 3, 20]),
        (linear(30), vec![1, 2, 5]),
        (vec![9, 16, 23, 37], vec![2, 10, 50]),
        (vec![1, 1000], vec![3, 30]),
        (vec![100, 101, 1], vec![1, 7, 40]),
    ] {
        let inversion = Inversion::new(&weights);
        let total: u64 = weights.iter().sum();
        for n in tokens {
            let top = n * total;
            let direct = Convolution::new(&weights, n);
            for part in 1..40 {
                let s = top / 2 + 1 + part * (top / 2 - 1) / 40;
                if s + weights.iter().min().unwrap() > top {
                    continue;
                }
                let truth = direct.ln_sf(s);
                match inversion.ln_sf(u128::from(s), n) {
                    Ok(got) => {
                        assert!(agrees(got, truth), "{weights:?} n {n} s {s}: {got} {truth}")
                    }
                    Err(e) => panic!("{weights:?} n {n} s {s}: {e}"),
                }
            }
        }
    }
}

#[test]
fn linear_real_weights_are_found_to_be_a_lattice() {
    let sum: f64 = linear(30).iter().sum::<u64>() as f64;
    let reals: Vec<f64> = linear(30).iter().map(|&w| 30.0 * w as f64 / sum).collect();
    let (real, whole) =
        (WeightedBits::new(&reals).unwrap(), WeightedBits::from_integers(&linear(30)).unwrap());
    assert!(real.slack(1000) < 1e-6);
    for s in [2_400_000.0, 2_500_000.0, 3_000_000.0] {
        assert_eq!(real.sf_ge(30.0 * s / sum, 1000), whole.sf_ge(s, 1000));
    }
}

/// Over many tokens the worst case of rounding is two deviations; the bound must not pay it.
#[test]
fn rounding_costs_little_over_many_tokens() {
    let reals: Vec<f64> = (0..30).map(|l| 1.0 / (1.0 + f64::from(l)).sqrt()).collect();
    let law = WeightedBits::new(&reals).unwrap();
    let n = 1_000_000;
    let sd = 0.5 * (n as f64 * reals.iter().map(|w| w * w).sum::<f64>()).sqrt();
    assert!(law.slack(n) > sd);
    for z in [3.0, 6.0, 40.0] {
        let p = law.sf_ge(0.5 * n as f64 * reals.iter().sum::<f64>() + z * sd, n).unwrap();
        let normal = crate::stats::normal_sf_ge(z).unwrap();
        assert!(p.log10() / normal.log10() > 0.99, "{z}: {p} {normal}");
    }
}

proptest! {
    #[test]
    fn matches_counting(weights in prop::collection::vec(0u64..40, 1..5), n in 1u64..8, at in 0.0f64..1.1) {
        prop_assume!(weights.iter().any(|&w| w > 0));
        let s = (at * (n * weights.iter().sum::<u64>()) as f64) as u64;
        let got = WeightedBits::from_integers(&weights).unwrap().sf_ge(s as f64, n).unwrap().p();
        let truth = counted(s, &weights, n);
        prop_assert!((got - truth).abs() <= 1e-11 * truth, "{got} {truth}");
    }

    #[test]
    fn falls_with_s_and_mirrors(n in 50u64..3000, at in 0.3f64..0.7) {
        let law = WeightedBits::from_integers(&linear(30)).unwrap();
        let top = n * linear(30).iter().sum::<u64>();
        let s = (at * top as f64) as u64;
        let (ge, gt) = (law.sf_ge(s as f64, n).unwrap(), law.sf_ge((s + 1) as f64, n).unwrap());
        // Neighbouring points differ by less than the accuracy in the far lower tail, where p is next to one.
        prop_assert!(gt.log10() <= ge.log10() * (1.0 - 1e-9));
        let mirrored = law.sf_ge((top - s + 1) as f64, n).unwrap();
        prop_assert!((ge.p() + mirrored.p() - 1.0).abs() < 1e-10);
    }
}

proptest! {
    // Few, small cases: the exact lattice that it compares with is fine, and slow for few tokens.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rounding_up_is_an_upper_bound_within_the_slack(
        thousandths in prop::collection::vec(1u64..12_000, 2..5), n in 1u64..30, z in 0.0f64..4.0,
    ) {
        let exact = WeightedBits::from_integers(&thousandths).unwrap();
        let rounded = WeightedBits::new(&thousandths.iter().map(|&w| w as f64 / 1000.0).collect::<Vec<_>>()).unwrap();
        let total = thousandths.iter().sum::<u64>() as f64;
        let squares: f64 = thousandths.iter().map(|&w| (w * w) as f64).sum();
        let s = (0.5 * n as f64 * total + 0.5 * z * (n as f64 * squares).sqrt()).round();
        let (bound, truth) = (rounded.sf_ge(s / 1000.0, n).unwrap(), exact.sf_ge(s, n).unwrap());
        prop_assert!(bound.log10() >= truth.log10() * (1.0 + 1e-9));
        let lowered = exact.sf_ge((s - 1000.0 * rounded.slack(n)).floor(), n).unwrap();
        prop_assert!(bound.log10() <= lowered.log10() * (1.0 - 1e-9));
    }
}
