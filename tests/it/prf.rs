//! The native PRF against another implementation.

use serde::Deserialize;
use touchmark::keys::Key;
use touchmark::payload::Code;
use touchmark::prf::{Prf, Purpose, Seeding, Start};
use touchmark::schemes::{Gumbel, Kgw, Spec};
use touchmark::tokens::TokenizerHash;

#[derive(Deserialize)]
struct Golden {
    key: String,
    tokenizer: String,
    cases: Vec<Case>,
    messages: Vec<MessageCase>,
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

#[derive(Deserialize)]
struct MessageCase {
    scheme: String,
    bits: u32,
    symbol_bits: u32,
    message: u64,
    context: Vec<u32>,
    selector: [u32; 3],
    step: u32,
    taps: Vec<u8>,
    symbol: u32,
    token: u32,
    word: u32,
}

/// What a message makes of a draw's words, through the schemes' own parameters.
#[test]
fn golden_messages() {
    let golden: Golden = serde_json::from_str(include_str!("golden/prf.json")).unwrap();
    let key = Key::from_hex(&golden.key).unwrap();
    let tokenizer: TokenizerHash = golden.tokenizer.parse().unwrap();
    for case in &golden.messages {
        let payload_bits = Some(case.bits);
        let gamma = 0.5_f64.powi(case.symbol_bits as i32);
        let spec = match case.scheme.as_str() {
            "kgw" => Spec::Kgw(Kgw { gamma, payload_bits, ..Kgw::default() }),
            _ => Spec::Gumbel(Gumbel { payload_bits, ..Gumbel::default() }),
        };
        let parameters = spec.canonical();
        let purpose =
            Purpose { scheme: spec.name(), parameters: &parameters, tokenizer, vocab_size: 8192 };
        let prf = Prf::new(&key, &purpose, spec.scheme().seeding()).unwrap();
        let draw = prf.at(&case.context).unwrap();
        assert_eq!(draw.selector(), Some(case.selector));
        let code = Code::new(case.bits, case.symbol_bits).unwrap();
        let check = code.check(case.selector);
        assert_eq!((check.step, &check.taps[..case.taps.len()]), (case.step, &case.taps[..]));
        assert!(check.taps[case.taps.len()..].iter().all(|&tap| tap == 0));
        assert_eq!(code.symbol(&check, case.message), case.symbol);
        let turned = draw.turned(code.turn(case.symbol));
        assert_eq!(turned.word(case.token, 0), case.word);
        // The scheme's own way to the same word.
        let payload = spec.scheme().payload().unwrap();
        assert_eq!(payload.bits(), case.bits);
        let evidence = payload.evidence(case.message, &draw, case.token);
        assert_eq!(evidence, spec.scheme().evidence(&turned, case.token));
        // In bulk, and as a text is walked.
        let mut words = [0; 1];
        turned.words(Some(&[case.token]), 0, &mut words);
        assert_eq!(words, [case.word]);
        let text = [case.context.as_slice(), &[case.token]].concat();
        let mut read = Vec::new();
        prf.walk(Start::Fragment, &text, &[0], |_, draw| {
            read.push((draw.selector(), draw.turned(code.turn(case.symbol)).word(case.token, 0)));
        });
        assert_eq!(read, [(Some(case.selector), case.word)]);
    }
    assert_eq!(golden.messages.len(), 12);
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
