//! Marks of other engines: what their own code said of texts, said again here.

#![allow(clippy::panic, clippy::unwrap_used)]

mod dip;
mod extra;
mod kgw;
mod kuditipudi;
mod markllm_exp;
mod mpac;
mod p_values;
mod sglang;
mod synthid;
mod textseal;
mod three_bricks;
mod unigram;
mod vllm;
mod vllm_sbw;

use serde_json::Value;
use touchmark::keys::Key;
use touchmark::prf::{Prf, Start};
use touchmark::schemes::Spec;
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

/// The cases of a golden file.
pub fn golden(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn ids(value: &Value) -> Vec<TokenId> {
    list(value).iter().map(|id| id.as_u64().unwrap() as TokenId).collect()
}

/// One character a position, `1` for yes.
pub fn flags(value: &Value) -> Vec<bool> {
    value.as_str().unwrap().chars().map(|flag| flag == '1').collect()
}

/// A number, or one in a string as 64-bit keys are written.
pub fn number(value: &Value) -> u64 {
    let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    text.parse::<u64>().unwrap_or_else(|_| text.parse::<i64>().unwrap() as u64)
}

/// The logit that the goldens' generators give a token at a step.
pub fn logit(step: u32, token: u32) -> f32 {
    let mut x = token
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add(step.wrapping_mul(0x85EB_CA77))
        .wrapping_add(0xC2B2_AE3D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x2C1B_3C6D);
    x ^= x >> 12;
    (x >> 8) as f32 / 2_097_152.0
}

/// The rows of a file of texts.
pub fn texts(json_lines: &str) -> Vec<Value> {
    json_lines.lines().map(golden).collect()
}

pub fn mark(keys: Vec<u64>, spec: &Spec, vocab_size: u64, repeats: Repeats) -> Watermark {
    let vocabulary = Vocabulary {
        tokenizer: TokenizerHash([3; 32]),
        size: vocab_size as u32,
        special: Vec::new(),
    };
    let key = Key::of_numbers(keys).unwrap();
    Watermark::new(&key, spec.prf(), spec, &vocabulary, repeats).unwrap()
}

pub fn assert_near(found: f64, expected: f64, relative: f64) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(1e-300),
        "{found} {expected}"
    );
}

/// A walk over a text gives what each prefix gives by itself, of every function that an example uses.
#[test]
fn walks_equal_prefixes() {
    let tokens: Vec<TokenId> = (0..150_u32).map(|i| i.wrapping_mul(2_654_435_761) % 500).collect();
    for spec in Spec::examples() {
        let Some(peer) = spec.scheme().peer() else { continue };
        let key = crate::common::key_for(11, &spec);
        let prf = Prf::of_peer(&key, &peer, spec.scheme().seeding(), 500).unwrap();
        for start in [
            Start::Fragment,
            Start::Answer { prompt: &[] },
            Start::Answer { prompt: &[7, 8] },
            Start::Answer { prompt: &tokens },
        ] {
            let streams = spec.scheme().streams();
            let (lead, mut seen) = (prf.lead(start), Vec::new());
            prf.walk(start, &tokens, streams, |position, draw| {
                let history = [&lead, &tokens[..position]].concat();
                let alone = prf.at_start(&history, start).unwrap();
                for token in [tokens[position], 499] {
                    assert_eq!(draw.seed_id(token), alone.seed_id(token), "{spec:?} {position}");
                    for &stream in streams {
                        let [walked, alone] = [draw, &alone].map(|draw| draw.word(token, stream));
                        assert_eq!(walked, alone, "{spec:?} {position} {token}");
                    }
                }
                seen.push(position);
            });
            let drawn = |&position: &usize| {
                prf.at_start(&[&lead, &tokens[..position]].concat(), start).is_some()
            };
            assert_eq!(seen, (0..tokens.len()).filter(drawn).collect::<Vec<_>>(), "{spec:?}");
        }
    }
}
