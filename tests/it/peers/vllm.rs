//! vLLM 0.33.0.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::prf::{KEY_A, KEY_B, PeerPrf, Prf, Seeding, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Pick, Spec, VllmGumbel};
use touchmark::stats::gamma_sf_ge;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Unmarked};

use super::{assert_near, flags, golden, ids, list, logit, mark, number, texts};

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

/// The candidates of a step, and the likeliest.
fn candidates(case: &Value, step: u32) -> (Candidates, TokenId) {
    let period = number(&case["logit_period"]) as u32;
    let logits: Vec<f32> =
        (0..number(&case["vocab_size"]) as u32).map(|id| logit(step % period, id)).collect();
    let mut candidates = Candidates::default();
    candidates.load(&logits);
    let highest = candidates.highest(4).to_vec();
    if !step.is_multiple_of(3) {
        let kept: Vec<f32> = highest.iter().map(|&id| logits[id as usize]).collect();
        candidates.load_some(&highest, &kept);
    }
    (candidates, highest[0])
}

#[test]
fn the_same_tokens_are_marked() {
    let golden = golden(include_str!("../golden/peers/vllm_gumbel.json"));
    assert_eq!(list(&golden["generation"]).len(), 5);
    for case in list(&golden["generation"]) {
        let scheme = VllmGumbel {
            context_width: number(&case["context_width"]) as usize,
            alpha: None,
            max_history: Some(number(&case["deduplicate_contexts_max_history"]) as usize),
        };
        let repeats = match case["deduplicate_contexts"].as_str().unwrap() {
            "single_turn" => Repeats::SingleTurn,
            "all" => Repeats::AllTurns,
            _ => Repeats::ScoreOnce,
        };
        let (key, vocab_size) = (number(&case["key"]), number(&case["vocab_size"]));
        let mark = mark(vec![key], &Spec::VllmGumbel(scheme), vocab_size, repeats);
        let mut embedder = mark.embedder(&ids(&case["prompt"]));
        let (output, repeated) = (ids(&case["output"]), flags(&case["repeated"]));
        for step in 0..output.len() {
            let (mut candidates, likeliest) = candidates(case, step as u32);
            let mut noise = Noise::new(0, 0);
            match embedder.mark(&output[..step], &mut candidates, None, &mut noise) {
                Marked::Yes(pick) => {
                    assert_eq!(pick, Pick::Token(output[step]), "{step}");
                    assert!(!repeated[step], "{step}");
                }
                Marked::No(reason) => {
                    assert!(matches!(reason, Unmarked::Repeated | Unmarked::Start), "{reason:?}");
                    assert_eq!((repeated[step], likeliest), (true, output[step]), "{step}");
                }
            }
        }
    }
}

/// Texts as a user has them. The tool's p-value of two keys is a little too small, as the scheme's page says.
#[test]
fn texts_are_read_as_the_tool_reads_them() {
    for (rows, key, alpha) in [
        (include_str!("../golden/peers/texts/vllm_gumbel.jsonl"), 1_311_768_467_463_790_320, None),
        (include_str!("../golden/peers/texts/vllm_dual_key_gumbel.jsonl"), 42, Some(0.1)),
    ] {
        let spec = Spec::VllmGumbel(VllmGumbel { alpha, ..VllmGumbel::default() });
        let mark = mark(vec![key], &spec, 8192, Repeats::SingleTurn);
        let law = Law::new(spec.scheme().null(8192)).unwrap();
        for text in texts(rows) {
            for (ids, expected) in [("ids", "on_ids"), ("text_ids", "on_text_ids")] {
                let (ids, expected) = (super::ids(&text[ids]), &text["detector"][expected]);
                let evidence = mark.score_text(&Text::of(&ids));
                let (sum, scored) = (evidence.sum(), evidence.scored() as u64);
                assert_eq!(scored, number(&expected["num_scored_tokens"]));
                let score = expected["score"].as_f64().unwrap();
                assert!(sum <= score && sum > score - 1e-3, "{sum} {score}");
                let p = law.tail(sum, scored).unwrap().log10();
                let claimed = expected["tool_p_value"].as_f64().unwrap().log10();
                if alpha.is_none() {
                    assert!((p - claimed).abs() < 1e-3, "{p} {claimed}");
                } else {
                    assert!(p > claimed, "{p} {claimed}");
                }
            }
        }
    }
}
