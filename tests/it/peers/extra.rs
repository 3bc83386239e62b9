//! Keys, widths and vocabularies at the edges of what the tools take: keys of 2⁶³ and more, widths of 1 and 64,
//! vocabularies of 2 and of 262,144.

use serde_json::Value;
use touchmark::keys::Key;
use touchmark::prf::{COIN, KEY_A, KEY_B, PeerPrf, Prf, Seeding, Start};
use touchmark::schemes::{
    SeedingScheme, SglangGumbel, Spec, SynthIdHash, SynthIdText, TransformersKgw, VllmGumbel,
};
use touchmark::watermark::{Repeats, Text};

use super::{assert_near, flags, golden, ids, list, mark, number};

/// vLLM's uniform of a word, as a whole number over 2²⁴ + 1.
fn vllm_uniform(word: u32) -> u64 {
    let parts = 16_777_217.0;
    let uniform = ((f64::from(word >> 8) + 1.0) / parts) as f32;
    (f64::from(uniform) * parts).round() as u64
}

#[test]
fn vllm() {
    for case in list(&golden(include_str!("../golden/peers/extra_vllm.json"))["cases"]) {
        let (alpha, width) = (case["alpha"].as_f64(), number(&case["context_width"]) as usize);
        let (keys, tokens) = (vec![number(&case["key"])], ids(&case["tokens"]));
        let vocab_size = number(&case["vocab_size"]);
        let peer = PeerPrf::Philox { width, dual: alpha.is_some() };
        let key = Key::of_numbers(keys.clone()).unwrap();
        let prf = Prf::of_peer(&key, &peer, Seeding::Left { width }, vocab_size as u32).unwrap();
        let mut seen = 0;
        prf.walk(Start::Fragment, &tokens, &[KEY_A, KEY_B], |at, draw| {
            for (stream, field) in [(KEY_A, "uniform"), (KEY_B, "uniform_b")] {
                if let Some(expected) = case[field].as_array() {
                    let found = vllm_uniform(draw.word(tokens[at], stream));
                    assert_eq!(found, number(&expected[at]), "{} {at}", case["key"]);
                }
            }
            seen += 1;
        });
        assert_eq!(seen, tokens.len());

        let scheme = VllmGumbel { context_width: width, alpha, max_history: None };
        let mark = mark(keys, &Spec::VllmGumbel(scheme), vocab_size, Repeats::SingleTurn);
        let evidence = mark.score_text(&Text::of(&tokens));
        assert_eq!(evidence.positions, positions(&flags(&case["scored"])), "{}", case["key"]);
        assert_eq!(evidence.scored() as u64, number(&case["num_scored_tokens"]));
        assert_near(evidence.sum(), case["score"].as_f64().unwrap(), 1e-5);
    }
}

fn positions(scored: &[bool]) -> Vec<u32> {
    (0..).zip(scored).filter(|(_, scored)| **scored).map(|(at, _)| at).collect()
}

/// A key as SGLang's users write it.
fn hexadecimal(key: &Value) -> Option<u64> {
    let digits = key.as_str()?.trim_start_matches("0x").trim_start_matches("0X");
    Some(u64::from_str_radix(digits, 16).unwrap())
}

#[test]
fn sglang() {
    for case in list(&golden(include_str!("../golden/peers/extra_sglang.json"))["cases"]) {
        let keys: Vec<u64> =
            ["key", "key_b"].iter().filter_map(|key| hexadecimal(&case[*key])).collect();
        let (width, dual) = (number(&case["context_window"]) as usize, keys.len() == 2);
        let (prompt, tokens) = (ids(&case["prompt"]), ids(&case["tokens"]));
        let (start, vocab_size) = (Start::Answer { prompt: &prompt }, number(&case["vocab_size"]));
        let peer = PeerPrf::Murmur { width, dual };
        let key = Key::of_numbers(keys.clone()).unwrap();
        let prf = Prf::of_peer(&key, &peer, Seeding::Left { width }, vocab_size as u32).unwrap();
        let mut seen = 0;
        prf.walk(start, &tokens, &[KEY_A, KEY_B], |at, draw| {
            for (stream, field) in [(KEY_A, "word"), (KEY_B, "word_b"), (COIN, "coin")] {
                if let Some(expected) = case[field].as_array() {
                    let token = if stream == COIN { 0 } else { tokens[at] };
                    let found = u64::from(draw.word(token, stream));
                    assert_eq!(found, number(&expected[at]), "{} {field} {at}", case["key"]);
                }
            }
            seen += 1;
        });
        assert_eq!(seen, tokens.len() - usize::from(prompt.is_empty()));

        let scheme = SglangGumbel {
            context_window: width,
            mixing_probability: case["mixing_probability"].as_f64(),
            max_probability: 1.0,
        };
        let mark = mark(keys, &Spec::SglangGumbel(scheme), vocab_size, Repeats::SingleTurn);
        // Without a prompt the tool skips the first tokens, as for a text that may begin anywhere.
        let start = if prompt.is_empty() { Start::Fragment } else { start };
        let evidence = mark.score_text(&Text { ids: &tokens, start, entropies: &[] });
        let expected = &case["combined"];
        assert_eq!(evidence.scored() as u64, number(&expected["num_contexts"]), "{}", case["key"]);
        assert_near(evidence.sum(), expected["score"].as_f64().unwrap(), 1e-7);
    }
}

#[test]
fn transformers_lists() {
    let mut refused = 0;
    for case in list(&golden(include_str!("../golden/peers/extra_hf_kgw.json"))["cases"]) {
        let (name, config) = (&case["key"], &case["config"]);
        let scheme = TransformersKgw {
            greenlist_ratio: config["greenlist_ratio"].as_f64().unwrap(),
            bias: 2.0,
            seeding_scheme: match config["seeding_scheme"].as_str().unwrap() {
                "lefthash" => SeedingScheme::LeftHash,
                _ => SeedingScheme::SelfHash,
            },
            context_width: number(&config["context_width"]) as usize,
        };
        let spec = Spec::TransformersKgw(scheme);
        if spec.scheme().check().is_err() {
            // Seeds of more than eight ids, the candidate among them.
            assert!(number(&config["context_width"]) > 8 && config["seeding_scheme"] == "selfhash");
            refused += 1;
            continue;
        }
        let (key, tokens) = (number(&case["as_unsigned"]), ids(&case["tokens"]));
        let vocab_size = number(&case["vocab_size"]);
        let (scheme, numbers) = (spec.scheme(), Key::of_numbers(vec![key]).unwrap());
        let peer = scheme.peer().unwrap();
        let prf = Prf::of_peer(&numbers, &peer, scheme.seeding(), vocab_size as u32).unwrap();
        let (mut green, mut first) = (Vec::new(), None);
        prf.walk(Start::Fragment, &tokens, &[KEY_A], |at, draw| {
            green.push(draw.word(tokens[at], KEY_A) == 0);
            first.get_or_insert(at as u64);
        });
        assert_eq!(green, flags(&case["green"]), "{name}");
        assert_eq!(first, Some(number(&case["first_scored"])), "{name}");
        // Of equal n-grams the tool can count one, as is done here; what id 0 seeds counts there, but says nothing of the key.
        let evidence = mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce).score(&tokens);
        let once = &case["once"];
        assert!(evidence.scored() as u64 <= number(&once["num_tokens_scored"]), "{name}");
        assert!(evidence.sum() as u64 <= number(&once["num_green_tokens"]), "{name}");
        if config["seeding_scheme"] == "selfhash" && config["context_width"] == 4 {
            assert_eq!(evidence.scored() as u64, number(&once["num_tokens_scored"]), "{name}");
            assert_eq!(evidence.sum() as u64, number(&once["num_green_tokens"]), "{name}");
        }
    }
    assert_eq!(refused, 2);
}

#[test]
fn synthid() {
    for case in list(&golden(include_str!("../golden/peers/extra_synthid.json"))["cases"]) {
        let config = &case["config"];
        let (iv, keys) = (case["variant"] == "synthid-iv", list(&config["keys"]));
        let scheme = SynthIdText {
            ngram_len: number(&config["ngram_len"]) as usize,
            depth: keys.len() as u32,
            hash: if iv { SynthIdHash::Iv } else { SynthIdHash::Table },
            sampling_table_size: (!iv).then(|| number(&config["sampling_table_size"]) as u32),
            sampling_table_seed: (!iv).then(|| number(&config["sampling_table_seed"])),
            context_history_size: number(&config["context_history_size"]) as usize,
            ..SynthIdText::default()
        };
        let (spec, tokens) = (Spec::SynthIdText(scheme.clone()), ids(&case["tokens"]));
        let mark = mark(
            keys.iter().map(number).collect(),
            &spec,
            number(&case["vocab_size"]),
            Repeats::SingleTurn,
        );
        let (mut rows, mut fresh) = (Vec::new(), Vec::new());
        mark.replay(&Text::of(&tokens), |at, repeated, draw| {
            assert_eq!(at, rows.len() + scheme.ngram_len - 1);
            let bits = scheme.bits(draw, tokens[at]);
            let flag = |layer: u32| if bits >> layer & 1 == 1 { '1' } else { '0' };
            rows.push((0..scheme.depth).map(flag).collect::<String>());
            fresh.push(!repeated);
        });
        let expected: Vec<&str> =
            list(&case["g_values"]).iter().map(|row| row.as_str().unwrap()).collect();
        assert_eq!(rows, expected, "{}", case["variant"]);
        assert_eq!(fresh, flags(&case["not_repeated"]), "{}", case["variant"]);
    }
}
