//! DiPmark, as MarkLLM has it.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, PeerPrf, Prf, Seeding, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Dip, Scheme, Spec};
use touchmark::stats::binomial_sf_ge;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Unmarked};

use super::{assert_near, golden, ids, list, logit, mark, number};

fn cases() -> Vec<Value> {
    list(&golden(include_str!("../golden/peers/dip.json"))["cases"]).to_vec()
}

fn parameters(case: &Value) -> Dip {
    Dip {
        gamma: case["gamma"].as_f64().unwrap(),
        alpha: case["alpha"].as_f64().unwrap(),
        prefix_length: number(&case["prefix_length"]) as usize,
    }
}

/// Quantile words of the tool's ranks.
#[test]
fn ranks_are_the_tools() {
    for case in cases() {
        let (size, width) = (number(&case["vocab_size"]), number(&case["prefix_length"]) as usize);
        let key = Key::of_numbers(vec![number(&case["key"])]).unwrap();
        let seeding = Seeding::Left { width };
        let prf = Prf::of_peer(&key, &PeerPrf::Dip { width }, seeding, size as u32).unwrap();
        let mut compared = 0;
        prf.walk(Start::Fragment, &ids(&case["tokens"]), &[KEY_A], |position, draw| {
            let token = ids(&case["tokens"])[position];
            let Some(rank) = case["ranks"][position].as_u64() else { return };
            assert_eq!(u64::from(draw.word(token, KEY_A)), ((rank + 1) << 32) / size - 1);
            let mut all = vec![0; size as usize];
            draw.words(None, KEY_A, &mut all);
            assert_eq!(all[token as usize], draw.word(token, KEY_A));
            compared += 1;
        });
        assert!(compared > 50, "{compared}");
    }
}

/// Which tokens count, which are green, and the tool's z, which lacks the factor √(γ(1−γ)).
#[test]
fn scores_follow_from_the_evidence() {
    for case in cases() {
        let (scheme, size) = (parameters(&case), number(&case["vocab_size"]));
        let mark =
            mark(vec![number(&case["key"])], &Spec::Dip(scheme.clone()), size, Repeats::SingleTurn);
        let evidence = mark.score(&ids(&case["tokens"]));
        let flags: Vec<i64> =
            list(&case["flags"]).iter().map(|flag| flag.as_i64().unwrap()).collect();
        let counted: Vec<u32> = (0..flags.len() as u32)
            .filter(|&at| at as usize >= scheme.prefix_length && flags[at as usize] >= 0)
            .collect();
        assert_eq!(evidence.positions, counted);
        for (&position, &value) in evidence.positions.iter().zip(&evidence.values) {
            assert_eq!(value as i64, flags[position as usize]);
        }
        // The tool also counts the first tokens, of shorter contexts, and one without any.
        let early = |at: usize| case["ranks"][at].as_i64();
        let is_green =
            |rank: i64| rank >= 0 && (rank + 1) as f64 / size as f64 >= scheme.gamma - 1e-9;
        let first = (0..scheme.prefix_length).filter_map(early);
        let greens = evidence.sum() + first.clone().filter(|&rank| is_green(rank)).count() as f64;
        let n = evidence.scored() as f64 + first.count() as f64;
        let z = (greens - (1.0 - scheme.gamma) * n) / n.sqrt();
        assert_near(z, case["z"].as_f64().unwrap(), 1e-5);
    }
}

#[test]
fn reweighting_and_repeats_are_the_tools() {
    for case in cases() {
        let (scheme, size) = (parameters(&case), number(&case["vocab_size"]));
        let mark = mark(vec![number(&case["key"])], &Spec::Dip(scheme), size, Repeats::SingleTurn);
        let (tokens, prompt) = (ids(&case["tokens"]), ids(&case["prompt"]));
        let mut embedder = mark.embedder(&prompt);
        for (step, flag) in case["marked"].as_str().unwrap().chars().enumerate() {
            let mut candidates = Candidates::default();
            let row: Vec<f32> = (0..size as u32).map(|id| logit(step as u32, id)).collect();
            candidates.load(&row);
            let marked =
                embedder.mark(&tokens[..step], &mut candidates, None, &mut Noise::new(0, 0));
            assert_eq!(marked == Marked::No(Unmarked::Repeated), flag == '0', "step {step}");
            let Some(expected) = case["reweighted"].get(step) else { continue };
            for (found, expected) in candidates.probabilities().iter().zip(list(expected)) {
                assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 3e-6);
            }
        }
    }
}

/// 3,000 texts of random tokens, each under a key of its own: more than chance allows with probability 1e-9 a level would be
/// a fault.
#[test]
fn rates_are_nominal_at_most() {
    let scheme = Dip { gamma: 0.3, alpha: 0.45, prefix_length: 2 };
    let (law, mut noise) = (Law::new(scheme.null(64)).unwrap(), Noise::new(3, 1));
    let mut draw = |below: f64| (noise.uniform() * below) as u64;
    let p: Vec<f64> = (0..3_000)
        .map(|_| {
            let key = draw(9e18);
            let tokens: Vec<TokenId> = (0..80).map(|_| draw(64.0) as TokenId).collect();
            let spec = Spec::Dip(scheme.clone());
            let evidence = mark(vec![key], &spec, 64, Repeats::SingleTurn).score(&tokens);
            law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p()
        })
        .collect();
    for level in [0.05, 0.01, 0.001] {
        let below = p.iter().filter(|&&p| p <= level).count() as u64;
        let tail = binomial_sf_ge(below, 3_000, level).unwrap();
        assert!(tail.log10() > -9.0, "{below} of 3000 at {level}");
    }
    assert!(p.iter().filter(|&&p| p < 0.5).count() > 1_000);
}

/// γV is whole: the token on the boundary is green, and the law says so.
#[test]
fn the_boundary_is_green() {
    for (gamma, size, greens) in [(0.3, 10, 8), (0.5, 16, 9), (0.6, 5, 3), (0.7, 30, 10)] {
        let scheme = Dip { gamma, alpha: 0.5, prefix_length: 1 };
        let mark = mark(vec![8], &Spec::Dip(scheme.clone()), size, Repeats::ScoreOnce);
        // After the same token, each token once.
        let found: f64 = (0..size as TokenId).map(|id| mark.score(&[3, id]).sum()).sum();
        assert_eq!(found, f64::from(greens), "{gamma} {size}");
        let law = Law::new(scheme.null(size as u32)).unwrap();
        assert_near(law.tail(1.0, 1).unwrap().p(), f64::from(greens) / size as f64, 1e-9);
    }
}
