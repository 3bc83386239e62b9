//! MarkLLM's EXP, package markllm 0.1.5.

use std::collections::HashSet;

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, Prf, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{MarkLlmExp, Pick, Spec};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats};

use super::{assert_near, golden, ids, list, logit, mark, number};

fn cases() -> Vec<Value> {
    let golden = golden(include_str!("../golden/peers/markllm_exp.json"));
    let cases = list(&golden["cases"]).to_vec();
    assert_eq!(cases.len(), 4);
    cases
}

fn spec(case: &Value) -> Spec {
    Spec::MarkLlmExp(MarkLlmExp { prefix_length: number(&case["prefix_length"]) as usize })
}

fn prf(case: &Value, spec: &Spec) -> Prf {
    let key = Key::of_numbers(vec![number(&case["hash_key"])]).unwrap();
    let (peer, seeding) = (spec.scheme().peer().unwrap(), spec.scheme().seeding());
    Prf::of_peer(&key, &peer, seeding, number(&case["vocab_size"]) as u32).unwrap()
}

/// Every number, and the detector's p, which is the gamma tail of all positions, repeated or not.
#[test]
fn sequences_are_read_as_the_tool_reads_them() {
    for case in cases() {
        let (spec, tokens, prompt) = (spec(&case), ids(&case["tokens"]), ids(&case["prompt"]));
        let prf = prf(&case, &spec);
        let draw = prf.at(&prompt).unwrap();
        for (token, level) in (0..).zip(list(&case["first"])) {
            assert_eq!(u64::from(draw.word(token, KEY_A) >> 8), number(level));
        }
        let prefix = number(&case["prefix_length"]) as usize;
        let (mut score, mut coins) = (0.0, HashSet::new());
        let mut seen = 0;
        prf.walk(Start::Fragment, &tokens, &[KEY_A], |at, draw| {
            let level = draw.word(tokens[at], KEY_A) >> 8;
            assert_eq!(u64::from(level), number(&case["uniform"][at - prefix]), "{at}");
            score += spec.scheme().evidence(draw, tokens[at]);
            if draw.is_keyed(tokens[at]) {
                coins.insert((draw.seed_id(tokens[at]), tokens[at]));
            }
            seen += 1;
        });
        assert_eq!(seen, tokens.len() - prefix);
        let law = Law::new(spec.scheme().null(0)).unwrap();
        let p = law.tail(score, seen as u64).unwrap().p();
        assert_near(p, case["p"].as_f64().unwrap(), 1e-5);

        let (key, vocab_size) = (number(&case["hash_key"]), number(&case["vocab_size"]));
        let evidence = mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce).score(&tokens);
        assert_eq!(evidence.scored(), coins.len());
        // After the 0 among the tokens any key has the same numbers.
        assert!(evidence.scored() + prefix <= seen, "{} {seen}", evidence.scored());
        assert!(law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p() < 1e-6);
    }
}

#[test]
fn the_same_tokens_are_marked() {
    for case in cases() {
        let (output, vocab_size) = (ids(&case["output"]), number(&case["vocab_size"]));
        let keys = vec![number(&case["hash_key"])];
        let mark = mark(keys, &spec(&case), vocab_size, Repeats::ScoreOnce);
        let mut embedder = mark.embedder(&ids(&case["prompt"]));
        for step in 0..output.len() {
            let row = 0..vocab_size as TokenId;
            let logits: Vec<f32> = row.map(|id| logit(step as u32, id)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            let mut noise = Noise::new(0, 0);
            let marked = embedder.mark(&output[..step], &mut candidates, None, &mut noise);
            assert_eq!(marked, Marked::Yes(Pick::Token(output[step])), "{step}");
        }
    }
}
