//! Green lists of torch's CPU generator: transformers 5.17.0, lm-watermarking, MarkLLM.

use serde_json::Value;
use sha2::{Digest, Sha256};
use touchmark::detect::{Detector, Law, Verdict};
use touchmark::keys::Key;
use touchmark::prf::{KEY_A, PeerPrf, Prf, PrfError, Seeding, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{SeedingScheme, Spec, TransformersKgw};
use touchmark::stats::Family;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Watermark};

use super::{flags, golden, ids, list, logit, mark, number};

fn transformers(config: &Value) -> Spec {
    Spec::TransformersKgw(TransformersKgw {
        greenlist_ratio: config["greenlist_ratio"].as_f64().unwrap(),
        bias: config["bias"].as_f64().unwrap() as f32,
        seeding_scheme: match config["seeding_scheme"].as_str().unwrap() {
            "lefthash" => SeedingScheme::LeftHash,
            _ => SeedingScheme::SelfHash,
        },
        context_width: config["context_width"].as_u64().unwrap() as usize,
    })
}

fn prf(spec: &Spec, key: u64, vocab_size: u64) -> Prf {
    let (scheme, key) = (spec.scheme(), Key::of_numbers(vec![key]).unwrap());
    Prf::of_peer(&key, &scheme.peer().unwrap(), scheme.seeding(), vocab_size as u32).unwrap()
}

/// Whether each token that has a draw is on its list, and the first one's position.
fn read(prf: &Prf, tokens: &[TokenId]) -> (Vec<bool>, usize) {
    let (mut green, mut first) = (Vec::new(), None);
    prf.walk(Start::Fragment, tokens, &[KEY_A], |position, draw| {
        green.push(draw.word(tokens[position], KEY_A) == 0);
        first.get_or_insert(position);
    });
    (green, first.unwrap())
}

/// SHA-256 of one byte a token.
fn digest(mask: impl Iterator<Item = bool>) -> String {
    let bytes: Vec<u8> = mask.map(u8::from).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn sequences_are_read_as_transformers_reads_them() {
    let golden = golden(include_str!("../golden/peers/hf_kgw.json"));
    for case in list(&golden["cases"]) {
        let (spec, name) = (transformers(&case["config"]), &case["name"]);
        let (key, vocab_size) = (number(&case["key"]), number(&case["vocab_size"]));
        let (prf, tokens) = (prf(&spec, key, vocab_size), ids(&case["tokens"]));
        let begin = usize::from(case["bos_stripped"].as_bool().unwrap());
        // At first one by one, then from whole lists.
        for _sight in 0..9 {
            let (green, first) = read(&prf, &tokens[begin..]);
            assert_eq!(green, flags(&case["green"]), "{name}");
            assert_eq!((first + begin) as u64, number(&case["first_scored"]), "{name}");
            assert_eq!(green.len() as u64, number(&case["num_tokens_scored"]), "{name}");
            let count = green.iter().filter(|&&green| green).count() as u64;
            assert_eq!(count, number(&case["num_green_tokens"]), "{name}");
        }
        // What we count: each pair of list and token once, so no more than the distinct n-grams.
        let evidence =
            mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce).score(&tokens[begin..]);
        assert!(evidence.scored() as u64 <= number(&case["distinct_ngrams"]), "{name}");
        assert!(evidence.scored() > 80, "{name}");
    }
}

#[test]
fn whole_lists_are_those_of_transformers() {
    let golden = golden(include_str!("../golden/peers/hf_kgw.json"));
    for case in list(&golden["cases"]) {
        let (spec, name) = (transformers(&case["config"]), &case["name"]);
        let vocab_size = number(&case["vocab_size"]);
        let prf = prf(&spec, number(&case["key"]), vocab_size);
        let selfhash = case["config"]["seeding_scheme"] == "selfhash";
        for expected in list(&case["green_lists"]) {
            let seed_tokens = ids(&expected["seed_tokens"]);
            let (own, before) = seed_tokens.split_last().unwrap();
            let first8 = ids(&expected["first8"]);
            if selfhash {
                // A list is known by one token only: the candidate that seeds it.
                let listed = prf.at(before).unwrap().word(*own, KEY_A) == 0;
                if first8.contains(own) {
                    assert!(listed, "{name}");
                }
                continue;
            }
            let mut words = vec![0; vocab_size as usize];
            prf.at(&seed_tokens).unwrap().words(None, KEY_A, &mut words);
            let greens = words.iter().filter(|&&word| word == 0).count() as u64;
            assert_eq!(greens, number(&expected["size"]), "{name}");
            assert!(first8.iter().all(|&id| words[id as usize] == 0), "{name}");
            let hash = digest(words.iter().map(|&word| word == 0));
            assert_eq!(hash, expected["sha256_mask"], "{name}");
        }
    }
}

#[test]
fn what_transformers_biases_is_biased() {
    let golden = golden(include_str!("../golden/peers/hf_kgw.json"));
    for case in list(&golden["cases"]) {
        let (spec, name) = (transformers(&case["config"]), &case["name"]);
        let (key, vocab_size) = (number(&case["key"]), number(&case["vocab_size"]));
        let mark = mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce);
        for expected in list(&case["embed"]) {
            let step = number(&expected["step"]) as u32;
            let logits: Vec<f32> = (0..vocab_size as u32).map(|id| logit(step, id)).collect();
            let biased = biased(&mark, &ids(&expected["context"]), &logits);
            if let Some(some) = expected.get("biased") {
                let found: Vec<TokenId> =
                    (0..).zip(&biased).filter(|it| *it.1).map(|it| it.0).collect();
                assert_eq!(found, ids(some), "{name}");
            } else {
                let count = biased.iter().filter(|&&biased| biased).count() as u64;
                assert_eq!(count, number(&expected["biased_count"]), "{name}");
                assert_eq!(digest(biased.into_iter()), expected["sha256_mask"], "{name}");
            }
        }
    }
}

/// Which logits the step after `context` raises, the context being a prompt.
fn biased(mark: &Watermark, context: &[TokenId], logits: &[f32]) -> Vec<bool> {
    let mut candidates = Candidates::default();
    candidates.load(logits);
    let marked = mark.embedder(context).mark(&[], &mut candidates, None, &mut Noise::new(1, 1));
    assert!(matches!(marked, Marked::Yes(_)), "{marked:?}");
    candidates.logits().iter().zip(logits).map(|(after, before)| after > before).collect()
}

fn rows(jsonl: &str) -> Vec<Value> {
    jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Texts that transformers wrote are found, at a false-alarm rate of 1e-6, and those that it did not are not.
#[test]
fn texts_by_transformers_are_detected_and_others_are_not() {
    let others = [
        include_str!("../golden/peers/texts/human.jsonl"),
        include_str!("../golden/peers/texts/unmarked.jsonl"),
    ];
    for (config, texts, tool) in [
        (
            include_str!("../golden/peers/texts/configs/hf_kgw_lefthash/watermarking_config.json"),
            include_str!("../golden/peers/texts/hf_kgw_lefthash.jsonl"),
            "hf_kgw_lefthash",
        ),
        (
            include_str!("../golden/peers/texts/configs/hf_kgw_selfhash/watermarking_config.json"),
            include_str!("../golden/peers/texts/hf_kgw_selfhash.jsonl"),
            "hf_kgw_selfhash",
        ),
    ] {
        let config = golden(config);
        let (spec, key) = (transformers(&config), number(&config["hashing_key"]));
        let prf = prf(&spec, key, 8192);
        let watermark = mark(vec![key], &spec, 8192, Repeats::ScoreOnce);
        let detector = Detector::new(watermark, 1e-6, Family::one(), None).unwrap();
        let verdict = |row: &Value| {
            let ids = ids(&row["ids"]);
            detector.detect(&Text::of(&ids)).unwrap()
        };
        let marked = rows(texts);
        assert!(marked.len() >= 16);
        for row in &marked {
            for (ids, answer) in [("ids", "on_ids"), ("text_ids", "on_text_ids")] {
                let (green, _) = read(&prf, &super::ids(&row[ids]));
                let (answer, count) = (&row["detector"][answer], green.iter().filter(|&&it| it));
                assert_eq!(
                    green.len() as u64,
                    number(&answer["num_tokens_scored"]),
                    "{}",
                    row["id"]
                );
                assert_eq!(
                    count.count() as u64,
                    number(&answer["num_green_tokens"]),
                    "{}",
                    row["id"]
                );
            }
            let found = verdict(row);
            assert_eq!(found.verdict, Verdict::Detected, "{}: {}", row["id"], found.p);
        }
        for row in others.iter().flat_map(|texts| rows(texts)) {
            let (green, _) = read(&prf, &ids(&row["ids"]));
            let answer = &row["detectors_on_ids"][tool];
            let count = green.iter().filter(|&&it| it).count() as u64;
            assert_eq!(count, number(&answer["num_green_tokens"]), "{}", row["id"]);
            let found = verdict(&row);
            assert_ne!(found.verdict, Verdict::Detected, "{}: {}", row["id"], found.p);
        }
    }
}

/// transformers calls 50 tokens with 28 green at γ = 0.25 one in 24 million; they are one in 350,000.
#[test]
fn the_p_value_of_transformers_is_too_small() {
    let z = (28.0 - 12.5) / (50.0_f64 * 0.25 * 0.75).sqrt();
    let claimed = 0.5 * (-2.0 * z * z / std::f64::consts::PI).exp();
    let law = Law::new(Spec::usual("transformers-kgw").unwrap().scheme().null(8192)).unwrap();
    let p = law.tail(28.0, 50).unwrap().p();
    assert!((claimed / 4.1e-8 - 1.0).abs() < 0.02, "{claimed}");
    assert!((p / 2.9e-6 - 1.0).abs() < 0.02, "{p}");
}

fn lm_watermarking(config: &Value) -> Spec {
    let mut config = config.clone();
    config["scheme"] = "lm-watermarking".into();
    serde_json::from_value(config).unwrap()
}

#[test]
fn lm_watermarking_is_read_and_made_as_its_code_does() {
    let golden = golden(include_str!("../golden/peers/lm_kgw.json"));
    assert!(list(&golden["lm"]).len() > 40);
    for case in list(&golden["lm"]) {
        let (spec, name) = (lm_watermarking(&case["config"]), &case["name"]);
        let (key, vocab_size) = (number(&case["key"]), number(&case["vocab_size"]));
        let prf = prf(&spec, key, vocab_size);
        for _sight in 0..9 {
            let (green, _) = read(&prf, &ids(&case["tokens"]));
            assert_eq!(green, flags(&case["green"]), "{name}");
        }
        let own = case["config"]["self_salt"].as_bool().unwrap();
        if !own {
            let mut words = vec![0; vocab_size as usize];
            prf.at(&ids(&case["seed_ids"])).unwrap().words(None, KEY_A, &mut words);
            let hash = digest(words.iter().map(|&word| word == 0));
            assert_eq!(hash, case["sha256_mask"], "{name}");
            assert!(ids(&case["first8"]).iter().all(|&id| words[id as usize] == 0), "{name}");
        }
        let mark = mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce);
        check_biased(case, &biased_at(case, &mark));
        // Its detector counts n-grams once; those of equal seeds and tokens, and seeds without a key, count less here.
        let evidence = mark.score(&ids(&case["tokens"]));
        assert!(evidence.scored() as u64 <= number(&case["num_tokens_scored"]), "{name}");
    }
}

#[test]
fn the_older_processor_is_the_additive_one() {
    let golden = golden(include_str!("../golden/peers/lm_kgw.json"));
    for case in list(&golden["legacy"]) {
        let prf = prf(
            &lm_watermarking(&case["config"]),
            number(&case["key"]),
            number(&case["vocab_size"]),
        );
        assert_eq!(read(&prf, &ids(&case["tokens"])).0, flags(&case["green"]), "{}", case["name"]);
    }
}

#[test]
fn markllm_is_read_and_made_as_its_code_does() {
    let golden = golden(include_str!("../golden/peers/lm_kgw.json"));
    for case in list(&golden["markllm"]) {
        let mut config = case["config"].clone();
        config["scheme"] = "markllm-kgw".into();
        let spec: Spec = serde_json::from_value(config).unwrap();
        let (key, vocab_size) = (number(&case["key"]), number(&case["vocab_size"]));
        let green = read(&prf(&spec, key, vocab_size), &ids(&case["tokens"])).0;
        assert_eq!(green, flags(&case["green"]), "{}", case["name"]);
        let mark = mark(vec![key], &spec, vocab_size, Repeats::ScoreOnce);
        check_biased(case, &biased_at(case, &mark));
    }
}

fn biased_at(case: &Value, mark: &Watermark) -> Vec<bool> {
    let (step, vocab_size) = (number(&case["step"]) as u32, number(&case["vocab_size"]));
    let logits: Vec<f32> = (0..vocab_size as u32).map(|id| logit(step, id)).collect();
    biased(mark, &ids(&case["context"]), &logits)
}

fn check_biased(case: &Value, biased: &[bool]) {
    let count = biased.iter().filter(|&&biased| biased).count() as u64;
    assert_eq!(count, number(&case["biased_count"]), "{}", case["name"]);
    assert_eq!(digest(biased.iter().copied()), case["biased_sha256"], "{}", case["name"]);
}

/// What no key changes says nothing: it is marked as the tools do, and does not count.
#[test]
fn seeds_without_a_key_do_not_count() {
    let tokens: Vec<TokenId> = vec![0, 5, 0, 6, 7, 0, 0, 9];
    let counted = |config: &str| {
        let spec = serde_json::from_str(config).unwrap();
        mark(vec![15_485_863], &spec, 1000, Repeats::ScoreOnce).score(&tokens).positions
    };
    assert_eq!(counted(r#"{"scheme":"transformers-kgw"}"#), [2, 4, 5]);
    let additive = r#"{"scheme":"lm-watermarking","prf_type":"additive_prf","context_width":2,"self_salt":false}"#;
    assert_eq!(counted(additive), [2, 3, 4, 5, 6]);
    let skipgram = additive.replace("additive", "skipgram");
    assert_eq!(counted(&skipgram), [3, 5, 6]);
    let minhash = additive.replace("additive", "anchored_minhash");
    assert_eq!(counted(&minhash), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let refused = |config: &str| {
        let spec: Spec = serde_json::from_str(config).unwrap();
        spec.scheme().check().unwrap_err().to_string()
    };
    for (config, said) in [
        (r#"{"scheme":"transformers-kgw","greenlist_ratio":1.0}"#, "greenlist_ratio is 1"),
        (r#"{"scheme":"transformers-kgw","bias":0.0}"#, "bias is 0"),
        (r#"{"scheme":"transformers-kgw","context_width":65}"#, "must be 1 to 64"),
        (
            r#"{"scheme":"transformers-kgw","seeding_scheme":"selfhash","context_width":9}"#,
            "must be 1 to 8",
        ),
        (
            r#"{"scheme":"lm-watermarking","prf_type":"minskipgram_prf","context_width":1}"#,
            "2 ids or more",
        ),
        (r#"{"scheme":"markllm-kgw","window_scheme":"self","prefix_length":8}"#, "must be 1 to 7"),
    ] {
        assert!(refused(config).contains(said), "{}", refused(config));
    }
    let key = Key::of_numbers(vec![1]).unwrap();
    let build = |width, vocab_size| {
        let peer = PeerPrf::TransformersKgw { ratio: 0.25, width, selfhash: true };
        Prf::of_peer(&key, &peer, Seeding::SelfAnchored { width: 3 }, vocab_size)
    };
    assert!(matches!(build(9, 1000), Err(PrfError::Context { got: 8, most: 7 })));
    assert!(matches!(build(4, 3), Err(PrfError::Lists { listed: 0, vocab_size: 3 })));
    assert!(build(8, 1000).is_ok());
}
