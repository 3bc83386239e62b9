//! three_bricks, commit ee9c7a2.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, Prf, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Pick, Spec, ThreeBricks, ThreeBricksMethod};
use touchmark::stats::binomial_sf_ge;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Watermark};

use super::{assert_near, golden, ids, list, logit, mark, number};

fn cases() -> Vec<Value> {
    let golden = golden(include_str!("../golden/peers/three_bricks.json"));
    let cases = list(&golden["cases"]).to_vec();
    assert_eq!(cases.len(), 6);
    cases
}

fn scheme(case: &Value) -> ThreeBricks {
    let method = match case["method"].as_str().unwrap() {
        "openai" => ThreeBricksMethod::OpenAi,
        _ => ThreeBricksMethod::Maryland,
    };
    ThreeBricks {
        method,
        ngram: number(&case["ngram"]) as usize,
        hash_key: number(&case["salt_key"]) as u32,
        gamma: case["gamma"].as_f64().unwrap(),
        delta: 4.0,
        payload: number(&case["payload"]) as u32,
    }
}

fn bound(case: &Value, scheme: ThreeBricks) -> Watermark {
    let (keys, vocab_size) = (vec![number(&case["seed"])], number(&case["vocab_size"]));
    mark(keys, &Spec::ThreeBricks(scheme), vocab_size, Repeats::ScoreOnce)
}

/// Every score for the payload; with `v2`, whose rule for repeats is ours, the count and p too.
#[test]
fn sequences_are_read_as_the_tool_reads_them() {
    for case in cases() {
        let (spec, tokens) = (Spec::ThreeBricks(scheme(&case)), ids(&case["tokens"]));
        let (ngram, vocab_size) = (scheme(&case).ngram, number(&case["vocab_size"]));
        let scores: Vec<f64> =
            list(&case["scores"]).iter().map(|score| score.as_f64().unwrap()).collect();
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 2e-6 * expected.max(1.0), "{found} {expected}");
        };
        // The tool begins one token later than could be.
        let read = &tokens[1..];
        let (mut sum, mut count) = (0.0, scores.len());
        if case["scoring_method"] == "v2" {
            let evidence = bound(&case, scheme(&case)).score(read);
            assert_eq!(evidence.scored(), scores.len());
            assert!(evidence.repeated > 0, "{}", case["method"]);
            evidence.values.iter().zip(&scores).for_each(|(&found, &score)| near(found, score));
            (sum, count) = (evidence.sum(), evidence.scored());
        } else {
            let key = Key::of_numbers(vec![number(&case["seed"])]).unwrap();
            let (peer, seeding) = (spec.scheme().peer().unwrap(), spec.scheme().seeding());
            let prf = Prf::of_peer(&key, &peer, seeding, vocab_size as u32).unwrap();
            prf.walk(Start::Fragment, read, &[KEY_A], |at, draw| {
                let found = spec.scheme().evidence(draw, read[at]);
                near(found, scores[at - ngram]);
                sum += found;
            });
            assert_eq!(count, read.len() - ngram);
        }
        let p = match scheme(&case).method {
            ThreeBricksMethod::OpenAi => {
                Law::new(spec.scheme().null(0)).unwrap().tail(sum, count as u64).unwrap()
            }
            ThreeBricksMethod::Maryland => {
                binomial_sf_ge(sum as u64, count as u64, scheme(&case).gamma).unwrap()
            }
        };
        assert_near(p.p(), case["p"].as_f64().unwrap(), 1e-3);
    }
}

#[test]
fn the_same_tokens_are_marked() {
    for case in cases() {
        let (output, vocab_size) = (ids(&case["output"]), number(&case["vocab_size"]));
        let mark = bound(&case, scheme(&case));
        let mut embedder = mark.embedder(&ids(&case["prompt"]));
        for step in 0..output.len() {
            let row = 0..vocab_size as TokenId;
            let logits: Vec<f32> = row.map(|id| logit(step as u32, id)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            let mut noise = Noise::new(0, 0);
            let picked = match embedder.mark(&output[..step], &mut candidates, None, &mut noise) {
                Marked::Yes(Pick::Token(token)) => token,
                marked => {
                    assert_eq!(marked, Marked::Yes(Pick::Sample));
                    let logits = candidates.logits();
                    (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
                }
            };
            assert_eq!(picked, output[step], "{} {step}", case["method"]);
        }
    }
}

/// A message is seen by who looks for it.
#[test]
fn another_payload_sees_nothing() {
    for case in cases() {
        let output = ids(&case["output"]);
        let vocab_size = number(&case["vocab_size"]) as u32;
        let p = |payload| {
            let scheme = ThreeBricks { payload, ..scheme(&case) };
            let law =
                Law::new(Spec::ThreeBricks(scheme.clone()).scheme().null(vocab_size)).unwrap();
            let evidence = bound(&case, scheme).score(&output);
            law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p()
        };
        let own = scheme(&case).payload;
        assert!(p(own) < 1e-6 && p(own + 1) > 1e-3, "{} {} {}", case["method"], p(own), p(own + 1));
    }
}
