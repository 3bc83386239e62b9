//! vLLM 0.33.0.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::prf::{KEY_A, KEY_B, PeerPrf, Prf, Seeding, Start};
use touchmark::schemes::{Spec, VllmGumbel};
use touchmark::stats::gamma_sf_ge;
use touchmark::watermark::Repeats;

use super::{assert_near, flags, golden, ids, list, mark, number};

fn spec(config: &Value) -> (Spec, VllmGumbel) {
    let scheme = VllmGumbel {
        context_width: config["context_width"].as_u64().unwrap() as usize,
        alpha: config["alpha"].as_f64(),
        max_history: None,
    };
    (Spec::VllmGumbel(scheme.clone()), scheme)
}

/// (⌊word/2⁸⌋ + 1) / (2²⁴ + 1), rounded as the tool rounds it.
fn uniform(word: u32) -> f32 {
    ((f64::from(word >> 8) + 1.0) / 16_777_217.0) as f32
}

#[test]
fn sequences_are_read_as_the_tool_reads_them() {
    let golden = golden(include_str!("../golden/peers/vllm_gumbel.json"));
    for case in list(&golden["cases"]) {
        let (spec, scheme) = spec(&case["config"]);
        let (tokens, scored) = (ids(&case["tokens"]), flags(&case["scored"]));
        let key = touchmark::keys::Key::of_numbers(vec![number(&case["key"])]).unwrap();
        let peer = PeerPrf::Philox { width: scheme.context_width, dual: scheme.alpha.is_some() };
        let seeding = Seeding::Left { width: scheme.context_width };
        let prf = Prf::of_peer(&key, &peer, seeding, number(&case["vocab_size"]) as u32).unwrap();
        let (mut score, mut count, mut positions) = (0.0, 0, Vec::new());
        prf.walk(Start::Fragment, &tokens, &[KEY_A], |position, draw| {
            let read = |stream, field: &str| {
                let u = uniform(draw.word(tokens[position], stream));
                assert_eq!(u, case[field][position].as_f64().unwrap() as f32, "{}", case["name"]);
                -(-f64::from(u)).ln_1p()
            };
            let mut value = read(KEY_A, "uniform");
            if let Some(alpha) = scheme.alpha {
                value = (1.0 - alpha) * value + alpha * read(KEY_B, "uniform_b");
            }
            if scored[position] {
                assert_near(value, case["token_score"][count].as_f64().unwrap(), 1e-9);
                (score, count) = (score + value, count + 1);
                positions.push(position as u32);
            }
        });
        assert_eq!(count as u64, number(&case["num_scored_tokens"]));
        assert_near(score, case["score"].as_f64().unwrap(), 1e-9);

        // The rule for repeats, and evidence that is never above the tool's.
        let repeats = match case["config"]["deduplicate_contexts"].as_bool() {
            Some(true) => Repeats::SingleTurn,
            _ => Repeats::ScoreOnce,
        };
        let evidence =
            mark(vec![number(&case["key"])], &spec, number(&case["vocab_size"]), repeats)
                .score(&tokens);
        if repeats == Repeats::SingleTurn {
            assert_eq!(evidence.positions, positions, "{}", case["name"]);
            assert!(evidence.sum() <= score && evidence.sum() > score - 1e-4, "{}", case["name"]);
            let law = Law::new(spec.scheme().null(8192)).unwrap();
            let p = law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p();
            let claimed = case["tool_p_value"].as_f64().unwrap();
            if matches!(scheme.alpha, None | Some(0.0 | 0.5 | 1.0)) {
                // One gamma law is exact for these.
                assert_near(p, claimed, 1e-3);
            }
            if scheme.alpha.is_none() {
                assert_near(gamma_sf_ge(score, count as f64).unwrap().p(), claimed, 1e-6);
            }
        }
    }
}
