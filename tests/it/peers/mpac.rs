//! MPAC.

use serde_json::Value;
use touchmark::detect::{Detector, Verdict};
use touchmark::prf::Start;
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{Mpac, MpacSeeds, Scheme, Spec, TextLaw};
use touchmark::stats::{Family, binomial_sf_ge};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Evidence, Repeats, Text, Watermark};

use super::{assert_near, golden, ids, list, logit, mark, number};

fn cases() -> Vec<Value> {
    list(&golden(include_str!("../golden/peers/mpac.json"))["cases"]).to_vec()
}

fn parameters(case: &Value) -> Mpac {
    let scheme = case["seeding_scheme"].as_str().unwrap();
    let seeding_scheme = match scheme {
        "lefthash" => MpacSeeds::Lefthash,
        _ if scheme.contains("-minhash") => MpacSeeds::Minhash,
        _ => MpacSeeds::Selfhash,
    };
    Mpac {
        gamma: case["gamma"].as_f64().unwrap(),
        delta: case["delta"].as_f64().unwrap() as f32,
        base: number(&case["base"]) as u32,
        message_length: case["message"].as_str().unwrap().len() as u32,
        seeding_scheme,
        context_width: number(&case["context_width"]) as usize,
        use_position_prf: case["use_position_prf"].as_bool().unwrap(),
        message: Some(case["message"].as_str().unwrap().to_owned()),
    }
}

fn watermark(case: &Value) -> Watermark {
    let spec = Spec::Mpac(parameters(case));
    mark(vec![number(&case["key"])], &spec, number(&case["vocab_size"]), Repeats::ScoreOnce)
}

/// Colour and digit of each counted token.
fn read(watermark: &Watermark, tokens: &[TokenId], prompt: &[TokenId]) -> Evidence {
    watermark.score_text(&Text { ids: tokens, start: Start::Answer { prompt }, entropies: &[] })
}

/// The tool's digits and colours of the tokens that count here, counted for each digit and colour.
fn expected_counts(case: &Value, evidence: &Evidence, base: usize) -> Vec<Vec<u64>> {
    let digits = case["converted_message"].as_str().unwrap().len();
    let mut counts = vec![vec![0; base]; digits];
    for &position in &evidence.positions {
        let slot = number(&case["slots"][position as usize]) as usize;
        if let Some(colour) = case["colours"][position as usize].as_u64() {
            counts[slot][colour as usize] += 1;
        }
    }
    counts
}

#[test]
fn colours_and_digits_are_the_tools() {
    for case in cases() {
        let watermark = watermark(&case);
        let (tokens, prompt) = (ids(&case["tokens"]), ids(&case["prompt"]));
        let evidence = read(&watermark, &tokens, &prompt);
        assert!(evidence.scored() > 200, "{}", case["seeding_scheme"]);
        let judgement = evidence.judgement.as_ref().unwrap();
        let message = judgement.message.as_ref().unwrap();
        let expected = expected_counts(&case, &evidence, message.digits[0].counts.len());
        let found: Vec<_> = message.digits.iter().map(|digit| digit.counts.clone()).collect();
        assert_eq!(found, expected, "{}", case["seeding_scheme"]);
        assert_eq!(message.bits, case["message"].as_str().unwrap());
        // Each token is for its digit or not, as the tool saw it.
        for (&position, &value) in evidence.positions.iter().zip(&evidence.values) {
            let slot = number(&case["slots"][position as usize]) as usize;
            let colour = case["colours"][position as usize].as_u64();
            let agrees = colour == Some(u64::from(message.digits[slot].value));
            assert_eq!(value == 1.0, agrees);
        }
        for digit in &message.digits {
            assert!((digit.posterior.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let best = digit.posterior[digit.value as usize];
            assert!(digit.posterior.iter().all(|&p| p <= best));
        }
    }
}

/// Where the tool's detector reads as many ids as its processor did, it counts the same tokens and the repeated ones. With
/// none repeated its z is that of our counts.
#[test]
fn the_tools_score_follows() {
    let mut compared = 0;
    for case in cases() {
        let (tool, evidence) = (&case["tool"], watermark(&case).score(&ids(&case["tokens"])));
        let misread = case["seeding_scheme"] == "lefthash" && case["use_position_prf"] == true;
        if misread || tool["error"].is_string() {
            continue;
        }
        let (scored, repeated) = (evidence.scored() as u64, evidence.repeated as u64);
        assert_eq!(number(&tool["num_tokens_scored"]), scored + repeated);
        let greens = number(&tool["num_green_tokens"]) - evidence.sum() as u64;
        assert!(greens <= repeated, "{greens} {repeated}");
        let message = evidence.judgement.as_ref().unwrap().message.as_ref().unwrap();
        let digits: String = message.digits.iter().map(|digit| digit.value.to_string()).collect();
        assert_eq!(digits, tool["pred_message"].as_str().unwrap());
        if repeated == 0 {
            let (gamma, n) = (case["gamma"].as_f64().unwrap(), scored as f64);
            let z = (evidence.sum() - gamma * n) / (n * gamma * (1.0 - gamma)).sqrt();
            assert_near(z, tool["z_score"].as_f64().unwrap(), 1e-9);
        }
        compared += 1;
    }
    assert!(compared >= 4, "{compared} cases have a score to compare");
}

/// With the default seeding the tool writes digits chosen by two ids, and reads those chosen by one.
#[test]
fn the_tool_misreads_its_own_default() {
    let all = cases();
    let case = all
        .iter()
        .find(|case| case["seeding_scheme"] == "lefthash" && case["use_position_prf"] == true);
    let case = case.unwrap();
    assert_eq!(case["slots"], case["positions"]);
    let evidence = read(&watermark(case), &ids(&case["tokens"]), &ids(&case["prompt"]));
    assert!(evidence.sum() > 1.2 * case["tool"]["num_green_tokens"].as_f64().unwrap());
}

#[test]
fn marking_raises_what_the_tool_raises() {
    for case in cases() {
        let (watermark, size) = (watermark(&case), number(&case["vocab_size"]) as u32);
        let (tokens, prompt) = (ids(&case["tokens"]), ids(&case["prompt"]));
        let delta = case["delta"].as_f64().unwrap() as f32;
        let mut embedder = watermark.embedder(&prompt);
        for (step, expected) in list(&case["biased"]).iter().enumerate() {
            let before: Vec<f32> = (0..size).map(|token| logit(step as u32, token)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&before);
            embedder.mark(&tokens[..step], &mut candidates, None, &mut Noise::new(0, 0));
            let raised: Vec<TokenId> = (0..size)
                .filter(|&id| candidates.logits()[id as usize] > before[id as usize])
                .collect();
            assert_eq!(raised, ids(expected), "{} step {step}", case["seeding_scheme"]);
            for &id in &raised {
                let rise = candidates.logits()[id as usize] - before[id as usize];
                assert!((rise - delta).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn marked_texts_are_found_whatever_they_say() {
    for case in cases() {
        let mark = watermark(&case);
        let other = mpac_with_key(&case, 77);
        let detector = |mark| Detector::new(mark, 1e-6, Family::one(), None).unwrap();
        let tokens = ids(&case["tokens"]);
        let found = detector(mark).detect(&Text::of(&tokens)).unwrap();
        assert_eq!(found.verdict, Verdict::Detected, "{} {}", case["seeding_scheme"], found.p);
        // A false alarm has probability 1e-6 for each of seven cases; everything is fixed.
        let found = detector(other).detect(&Text::of(&tokens)).unwrap();
        assert_eq!(found.verdict, Verdict::NotDetected, "{} {}", case["seeding_scheme"], found.p);
    }
}

fn mpac_with_key(case: &Value, key: u64) -> Watermark {
    let spec = Spec::Mpac(parameters(case));
    mark(vec![key], &spec, number(&case["vocab_size"]), Repeats::ScoreOnce)
}

/// 3,000 texts of random tokens, each under a key of its own. A rate above nominal by more than chance allows with
/// probability 1e-9 a level would be a fault; the tool's own p would be far above it.
#[test]
fn rates_are_nominal_at_most() {
    let spec = |message_length, seeding_scheme, context_width| Mpac {
        message_length,
        seeding_scheme,
        context_width,
        message: None,
        ..Mpac::default()
    };
    let all = [
        spec(8, MpacSeeds::Lefthash, 1),
        spec(32, MpacSeeds::Minhash, 2),
        spec(3, MpacSeeds::Selfhash, 3),
    ];
    for scheme in all {
        let mut noise = Noise::new(9, 9);
        let mut draw = |below: f64| (noise.uniform() * below) as u64;
        let (mut p, mut naive) = (Vec::new(), 0);
        for number in 0..1_000_u64 {
            let key = draw(1e15) << 8 | number;
            let tokens: Vec<TokenId> = (0..90).map(|_| draw(300.0) as TokenId).collect();
            let mark = mark(vec![key], &Spec::Mpac(scheme.clone()), 300, Repeats::ScoreOnce);
            let evidence = mark.score(&tokens);
            let n = evidence.scored() as f64;
            naive += u64::from((evidence.sum() - 0.25 * n) / (n * 0.1875).sqrt() > 1.645);
            let detector = Detector::new(mark, 1e-6, Family::one(), None).unwrap();
            p.push(detector.detect(&Text::of(&tokens)).unwrap().p.p());
        }
        for level in [0.05, 0.01, 0.001] {
            let below = p.iter().filter(|&&p| p <= level).count() as u64;
            assert!(
                binomial_sf_ge(below, 1_000, level).unwrap().log10() > -9.0,
                "{scheme:?}: {below} of 1000 at {level}"
            );
        }
        // The law is not so wide as to be useless either: half of all p are below 0.9.
        assert!(p.iter().filter(|&&p| p < 0.9).count() > 500, "{scheme:?}");
        // The tool's z > 1.645 after decoding, for a nominal 5 %.
        assert!(naive > 300, "{scheme:?}: {naive}");
    }
}

#[test]
fn parameters_are_checked() {
    let base = Mpac::default();
    for bad in [
        Mpac { base: 5, ..base.clone() },
        Mpac { message_length: 0, ..base.clone() },
        Mpac { message_length: 65, ..base.clone() },
        Mpac { message: Some("101".into()), ..base.clone() },
        Mpac { message: Some("1012.0101".into()), ..base.clone() },
        Mpac { context_width: 2, ..base.clone() },
        Mpac { context_width: 9, seeding_scheme: MpacSeeds::Selfhash, ..base.clone() },
        Mpac { gamma: 0.6, ..base.clone() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    assert!(Mpac { base: 4, message_length: 2, ..base }.check().is_ok());
}

#[test]
fn the_law_has_one_colour_for_each_digit_value() {
    let scheme = Spec::Mpac(Mpac { gamma: 0.3, base: 3, ..Mpac::default() });
    let evidence = mark(vec![5], &scheme, 1000, Repeats::ScoreOnce).score(&[1, 2, 3, 4, 5]);
    let law = evidence.judgement.unwrap().law;
    // ⌈1000/3⌉ tokens each, the last colour two fewer.
    let TextLaw::MaximalCounts { colours, .. } = law else { panic!("{law:?}") };
    assert_eq!(colours, [0.334, 0.334, 0.332]);
}
