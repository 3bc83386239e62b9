//! TextSeal 0.0.5.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, PeerPrf, Prf, Seeding, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Pick, Spec, TextSeal, TextSealMethod};
use touchmark::watermark::{Marked, Repeats};

use super::{assert_near, flags, golden, ids, list, logit, mark, number};

fn scheme(case: &Value) -> TextSeal {
    let watermark_type = match case["type"].as_str() {
        Some("greenlist") => TextSealMethod::Greenlist,
        _ => TextSealMethod::GumbelMax,
    };
    let gamma = case["gamma"].as_f64().unwrap_or(0.5);
    TextSeal {
        watermark_type,
        ngram: number(&case["ngram"]) as usize,
        gamma,
        ..TextSeal::default()
    }
}

/// The level of a word: ⌈word·8191/2³²⌉.
fn level(word: u32) -> u64 {
    (u64::from(word) * 8191).div_ceil(1 << 32)
}

#[test]
fn sequences_are_read_as_the_tool_reads_them() {
    for case in list(&golden(include_str!("../golden/peers/textseal.json"))["cases"]) {
        let (scheme, tokens) = (scheme(case), ids(&case["tokens"]));
        let (width, vocab_size) = (scheme.ngram, number(&case["vocab_size"]));
        let key = number(&case["key"]);
        let prf = Prf::of_peer(
            &Key::of_numbers(vec![key]).unwrap(),
            &PeerPrf::TextSeal { width },
            Seeding::Left { width },
            vocab_size as u32,
        );
        let mut read = 0;
        prf.unwrap().walk(Start::Fragment, &tokens, &[KEY_A], |at, draw| {
            assert_eq!(level(draw.word(tokens[at], KEY_A)), number(&case["level"][at]), "{at}");
            read += 1;
        });
        assert_eq!(read, tokens.len() - width);
        let repeats = match case["scoring_method"].as_str().unwrap() {
            "v1" => Repeats::SingleTurn,
            "v2" => Repeats::ScoreOnce,
            // Nothing that we do counts a draw twice.
            _ => continue,
        };
        let spec = Spec::TextSeal(scheme.clone());
        let mark = mark(vec![key], &spec, vocab_size, repeats);
        // The tool begins one token later than could be.
        let evidence = mark.score(&tokens[1..]);
        let scored = flags(&case["mask"]);
        let expected: Vec<u32> =
            (0..).zip(&scored).filter(|(_, yes)| **yes).map(|(at, _)| at + width as u32).collect();
        assert_eq!(evidence.positions, expected);
        for (value, tool) in evidence.values.iter().zip(list(&case["score"])) {
            let tool = tool.as_f64().unwrap();
            assert!((value - tool).abs() < 1e-5 * tool.max(1.0), "{value} {tool}");
        }
        let (sum, count) = (evidence.sum(), evidence.scored() as u64);
        let law = Law::new(spec.scheme().null(0)).unwrap();
        let p = law.tail(sum, count).unwrap().p();
        let claimed = case["tool_p_value"].as_f64().unwrap();
        match scheme.watermark_type {
            TextSealMethod::GumbelMax => assert_near(p, claimed, 1e-4),
            // The tool's is a mid-p, and its γ is not quite the share of green levels.
            TextSealMethod::Greenlist => {
                let above = law.tail(sum + 1.0, count).unwrap().p();
                assert_near((p + above) / 2.0, claimed, 1e-2);
                assert!(p > claimed);
            }
        }
    }
}

#[test]
fn the_same_tokens_are_marked() {
    let golden = golden(include_str!("../golden/peers/textseal.json"));
    assert_eq!(list(&golden["generation"]).len(), 2);
    for case in list(&golden["generation"]) {
        let (spec, vocab_size) = (Spec::TextSeal(scheme(case)), number(&case["vocab_size"]));
        let mark = mark(vec![number(&case["key"])], &spec, vocab_size, Repeats::ScoreOnce);
        let mut embedder = mark.embedder(&ids(&case["prompt"]));
        let output = ids(&case["output"]);
        for step in 0..output.len() {
            let logits: Vec<f32> =
                (0..vocab_size as u32).map(|id| logit(step as u32, id)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            let mut noise = Noise::new(0, 0);
            let marked = embedder.mark(&output[..step], &mut candidates, None, &mut noise);
            assert_eq!(marked, Marked::Yes(Pick::Token(output[step])), "{step}");
        }
    }
}
