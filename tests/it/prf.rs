//! The native PRF against another implementation.

use serde::Deserialize;
use touchmark::keys::Key;
use touchmark::prf::{Prf, Purpose, Seeding, Start};
use touchmark::tokens::TokenizerHash;

#[derive(Deserialize)]
struct Golden {
    key: String,
    tokenizer: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    scheme: String,
    parameters: String,
    vocab_size: u32,
    seeding: String,
    context: Vec<u32>,
    token: u32,
    stream: u32,
    seed_id: u64,
    word: u32,
}

/// Marking (`at`) and scoring (`walk`) both give the words that the byte format says.
#[test]
fn golden_words() {
    let golden: Golden = serde_json::from_str(include_str!("golden/prf.json")).unwrap();
    let key = Key::from_hex(&golden.key).unwrap();
    let tokenizer: TokenizerHash = golden.tokenizer.parse().unwrap();
    for case in &golden.cases {
        let scheme = if case.scheme == "kgw" { "kgw" } else { "gumbel" };
        let purpose = Purpose {
            scheme,
            parameters: &case.parameters,
            tokenizer,
            vocab_size: case.vocab_size,
        };
        let width = case.context.len();
        let seeding = match case.seeding.as_str() {
            "fixed" => Seeding::Fixed,
            "left" => Seeding::Left { width },
            "min" => Seeding::Min { width },
            _ => Seeding::SelfAnchored { width },
        };
        let prf = Prf::new(&key, &purpose, seeding).unwrap();
        let draw = prf.at(&case.context).unwrap();
        assert_eq!(
            (draw.seed_id(case.token).0, draw.word(case.token, case.stream)),
            (case.seed_id, case.word)
        );
        let text = [case.context.as_slice(), &[case.token]].concat();
        let mut read = Vec::new();
        prf.walk(Start::Fragment, &text, &[case.stream], |_, draw| {
            read.push(draw.word(case.token, case.stream))
        });
        assert_eq!(read, [case.word]);
    }
    assert_eq!(golden.cases.len(), 60);
}
