//! Messages in marks, from writing to reading.

use proptest::prelude::*;
use touchmark::detect::{Detection, Detector, PayloadRow, Row, Verdict};
use touchmark::payload::{Code, Decoder, Posterior};
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Spec, SpecError, TextLaw, Turnable};
use touchmark::stats::{Family, binomial_sf_ge};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Repeats, Text};

use crate::common::{watermark, written};

const V: u32 = 4096;

fn gumbel(bits: u32) -> Spec {
    Spec::Gumbel(Gumbel { payload_bits: Some(bits), ..Gumbel::default() })
}

fn kgw(bits: u32) -> Spec {
    Spec::Kgw(Kgw { payload_bits: Some(bits), ..Kgw::default() })
}

fn detect(number: u64, spec: &Spec, ids: &[TokenId]) -> Detection {
    let mark = watermark(number, spec, V, Repeats::ScoreOnce);
    Detector::new(mark, 1e-6, Family::one(), None).unwrap().detect(&Text::of(ids)).unwrap()
}

/// A message of a text, in any length, is read again; another key reads nothing.
#[test]
fn messages_are_read_again() {
    let cases = [(8, 0xA5), (16, 0x0001), (33, 0x1_2345_6789), (64, 0xFEDC_BA98_7654_3210)];
    for (spec_of, tokens) in [(gumbel as fn(u32) -> Spec, 250), (kgw, 900)] {
        for (number, (bits, message)) in (10..).zip(cases) {
            let spec = spec_of(bits);
            let mark = watermark(number, &spec, V, Repeats::ScoreOnce);
            let ids = written(&mark, V, Some(message), 5, tokens);
            let found = detect(number, &spec, &ids);
            assert_eq!(found.verdict, Verdict::Detected, "{spec:?}: {}", found.p);
            let read = found.evidence.judgement.as_ref().unwrap().message.as_ref().unwrap();
            let width = bits as usize;
            assert_eq!(read.bits, format!("{message:0width$b}"), "{spec:?}");
            assert!(read.posterior > 0.99, "{spec:?}: {}", read.posterior);
            for (one, bit) in read.ones.iter().zip(read.bits.bytes()) {
                assert!((if bit == b'1' { 1.0 - one } else { *one }) < 0.02, "{spec:?}: {one}");
            }
            // Known beforehand, it needs no search.
            let known = mark.score_message(&Text::of(&ids), message).unwrap();
            assert_eq!(known.values, found.evidence.values);
            assert!(found.message_p.unwrap().log10() < -6.0);
            let wrong = mark.score_message(&Text::of(&ids), message ^ 1).unwrap();
            assert!(wrong.sum() < known.sum());
            assert_ne!(detect(number + 50, &spec, &ids).verdict, Verdict::Detected);
        }
    }
}

/// A text that was written without a message says message 0.
#[test]
fn no_message_is_message_zero() {
    let spec = gumbel(16);
    let mark = watermark(3, &spec, V, Repeats::ScoreOnce);
    let ids = written(&mark, V, Some(0), 5, 200);
    let plain = mark.score_message(&Text::of(&ids), 0).unwrap();
    let found = detect(3, &spec, &ids);
    assert_eq!(found.evidence.values, plain.values);
}

#[test]
fn rows_say_the_message_of_detected_texts_alone() {
    let spec = kgw(12);
    let mark = watermark(4, &spec, V, Repeats::ScoreOnce);
    let ids = written(&mark, V, Some(0xABC), 5, 900);
    let profile: touchmark::profile::Profile = profile_of(&spec);
    let row = |ids: &[TokenId]| {
        let mark = watermark(4, &spec, V, Repeats::ScoreOnce);
        let detector = Detector::new(mark, 1e-6, Family::one(), None).unwrap();
        let found = detector.detect(&Text::of(ids)).unwrap();
        Row::new("a".to_owned(), "a".to_owned(), 0, &profile, &detector, &found)
    };
    let PayloadRow { message, bits, log10_p_if_known, next, .. } = row(&ids).payload.unwrap();
    assert_eq!((message.as_str(), bits.as_str()), ("0xabc", "101010111100"));
    assert!(log10_p_if_known.unwrap() < -6.0 && !next.is_empty());
    assert_eq!(next[0].0.len(), 5);
    assert_eq!(row(&ids[..8]).payload, None);
}

fn profile_of(spec: &Spec) -> touchmark::profile::Profile {
    let scheme = toml::to_string(spec).unwrap();
    let text = format!(
        "schema = 1\nid = \"p\"\nkey_id = \"k\"\nprf = \"{}\"\nrepeats = \"score-once\"\n\
         created = \"2026-01-01T00:00:00Z\"\n[scheme]\n{scheme}\n[tokenizer]\nhash = \"{}\"\nname = \"letters\"\nvocab_size = {V}\n",
        spec.prf().name(),
        "03".repeat(32),
    );
    touchmark::profile::Profile::parse(&text).unwrap()
}

/// Parameters that leave no room, messages that do not fit, marks that carry none.
#[test]
fn what_cannot_be_carried_is_refused() {
    for bits in [0, 7, 65] {
        assert!(matches!(gumbel(bits).scheme().check(), Err(SpecError::Payload(_))), "{bits}");
        assert!(matches!(kgw(bits).scheme().check(), Err(SpecError::Payload(_))), "{bits}");
    }
    let dual = Gumbel { alpha: Some(0.1), payload_bits: Some(8), ..Gumbel::default() };
    let own = KgwSeeding::SelfAnchored;
    let anchored = Kgw { seeding: own, payload_bits: Some(8), ..Kgw::default() };
    for spec in [Spec::Gumbel(dual), Spec::Kgw(anchored)] {
        assert!(matches!(spec.scheme().check(), Err(SpecError::NoRoom { .. })), "{spec:?}");
    }
    let mark = watermark(1, &gumbel(8), V, Repeats::ScoreOnce);
    assert!(mark.embedder(&[]).with_message(255).is_ok());
    let long = SpecError::LongMessage { bits: 8 };
    assert_eq!(mark.embedder(&[]).with_message(256).unwrap_err(), long);
    assert_eq!(mark.score_message(&Text::default(), 256).unwrap_err(), long);
    let plain = watermark(1, &Spec::Gumbel(Gumbel::default()), V, Repeats::ScoreOnce);
    assert_eq!(plain.payload_bits(), None);
    assert_eq!(plain.embedder(&[]).with_message(0).unwrap_err(), SpecError::CarriesNoMessage);
}

/// 1/E of unmarked text, a fresh key for each: the number of p ≤ level is at most Binomial(n, level). Fails by chance with
/// probability below 2·10⁻⁶ for each of eight tests; seeds are fixed.
#[test]
fn any_message_keeps_the_nominal_rate() {
    let ids: Vec<TokenId> = (0..220_u32).map(|at| at.wrapping_mul(2_654_435_761) >> 20).collect();
    for spec in [gumbel(8), gumbel(32), kgw(8), kgw(32)] {
        let texts = 150;
        let p: Vec<f64> = (0..texts)
            .map(|number| {
                let mark = watermark(1_000 + number, &spec, V, Repeats::ScoreOnce);
                let TextLaw::EValue { ln } = mark.score(&ids).judgement.unwrap().law else {
                    panic!("not judged by an e-value")
                };
                (-ln).exp().min(1.0)
            })
            .collect();
        for level in [0.05, 0.01] {
            let below = p.iter().filter(|&&p| p <= level).count() as u64;
            let chance = binomial_sf_ge(below, texts, level).unwrap().p();
            assert!(chance > 2e-6, "{spec:?}: {below} at {level}");
        }
    }
}

/// The mean of the likelihood ratio over all words is at most one, which the validity of E rests on. Words are taken in the
/// middle of equal parts; the ratio is smooth or has two values, cut at a multiple of the parts' width.
#[test]
fn ratios_have_mean_at_most_one() {
    fn mean<S: Turnable>(scheme: &S, strength: usize) -> f64 {
        let parts = 1_u32 << 20;
        let at = |part: u32| (part << 12) + (1 << 11);
        (0..parts).map(|part| scheme.ln_ratio(strength, at(part)).exp()).sum::<f64>()
            / f64::from(parts)
    }
    for strength in 0..Gumbel::STRENGTHS {
        let mean = mean(&Gumbel::default(), strength);
        assert!((0.999..=1.0 + 1e-6).contains(&mean), "{strength}: {mean}");
    }
    for strength in 0..Kgw::STRENGTHS {
        let mean = mean(&Kgw::default(), strength);
        assert!((mean - 1.0).abs() < 1e-9, "{strength}: {mean}");
    }
}

/// What a reader of plain mind would do: every message's likelihood, one after the other.
fn by_enumeration(
    code: Code,
    seen: &[([u32; 3], u32)],
    ratio: &dyn Fn(usize, u32) -> f64,
) -> Vec<f64> {
    let messages = 0..1_u64 << code.bits();
    let of_message = |message: u64| {
        let at = |strength| {
            let ln = |&(selector, word): &([u32; 3], u32)| {
                let symbol = code.symbol(&code.check(selector), message);
                ratio(strength, word.wrapping_add(code.turn(symbol)))
            };
            seen.iter().map(ln).sum::<f64>().exp()
        };
        (at(0) + at(1)) / 2.0
    };
    messages.map(of_message).collect()
}

fn decode(code: Code, seen: &[([u32; 3], u32)], ratio: &dyn Fn(usize, u32) -> f64) -> Posterior {
    let mut decoder = Decoder::new(code, 2);
    seen.iter().for_each(|&(selector, word)| decoder.add(&code.check(selector), word, ratio));
    decoder.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// E, the likeliest message, its probability and those of the bits are what enumeration gives.
    #[test]
    fn decoding_is_enumeration(
        bits in 8_u32..=11, symbol_bits in 1_u32..=4,
        marked in any::<bool>(), mut seen in prop::collection::vec((any::<[u32; 3]>(), any::<u32>()), 1..60),
    ) {
        let code = Code::new(bits, symbol_bits).unwrap();
        let scheme = Gumbel::default();
        if marked {
            // Words that speak for message 77: high ones, after its turn.
            for (selector, word) in &mut seen {
                *word = (*word | 0xE000_0000).wrapping_sub(code.turn(code.symbol(&code.check(*selector), 77)));
            }
        }
        let ratio = |strength: usize, word: u32| scheme.ln_ratio(strength, word);
        let plain = by_enumeration(code, &seen, &ratio);
        let total: f64 = plain.iter().sum();
        let posterior = decode(code, &seen, &ratio);
        let e = total / plain.len() as f64;
        // Where there is no evidence for any message, only a part of the sum is taken.
        let whole = e > 1e3;
        prop_assert!(posterior.ln_e() < e.ln() + 1e-9, "{} {}", posterior.ln_e(), e.ln());
        prop_assert!(!whole || posterior.ln_e() > e.ln() - 0.01, "{} {}", posterior.ln_e(), e.ln());
        let decoded = posterior.decode();
        let best = plain.iter().copied().fold(0.0, f64::max);
        let expected = best / total;
        let near = (decoded.posterior - expected).abs() < 0.01;
        prop_assert!(!whole || near, "{} {expected}", decoded.posterior);
        prop_assert!(!whole || (plain[decoded.message as usize] / best - 1.0).abs() < 1e-9);
        for (bit, one) in decoded.ones.iter().enumerate().filter(|_| whole && (bits < 10 || e > 1e6)) {
            let with = (0..plain.len()).filter(|message| message >> bit & 1 == 1);
            let share = with.map(|message| plain[message]).sum::<f64>() / total;
            prop_assert!((share - one).abs() < 0.02, "bit {bit}: {share} {one}");
        }
    }
}
