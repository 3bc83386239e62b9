//! The sequences of Kuditipudi et al.

use serde_json::Value;
use touchmark::detect::Detector;
use touchmark::keys::Key;
use touchmark::prf::{HERE, PeerPrf, Prf, Rows, Seeding};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Kuditipudi, Method, Pick, Scheme, Spec, TextLaw};
use touchmark::stats::{Family, binomial_sf_ge};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Watermark};

use super::{golden, ids, list, logit, mark, number};

fn all() -> Value {
    golden(include_str!("../golden/peers/kuditipudi.json"))
}

fn scheme(case: &Value) -> Kuditipudi {
    Kuditipudi {
        method: if case["method"] == "gumbel" { Method::Gumbel } else { Method::Transform },
        n: number(&case["n"]) as u32,
        k: Some(number(&case["k"]) as u32),
        gap: case["gap"].as_f64(),
        draws: 99,
        offset: number(&case["offset"]) as u32,
    }
}

fn watermark(case: &Value) -> Watermark {
    let spec = Spec::Kuditipudi(scheme(case));
    mark(vec![number(&case["key"])], &spec, number(&case["vocab_size"]), Repeats::ScoreOnce)
}

fn p(mark: Watermark, tokens: &[TokenId]) -> f64 {
    let detector = Detector::new(mark, 1e-6, Family::one(), None).unwrap();
    detector.detect(&Text::of(tokens)).unwrap().p.p()
}

/// The tool's numbers are 32-bit floats, and it adds them as such.
#[test]
fn statistics_are_the_tools() {
    for case in list(&all()["cases"]) {
        for (tokens, statistic) in [("tokens", "statistic"), ("shuffled", "statistic_shuffled")] {
            let evidence = watermark(case).score(&ids(&case[tokens]));
            let expected = -case[statistic].as_f64().unwrap();
            let found = evidence.sum();
            assert!(
                (found - expected).abs() < 2e-5 * expected.abs().max(1.0),
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn marked_texts_are_told_from_shuffled_ones() {
    for case in list(&all()["cases"]) {
        let [marked, shuffled] =
            ["tokens", "shuffled"].map(|tokens| p(watermark(case), &ids(&case[tokens])));
        assert!(marked <= 0.02, "{marked} {}", case["method"]);
        // Tokens keep what is theirs in any order only by chance: 1e-3 would be a surprise of one in a thousand.
        assert!(shuffled > 1e-3 && shuffled > marked, "{shuffled} {}", case["method"]);
    }
}

#[test]
fn marking_chooses_what_the_tool_chooses() {
    for case in list(&all()["cases"]) {
        let (mark, tokens) = (watermark(case), ids(&case["tokens"]));
        let mut embedder = mark.embedder(&[3, 1, 4]);
        for (step, &expected) in tokens.iter().enumerate() {
            let row: Vec<f32> = (0..60).map(|token| logit(step as u32, token)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&row);
            let marked =
                embedder.mark(&tokens[..step], &mut candidates, None, &mut Noise::new(0, 0));
            assert_eq!(marked, Marked::Yes(Pick::Token(expected)), "{} {step}", case["method"]);
        }
    }
}

#[test]
fn the_demos_numbers() {
    let key = Key::of_numbers(vec![42]).unwrap();
    let peer = PeerPrf::KeySequence { rows: Rows::Demo, length: 2, offset: 0 };
    let prf = Prf::of_peer(&key, &peer, Seeding::Fixed, 20).unwrap();
    let draw = prf.at(&[7]).unwrap();
    for (index, expected) in (0_u32..).zip(list(&all()["demo"])) {
        let (row, token) = (index / 20, index % 20);
        let expected = (expected.as_f64().unwrap() * 4_294_967_296.0).round() as u32;
        assert_eq!(draw.word(token, row), expected);
        if row == 1 {
            // One token stands before: the second row is here.
            assert_eq!(draw.word(token, HERE), expected);
        }
    }
}

/// Texts of random tokens, each under a key of its own. A rate above nominal by more than chance allows with probability 1e-9 a
/// level would be a fault.
#[test]
fn rates_are_nominal_at_most() {
    for (method, gap, texts) in [
        (Method::Gumbel, None, 2_000),
        (Method::Transform, None, 2_000),
        (Method::Gumbel, Some(0.2), 400),
    ] {
        let scheme = Kuditipudi { method, n: 12, k: Some(6), gap, draws: 199, offset: 0 };
        let mut noise = Noise::new(5, 5);
        let mut draw = |below: f64| (noise.uniform() * below) as u64;
        let found: Vec<f64> = (0..texts)
            .map(|_| {
                let key = draw(4e9);
                let tokens: Vec<TokenId> = (0..14).map(|_| draw(30.0) as TokenId).collect();
                let spec = Spec::Kuditipudi(scheme.clone());
                p(mark(vec![key], &spec, 30, Repeats::ScoreOnce), &tokens)
            })
            .collect();
        for level in [0.05, 0.01, 0.005] {
            let below = found.iter().filter(|&&p| p <= level).count() as u64;
            let tail = binomial_sf_ge(below, texts, level).unwrap();
            assert!(tail.log10() > -9.0, "{method:?} {gap:?}: {below} of {texts} at {level}");
        }
        // And no wider than it must be: twice the rank is at most 1 for half of the texts.
        let half = found.iter().filter(|&&p| p < 0.99).count() as f64;
        assert!(half > 0.4 * texts as f64, "{method:?} {gap:?}: {half}");
    }
}

#[test]
fn laws_say_what_is_known() {
    let law = |gap, k, method| {
        let scheme = Kuditipudi { method, n: 10, k, gap, draws: 9, offset: 0 };
        let mark = mark(vec![1], &Spec::Kuditipudi(scheme), 50, Repeats::ScoreOnce);
        match mark.score(&[1; 12]).judgement.unwrap().law {
            TextLaw::Alignments { draws: 9, alignments, terms, .. } => (alignments, terms),
            law => panic!("{law:?}"),
        }
    };
    assert_eq!(law(None, Some(4), Method::Gumbel), (10 * 9, 4));
    // Rows come twice, or gaps are allowed, or the scores are no exponentials.
    assert_eq!(law(None, None, Method::Gumbel), (0, 12));
    assert_eq!(law(Some(0.1), Some(4), Method::Demo), (0, 4));
    assert_eq!(law(None, Some(4), Method::Transform), (0, 4));
    let mark = mark(vec![1], &Spec::Kuditipudi(Kuditipudi::default()), 50, Repeats::ScoreOnce);
    assert_eq!(mark.score(&[]).judgement.unwrap().law, TextLaw::Nothing);
}

#[test]
fn parameters_are_checked() {
    let base = Kuditipudi::default();
    for bad in [
        Kuditipudi { n: 0, ..base.clone() },
        Kuditipudi { n: 70_000, ..base.clone() },
        Kuditipudi { k: Some(0), ..base.clone() },
        Kuditipudi { draws: 0, ..base.clone() },
        Kuditipudi { gap: Some(-1.0), ..base.clone() },
        Kuditipudi { gap: Some(f64::NAN), ..base },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    assert!(base.check().is_ok());
}
